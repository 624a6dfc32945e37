//! What an entry takes of memory.

use super::face;
use allocation_counter::measure;
use headwater::{Entry, LruCache, MemoryCache, Tier};

const ENTRIES: u64 = 100_000;

/// The bytes per entry of a cache of `ENTRIES` numbers by numbers, after half as many were evicted.
fn bytes_per_entry<C: Tier<Key = u64, Value = u64>>(make: impl Fn() -> C) -> f64 {
    let mut kept = None;
    let allocated = measure(|| {
        let cache = make();
        for key in 0..ENTRIES * 3 / 2 {
            drop(face(&cache).put(key, face(&cache).prepare(&key, Entry::found(key))));
        }
        kept = Some(cache);
    });
    drop(kept);
    allocated.bytes_current as f64 / ENTRIES as f64
}

/// What the smaller cache has for each shard weighs more. For 1,000,000 entries see `bounded`.
#[test]
fn an_entry_of_two_numbers_takes_little_more_in_a_smaller_cache() {
    let adaptive = bytes_per_entry(|| MemoryCache::with_capacity(ENTRIES).unwrap());
    assert!(adaptive <= 54.0, "{adaptive}");
    let lru = bytes_per_entry(|| LruCache::new(ENTRIES).unwrap());
    assert!(lru <= 45.0, "{lru}");
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
