//! `hits`: what a hit in memory costs, without a chain around it and with one.
//!
//! 100,000 resident keys are asked for by Zipf's law with exponent 0.99, on one thread and on several: a
//! number by a number, and an `Arc` of 200 bytes by a `&str` of 23 to 36. Which keys are wanted often has
//! nothing to do with the order in which they were put, and keys that are asked for lie one after the other,
//! as requests bring theirs along, so that finding out what is wanted costs nothing. The caches have room
//! for twice as many entries, so that all keys are resident however their shards fill; a miss stops the
//! bench. Each has the hasher that is its default. The rows of exact LRU compare with who keeps that
//! order too; two rows go through the async call that reads through. `hashbrown` is no rival but the floor: a
//! map that evicts nothing and that nobody changes while it is asked. Instructions are counted in processes
//! of their own, under valgrind, for caches that have been asked before.
//!
//! Several threads meet at a lock only while they run at once: on a machine whose cores others are using
//! they take turns, and locks look cheaper than they are.

mod chain;
mod growth;
mod instructions;

pub(crate) use instructions::child;

use super::Bench;
use crate::contenders::shelves::{Key, MAP, Shelf, makers_and_map};
use crate::harness::{Contestant, Options, Row, Table, Zipf, interleave};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

pub(super) const BENCH: Bench = Bench {
    name: "hits",
    about: "a hit in memory, without a chain and with one: time and instructions against rivals",
    crates: &["headwater", "quick_cache", "moka", "foyer-memory", "lru", "hashbrown"],
    run,
};

const LEGEND: &str = "The rival's time divided by headwater's: 1.00 is the same, 2.00 means that \
    headwater is twice as fast. In brackets the median time of one hit, or the instructions that it \
    takes. Cost with size: times as long as with 1,000 entries, every key as likely as any other; the last \
    row is our growth divided by that of a map that nobody shares, where it is the most: lower is better.";

const KEYS: usize = 100_000;
const EXPONENT: f64 = 0.99;

/// Who takes part in the rows of any policy, and in those of exact LRU.
const ALL: &[&str] =
    &["headwater", "headwater, closure", "quick_cache", "moka", "foyer", "Mutex<lru>", MAP];
const LRU: &[&str] = &["headwater lru", "foyer lru", "Mutex<lru>"];

fn run(options: &Options) -> Table {
    let mut table = Table::new("Hits in memory", LEGEND);
    for threads in [1, 2] {
        table.push(row::<u64, _>("u64", ALL, &numbers(KEYS), || 7_u64, options, threads));
    }
    for threads in [1, 2] {
        let keys: Vec<String> = (0..KEYS).map(name).collect();
        table.push(row::<str, _>("&str", ALL, &keys, || Arc::new([7_u8; 200]), options, threads));
    }
    for threads in [2, 8] {
        table.push(row::<u64, _>("exact LRU, u64", LRU, &numbers(KEYS), || 7_u64, options, threads));
    }
    chain::rows(options).into_iter().for_each(|row| table.push(row));
    instructions::rows(&mut table, options);
    growth::rows(&mut table, options);
    table
}

/// So many keys, spread over all numbers.
fn numbers(count: usize) -> Vec<u64> {
    (0..count as u64).map(|key| key.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect()
}

/// The key with this number: 23 to 36 bytes, as names, paths and ids tend to be.
fn name(number: usize) -> String {
    let filler = &"-a-key-as-long"[..number % 14];
    format!("customer/{number:08}/plan{filler}x")
}

/// Who asks for what.
struct Load<K> {
    /// For each thread, the keys that it asks for one after the other.
    wanted: Vec<Vec<K>>,
    /// The places of one thread's keys, in order.
    order: Vec<u32>,
}

fn row<Q, V>(
    what: &str,
    contestants: &[&'static str],
    keys: &[Q::Owned],
    value: fn() -> V,
    options: &Options,
    threads: usize,
) -> Row
where
    Q: ?Sized + Key,
    V: Clone + Send + Sync + 'static,
{
    let length = options.scale(1_000_000, 100_000) / threads;
    let mut random = fastrand::Rng::with_seed(options.seed);
    let ranked = ranked(keys, &mut random);
    let wanted = (0..threads).map(|_| chosen(&ranked, &wanted(&mut random, length))).collect();
    let load = Arc::new(Load { wanted, order: (0..length as u32).collect() });
    let taking_part = makers_and_map::<Q, V>().into_iter().filter(|(name, _)| contestants.contains(name));
    let taking_part =
        taking_part.map(|(name, make)| contestant(name, make(2 * KEYS, value), keys, &load));
    let laps = interleave(taking_part.collect(), options.scale(21, 5), options.seed);
    let plural = if threads == 1 { "" } else { "s" };
    laps.row(&format!("{what}, {threads} thread{plural}"), contestants[0])
}

/// Keys in the order in which they are wanted, the one that is wanted most first.
fn ranked<K: Clone>(keys: &[K], random: &mut fastrand::Rng) -> Vec<K> {
    let mut ranked = keys.to_vec();
    random.shuffle(&mut ranked);
    ranked
}

/// Which keys are asked for, by their places.
fn wanted(random: &mut fastrand::Rng, count: usize) -> Vec<u32> {
    let zipf = Zipf::new(KEYS, EXPONENT);
    (0..count).map(|_| zipf.sample(random.f64())).collect()
}

/// The keys at these places.
fn chosen<K: Clone>(keys: &[K], places: &[u32]) -> Vec<K> {
    places.iter().map(|at| keys[*at as usize].clone()).collect()
}

fn contestant<Q: ?Sized + Key>(
    name: &'static str,
    shelf: Box<dyn Shelf<Q>>,
    keys: &[Q::Owned],
    load: &Arc<Load<Q::Owned>>,
) -> Contestant {
    let load = Arc::clone(load);
    keys.iter().for_each(|key| shelf.put(std::borrow::Borrow::borrow(key)));
    let operations = load.wanted.len() * load.order.len();
    Contestant::new(name, move |_| {
        lap(&*shelf, &load).as_nanos() as f64 / operations as f64
    })
}

/// All threads' sequences at once; the time of the slowest.
fn lap<Q: ?Sized + Key>(shelf: &dyn Shelf<Q>, load: &Load<Q::Owned>) -> Duration {
    let start = Barrier::new(load.wanted.len());
    let run = |wanted: &[Q::Owned]| {
        start.wait();
        let began = Instant::now();
        assert_eq!(shelf.hits(wanted, &load.order), wanted.len(), "all keys are resident");
        began.elapsed()
    };
    thread::scope(|scope| {
        let run = &run;
        let threads = load.wanted.iter().map(|wanted| scope.spawn(move || run(wanted)));
        let threads: Vec<_> = threads.collect();
        let times = threads.into_iter().map(|thread| thread.join().expect("hits do not panic"));
        times.max().unwrap_or_default()
    })
}
