//! Chains that stand for processes: memory over Redis over one source, each with connections of its
//! own.

use crate::chain::{Redis, config, until};
use crate::server::Server;
use headwater::redis::{Coherence, RedisConfig};
use headwater::testkit::TestSource;
use headwater::{Fetcher, Headwater, LruCache, ReadThrough, Source};
use std::time::Duration;

pub(crate) type Origin = TestSource<str, String>;
pub(crate) type Process = ReadThrough<LruCache<str, String>, ReadThrough<Redis, Source<Origin>>>;

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) origin: Origin,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(arguments: &[&str]) -> Self {
        Self { server: Server::with(arguments), origin: Origin::new() }
    }

    pub(crate) fn config(&self) -> RedisConfig {
        // Nothing here is about time limits, and a busy machine must not bring one in.
        config(&self.server.url()).namespace("fleet").read_timeout(Duration::from_secs(2))
    }

    /// A process that hears of what the others do.
    pub(crate) async fn process(&self) -> Process {
        self.process_with(self.config()).await
    }

    pub(crate) async fn process_with(&self, config: RedisConfig) -> Process {
        let process = self.deaf_process(config);
        until_coherent(&process).await;
        process
    }

    /// A process that may not hear (yet).
    pub(crate) fn deaf_process(&self, config: RedisConfig) -> Process {
        let redis = config.connect_lazy().expect("a valid configuration");
        let lru = LruCache::new(1_000).expect("a capacity");
        Headwater::source(self.origin.clone()).through(redis).through(lru).build()
    }

    /// Whether the server has something under a key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.server.tell(&format!("EXISTS fleet:{key}")) == "1"
    }

    /// Waits for the end of all loads and fills.
    pub(crate) async fn until_no_leases(&self) {
        until("the end of the leases", || async { self.server.tell("KEYS *:lease").is_empty() })
            .await;
    }
}

pub(crate) fn redis(process: &Process) -> &Redis {
    process.next().tier()
}

pub(crate) async fn until_coherent(process: &Process) {
    until("news", || async {
        matches!(redis(process).coherence(), Coherence::Tracking | Coherence::Messages)
    })
    .await;
}

/// Fetches until it is a memory's hit.
pub(crate) async fn until_kept(process: &Process, key: &str) -> String {
    let hits = || process_hits(process);
    loop {
        let before = hits();
        let value = process.fetch(key).await.expect("a value");
        if hits() > before {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) fn process_hits(process: &Process) -> u64 {
    use headwater::Cache;
    process.stats().tiers[0].hits
}

/// Fetches until the value is there, which must be soon.
pub(crate) async fn until_value(process: &Process, key: &str, value: &str) {
    until("the new value", || async { process.fetch(key).await.expect("a value") == value }).await;
}
