//! The engine's promises beyond the conformance suites: chains of several tiers, writes behind the
//! caller's back, loads that fetch, limits, batches, and random operations against a model.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests may panic as tests may"
)]

mod batching;
mod close;
mod fleet;
mod hashes;
mod hits;
mod misses;
mod model;
mod nested_loads;
mod orphans;
mod panics;
mod siblings;
mod source;
mod threads;
mod write_back;

use headwater::testkit::{ManualClock, RemoteTier, TestSource};
use headwater::{
    Entry, FetchOptions, Fetcher, Headwater, LruCache, MemoryCache, ReadThrough, Source, Version,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

type Origin = TestSource<str, String>;
type Remote = RemoteTier<MemoryCache<str, String>>;
type Lru = LruCache<str, String>;
type OneRemote = ReadThrough<Remote, Source<Origin>>;
type Two = ReadThrough<Lru, OneRemote>;

/// A chain of memory in front of a store that waits, and handles to all of it.
struct World {
    origin: Origin,
    remote: Remote,
    lru: Lru,
    chain: Two,
    time: ManualClock,
}

impl World {
    fn new() -> Self {
        let time = ManualClock::new();
        let origin = Origin::new();
        let memory = MemoryCache::builder().clock(time.clock()).build().unwrap();
        let remote = RemoteTier::new(memory);
        let lru: Lru = LruCache::builder(1_000).clock(time.clock()).build().unwrap();
        let chain = Headwater::source(origin.clone())
            .clock(time.clock())
            .through(remote.clone())
            .through(lru.clone())
            .build();
        Self { origin, remote, lru, chain, time }
    }
}

/// A source whose only value is its version, and which takes more than one poll to read.
#[derive(Clone, Default)]
struct Versioned(Arc<AtomicU64>);

fn versioned(version: u64) -> Entry<String> {
    Entry::found(version.to_string()).with_version(Version::new(version))
}

impl Fetcher for Versioned {
    type Key = str;
    type Value = String;

    async fn fetch(&self, key: &str) -> headwater::Result<String> {
        self.fetch_entry(key, &FetchOptions::new()).await?.into_outcome()
    }

    async fn fetch_many(&self, keys: &[&str]) -> Vec<headwater::Result<String>> {
        futures_util::future::join_all(keys.iter().map(|key| self.fetch(key))).await
    }

    async fn close(&self) -> headwater::Result<()> {
        Ok(())
    }

    async fn fetch_entry(&self, _: &str, _: &FetchOptions) -> headwater::Result<Entry<String>> {
        let version = self.0.load(SeqCst);
        tokio::task::yield_now().await;
        Ok(versioned(version))
    }
}

/// Lets every task that can go on do so, on a runtime of one thread.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// What `work` comes to. A guard for those whose promise is that it ends at all: they fail instead
/// of hanging.
async fn ends<T>(work: impl Future<Output = T>) -> T {
    let guard = std::time::Duration::from_secs(10);
    tokio::time::timeout(guard, work).await.expect("it ends")
}

fn text(number: usize) -> String {
    number.to_string()
}
