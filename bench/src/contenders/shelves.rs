//! The caches without their loaders behind one face, with the hasher that is each one's default. A whole
//! sequence is one call, so that the face costs a hit nothing.

use foyer_memory::{CacheBuilder, LruConfig};
use hashbrown::HashMap;
use headwater::{LruCache, MemoryCache};
use std::borrow::Borrow;
use std::hash::Hash;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::{Mutex, OnceLock, PoisonError};

/// What all of them can look up by.
pub(crate) trait Key:
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
pub(crate) trait Value: Clone + Send + Sync + 'static {}

impl<V: Clone + Send + Sync + 'static> Value for V {}

/// A cache under test.
pub(crate) trait Shelf<Q: ?Sized + ToOwned>: Send + Sync {
    /// Keeps a key.
    fn put(&self, key: &Q);

    /// How many of the keys at these places it has.
    fn hits(&self, keys: &[Q::Owned], sequence: &[u32]) -> usize;

    /// The same, and it is given those that it does not have.
    fn read_through(&self, keys: &[Q::Owned], sequence: &[u32]) -> usize;
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
        let is_hit =
            |at: &&u32| black_box((self.get)(&self.cache, keys[**at as usize].borrow())).is_some();
        sequence.iter().filter(is_hit).count()
    }

    fn read_through(&self, keys: &[Q::Owned], sequence: &[u32]) -> usize {
        let is_hit = |at: &&u32| {
            let key = keys[**at as usize].borrow();
            let is_hit = black_box((self.get)(&self.cache, key)).is_some();
            if !is_hit {
                (self.put)(&self.cache, key);
            }
            is_hit
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

/// A contender's name, and how it is made with a capacity.
pub(crate) type Maker<Q, V> = (&'static str, fn(usize, fn() -> V) -> Box<dyn Shelf<Q>>);

/// The name of a map that evicts nothing, and is changed by nobody once it was asked: what a look-up
/// costs at least.
pub(crate) const MAP: &str = "hashbrown";

/// All of them, and that map.
pub(crate) fn makers_and_map<Q: ?Sized + Key, V: Value>() -> Vec<Maker<Q, V>> {
    let mut all = makers();
    all.push((MAP, map));
    all
}

/// All of them.
pub(crate) fn makers<Q: ?Sized + Key, V: Value>() -> Vec<Maker<Q, V>> {
    vec![
        ("headwater", headwater),
        ("headwater, closure", by_closure),
        ("headwater lru", headwater_lru),
        ("quick_cache", quick_cache),
        ("moka", moka),
        ("foyer", foyer),
        ("foyer lru", foyer_lru),
        ("Mutex<lru>", mutex_lru),
    ]
}

fn headwater<Q: ?Sized + Key, V: Value>(capacity: usize, value: fn() -> V) -> Box<dyn Shelf<Q>> {
    shelf(memory(capacity), MemoryCache::value, move |cache: &MemoryCache<Q, V>, key| {
        cache.insert(key.to_owned(), value()).expect("it is open");
    })
}

/// Values are looked at where they are, instead of cloned.
fn by_closure<Q: ?Sized + Key, V: Value>(capacity: usize, value: fn() -> V) -> Box<dyn Shelf<Q>> {
    shelf(
        memory(capacity),
        |cache: &MemoryCache<Q, V>, key| cache.with(key, |value| _ = black_box(value)),
        move |cache, key| cache.insert(key.to_owned(), value()).expect("it is open"),
    )
}

fn memory<Q: ?Sized + Key, V: Value>(capacity: usize) -> MemoryCache<Q, V> {
    MemoryCache::with_capacity(capacity as u64).expect("the capacity is not 0")
}

fn headwater_lru<Q: ?Sized + Key, V: Value>(
    capacity: usize,
    value: fn() -> V,
) -> Box<dyn Shelf<Q>> {
    let cache = LruCache::<Q, V>::new(capacity as u64).expect("the capacity is not 0");
    shelf(cache, LruCache::value, move |cache, key| {
        cache.insert(key.to_owned(), value()).expect("it is open");
    })
}

fn quick_cache<Q: ?Sized + Key, V: Value>(capacity: usize, value: fn() -> V) -> Box<dyn Shelf<Q>> {
    shelf(
        quick_cache::sync::Cache::<Q::Owned, V>::new(capacity),
        |cache, key: &Q| cache.get(key),
        move |cache, key| cache.insert(key.to_owned(), value()),
    )
}

fn moka<Q: ?Sized + Key, V: Value>(capacity: usize, value: fn() -> V) -> Box<dyn Shelf<Q>> {
    shelf(
        moka::sync::Cache::<Q::Owned, V>::new(capacity as u64),
        |cache, key: &Q| cache.get(key),
        move |cache, key| cache.insert(key.to_owned(), value()),
    )
}

fn foyer<Q: ?Sized + Key, V: Value>(capacity: usize, value: fn() -> V) -> Box<dyn Shelf<Q>> {
    of_foyer(CacheBuilder::new(capacity).build(), value)
}

fn foyer_lru<Q: ?Sized + Key, V: Value>(capacity: usize, value: fn() -> V) -> Box<dyn Shelf<Q>> {
    let builder = CacheBuilder::new(capacity).with_eviction_config(LruConfig::default());
    of_foyer(builder.build(), value)
}

fn of_foyer<Q: ?Sized + Key, V: Value>(
    cache: foyer_memory::Cache<Q::Owned, V>,
    value: fn() -> V,
) -> Box<dyn Shelf<Q>> {
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

fn map<Q: ?Sized + Key, V: Value>(_: usize, value: fn() -> V) -> Box<dyn Shelf<Q>> {
    /// Filled at first, and then asked.
    struct Map<K, V>(Mutex<HashMap<K, V>>, OnceLock<HashMap<K, V>>);
    let filled = |filling: &Mutex<HashMap<_, _>>| {
        std::mem::take(&mut *filling.lock().unwrap_or_else(PoisonError::into_inner))
    };
    shelf(
        Map::<Q::Owned, V>(Mutex::default(), OnceLock::new()),
        move |Map(filling, map), key: &Q| map.get_or_init(|| filled(filling)).get(key).cloned(),
        move |Map(filling, map), key| {
            assert!(map.get().is_none(), "it was asked already");
            let mut filling = filling.lock().unwrap_or_else(PoisonError::into_inner);
            filling.insert(key.to_owned(), value());
        },
    )
}
