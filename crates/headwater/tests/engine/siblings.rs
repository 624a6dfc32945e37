//! R4 where several caches stand in front of one lower chain: what one of them changes, all forget.

use super::{Lru, OneRemote, Origin, Remote, settle, text};
use allocation_counter::measure;
use headwater::{Cache, Fetcher, Headwater, LruCache, MemoryCache, ReadThrough, TierExt};

type Front = ReadThrough<Lru, OneRemote>;

fn lower_chain(origin: &Origin) -> OneRemote {
    Headwater::source(origin.clone()).through(Remote::new(MemoryCache::new())).build()
}

fn in_front_of(lower: &OneRemote) -> Front {
    LruCache::new(10).unwrap().over(lower.clone())
}

/// Two caches in front of one chain, both of which hold `"a"`; the source has a newer value.
async fn two_with_an_old_value() -> (Origin, Front, Front) {
    let origin = Origin::new();
    origin.set("a", text(1));
    let lower = lower_chain(&origin);
    let (one, other) = (in_front_of(&lower), in_front_of(&lower));
    assert_eq!(one.fetch("a").await.unwrap(), "1");
    assert_eq!(other.fetch("a").await.unwrap(), "1");
    settle().await;
    origin.set("a", text(2));
    (origin, one, other)
}

#[tokio::test]
async fn what_one_sibling_invalidates_the_other_forgets() {
    let (_origin, one, other) = two_with_an_old_value().await;
    one.invalidate("a").await.unwrap();
    assert_eq!(other.fetch("a").await.unwrap(), "2");
}

#[tokio::test]
async fn what_one_sibling_clears_the_other_forgets() {
    let (_origin, one, other) = two_with_an_old_value().await;
    one.clear().await.unwrap();
    assert_eq!(other.fetch("a").await.unwrap(), "2");
}

#[tokio::test]
async fn what_one_sibling_inserts_the_other_answers() {
    let (_origin, one, other) = two_with_an_old_value().await;
    one.insert("a", text(3)).await.unwrap();
    assert_eq!(other.fetch("a").await.unwrap(), "3");
}

#[tokio::test]
async fn what_is_invalidated_below_is_forgotten_in_front() {
    let (_origin, one, other) = two_with_an_old_value().await;
    one.next().invalidate("a").await.unwrap();
    assert_eq!(one.fetch("a").await.unwrap(), "2");
    assert_eq!(other.fetch("a").await.unwrap(), "2");
}

#[test]
fn caches_that_are_gone_leave_nothing_behind_in_the_chain_below() {
    let lower = lower_chain(&Origin::new());
    // The last to go leaves its place to the next that comes.
    drop(in_front_of(&lower));
    let allocations = measure(|| (0..100).for_each(|_| drop(in_front_of(&lower))));
    assert!(allocations.count_current <= 0, "{allocations:?}");
}
