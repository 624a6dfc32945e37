//! R4 where several caches stand in front of one lower chain: what one of them changes, all forget.

use super::{Lru, OneRemote, Origin, Remote, settle, text};
use allocation_counter::measure;
use futures_util::FutureExt;
use headwater::{
    Cache, Entry, Fetcher, Headwater, LruCache, MemoryCache, ReadThrough, Source, TierExt, Version,
};
use std::sync::{Arc, OnceLock};

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

type Memory = ReadThrough<MemoryCache<str, String>, Source<Origin>>;

/// An insert of version 3 into a cache in front of another, in which version 5 arrives as late as it can.
#[test]
fn an_insert_that_a_newer_version_overtakes_is_kept_nowhere() {
    let entry = |number| Entry::found(text(number)).with_version(Version::new(number as u64));
    let lower: Arc<OnceLock<Memory>> = Arc::default();
    let overtaken = Arc::clone(&lower);
    let memory = MemoryCache::builder().time_to_live_with(move |_, value: &String| {
        if *value == text(3) {
            let insert = overtaken.get().unwrap().insert("a", entry(5));
            insert.now_or_never().expect("nothing waits").unwrap();
        }
        None
    });
    let _ = lower.set(memory.build().unwrap().over(Source::new(Origin::new())));
    let lower = lower.get().unwrap();
    let front: ReadThrough<Lru, Memory> = LruCache::new(10).unwrap().over(lower.clone());
    front.insert("a", entry(3)).now_or_never().expect("nothing waits").unwrap();
    assert_eq!(lower.fetch("a").now_or_never().unwrap().unwrap(), text(5));
    assert_eq!(front.fetch("a").now_or_never().unwrap().unwrap(), text(5));
}
