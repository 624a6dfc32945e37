//! `MemoryCache` with a capacity: bounds, what leaves and who is told, memory.

use super::{absent, face, get, put, seconds};
use headwater::testkit::ManualClock;
use headwater::{
    Cause, Entry, ErrorKind, Hashed, LruCache, MemoryBuilder, MemoryCache, Tier, Version,
};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

type Memory = MemoryCache<str, u32>;
type Builder = MemoryBuilder<str, u32, Memory>;

fn weighed(capacity: u64) -> Builder {
    Memory::builder().capacity(capacity).weigher(|_, weight| u64::from(*weight))
}

#[test]
fn every_number_that_is_there_is_found_and_no_other_however_many_came_and_went() {
    let cache = MemoryCache::<u64, u64>::builder().capacity(3_000).shards(1).build().unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..20_u64 {
        for _ in 0..2_000 {
            let key = random.u64(..4_000);
            // Used ones stay, and come to the front of where they are looked for.
            if cache.value(&key).is_none() {
                cache.insert(key, key + round).unwrap();
            }
        }
        let mut there = 0;
        for key in 0..4_000 {
            let held = cache.peek(&key).and_then(Entry::into_value);
            assert_eq!(cache.value(&key), held);
            assert!(held.is_none_or(|value| (key..key + 20).contains(&value)));
            there += usize::from(held.is_some());
        }
        assert_eq!(there, cache.len());
    }
}

#[test]
fn faulty_capacities_and_shards_are_errors_that_name_the_setting() {
    let fault = |builder: Builder| {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        error.to_string()
    };
    assert!(fault(Memory::builder().capacity(0)).contains("capacity"));
    for shards in [0, 3, 2_048, usize::MAX] {
        assert!(fault(Memory::builder().shards(shards)).contains("shards"));
    }
    assert!(Memory::builder().capacity(u64::MAX - 1).shards(1_024).build().is_ok());
    assert_eq!(Memory::new().capacity(), None);
}

#[test]
fn smallest_capacities_hold_the_last_entry() {
    for capacity in 1..4 {
        let cache = Memory::with_capacity(capacity).unwrap();
        for n in 0..1_000_u32 {
            let key = (n % 7).to_string();
            put(&cache, &key, n);
            assert_eq!(get(&cache, &key), Some(Some(n)));
            assert_eq!(cache.len() as u64, capacity.min(u64::from(n) + 1));
        }
    }
}

#[test]
fn a_cache_of_one_shard_holds_as_many_as_its_capacity() {
    let cache = Memory::with_capacity(2_000).unwrap();
    (0..2_000).for_each(|n| put(&cache, &n.to_string(), n));
    assert!((0..2_000).all(|n| get(&cache, &n.to_string()) == Some(Some(n))));
}

#[test]
fn a_scan_leaves_wanted_entries_alone() {
    let cache = MemoryCache::<u64, u64>::builder().capacity(10_000).shards(8).build().unwrap();
    let ask = |key| {
        let hit = face(&cache).get(&key).is_some();
        if !hit {
            drop(face(&cache).put(key, face(&cache).prepare(&key, Entry::found(key))));
        }
        hit
    };
    for key in (0..5).flat_map(|_| 0..5_000).chain(100_000..200_000) {
        ask(key);
    }
    let kept = (0..5_000).filter(|key| ask(*key)).count();
    assert!(kept > 4_950, "{kept}");
    assert_eq!(cache.len(), 10_000);
}

#[test]
fn shards_have_all_of_the_capacity_and_no_more() {
    let cache = Memory::builder().capacity(1_003).shards(16).build().unwrap();
    (0..20_000).for_each(|n| put(&cache, &n.to_string(), n));
    assert_eq!((cache.len(), cache.capacity()), (1_003, Some(1_003)));
}

