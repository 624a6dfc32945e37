//! How often a call hashes a key: once, however many tiers it goes through.

use super::settle;
use futures_util::FutureExt;
use headwater::testkit::RemoteTier;
use headwater::{
    BoxCache, Cache, FetchOptions, Fetcher, Hashed, Headwater, LruCache, MemoryCache, TierExt,
    fetch_fn,
};
use std::cell::Cell;
use std::hash::{Hash, Hasher};

thread_local!(static HASHED: Cell<usize> = const { Cell::new(0) });

/// A key that counts how often it is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counted(u64);

impl Hash for Counted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        HASHED.set(HASHED.get() + 1);
        self.0.hash(state);
    }
}

/// How many keys were hashed by a call that waits for nothing.
fn hashes<R>(call: impl Future<Output = R>) -> usize {
    HASHED.set(0);
    assert!(call.now_or_never().is_some(), "it waits for nothing");
    HASHED.get()
}

fn source() -> impl Fetcher<Key = Counted, Value = u64> {
    fetch_fn(async |key: Counted| Ok(key.0))
}

fn memory() -> MemoryCache<Counted, u64> {
    MemoryCache::with_capacity(10_000).unwrap()
}

/// Two tiers in memory, of which the first holds one entry.
fn two() -> impl Cache<Key = Counted, Value = u64> {
    Headwater::source(source()).through(memory()).through(LruCache::new(1).unwrap()).build()
}

#[test]
fn hit_and_miss_hash_the_key_once() {
    let chain = Headwater::source(source()).through(memory()).build();
    let options = FetchOptions::new();
    assert_eq!(hashes(chain.fetch(&Counted(1))), 1, "miss");
    assert_eq!(hashes(chain.fetch(&Counted(1))), 1, "hit");
    assert_eq!(hashes(chain.fetch_entry(&Counted(2), &options)), 1, "miss");
    assert_eq!(hashes(chain.fetch_entry(&Counted(2), &options)), 1, "hit");
}

#[test]
fn many_keys_are_hashed_once_each() {
    let chain = two();
    let keys: Vec<Counted> = (0..1_000).map(Counted).collect();
    let keys: Vec<&Counted> = keys.iter().collect();
    assert_eq!(hashes(chain.fetch_many(&keys)), 1_000, "misses");
    assert_eq!(hashes(chain.fetch_many(&keys)), 1_000, "hits in the second tier");
    assert_eq!(hashes(chain.fetch_many(&[keys[999], keys[999]])), 2, "hits");
    assert_eq!(hashes(chain.invalidate_many(&keys)), 1_000);
}

#[test]
fn a_second_tier_costs_no_second_hash() {
    let chain = two();
    assert_eq!(hashes(chain.fetch(&Counted(1))), 1, "miss in both");
    assert_eq!(hashes(chain.fetch(&Counted(2))), 1, "miss in both");
    assert_eq!(hashes(chain.fetch(&Counted(1))), 1, "hit in the second");
    assert_eq!(hashes(chain.insert(&Counted(1), 7)), 1);
    assert_eq!(hashes(chain.invalidate(&Counted(1))), 1);
}

#[test]
fn nor_does_one_whose_type_is_erased() {
    let below = BoxCache::new(Headwater::source(source()).through(memory()).build());
    let chain = BoxCache::new(LruCache::new(1).unwrap().over(below));
    assert_eq!(hashes(chain.fetch(&Counted(1))), 1);
    assert_eq!(hashes(chain.fetch_many(&[&Counted(2), &Counted(1)])), 2);
    assert_eq!(hashes(chain.insert(&Counted(1), 7)), 1);
    assert_eq!(hashes(chain.invalidate_many(&[&Counted(1), &Counted(2)])), 2);
}

#[tokio::test]
async fn the_store_of_a_tier_that_waits_may_hash_for_itself_and_the_engine_does_not() {
    let remote = RemoteTier::new(MemoryCache::new());
    let chain = Headwater::source(source()).through(remote).through(memory()).build();
    HASHED.set(0);
    chain.fetch(&Counted(1)).await.unwrap();
    settle().await;
    assert_eq!(HASHED.get(), 3, "the call; the store's get; its put");
    HASHED.set(0);
    chain.invalidate(&Counted(1)).await.unwrap();
    assert_eq!(HASHED.get(), 2, "the call; the store's removal");
}

#[test]
fn the_hash_of_a_key_is_that_of_its_owned_form_and_not_that_of_another_key() {
    let borrowed = Hashed::new("N14228");
    let owned = Hashed::new(String::from("N14228"));
    assert_eq!(borrowed.hash(), owned.hash());
    assert_eq!(owned.borrowed::<str>(), borrowed);
    assert_eq!(borrowed.to_stored(), owned);
    assert_ne!(borrowed, Hashed::new("N14229"));
}
