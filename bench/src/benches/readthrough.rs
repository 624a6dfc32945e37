//! `readthrough`: hits and misses together, as a cache has them that is smaller than what is wanted.
//!
//! 1,000,000 keys are asked for by Zipf's law with exponent 0.99, in random places; the caches have room
//! for 100,000. Who does not have a key is given it. In the second pair of rows, three requests in ten
//! are a scan instead: keys that nobody asks for again. One thread; the first round fills the caches.
//! Instructions are counted in processes of their own, under valgrind, with requests that come after
//! those that fill the caches.

use super::Bench;
use crate::contenders::shelves::{Maker, makers};
use crate::harness::{
    Cell, Contestant, Options, Row, Table, Zipf, instructions, interleave,
};
use std::cell::Cell as Shared;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

pub(super) const BENCH: Bench = Bench {
    name: "readthrough",
    about: "hits and misses together, without a chain: time, instructions and hit ratio against rivals",
    crates: &["headwater", "quick_cache", "moka", "foyer-memory", "lru"],
    run,
};

const LEGEND: &str = "Times: the rival's divided by headwater's, 2.00 means that headwater is twice as \
    fast; in brackets the median time of one request. Instructions likewise. Hit ratios as they are.";

const KEYS: usize = 1_000_000;
const CAPACITY: usize = 100_000;
const EXPONENT: f64 = 0.99;

/// Scans go over so many keys before they begin again.
const SCANNED: u32 = 10_000_000;

/// What requests are called, and how many of them are of scans.
const MIXES: [(&str, f64); 2] = [("Zipf", 0.0), ("Zipf, 30 % scans", 0.3)];

fn run(options: &Options) -> Table {
    let mut table = Table::new("Reading through", LEGEND);
    for (what, scans) in MIXES {
        rows(what, scans, options).into_iter().for_each(|row| table.push(row));
    }
    for (what, scans) in MIXES {
        let name = format!("{what}: instructions per request");
        table.push_or_miss(&name, counted(&name, scans, options));
    }
    table
}

/// Requests without end: so many at a time, the numbers that the keys are.
fn requests(scans: f64, seed: u64) -> impl FnMut(usize) -> Arc<Vec<u64>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let zipf = Zipf::new(KEYS, EXPONENT);
    let mut scanned = 0;
    move |count| {
        let mut request = || {
            let number = if random.f64() < scans {
                scanned = (scanned + 1) % SCANNED;
                scanned + KEYS as u32
            } else {
                zipf.sample(random.f64())
            };
            u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        };
        Arc::new((0..count).map(|_| request()).collect())
    }
}

fn taking_part() -> impl Iterator<Item = Maker<u64, u64>> {
    makers::<u64, u64>().into_iter().filter(|maker| maker.0 != "headwater, closure")
}

/// The row of times and that of hit ratios.
fn rows(what: &str, scans: f64, options: &Options) -> [Row; 2] {
    let rounds = options.scale(9, 3);
    let mut requests = requests(scans, options.seed);
    let count = options.scale(2_000_000, 200_000);
    // The same for all, and another for each round; the first fills the caches.
    let rounds_of: Vec<_> = (0..=rounds).map(|_| requests(count)).collect();
    let order: Arc<Vec<u32>> = Arc::new((0..rounds_of[0].len() as u32).collect());
    let mut ratios = Vec::new();
    let mut contestants = Vec::new();
    for (name, make) in taking_part() {
        let (contestant, ratio) = contestant((name, make), &rounds_of, &order);
        contestants.push(contestant);
        ratios.push((name, ratio));
    }
    let times = interleave(contestants, rounds, options.seed).row(what, "headwater");
    let ratios: Vec<_> = ratios.into_iter().map(|(name, ratio)| (name, ratio.get())).collect();
    let own = ratios.iter().find(|(name, _)| *name == "headwater").map_or(0.0, |(_, own)| *own);
    let cells = ratios.into_iter().map(|(name, ratio)| (name, Cell::share(ratio, own - ratio)));
    [times, Row { name: format!("{what}: hit ratio"), detail: None, cells: cells.collect() }]
}

/// A cache at work, and its hit ratio in the last round.
fn contestant(
    (name, make): Maker<u64, u64>,
    rounds: &[Arc<Vec<u64>>],
    order: &Arc<Vec<u32>>,
) -> (Contestant, Rc<Shared<f64>>) {
    let (rounds, order) = (rounds.to_vec(), Arc::clone(order));
    let (shelf, ratio) = (make(CAPACITY, || 7), Rc::new(Shared::new(0.0)));
    let last = Rc::clone(&ratio);
    let lap = move |round: usize| {
        let began = Instant::now();
        let hits = shelf.read_through(&rounds[round], &order);
        let nanoseconds = began.elapsed().as_nanos() as f64 / order.len() as f64;
        last.set(hits as f64 / order.len() as f64);
        nanoseconds
    };
    (Contestant::new(name, lap), ratio)
}

/// The row of instructions, or why there is none.
fn counted(name: &str, scans: f64, options: &Options) -> Result<Row, String> {
    let [filling, requests] = options.scale([2_000_000, 400_000], [500_000, 100_000]);
    let numbers = [scans.to_string(), filling.to_string(), requests.to_string(), options.seed.to_string()];
    let run = |(cache, _): Maker<u64, u64>| (cache, [&[cache.to_owned()], &numbers[..]].concat());
    let runs: Vec<_> = taking_part().map(run).collect();
    instructions::row(name, "readthrough", &runs, requests, "headwater")
}

/// Reads through the cache that it is told: the share of scans, how many requests to fill it and how
/// many to count, and the seed.
pub(crate) fn child(arguments: &[String]) {
    let [cache, scans, filling, counted, seed] = arguments else { panic!("five arguments") };
    let number = |text: &String| text.parse::<usize>().expect("a number");
    let (filling, counted) = (number(filling), number(counted));
    let (scans, seed) = (scans.parse().expect("a share"), seed.parse().expect("a number"));
    let mut requests = requests(scans, seed);
    let (warming, counted) = (requests(filling), requests(counted));
    let order: Vec<u32> = (0..filling.max(counted.len()) as u32).collect();
    let (_, make) = taking_part().find(|maker| maker.0 == cache).expect("a contender's name");
    let shelf = make(CAPACITY, || 7);
    shelf.read_through(&warming, &order[..filling]);
    instructions::counted(&mut || {
        shelf.read_through(&counted, &order[..counted.len()]);
    });
}