#[test]
fn heavy_newcomers_evict_several_and_too_heavy_ones_nobody() {
    let cache = weighed(10).build().unwrap();
    for key in ["a", "b", "c"] {
        put(&cache, key, 3);
    }
    put(&cache, "d", 10);
    assert_eq!((cache.len(), cache.weight(), cache.stats().evicted), (1, 10, 3));
    put(&cache, "e", 11);
    assert_eq!((cache.weight(), cache.stats().too_heavy), (10, 1));
    put(&cache, "d", 11);
    assert_eq!((cache.len(), cache.weight(), cache.stats().too_heavy), (0, 0, 2));
}

#[test]
fn floods_of_absent_keys_and_of_found_ones_leave_each_other_alone() {
    let cache = Memory::with_capacity(16).unwrap();
    (0..16).for_each(|n| put(&cache, &n.to_string(), n));
    put(&cache, "asked for", absent());
    for n in 0..1_000 {
        assert_eq!(get(&cache, "asked for"), Some(None));
        put(&cache, &format!("made up {n}"), absent());
    }
    assert_eq!((cache.len(), cache.absent_len(), cache.stats().evicted), (16, 2, 0));
    (100..1_000).for_each(|n| put(&cache, &n.to_string(), n));
    assert_eq!((cache.len(), cache.absent_len()), (16, 2));
}

#[test]
fn resize_takes_effect_at_once_in_both_directions() {
    let cache = Memory::builder().capacity(5_000).shards(4).build().unwrap();
    (0..20_000).for_each(|n| put(&cache, &n.to_string(), n));
    cache.resize(7).unwrap();
    assert_eq!((cache.len(), cache.capacity()), (7, Some(7)));
    (0..20_000).for_each(|n| put(&cache, &n.to_string(), n));
    assert_eq!(cache.len(), 7);
    cache.resize(6_000).unwrap();
    (0..20_000).for_each(|n| put(&cache, &n.to_string(), n));
    assert_eq!(cache.len(), 6_000);
    assert_eq!(cache.resize(0).unwrap_err().kind(), ErrorKind::InvalidConfig);
    assert_eq!(Memory::new().resize(5).unwrap_err().kind(), ErrorKind::InvalidConfig);
}

#[test]
fn numbers_beyond_what_one_shard_tells_apart_are_kept_all_the_same_or_refused() {
    const MOST: u64 = 1 << 23;
    let cache = MemoryCache::<u64, u64>::builder().capacity(1_000).shards(2).build().unwrap();
    cache.resize(2 * MOST).unwrap();
    let refused = cache.resize(2 * MOST + 1).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidConfig);
    assert!(refused.to_string().contains("16777217"), "{refused}");
    assert_eq!(cache.capacity(), Some(2 * MOST));
    // One shard, and more than it tells apart where numbers stand in the index.
    let lru = LruCache::<u64, u64>::new(2 * MOST).unwrap();
    let (face, all) = (lru.resident().unwrap(), 0..1_000_u64);
    for key in all.clone() {
        drop(face.put(Hashed::new(key), face.prepare(&key, Entry::found(!key))));
    }
    assert!(all.into_iter().all(|key| face.value(Hashed::new(&key)) == Some(Some(!key))));
}

#[test]
fn an_entry_takes_no_more_than_52_bytes() {
    const ENTRIES: u64 = 1_000_000;
    let mut cache = None;
    let allocations = allocation_counter::measure(|| {
        let full = MemoryCache::<u64, u64>::with_capacity(ENTRIES).unwrap();
        for key in 0..ENTRIES * 6 / 5 {
            drop(face(&full).put(key, face(&full).prepare(&key, Entry::found(key))));
        }
        cache = Some(full);
    });
    assert_eq!(cache.map(|cache| cache.len() as u64), Some(ENTRIES));
    let each = allocations.bytes_current as f64 / ENTRIES as f64;
    assert!(each <= 52.0, "{each} bytes");
}

