//! Many threads at once: the bounds hold for every observer, and nothing is lost or told twice.

use headwater::{Entry, LruCache, MemoryBuilder, MemoryCache, Tier};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

const THREADS: u64 = 4;
const STEPS: u64 = 20_000;

/// A cheap reproducible sequence, one per thread.
fn numbers(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

fn work(cache: &impl Tier<Key = u64, Value = u64>, seed: u64) -> u64 {
    let cache = super::face(cache);
    let mut number = numbers(seed);
    let mut puts = 0;
    for _ in 0..STEPS {
        let key = number(200);
        match number(10) {
            0..5 => {
                if let Some(entry) = cache.get(&key) {
                    assert!(entry.value().is_none_or(|value| value % 200 == key), "own value");
                }
            }
            5..8 => {
                puts += 1;
                let entry = Entry::found(key + 200 * number(20));
                drop(cache.put(key, cache.prepare(&key, entry)));
            }
            8 => drop(cache.put(key, cache.prepare(&key, Entry::absent()))),
            _ => drop(cache.remove(&key)),
        }
    }
    puts
}

/// A cache's builder, with a listener that counts.
fn counting<C>(
    builder: MemoryBuilder<u64, u64, C>,
    told: &Arc<AtomicU64>,
) -> MemoryBuilder<u64, u64, C> {
    let count = Arc::clone(told);
    builder.weigher(|_, value| 1 + value % 7).absent_capacity(4).on_removal(move |_, _, _| {
        count.fetch_add(1, Ordering::Relaxed);
    })
}

/// Has threads work on a cache of weight 50, and holds it to its bounds meanwhile.
macro_rules! capacity_holds {
    ($cache:ident, $told:ident) => {{
        let (cache, told) = ($cache, $told);
        let done = AtomicBool::new(false);
        let puts: u64 = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert!(cache.weight() <= 50);
                    assert!(cache.absent_len() <= 4);
                }
            });
            let workers: Vec<_> = (0..THREADS)
                .map(|seed| {
                    scope.spawn({
                        let cache = &cache;
                        move || work(cache, seed + 1)
                    })
                })
                .collect();
            let puts = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
            done.store(true, Ordering::Relaxed);
            watcher.join().unwrap();
            puts
        });
        assert_eq!(
            told.load(Ordering::Relaxed) + cache.len() as u64,
            puts,
            "each told exactly once"
        );
        drop(super::face(&cache).clear());
        assert_eq!((cache.len(), cache.weight(), cache.absent_len()), (0, 0, 0));
        assert_eq!(told.load(Ordering::Relaxed), puts);
    }};
}

#[test]
fn capacity_holds_at_every_instant_for_every_thread() {
    let told = Arc::new(AtomicU64::new(0));
    let cache = counting(LruCache::builder(50), &told).build().unwrap();
    capacity_holds!(cache, told);
}

#[test]
fn capacity_of_several_shards_holds_at_every_instant_for_every_thread() {
    let told = Arc::new(AtomicU64::new(0));
    let cache = MemoryCache::builder().capacity(50).shards(4);
    let cache = counting(cache, &told).build().unwrap();
    capacity_holds!(cache, told);
}

#[test]
fn shards_agree_on_the_whole() {
    let cache = MemoryCache::<u64, u64>::new();
    std::thread::scope(|scope| {
        for seed in 1..=THREADS {
            let cache = &cache;
            scope.spawn(move || work(cache, seed));
        }
    });
    let found = (0..200).filter(|key| cache.peek(key).is_some_and(|e| !e.is_absent())).count();
    let absent = (0..200).filter(|key| cache.peek(key).is_some_and(|e| e.is_absent())).count();
    assert_eq!((found, absent, found as u64), (cache.len(), cache.absent_len(), cache.weight()));
}

fn keep(cache: &LruCache<u64, u64>, key: u64) {
    let cache = super::face(cache);
    drop(cache.put(key, cache.prepare(&key, Entry::found(key))));
}

#[test]
fn no_hit_of_an_exact_lru_is_lost_or_out_of_turn_whoever_else_hits() {
    const EACH: u64 = 500;
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let cache = LruCache::<u64, u64>::builder(THREADS * EACH)
        .on_removal(move |key, _, _| log.lock().unwrap().push(*key))
        .build()
        .unwrap();
    let put = |key| keep(&cache, key);
    (0..THREADS * EACH).for_each(put);
    // Each thread has keys of its own, and uses them again and again, each time in another order.
    let hits = |thread: u64| {
        let cache = super::face(&cache);
        let mut number = numbers(thread + 1);
        let mut keys: Vec<u64> = (thread * EACH..(thread + 1) * EACH).collect();
        for _ in 0..10 {
            (1..keys.len()).for_each(|at| keys.swap(at, number(at as u64 + 1) as usize));
            keys.iter().for_each(|key| assert!(cache.get(key).is_some()));
        }
        keys
    };
    let last_orders: Vec<Vec<u64>> = thread::scope(|scope| {
        let hits = &hits;
        let threads = (0..THREADS).map(|thread| scope.spawn(move || hits(thread)));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let new = THREADS * EACH;
    (new..2 * new).for_each(put);
    let told = told.lock().unwrap();
    assert_eq!(told.len() as u64, new);
    for (thread, order) in last_orders.iter().enumerate() {
        let own = |key: &&u64| **key / EACH == thread as u64;
        assert!(told.iter().filter(own).eq(order), "each thread's in its own order");
    }
}

#[test]
fn a_hit_that_is_over_counts_before_whatever_another_thread_does_then() {
    let cache = LruCache::<u64, u64>::new(2).unwrap();
    let put = |key| keep(&cache, key);
    for round in 0..200 {
        put(1_000 + round);
        put(2_000 + round);
        let hit = || super::face(&cache).get(&(1_000 + round)).is_some();
        assert!(thread::scope(|scope| scope.spawn(hit).join().unwrap()));
        put(3_000 + round);
        assert!(cache.peek(&(1_000 + round)).is_some() && cache.peek(&(2_000 + round)).is_none());
    }
}

#[test]
fn numbers_that_are_only_looked_at_leave_in_the_order_of_the_looks() {
    let cache = LruCache::<u64, u64>::new(3).unwrap();
    let looks: [&dyn Fn(u64) -> bool; 3] = [
        &|key| cache.with(&key, |_| ()).is_some(),
        &|key| super::face(&cache).value(&key).is_some(),
        &|key| cache.value(&key).is_some(),
    ];
    for (round, look) in (0..).zip(looks.into_iter().cycle().take(12)) {
        let key = |number: u64| number + 10 * round;
        (0..3).for_each(|number| keep(&cache, key(number)));
        assert!(look(key(1)) && look(key(0)));
        (3..5).for_each(|number| keep(&cache, key(number)));
        let are_there = [0, 1, 2].map(|number| cache.peek(&key(number)).is_some());
        assert_eq!(are_there, [true, false, false], "{round}");
    }
}
