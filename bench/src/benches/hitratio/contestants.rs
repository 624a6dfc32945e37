//! The caches under test: each is a function that says whether a key was there, and puts it in.

use foyer_memory::{
    CacheBuilder, EvictionConfig, LfuConfig, LruConfig, S3FifoConfig, SieveConfig,
};
use headwater::{Entry, Hashed, LruCache, MemoryCache, Tier};

/// Asks a cache for a key, which it then has; whether it had it before.
pub(super) type Ask = Box<dyn FnMut(u64) -> bool>;

/// A cache that takes part.
pub(super) struct Contestant {
    pub(super) name: &'static str,
    /// Whether it is somebody else's.
    pub(super) is_rival: bool,
    /// Whether it never holds more than it may.
    pub(super) keeps_its_capacity: bool,
    /// Makes one of that capacity.
    pub(super) build: fn(usize) -> Ask,
}

/// Whose place in [`ALL`] all others are compared with.
pub(super) const BASELINE: usize = 0;

pub(super) const ALL: [Contestant; 11] = [
    ours("headwater", |capacity| headwater(&memory(capacity, None))),
    ours("1 shard", |capacity| headwater(&memory(capacity, Some(1)))),
    ours("headwater lru", |capacity| {
        headwater(&LruCache::new(capacity as u64).expect("the capacity is not 0"))
    }),
    rival("quick_cache", quick_cache),
    Contestant { keeps_its_capacity: false, ..rival("moka", |capacity| moka(capacity, false)) },
    rival("moka, tidied", |capacity| moka(capacity, true)),
    rival("foyer s3fifo", |capacity| foyer(capacity, S3FifoConfig::default().into())),
    rival("foyer lfu", |capacity| foyer(capacity, LfuConfig::default().into())),
    rival("foyer sieve", |capacity| foyer(capacity, SieveConfig.into())),
    rival("foyer lru", |capacity| foyer(capacity, LruConfig::default().into())),
    rival("sieve-cache", sieve_cache),
];

const fn ours(name: &'static str, build: fn(usize) -> Ask) -> Contestant {
    Contestant { name, is_rival: false, keeps_its_capacity: true, build }
}

const fn rival(name: &'static str, build: fn(usize) -> Ask) -> Contestant {
    Contestant { name, is_rival: true, keeps_its_capacity: true, build }
}

fn memory(capacity: usize, shards: Option<usize>) -> MemoryCache<u64, u64> {
    let builder = MemoryCache::builder().capacity(capacity as u64);
    let builder = match shards {
        Some(shards) => builder.shards(shards),
        None => builder,
    };
    builder.build().expect("the capacity is not 0")
}

fn headwater<C: Tier<Key = u64, Value = u64> + Clone>(cache: &C) -> Ask {
    let cache = cache.clone();
    Box::new(move |key| {
        let face = cache.resident().expect("it is in memory");
        let hashed = Hashed::new(key);
        let hit = face.get(hashed.borrowed()).is_some();
        if !hit {
            drop(face.put(hashed, face.prepare(&key, Entry::found(key))));
        }
        hit
    })
}

fn quick_cache(capacity: usize) -> Ask {
    let cache = quick_cache::sync::Cache::<u64, u64>::new(capacity);
    Box::new(move |key| {
        let hit = cache.get(&key).is_some();
        if !hit {
            cache.insert(key, key);
        }
        hit
    })
}

/// With `tidied`, its maintenance is run after every insert, which otherwise it puts off, and holds
/// more than its capacity meanwhile: much more, if that is small.
fn moka(capacity: usize, tidied: bool) -> Ask {
    let cache = moka::sync::Cache::<u64, u64>::new(capacity as u64);
    Box::new(move |key| {
        let hit = cache.get(&key).is_some();
        if !hit {
            cache.insert(key, key);
            if tidied {
                cache.run_pending_tasks();
            }
        }
        hit
    })
}

fn foyer(capacity: usize, policy: EvictionConfig) -> Ask {
    let builder = CacheBuilder::new(capacity).with_eviction_config(policy);
    let cache: foyer_memory::Cache<u64, u64> = builder.build();
    Box::new(move |key| {
        let hit = cache.get(&key).is_some();
        if !hit {
            cache.insert(key, key);
        }
        hit
    })
}

fn sieve_cache(capacity: usize) -> Ask {
    let cache = sieve_cache::SieveCache::<u64, u64>::new(capacity);
    let mut cache = cache.expect("the capacity is not 0");
    Box::new(move |key| {
        let hit = cache.get(&key).is_some();
        if !hit {
            cache.insert(key, key);
        }
        hit
    })
}
