//! `sizing`: how near the curve of live sizing is to the truth, and what it costs.
//!
//! A trace is replayed through an `LruCache` of a hundredth of its keys that measures what other sizes
//! would do. The error of its curve is the mean, over 20 capacities up to all keys, of how far it is from
//! the exact hit ratio. The cost is the time of a hit, by Zipf's law, in a cache that measures and in one
//! that does not.

use super::Bench;
use crate::harness::{Cell, Contestant, Options, Row, Table, Zipf, interleave};
use crate::traces::{self, Named};
use headwater::{Entry, Hashed, LruCache, MemoryCache, MissRatioSampler, Tier};
use std::time::Instant;

pub(super) const BENCH: Bench = Bench {
    name: "sizing",
    about: "live sizing: error of its curve over traces (FILES, shared or synthetic ones), and its cost",
    crates: &["headwater"],
    run,
};

const LEGEND: &str = "Mean distance of the curve from the exact hit ratio of an LRU, by the share of the \
    keys in the sample, which never has more than 1,792: lower is better. `a hit`: its time, with \
    measuring divided by without.";

/// The shares of keys that are sampled, and what they are called.
const SHARES: [(&str, f64); 2] = [("all keys", 1.0), ("0.01", 0.01)];

const CAPACITIES: usize = 20;

fn run(options: &Options) -> Table {
    let mut table = Table::new("Live sizing", LEGEND);
    let traces = traces::all(options);
    let errors: Vec<[f64; SHARES.len()]> = traces.iter().map(errors).collect();
    for (trace, errors) in traces.iter().zip(&errors) {
        table.push(row(&trace.name, errors));
    }
    let mean = |at: usize| errors.iter().map(|row| row[at]).sum::<f64>() / errors.len() as f64;
    table.push(row("mean", &std::array::from_fn(mean)));
    table.push(cost(options));
    table
}

fn row(name: &str, errors: &[f64; SHARES.len()]) -> Row {
    let cells = SHARES.iter().zip(errors).map(|((name, _), error)| (*name, Cell::share(*error, 0.0)));
    Row { name: name.to_owned(), detail: None, cells: cells.collect() }
}

fn errors(named: &Named) -> [f64; SHARES.len()] {
    let trace = &named.trace;
    let mut exact = MissRatioSampler::exact();
    trace.requests().iter().for_each(|key| exact.record(key));
    let exact = exact.curve();
    SHARES.map(|(_, share)| {
        let curve = replayed(named, share).miss_ratio_curve().expect("it was asked for");
        let distance = |part: usize| {
            let capacity = (trace.distinct() * part).div_ceil(CAPACITIES) as u64;
            (curve.hit_ratio_at(capacity) - exact.hit_ratio_at(capacity)).abs()
        };
        (1..=CAPACITIES).map(distance).sum::<f64>() / CAPACITIES as f64
    })
}

fn replayed(named: &Named, share: f64) -> LruCache<u32, ()> {
    let capacity = named.trace.distinct().div_ceil(100) as u64;
    let cache = LruCache::builder(capacity).live_sizing(share).build().expect("it has no fault");
    for key in named.trace.requests() {
        ask(&cache, *key);
    }
    cache
}

fn ask(cache: &impl Tier<Key = u32, Value = ()>, key: u32) {
    let face = cache.resident().expect("it is in memory");
    let hashed = Hashed::new(key);
    if face.get(hashed.borrowed()).is_none() {
        drop(face.put(hashed, face.prepare(&key, Entry::found(()))));
    }
}

fn cost(options: &Options) -> Row {
    const KEYS: usize = 100_000;
    let zipf = Zipf::new(KEYS, 0.99);
    let mut random = fastrand::Rng::with_seed(options.seed);
    let length = options.scale(1_000_000, 100_000);
    let keys: Vec<u32> = (0..length).map(|_| zipf.sample(random.f64())).collect();
    let contestant = |name, share: Option<f64>| {
        let builder = MemoryCache::builder().capacity(2 * KEYS as u64);
        let builder = share.into_iter().fold(builder, headwater::MemoryBuilder::live_sizing);
        let cache = builder.build().expect("it has no fault");
        (0..KEYS as u32).for_each(|key| ask(&cache, key));
        let keys = keys.clone();
        Contestant::new(name, move |_| {
            let began = Instant::now();
            keys.iter().for_each(|key| ask(&cache, *key));
            began.elapsed().as_nanos() as f64 / keys.len() as f64
        })
    };
    let contestants = vec![contestant("off", None), contestant("0.01", Some(0.01))];
    interleave(contestants, options.scale(51, 5), options.seed).row("a hit", "off")
}
