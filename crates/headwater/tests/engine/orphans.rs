//! R3: loads that everybody has left.

use super::{Origin, settle, text};
use futures_util::FutureExt;
use futures_util::future::join;
use headwater::{Batching, Fetcher, Headwater, LruCache, Orphans, Source};

async fn abandon(orphans: Orphans) -> (Origin, LruCache<str, String>) {
    let origin = Origin::new();
    origin.set("a", text(1));
    let lru: LruCache<str, String> = LruCache::new(10).unwrap();
    let chain = Headwater::source(origin.clone()).orphans(orphans).through(lru.clone()).build();
    let gate = origin.gate();
    let mut first = Box::pin(chain.fetch("a"));
    let mut second = Box::pin(chain.fetch("a"));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    drop(first);
    drop(second);
    gate.open();
    settle().await;
    (origin, lru)
}

#[tokio::test]
async fn by_default_an_orphaned_load_is_dropped() {
    let (origin, lru) = abandon(Orphans::Drop).await;
    assert_eq!((origin.calls().count(), origin.answered().count(), lru.len()), (1, 0, 0));
}

#[tokio::test]
async fn an_orphaned_load_is_finished_where_asked() {
    let (origin, lru) = abandon(Orphans::Finish).await;
    assert_eq!((origin.calls().count(), origin.answered().count(), lru.len()), (1, 1, 1));
}

#[test]
fn an_orphan_outside_of_a_runtime_is_dropped() {
    let origin = Origin::new();
    let chain = Headwater::source(origin.clone())
        .orphans(Orphans::Finish)
        .through(LruCache::<str, String>::new(10).unwrap())
        .build();
    let _never_opened = origin.gate();
    assert!(chain.fetch("a").now_or_never().is_none());
    assert_eq!((origin.calls().count(), origin.answered().count()), (1, 0));
}

#[test]
fn a_chain_of_memory_works_outside_of_a_runtime() {
    let origin = Origin::new();
    origin.set("a", text(1));
    let chain =
        Headwater::source(origin).through(LruCache::<str, String>::new(10).unwrap()).build();
    assert_eq!(chain.fetch("a").now_or_never().unwrap().unwrap(), "1");
}

#[tokio::test]
async fn a_batch_that_everybody_left_is_dropped() {
    let origin = Origin::new();
    let source = Source::new(origin.clone()).batching(Batching::new());
    let gate = origin.gate();
    let mut fetches = Box::pin(join(source.fetch("a"), source.fetch("b")));
    assert!(fetches.as_mut().now_or_never().is_none());
    origin.calls().reached(1).await;
    drop(fetches);
    settle().await;
    gate.open();
    settle().await;
    assert_eq!((origin.calls().count(), origin.answered().count()), (1, 0));
}

#[tokio::test]
async fn a_batch_that_somebody_still_waits_for_goes_on() {
    let origin = Origin::new();
    origin.set("b", text(2));
    let source = Source::new(origin.clone()).batching(Batching::new());
    let gate = origin.gate();
    let mut gone = Box::pin(source.fetch("a"));
    let mut kept = Box::pin(source.fetch("b"));
    assert!(gone.as_mut().now_or_never().is_none());
    assert!(kept.as_mut().now_or_never().is_none());
    origin.calls().reached(1).await;
    drop(gone);
    settle().await;
    gate.open();
    assert_eq!(kept.await.unwrap(), "2");
    assert_eq!((origin.calls().count(), origin.keys().count()), (1, 2));
}
