//! Who reads without a lock: sees whole entries, waits for nobody, and holds up nobody.

use super::{absent, face, get, put};
use headwater::{Entry, MemoryCache};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

type Memory = MemoryCache<str, u32>;

#[test]
fn a_closure_sees_the_value_where_it_is() {
    let cache = Memory::with_capacity(10).unwrap();
    put(&cache, "a", 7);
    put(&cache, "b", absent());
    assert_eq!(cache.with("a", |value| value.map(|value| value + 1)), Some(Some(8)));
    assert_eq!(cache.with("b", |value| value.map(|value| value + 1)), Some(None));
    assert_eq!(cache.with("c", |value| value.map(|value| value + 1)), None);
    assert_eq!(["a", "b", "c"].map(|key| cache.value(key)), [Some(7), None, None]);
}

#[test]
fn a_closure_may_use_the_cache_and_sees_what_it_removes_there() {
    let cache = MemoryCache::<str, String>::builder().capacity(4).shards(1).build().unwrap();
    let put = |key: &str| {
        let entry = face(&cache).prepare(key, Entry::found(key.repeat(2)));
        drop(face(&cache).put(key.to_owned(), entry));
    };
    put("a");
    let seen = cache.with("a", |value| {
        drop(face(&cache).remove("a"));
        assert!(face(&cache).get("a").is_none());
        (0..200).for_each(|number| put(&number.to_string()));
        put("a");
        drop(face(&cache).clear());
        put("a");
        cache.with("a", |again| {
            assert_ne!(again.map(|a| &raw const *a), value.map(|a| &raw const *a));
        });
        value.cloned()
    });
    assert_eq!(seen, Some(Some("aa".to_owned())));
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_panicking_closure_leaves_the_cache_whole() {
    let cache = Memory::with_capacity(10).unwrap();
    put(&cache, "a", 7);
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        cache.with("a", |_| panic!("on purpose"))
    }));
    assert!(panics.is_err());
    drop(face(&cache).remove("a"));
    put(&cache, "a", 8);
    assert_eq!(get(&cache, "a"), Some(Some(8)));
}

/// Holds up the first comparison after it was set.
#[derive(Debug)]
struct Holdup {
    is_set: AtomicBool,
    begun: Barrier,
    end: Barrier,
}

/// A key that may be held up when it is compared.
#[derive(Clone, Debug)]
struct Slow(u32, Option<Arc<Holdup>>);

impl PartialEq for Slow {
    fn eq(&self, other: &Self) -> bool {
        for holdup in [&self.1, &other.1].into_iter().flatten() {
            if holdup.is_set.swap(false, Ordering::Relaxed) {
                holdup.begun.wait();
                holdup.end.wait();
            }
        }
        self.0 == other.0
    }
}

impl Eq for Slow {}

impl Hash for Slow {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[test]
fn a_hit_does_not_wait_for_who_writes() {
    let cache = MemoryCache::<Slow, u32>::builder().shards(1).build().unwrap();
    let put = |key: Slow, value: u32| {
        let entry = face(&cache).prepare(&key, Entry::found(value));
        drop(face(&cache).put(key, entry));
    };
    put(Slow(1, None), 1);
    put(Slow(2, None), 2);
    let (begun, end) = (Barrier::new(2), Barrier::new(2));
    let holdup = Arc::new(Holdup { is_set: AtomicBool::new(true), begun, end });
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| put(Slow(1, Some(Arc::clone(&holdup))), 3));
        holdup.begun.wait();
        // The writer holds the lock now, and goes on when this thread has read.
        assert_eq!(face(&cache).get(&Slow(2, None)).and_then(Entry::into_value), Some(2));
        assert_eq!(face(&cache).get(&Slow(1, None)).and_then(Entry::into_value), Some(1));
        holdup.end.wait();
        writing.join().unwrap();
    });
    assert_eq!(face(&cache).get(&Slow(1, None)).and_then(Entry::into_value), Some(3));
}

