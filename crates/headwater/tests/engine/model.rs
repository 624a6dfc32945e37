//! Random operations on chains of several shapes, each answer held against what the promises allow.

use headwater::testkit::{ManualClock, Model, RemoteTier, TestSource};
use headwater::{Batching, BoxCache, Cache, Entry, Fetcher, Headwater, LruCache, MemoryCache};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;

type Chain = BoxCache<u8, u16>;

#[derive(Clone, Debug)]
enum Operation {
    /// Somebody writes the source behind the cache's back.
    Write(u8, Option<u16>),
    /// Somebody writes the source and tells the cache the new value.
    WriteThrough(u8, Option<u16>),
    Fetch(u8),
    FetchMany(Vec<u8>),
    Invalidate(u8),
    InvalidateMany(Vec<u8>),
    Clear,
    Advance(u16),
    /// Lets fills behind the caller's back get on.
    Yield,
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = || 0..12_u8;
    let value = || proptest::option::weighted(0.8, any::<u16>());
    prop_oneof![
        3 => (key(), value()).prop_map(|(key, value)| Operation::Write(key, value)),
        2 => (key(), value()).prop_map(|(key, value)| Operation::WriteThrough(key, value)),
        8 => key().prop_map(Operation::Fetch),
        4 => vec(key(), 0..20).prop_map(Operation::FetchMany),
        2 => key().prop_map(Operation::Invalidate),
        1 => vec(key(), 0..6).prop_map(Operation::InvalidateMany),
        1 => Just(Operation::Clear),
        2 => (0..2_000_u16).prop_map(Operation::Advance),
        3 => Just(Operation::Yield),
    ]
}

fn shapes(origin: &TestSource<u8, u16>, time: &ManualClock) -> Vec<Chain> {
    let lru = |capacity| {
        let lru = LruCache::builder(capacity).clock(time.clock());
        lru.time_to_live(Duration::from_secs(1)).build().unwrap()
    };
    let remote = || {
        let memory = MemoryCache::builder().clock(time.clock());
        RemoteTier::new(memory.time_to_live(Duration::from_secs(3)).build().unwrap())
    };
    let begin = || Headwater::source(origin.clone()).clock(time.clock());
    vec![
        BoxCache::new(begin().through(lru(4)).build()),
        BoxCache::new(begin().through(remote()).build()),
        BoxCache::new(begin().through(remote()).through(lru(4)).build()),
        BoxCache::new(
            begin()
                .batching(Batching::new())
                .through(remote())
                .through(lru(8))
                .through(lru(2))
                .build(),
        ),
    ]
}

struct Run {
    origin: TestSource<u8, u16>,
    time: ManualClock,
    chain: Chain,
    model: Model<u8, u16>,
}

impl Run {
    fn write(&mut self, key: u8, value: Option<u16>) {
        self.model.write(key, value);
        match value {
            Some(value) => self.origin.set(&key, value),
            None => self.origin.unset(&key),
        }
    }

    fn check(&self, key: u8, outcome: headwater::Result<u16>) {
        let answer = Entry::from_outcome(outcome).expect("the source never fails").into_value();
        assert!(self.model.may_answer(&key, &answer), "key {key} answered {answer:?}");
    }

    async fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Write(key, value) => self.write(key, value),
            Operation::WriteThrough(key, value) => {
                self.write(key, value);
                let entry = value.map_or(Entry::absent(), Entry::found);
                self.chain.insert(&key, entry).await.unwrap();
                self.model.invalidate(&key);
            }
            Operation::Fetch(key) => self.check(key, self.chain.fetch(&key).await),
            Operation::FetchMany(keys) => {
                let asked: Vec<&u8> = keys.iter().collect();
                let outcomes = self.chain.fetch_many(&asked).await;
                assert_eq!(outcomes.len(), keys.len());
                for (key, outcome) in keys.into_iter().zip(outcomes) {
                    self.check(key, outcome);
                }
            }
            Operation::Invalidate(key) => {
                self.chain.invalidate(&key).await.unwrap();
                self.model.invalidate(&key);
            }
            Operation::InvalidateMany(keys) => {
                let asked: Vec<&u8> = keys.iter().collect();
                self.chain.invalidate_many(&asked).await.unwrap();
                keys.iter().for_each(|key| self.model.invalidate(key));
            }
            Operation::Clear => {
                self.chain.clear().await.unwrap();
                self.model.clear();
            }
            Operation::Advance(millis) => self.time.advance(Duration::from_millis(millis.into())),
            Operation::Yield => super::settle().await,
        }
    }

    /// Everything has a life, so after the longest one nothing old is answered any more.
    async fn outlive(&mut self) {
        self.time.advance(Duration::from_secs(60));
        for key in 0..12 {
            self.model.invalidate(&key);
            self.check(key, self.chain.fetch(&key).await);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_answer_is_one_that_the_promises_forbid(operations in vec(operation(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for shape in 0..4 {
                let (origin, time) = (TestSource::new(), ManualClock::new());
                let chain = shapes(&origin, &time).swap_remove(shape);
                let mut run = Run { origin, time, chain, model: Model::new() };
                for operation in operations.clone() {
                    run.apply(operation).await;
                }
                run.outlive().await;
                let first = &run.chain.stats().tiers[0];
                assert!(first.misses >= first.fills + first.superseded_fills);
            }
        });
    }
}
