//! R4 under threads, where there is nothing but memory in front of the source: there, changes do not wait
//! for each other.

use super::{Versioned, versioned};
use futures_util::future::BoxFuture;
use headwater::{Cache, Fetcher, Headwater, MemoryCache, ReadThrough, Result, Source};
use std::sync::atomic::Ordering::SeqCst;
use tokio::runtime::Builder;

const THREADS: usize = 4;
const TURNS: usize = 3_000;

type Chain = ReadThrough<MemoryCache<str, String>, Source<Versioned>>;

/// Has threads write versions and `tell` the chain of it: from then on it answers with that version or a
/// later one.
fn what_is_told_is_heeded(
    tell: impl for<'a> Fn(&'a Chain, u64, usize) -> BoxFuture<'a, Result<()>> + Sync,
) {
    let chain: &Chain =
        &Headwater::source(Versioned::default()).through(MemoryCache::new()).build();
    let tell = &tell;
    let work = |thread: usize| async move {
        for turn in 0..TURNS {
            let written = chain.next().fetcher().0.fetch_add(1, SeqCst) + 1;
            tell(chain, written, turn).await.unwrap();
            let read: u64 = chain.fetch("a").await.unwrap().parse().unwrap();
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
    what_is_told_is_heeded(|chain, _, turn| {
        Box::pin(async move {
            match turn % 50 {
                0 => chain.clear().await,
                1 => chain.invalidate_many(&["a", "b", "a"]).await,
                _ => chain.invalidate("a").await,
            }
        })
    });
}

#[test]
fn the_newest_of_what_is_inserted_stays() {
    what_is_told_is_heeded(|chain, version, _| Box::pin(chain.insert("a", versioned(version))));
}
