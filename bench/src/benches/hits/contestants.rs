//! The caches behind one face. A whole sequence is one call, so that the face costs a hit nothing.

use headwater::{Entry, LruCache, MemoryCache, Tier};
use std::borrow::Borrow;
use std::hash::Hash;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

/// What all of them can look up by.
pub(super) trait Key:
    Hash + Eq + ToOwned<Owned: Hash + Eq + Clone + Send + Sync> + Send + Sync + 'static
{
}

impl<Q> Key for Q
where
    Q: ?Sized + Hash + Eq + ToOwned + Send + Sync + 'static,
    Q::Owned: Hash + Eq + Clone + Send + Sync,
{
}

/// What all of them can keep.
pub(super) trait Value: Clone + Send + Sync + 'static {}

impl<V: Clone + Send + Sync + 'static> Value for V {}

/// A cache under test.
pub(super) trait Shelf<Q: ?Sized + ToOwned>: Send + Sync {
    /// Keeps a key.
    fn put(&self, key: &Q);

    /// How many of the keys at these places it has.
    fn hits(&self, keys: &[Q::Owned], sequence: &[u32]) -> usize;
}

/// A cache, how it looks a key up and how it keeps one.
struct Of<C, G, P> {
    cache: C,
    get: G,
    put: P,
}

impl<Q, V, C, G, P> Shelf<Q> for Of<C, G, P>
where
    Q: ?Sized + Key,
    C: Send + Sync,
    G: Fn(&C, &Q) -> Option<V> + Send + Sync,
    P: Fn(&C, &Q) + Send + Sync,
{
    fn put(&self, key: &Q) {
        (self.put)(&self.cache, key);
    }

    fn hits(&self, keys: &[Q::Owned], sequence: &[u32]) -> usize {
        let is_hit = |at: &&u32| {
            black_box((self.get)(&self.cache, keys[**at as usize].borrow())).is_some()
        };
        sequence.iter().filter(is_hit).count()
    }
}

/// Boxes a cache with its functions, whose types it helps to infer.
fn shelf<Q, V, C>(
    cache: C,
    get: impl Fn(&C, &Q) -> Option<V> + Send + Sync + 'static,
    put: impl Fn(&C, &Q) + Send + Sync + 'static,
) -> Box<dyn Shelf<Q>>
where
    Q: ?Sized + Key,
    V: Value,
    C: Send + Sync + 'static,
{
    Box::new(Of { cache, get, put })
}

/// All of them, with that capacity.
pub(super) fn shelves<Q: ?Sized + Key, V: Value>(
    capacity: usize,
    value: fn() -> V,
) -> Vec<(&'static str, Box<dyn Shelf<Q>>)> {
    let entries = capacity as u64;
    let memory = MemoryCache::<Q, V>::with_capacity(entries).expect("the capacity is not 0");
    let lru = LruCache::<Q, V>::new(entries).expect("the capacity is not 0");
    vec![
        ("headwater", headwater(memory, value)),
        ("headwater lru", headwater(lru, value)),
        ("quick_cache", quick_cache(capacity, value)),
        ("moka", moka(entries, value)),
        ("foyer", foyer(capacity, value)),
        ("Mutex<lru>", mutex_lru(capacity, value)),
    ]
}

fn headwater<Q, V, C>(cache: C, value: fn() -> V) -> Box<dyn Shelf<Q>>
where
    Q: ?Sized + Key,
    V: Value,
    C: Tier<Key = Q, Value = V>,
{
    shelf(
        cache,
        |cache, key| cache.resident()?.get(key).and_then(Entry::into_value),
        move |cache, key: &Q| {
            let face = cache.resident().expect("it is in memory");
            drop(face.put(key.to_owned(), face.prepare(key, Entry::found(value()))));
        },
    )
}

fn quick_cache<Q: ?Sized + Key, V: Value>(capacity: usize, value: fn() -> V) -> Box<dyn Shelf<Q>> {
    shelf(
        quick_cache::sync::Cache::<Q::Owned, V>::new(capacity),
        |cache, key: &Q| cache.get(key),
        move |cache, key| cache.insert(key.to_owned(), value()),
    )
}

fn moka<Q: ?Sized + Key, V: Value>(capacity: u64, value: fn() -> V) -> Box<dyn Shelf<Q>> {
    shelf(
        moka::sync::Cache::<Q::Owned, V>::new(capacity),
        |cache, key: &Q| cache.get(key),
        move |cache, key| cache.insert(key.to_owned(), value()),
    )
}

fn foyer<Q: ?Sized + Key, V: Value>(capacity: usize, value: fn() -> V) -> Box<dyn Shelf<Q>> {
    let cache: foyer_memory::Cache<Q::Owned, V> = foyer_memory::CacheBuilder::new(capacity).build();
    shelf(
        cache,
        |cache, key: &Q| cache.get(key).map(|entry| entry.value().clone()),
        move |cache, key| drop(cache.insert(key.to_owned(), value())),
    )
}

fn mutex_lru<Q: ?Sized + Key, V: Value>(capacity: usize, value: fn() -> V) -> Box<dyn Shelf<Q>> {
    let capacity = NonZeroUsize::new(capacity).expect("the capacity is not 0");
    shelf(
        Mutex::new(lru::LruCache::<Q::Owned, V>::new(capacity)),
        |cache, key: &Q| cache.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned(),
        move |cache, key| {
            cache.lock().unwrap_or_else(PoisonError::into_inner).put(key.to_owned(), value());
        },
    )
}
