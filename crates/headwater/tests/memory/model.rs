//! Random operations against a model that is too simple to be wrong: two vectors in order of use.

use super::{face, seconds};
use headwater::testkit::ManualClock;
use headwater::{Cause, Entry, LruCache, Version};
use proptest::option;
use proptest::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A value's identity and its weight.
type Value = (usize, u64);
type Told = (u8, Value, Cause);

const ABSENT_TTL: u64 = 10;

/// The model counts milliseconds; lives are whole seconds.
const SECOND: u64 = 1_000;

/// Added to each step of time: what is dead is so for a while, and a put removes it for sure.
const A_WHILE: u64 = 20;

#[derive(Clone, Debug)]
enum Op {
    Get(u8),
    Peek(u8),
    Put(Put),
    Remove(u8),
    Advance(u64),
    RemoveExpired,
    Clear,
}

#[derive(Clone, Debug)]
struct Put {
    key: u8,
    /// `None` puts an absent entry.
    weight: Option<u64>,
    life: Option<u64>,
    version: Option<u64>,
}

#[derive(Clone, Debug)]
struct Config {
    weighed: bool,
    capacity: u64,
    absent_capacity: u64,
    time_to_live: Option<u64>,
    time_to_idle: Option<u64>,
}

#[derive(Clone, Debug)]
struct Held {
    key: u8,
    value: Option<Value>,
    weight: u64,
    expiry: Option<u64>,
    idle_end: Option<u64>,
    version: Option<u64>,
}

impl Held {
    fn deadline(&self) -> Option<u64> {
        self.expiry.into_iter().chain(self.idle_end).min()
    }

    fn is_dead(&self, now: u64) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }
}

/// The naive cache. Its lists are the coldest first; the found list is the first.
struct Model {
    config: Config,
    now: u64,
    lists: [Vec<Held>; 2],
    told: Vec<Told>,
    outdated: u64,
    too_heavy: u64,
    evicted: u64,
    expired: u64,
}

impl Model {
    fn new(config: Config) -> Self {
        let lists = [Vec::new(), Vec::new()];
        let told = Vec::new();
        Self { config, now: 0, lists, told, outdated: 0, too_heavy: 0, evicted: 0, expired: 0 }
    }

    fn find(&self, key: u8) -> Option<(usize, usize)> {
        let place = |list: usize| self.lists[list].iter().position(|held| held.key == key);
        (0..2).find_map(|list| Some((list, place(list)?)))
    }

    fn tell(&mut self, key: u8, value: Option<Value>, cause: Cause) {
        self.told.extend(value.map(|value| (key, value, cause)));
    }

    fn take_out(&mut self, (list, place): (usize, usize), cause: Cause) {
        let held = self.lists[list].remove(place);
        self.expired += u64::from(cause == Cause::Expired);
        self.evicted += u64::from(cause == Cause::Evicted && list == 0);
        self.tell(held.key, held.value, cause);
    }

    fn peek(&self, key: u8) -> Option<(Option<Value>, Option<u64>)> {
        let (list, place) = self.find(key)?;
        let held = &self.lists[list][place];
        (!held.is_dead(self.now)).then(|| (held.value, held.deadline()))
    }

    fn get(&mut self, key: u8) -> Option<(Option<Value>, Option<u64>)> {
        let (list, place) = self.find(key)?;
        if self.lists[list][place].is_dead(self.now) {
            self.take_out((list, place), Cause::Expired);
            return None;
        }
        let mut held = self.lists[list].remove(place);
        held.idle_end = self.config.time_to_idle.map(|idle| self.now + idle * SECOND);
        let answer = (held.value, held.deadline());
        self.lists[list].push(held);
        Some(answer)
    }

    fn put(&mut self, mut new: Held) {
        let rule = if new.value.is_some() { self.config.time_to_live } else { Some(ABSENT_TTL) };
        new.expiry = new.expiry.into_iter().chain(rule.map(|rule| self.now + rule * SECOND)).min();
        if let Some((list, place)) = self.find(new.key) {
            let held = &self.lists[list][place];
            let is_dead = held.is_dead(self.now);
            let is_older = new.version.zip(held.version).is_some_and(|(new, held)| new < held);
            if !is_dead && is_older {
                self.outdated += 1;
                return;
            }
            let cause = if is_dead { Cause::Expired } else { Cause::Replaced };
            self.take_out((list, place), cause);
        }
        // A put removes as many as there can be here.
        let now = self.now;
        self.remove_all(Cause::Expired, |held| held.is_dead(now));
        self.move_in(new);
    }

    fn move_in(&mut self, mut new: Held) {
        let (list, bound) = match new.value {
            Some(_) => (0, self.config.capacity),
            None => (1, self.config.absent_capacity),
        };
        if new.is_dead(self.now) {
            self.expired += 1;
            return self.tell(new.key, new.value, Cause::Expired);
        }
        if new.weight > bound {
            self.too_heavy += u64::from(list == 0);
            return self.tell(new.key, new.value, Cause::Evicted);
        }
        while self.weight(list) + new.weight > bound {
            self.take_out((list, 0), Cause::Evicted);
        }
        new.idle_end = self.config.time_to_idle.map(|idle| self.now + idle * SECOND);
        self.lists[list].push(new);
    }

    fn remove_all(&mut self, cause: Cause, goes: impl Fn(&Held) -> bool) -> usize {
        let before: usize = self.lists.iter().map(Vec::len).sum();
        for list in 0..2 {
            while let Some(place) = self.lists[list].iter().position(&goes) {
                self.take_out((list, place), cause);
            }
        }
        before - self.lists.iter().map(Vec::len).sum::<usize>()
    }

    fn weight(&self, list: usize) -> u64 {
        self.lists[list].iter().map(|held| held.weight).sum()
    }
}

