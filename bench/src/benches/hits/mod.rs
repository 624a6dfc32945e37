//! `hits`: what a hit in memory costs, without a chain around it.
//!
//! 100,000 resident keys are asked for by Zipf's law with exponent 0.99, on one thread and on two: a
//! number by a number, and an `Arc` of 200 bytes by a `&str` of 23 to 36. The caches have room for
//! twice as many entries, so that all keys are resident however their shards fill; a miss stops the
//! bench. Each has the hasher that is its default.
//!
//! Two threads meet at a lock only while both run: on a machine whose cores others are using they
//! take turns, and locks look cheaper than they are.

mod contestants;

use super::Bench;
use crate::harness::{Contestant, Options, Row, Table, Zipf, interleave};
use contestants::{Shelf, shelves};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

pub(super) const BENCH: Bench = Bench {
    name: "hits",
    about: "a hit in memory, without a chain: time against rivals, one thread and two",
    crates: &["headwater", "quick_cache", "moka", "foyer-memory", "lru"],
    run,
};

const LEGEND: &str = "The rival's time divided by headwater's: 1.00 is the same, 2.00 means that \
    headwater is twice as fast. In brackets the median time of one hit.";

const KEYS: usize = 100_000;
const EXPONENT: f64 = 0.99;

fn run(options: &Options) -> Table {
    let mut table = Table::new("Hits in memory", LEGEND);
    for threads in [1, 2] {
        let keys = (0..KEYS as u64).map(|key| key.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        table.push(row::<u64, _>("u64", keys.collect(), || 7_u64, options, threads));
    }
    for threads in [1, 2] {
        let keys: Vec<String> = (0..KEYS).map(name).collect();
        table.push(row::<str, _>("&str", keys, || Arc::new([7_u8; 200]), options, threads));
    }
    table
}

/// The key with this number: 23 to 36 bytes, as names, paths and ids tend to be.
fn name(number: usize) -> String {
    let filler = &"-a-key-as-long"[..number % 14];
    format!("customer/{number:08}/plan{filler}x")
}

/// Who asks for what.
struct Load<K> {
    keys: Vec<K>,
    /// For each thread, indices of keys.
    sequences: Vec<Vec<u32>>,
}

fn row<Q, V>(
    what: &str,
    keys: Vec<Q::Owned>,
    value: fn() -> V,
    options: &Options,
    threads: usize,
) -> Row
where
    Q: ?Sized + contestants::Key,
    V: Clone + Send + Sync + 'static,
{
    let mut random = fastrand::Rng::with_seed(options.seed);
    let zipf = Zipf::new(KEYS, EXPONENT);
    let length = options.scale(1_000_000, 100_000) / threads;
    let mut sequence = || (0..length).map(|_| zipf.sample(random.f64())).collect();
    let sequences = (0..threads).map(|_| sequence()).collect();
    let load = Arc::new(Load { keys, sequences });
    let contestants = shelves::<Q, V>(2 * KEYS, value).into_iter();
    let contestants = contestants.map(|(name, shelf)| contestant(name, shelf, &load)).collect();
    let laps = interleave(contestants, options.scale(21, 5), options.seed);
    let plural = if threads == 1 { "" } else { "s" };
    laps.row(&format!("{what}, {threads} thread{plural}"), "headwater")
}

fn contestant<Q: ?Sized + contestants::Key>(
    name: &'static str,
    shelf: Box<dyn Shelf<Q>>,
    load: &Arc<Load<Q::Owned>>,
) -> Contestant {
    let load = Arc::clone(load);
    load.keys.iter().for_each(|key| shelf.put(std::borrow::Borrow::borrow(key)));
    let operations: usize = load.sequences.iter().map(Vec::len).sum();
    Contestant::new(name, move |_| {
        lap(&*shelf, &load).as_nanos() as f64 / operations as f64
    })
}

/// All threads' sequences at once; the time of the slowest.
fn lap<Q: ?Sized + contestants::Key>(shelf: &dyn Shelf<Q>, load: &Load<Q::Owned>) -> Duration {
    let start = Barrier::new(load.sequences.len());
    let run = |sequence: &[u32]| {
        start.wait();
        let began = Instant::now();
        assert_eq!(shelf.hits(&load.keys, sequence), sequence.len(), "all keys are resident");
        began.elapsed()
    };
    thread::scope(|scope| {
        let run = &run;
        let threads = load.sequences.iter().map(|sequence| scope.spawn(move || run(sequence)));
        let threads: Vec<_> = threads.collect();
        let times = threads.into_iter().map(|thread| thread.join().expect("hits do not panic"));
        times.max().unwrap_or_default()
    })
}
