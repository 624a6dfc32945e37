//! What an entry takes of memory.

use super::face;
use allocation_counter::measure;
use headwater::{Entry, Key, LruCache, MemoryCache, Tier};
use std::borrow::Borrow;

const ENTRIES: u64 = 100_000;

/// The bytes per entry of a cache of `ENTRIES` numbers, after half as many were evicted.
fn bytes_per_entry<K, C>(make: impl Fn() -> C, name: impl Fn(u64) -> K::Owned) -> f64
where
    K: ?Sized + Key,
    C: Tier<Key = K, Value = u64>,
{
    let mut kept = None;
    let allocated = measure(|| {
        let cache = make();
        for number in 0..ENTRIES * 3 / 2 {
            let key = name(number);
            let entry = face(&cache).prepare(key.borrow(), Entry::found(number));
            drop(face(&cache).put(key, entry));
        }
        kept = Some(cache);
    });
    drop(kept);
    allocated.bytes_current as f64 / ENTRIES as f64
}

/// What the smaller cache has for each shard weighs more. For 1,000,000 entries see `bounded`.
#[test]
fn an_entry_of_two_numbers_takes_little_more_in_a_smaller_cache() {
    let adaptive =
        bytes_per_entry(|| MemoryCache::<u64, _>::with_capacity(ENTRIES).unwrap(), |key| key);
    assert!(adaptive <= 54.0, "{adaptive}");
    let lru = bytes_per_entry(|| LruCache::<u64, _>::new(ENTRIES).unwrap(), |key| key);
    assert!(lru <= 45.0, "{lru}");
}

#[test]
fn an_entry_by_a_string_takes_little_beside_key_and_value() {
    let name = |number: u64| format!("{number:020}").into_boxed_str().into_string();
    let own = (size_of::<String>() + name(0).len() + size_of::<u64>()) as f64;
    let adaptive =
        bytes_per_entry(|| MemoryCache::<str, u64>::with_capacity(ENTRIES).unwrap(), name);
    let lru = bytes_per_entry(|| LruCache::<str, u64>::new(ENTRIES).unwrap(), name);
    assert!(adaptive - own <= 45.0, "{}", adaptive - own);
    assert!(lru - own <= 37.0, "{}", lru - own);
}

#[test]
fn what_left_is_freed_with_the_cache_at_the_latest() {
    let freed = measure(|| {
        let cache = MemoryCache::<str, String>::with_capacity(100).unwrap();
        for number in 0..1_000 {
            let key = number.to_string();
            let entry = face(&cache).prepare(&key, Entry::found(key.clone()));
            drop(face(&cache).put(key, entry));
        }
    });
    // What stays is this thread's own: that it reads.
    assert!(freed.bytes_current < 4_096, "{freed:?}");
}