/// The cache, the model, and the check that they are alike.
struct Pair {
    cache: LruCache<u8, Value>,
    time: ManualClock,
    told: Arc<Mutex<Vec<Told>>>,
    model: Model,
}

impl Pair {
    fn new(config: Config) -> Self {
        let (time, told) = (ManualClock::new(), Arc::new(Mutex::new(Vec::new())));
        let log = Arc::clone(&told);
        let mut builder = LruCache::builder(config.capacity)
            .clock(time.clock())
            .absent_capacity(config.absent_capacity)
            .absent_ttl(seconds(ABSENT_TTL))
            .on_removal(move |key, value, cause| log.lock().unwrap().push((*key, *value, cause)));
        if config.weighed {
            builder = builder.weigher(|_, value: &Value| value.1);
        }
        if let Some(ttl) = config.time_to_live {
            builder = builder.time_to_live(seconds(ttl));
        }
        if let Some(tti) = config.time_to_idle {
            builder = builder.time_to_idle(seconds(tti));
        }
        Self { cache: builder.build().unwrap(), time, told, model: Model::new(config) }
    }

    /// Value and moment of death, counted from the beginning.
    fn seen(&self, entry: Option<Entry<Value>>) -> Option<(Option<Value>, Option<u64>)> {
        let now = self.time.clock().now();
        entry.map(|entry| {
            let end = entry.remaining(now).map(|left| self.model.now + left.as_millis() as u64);
            (entry.into_value(), end)
        })
    }

    fn put(&mut self, step: usize, put: &Put) {
        let Put { key, weight, life, version } = *put;
        let value = weight.map(|weight| (step, weight));
        let mut entry = value.map_or_else(Entry::absent, Entry::found);
        if let Some(life) = life {
            entry = entry.expires_at(self.time.clock().now() + seconds(life));
        }
        if let Some(version) = version {
            entry = entry.with_version(Version::new(version));
        }
        let face = face(&self.cache);
        drop(face.put(key, face.prepare(&key, entry)));
        let weight = if self.model.config.weighed { weight.unwrap_or(1).max(1) } else { 1 };
        let expiry = life.map(|life| self.model.now + life * SECOND);
        self.model.put(Held { key, value, weight, expiry, idle_end: None, version });
    }

    fn run(&mut self, step: usize, op: &Op) {
        match *op {
            Op::Get(key) => {
                assert_eq!(self.seen(face(&self.cache).get(&key)), self.model.get(key));
            }
            Op::Peek(key) => assert_eq!(self.seen(self.cache.peek(&key)), self.model.peek(key)),
            Op::Put(ref put) => self.put(step, put),
            Op::Remove(key) => {
                drop(face(&self.cache).remove(&key));
                self.model.remove_all(Cause::Invalidated, |held| held.key == key);
            }
            Op::Advance(span) => {
                let span = span * SECOND + A_WHILE;
                self.time.advance(Duration::from_millis(span));
                self.model.now += span;
            }
            Op::RemoveExpired => {
                let now = self.model.now;
                let gone = self.model.remove_all(Cause::Expired, |held| held.is_dead(now));
                assert_eq!(self.cache.remove_expired(), gone);
            }
            Op::Clear => {
                drop(face(&self.cache).clear());
                self.model.remove_all(Cause::Invalidated, |_| true);
            }
        }
        self.check(matches!(op, Op::Put(_) | Op::Clear | Op::RemoveExpired));
    }

    fn check(&mut self, in_any_order: bool) {
        let mut told = std::mem::take(&mut *self.told.lock().unwrap());
        let mut expected = std::mem::take(&mut self.model.told);
        if in_any_order {
            let order = |told: &Told| (told.0, told.1, told.2 == Cause::Expired);
            told.sort_unstable_by_key(order);
            expected.sort_unstable_by_key(order);
        }
        assert_eq!(told, expected, "each removal once, in order, with its cause");
        let (cache, model) = (&self.cache, &self.model);
        assert!(cache.weight() <= cache.capacity());
        assert_eq!(cache.weight(), model.weight(0));
        assert_eq!((cache.len(), cache.absent_len()), (model.lists[0].len(), model.lists[1].len()));
        let stats = cache.stats();
        assert_eq!(
            (stats.evicted, stats.expired, stats.too_heavy, stats.outdated),
            (model.evicted, model.expired, model.too_heavy, model.outdated)
        );
    }
}

fn config() -> impl Strategy<Value = Config> {
    let lives = (option::of(5..20_u64), option::of(3..10_u64));
    (any::<bool>(), 1..12_u64, 0..4_u64, lives).prop_map(
        |(weighed, capacity, absent_capacity, (time_to_live, time_to_idle))| Config {
            weighed,
            capacity,
            absent_capacity,
            time_to_live,
            time_to_idle,
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..16_u8;
    let lives = (option::weighted(0.3, 0..15_u64), option::weighted(0.3, 0..4_u64));
    let put = (key(), option::weighted(0.8, 0..14_u64), lives)
        .prop_map(|(key, weight, (life, version))| Op::Put(Put { key, weight, life, version }));
    prop_oneof![
        8 => key().prop_map(Op::Get),
        2 => key().prop_map(Op::Peek),
        10 => put,
        2 => key().prop_map(Op::Remove),
        3 => (0..6_u64).prop_map(Op::Advance),
        1 => Just(Op::RemoveExpired),
        1 => Just(Op::Clear),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cache_does_what_the_model_does(
        config in config(),
        ops in prop::collection::vec(op(), 1..200),
    ) {
        let mut pair = Pair::new(config);
        for (step, op) in ops.iter().enumerate() {
            pair.run(step, op);
        }
    }
}
