//! The tiers in memory, through their public faces: bounds, order of use, lives, versions, removals
//! and threads.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests may")]

mod bounded;
mod face;
mod histories;
mod lives;
mod model;
mod readers;
mod removals;
mod size;
mod sizing;
#[cfg(feature = "snapshot")]
mod snapshot;
mod threads;

use headwater::{
    Cause, Entry, Hashed, Key, MemoryBuilder, Prepared, Removals, Resident, Tier, Value,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The face that the engine uses, by keys whose hash is not known yet.
#[derive(Clone, Copy)]
struct Face<'a, K: ?Sized + Key, V: Value>(&'a dyn Resident<K, V>);

impl<K: ?Sized + Key, V: Value> Face<'_, K, V> {
    fn get(&self, key: &K) -> Option<Entry<V>> {
        self.0.get(Hashed::new(key))
    }

    fn value(&self, key: &K) -> Option<Option<V>> {
        self.0.value(Hashed::new(key))
    }

    fn prepare(&self, key: &K, entry: Entry<V>) -> Prepared<V> {
        self.0.prepare(key, entry)
    }

    fn put(&self, key: K::Owned, entry: Prepared<V>) -> Removals<K::Owned, V> {
        self.0.put(Hashed::new(key), entry)
    }

    fn remove(&self, key: &K) -> Removals<K::Owned, V> {
        self.0.remove(Hashed::new(key))
    }

    fn clear(&self) -> Removals<K::Owned, V> {
        self.0.clear()
    }
}

fn face<T: Tier>(tier: &T) -> Face<'_, T::Key, T::Value> {
    Face(tier.resident().unwrap())
}

/// Stores an entry as a chain does.
fn put<C: Tier<Key = str, Value = u32>>(cache: &C, key: &str, entry: impl Into<Entry<u32>>) {
    drop(displaced(cache, key, entry.into()));
}

/// Stores an entry and hands back what it displaced.
fn displaced<C: Tier<Key = str, Value = u32>>(
    cache: &C,
    key: &str,
    entry: Entry<u32>,
) -> Removals<String, u32> {
    let cache = face(cache);
    let prepared = cache.prepare(key, entry);
    cache.put(key.to_owned(), prepared)
}

/// What a get answers: `None` for a miss, `Some(None)` for "absent".
fn get<C: Tier<Key = str, Value = u32>>(cache: &C, key: &str) -> Option<Option<u32>> {
    face(cache).get(key).map(Entry::into_value)
}

fn absent() -> Entry<u32> {
    Entry::absent()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// What a removal listener was told, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn listen<C>(&self, builder: MemoryBuilder<str, u32, C>) -> MemoryBuilder<str, u32, C> {
        let log = Arc::clone(&self.0);
        builder.on_removal(move |key: &String, value: &u32, cause: Cause| {
            log.lock().unwrap().push(format!("{key}={value} {cause:?}"));
        })
    }

    /// What was told since the last call.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}