#[derive(Clone, Debug)]
enum Op {
    Get(u8),
    Put { key: u8, weight: u8, life: Option<u64>, version: Option<u64> },
    PutAbsent(u8),
    Remove(u8),
    Advance(u64),
    Resize(u64),
    Clear,
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..24_u8;
    let lives = (prop::option::weighted(0.3, 0..15_u64), prop::option::weighted(0.3, 0..4_u64));
    prop_oneof![
        8 => key().prop_map(Op::Get),
        10 => (key(), 0..14_u8, lives)
            .prop_map(|(key, weight, (life, version))| Op::Put { key, weight, life, version }),
        2 => key().prop_map(Op::PutAbsent),
        2 => key().prop_map(Op::Remove),
        3 => (0..6_u64).prop_map(Op::Advance),
        1 => (1..40_u64).prop_map(Op::Resize),
        1 => Just(Op::Clear),
    ]
}

/// A value's identity and its weight.
type Value = (usize, u8);

/// A cache, and what it must hold by what was put and what its listener was told.
struct Pair {
    cache: MemoryCache<u8, Value>,
    time: ManualClock,
    held: Arc<Mutex<HashMap<u8, Value>>>,
}

impl Pair {
    fn new(capacity: u64, shards: usize, tti: Option<u64>) -> Self {
        let (time, held) = (ManualClock::new(), Arc::new(Mutex::new(HashMap::new())));
        let known = Arc::clone(&held);
        let mut builder = MemoryCache::builder()
            .capacity(capacity)
            .shards(shards)
            .clock(time.clock())
            .weigher(|_, value: &Value| u64::from(value.1))
            .on_removal(move |key: &u8, value: &Value, _: Cause| {
                let mut known = known.lock().unwrap();
                if known.get(key) == Some(value) {
                    known.remove(key);
                }
            });
        if let Some(tti) = tti {
            builder = builder.time_to_idle(seconds(tti));
        }
        Self { cache: builder.build().unwrap(), time, held }
    }

    fn put(&self, key: u8, entry: Entry<Value>) {
        drop(face(&self.cache).put(key, face(&self.cache).prepare(&key, entry)));
    }

    fn put_found(&self, key: u8, value: Value, life: Option<u64>, version: Option<u64>) {
        let mut entry = Entry::found(value);
        if let Some(life) = life {
            entry = entry.expires_at(self.time.clock().now() + seconds(life));
        }
        if let Some(version) = version {
            entry = entry.with_version(Version::new(version));
        }
        let outdated = self.cache.stats().outdated;
        let before = self.held.lock().unwrap().insert(key, value);
        self.put(key, entry);
        if self.cache.stats().outdated > outdated {
            let mut held = self.held.lock().unwrap();
            held.remove(&key);
            held.extend(before.map(|before| (key, before)));
        }
    }

    fn run(&mut self, step: usize, op: &Op) {
        match *op {
            Op::Get(key) => {
                let answer = face(&self.cache).get(&key).and_then(Entry::into_value);
                let held = self.held.lock().unwrap().get(&key).copied();
                assert!(answer.is_none() || answer == held);
            }
            Op::Put { key, weight, life, version } => {
                self.put_found(key, (step, weight), life, version);
            }
            Op::PutAbsent(key) => self.put(key, Entry::absent()),
            Op::Remove(key) => drop(face(&self.cache).remove(&key)),
            Op::Advance(span) => self.time.advance(seconds(span)),
            Op::Resize(capacity) => self.cache.resize(capacity).unwrap(),
            Op::Clear => drop(face(&self.cache).clear()),
        }
        self.check();
    }

    fn check(&self) {
        let held = self.held.lock().unwrap();
        let weights = held.values().map(|value| u64::from(value.1.max(1)));
        assert_eq!((self.cache.len(), self.cache.weight()), (held.len(), weights.sum()));
        assert!(Some(self.cache.weight()) <= self.cache.capacity());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cache_holds_what_was_put_but_for_what_the_listener_was_told(
        capacity in 1..40_u64,
        shards in 0..3_u32,
        tti in prop::option::of(3..10_u64),
        ops in prop::collection::vec(op(), 1..200),
    ) {
        let mut pair = Pair::new(capacity, 1 << shards, tti);
        for (step, op) in ops.iter().enumerate() {
            pair.run(step, op);
        }
    }
}