#[test]
fn a_reader_that_takes_long_holds_up_no_writer() {
    let cache = MemoryCache::<u32, Arc<u32>>::builder().capacity(64).shards(1).build().unwrap();
    let put = |key: u32| {
        let entry = face(&cache).prepare(&key, Entry::found(Arc::new(key)));
        drop(face(&cache).put(key, entry));
    };
    put(0);
    let (begun, done) = (Barrier::new(2), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            cache.with(&0, |value| {
                begun.wait();
                while !done.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                    assert_eq!(value.map(|value| **value), Some(0));
                }
            })
        });
        begun.wait();
        (0..1_000).for_each(put);
        let len = cache.len();
        done.store(true, Ordering::Relaxed);
        assert_eq!(len, 64);
        assert_eq!(reader.join().unwrap(), Some(()));
    });
}

/// A value that knows its key, and counts those that are alive.
#[derive(Debug)]
struct Counted(u64, Box<u64>, Arc<AtomicUsize>);

impl Counted {
    fn new(key: u64, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self(key, Box::new(key), Arc::clone(alive))
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        assert_eq!(self.0, *self.1);
        Self::new(self.0, &self.2)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // A value that is dropped twice, or was never whole, does not agree with itself.
        assert_eq!(self.0, *self.1);
        self.2.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Puts, removals, sweeps, resizes and clears, at random.
fn disturb(cache: &MemoryCache<u64, Counted>, alive: &Arc<AtomicUsize>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    for step in 0..6_000_u64 {
        let key = random.u64(..300);
        match random.u8(..50) {
            0..40 => {
                let entry = Entry::found(Counted::new(key, alive));
                drop(face(cache).put(key, face(cache).prepare(&key, entry)));
            }
            40..44 => drop(face(cache).remove(&key)),
            44..47 => drop(face(cache).put(key, face(cache).prepare(&key, Entry::absent()))),
            47 => _ = cache.remove_expired(),
            48 => cache.resize(random.u64(50..150)).unwrap(),
            _ if step.is_multiple_of(20) => drop(face(cache).clear()),
            _ => {}
        }
    }
}

#[test]
fn readers_see_whole_values_of_their_key_whatever_writers_do() {
    let alive = Arc::new(AtomicUsize::new(0));
    let cache = MemoryCache::<u64, Counted>::builder().capacity(100).shards(2).build().unwrap();
    let done = AtomicBool::new(false);
    let read = |seed: u64| {
        let mut random = fastrand::Rng::with_seed(seed);
        while !done.load(Ordering::Relaxed) {
            let key = random.u64(..300);
            let is_own = |value: &Counted| value.0 == key && *value.1 == key;
            if seed.is_multiple_of(2) {
                let entry = face(&cache).get(&key);
                assert!(entry.is_none_or(|entry| entry.value().is_none_or(is_own)));
            } else {
                let own = cache.with(&key, |value| value.is_none_or(is_own));
                assert_ne!(own, Some(false));
            }
        }
    };
    std::thread::scope(|scope| {
        let read = &read;
        (0..2).for_each(|seed| drop(scope.spawn(move || read(seed))));
        let writers = [3, 4].map(|seed| {
            let (cache, alive) = (&cache, &alive);
            scope.spawn(move || disturb(cache, alive, seed))
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });
    drop(cache);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

/// Numbers that take each other's slots, while they are read.
#[test]
fn who_reads_numbers_of_a_full_cache_sees_what_belongs_to_the_key() {
    const KEYS: u64 = 200;
    let cache = MemoryCache::<u64, u64>::builder().capacity(64).shards(1).build().unwrap();
    (0..KEYS).for_each(|key| cache.insert(key, key << 32).unwrap());
    let (mut found, evicted) = (0, cache.stats().evicted);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let cache = cache.clone();
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                for number in 0..10_000 {
                    let key = random.u64(..KEYS);
                    cache.insert(key, key << 32 | number).unwrap();
                    assert!(cache.len() <= 64);
                }
            });
        }
        let mut random = fastrand::Rng::with_seed(9);
        for _ in 0..30_000 {
            let key = random.u64(..KEYS);
            let seen = [
                cache.value(&key),
                cache.with(&key, |value| value.map_or(0, |value| *value)),
                face(&cache).get(&key).and_then(Entry::into_value),
            ];
            assert!(seen.iter().flatten().all(|value| value >> 32 == key), "{key}: {seen:x?}");
            found += seen.iter().flatten().count();
        }
    });
    assert!(found > 1_000 && cache.stats().evicted > evicted + 1_000);
    assert_eq!(cache.len(), 64);
}
