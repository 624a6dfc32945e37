//! R4 under threads, where there is nothing but memory in front of the source: there, changes do not wait
//! for each other.

use futures_util::future::BoxFuture;
use headwater::{
    Cache, Entry, FetchOptions, Fetcher, Headwater, MemoryCache, ReadThrough, Result, Source,
    Version,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use tokio::runtime::Builder;

const KEYS: usize = 3;
const THREADS: usize = 4;
const TURNS: usize = 3_000;

/// A number for each key, which is its own version. Reading it takes more than one poll.
#[derive(Clone, Default)]
struct Numbers(Arc<[AtomicU64; KEYS]>);

fn entry(number: u64) -> Entry<u64> {
    Entry::found(number).with_version(Version::new(number))
}

impl Fetcher for Numbers {
    type Key = usize;
    type Value = u64;

    async fn fetch(&self, key: &usize) -> Result<u64> {
        self.fetch_entry(key, &FetchOptions::new()).await?.into_outcome()
    }

    async fn fetch_many(&self, keys: &[&usize]) -> Vec<Result<u64>> {
        let mut outcomes = Vec::new();
        for key in keys {
            outcomes.push(self.fetch(key).await);
        }
        outcomes
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    async fn fetch_entry(&self, key: &usize, _: &FetchOptions) -> Result<Entry<u64>> {
        let number = self.0[*key].load(SeqCst);
        tokio::task::yield_now().await;
        Ok(entry(number))
    }
}

type Chain = ReadThrough<MemoryCache<usize, u64>, Source<Numbers>>;

/// Has threads write numbers and `tell` the chain of it: who was told by then answers with that number or
/// a later one.
fn what_is_told_is_heeded(
    tell: impl for<'a> Fn(&'a Chain, &'a usize, u64, usize) -> BoxFuture<'a, Result<()>> + Sync,
) {
    let chain: &Chain = &Headwater::source(Numbers::default()).through(MemoryCache::new()).build();
    let (numbers, tell) = (&chain.next().fetcher().0, &tell);
    let work = |thread: usize| async move {
        for turn in 0..TURNS {
            let key = (turn * 7 + thread) % KEYS;
            let written = numbers[key].fetch_add(1, SeqCst) + 1;
            tell(chain, &key, written, turn).await.unwrap();
            let read = chain.fetch(&key).await.unwrap();
            assert!(read >= written, "{read} after {written} in turn {turn} of thread {thread}");
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let work = work(thread);
            scope.spawn(move || Builder::new_current_thread().build().unwrap().block_on(work));
        }
    });
}

#[test]
fn what_was_forgotten_does_not_come_back() {
    what_is_told_is_heeded(|chain, key, _, turn| {
        Box::pin(async move {
            match turn % 50 {
                0 => chain.clear().await,
                1 => chain.invalidate_many(&[key, &0, key]).await,
                _ => chain.invalidate(key).await,
            }
        })
    });
}

#[test]
fn the_newest_of_what_is_inserted_stays() {
    what_is_told_is_heeded(|chain, key, number, _| Box::pin(chain.insert(key, entry(number))));
}
