//! `hitratio`: how many requests find their key, by policy, over traces and capacities.
//!
//! Every cache is asked for each key of a trace in turn, and given the key if it does not have it.
//! Each is itself, as its documentation has it used, with its defaults but for the capacity: what
//! sharding, approximation and work put off cost is part of the figure. Capacities are parts of the
//! number of distinct keys, so that the row `mean` weighs every trace alike.
//!
//! Which traces, [`traces`] says: FILES, the shared ones if they are there, or synthetic ones, which
//! show what a policy is made of and need no file.
//!
//! Two columns are no caches that one could use: a simulation of W-TinyLFU, and the optimum of who
//! knows the future.

mod contestants;
mod sims;

use super::Bench;
use crate::harness::{Cell, Options, Row, Table};
use contestants::{ALL, BASELINE, Contestant};
use headwater_replay::Optimum;
use sims::WTinyLfu;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use crate::traces::{self, Named};

pub(super) const BENCH: Bench = Bench {
    name: "hitratio",
    about: "hit ratio by policy over traces (FILES, shared or synthetic ones) at 0.1 to 20 % of their keys",
    crates: &["headwater", "quick_cache", "moka", "foyer-memory", "sieve-cache", "lru"],
    run,
};

const LEGEND: &str = "Hits per request; higher is better. Capacities in percent of the trace's \
    distinct keys. `behind the best rival` is the most, over all rows, that the best rival is ahead \
    of headwater; moka as it is does not count there, because it holds more than its capacity. \
    W-TinyLFU is simulated without shards, with a window that adapts; the optimum knows the future.";

/// Capacities in thousandths of the distinct keys.
const CAPACITIES: [usize; 5] = [1, 10, 50, 100, 200];

/// What is measured at each point: the contestants, in their order, and what is simulated.
const COLUMNS: usize = ALL.len() + SIMULATED.len();
const SIMULATED: [&str; 2] = ["W-TinyLFU, sim", "optimum"];

type Ratios = [f64; COLUMNS];

fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|contestant| contestant.name).chain(SIMULATED)
}

/// One trace at one capacity.
struct Point {
    trace: Named,
    per_mille: usize,
}

impl Point {
    fn capacity(&self) -> usize {
        (self.trace.trace.distinct() * self.per_mille).div_ceil(1_000).max(1)
    }

    fn name(&self) -> String {
        format!("{}, {} %", self.trace.name, self.per_mille as f64 / 10.0)
    }

    fn ratios(&self) -> Ratios {
        let all = ALL.iter().map(|contestant| self.contest(contestant));
        let hits: Vec<u64> = all.chain([self.w_tiny_lfu(), self.optimum()]).collect();
        let requests = self.trace.trace.requests().len().max(1) as f64;
        std::array::from_fn(|at| hits[at] as f64 / requests)
    }

    fn contest(&self, contestant: &Contestant) -> u64 {
        let mut ask = (contestant.build)(self.capacity());
        // Spread over all numbers, as keys are that were not numbered.
        let key = |number: u32| u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.count(|number| ask(key(number)))
    }

    fn w_tiny_lfu(&self) -> u64 {
        let mut cache = WTinyLfu::new(self.capacity(), self.trace.trace.distinct());
        self.count(|key| cache.ask(key))
    }

    fn optimum(&self) -> u64 {
        Optimum::new(&self.trace.trace).hits(self.capacity(), || true).unwrap_or(0)
    }

    fn count(&self, mut is_hit: impl FnMut(u32) -> bool) -> u64 {
        self.trace.trace.requests().iter().filter(|key| is_hit(**key)).count() as u64
    }
}

fn run(options: &Options) -> Table {
    let traces = traces::all(options);
    let capacities = CAPACITIES.iter().skip(options.scale(0, 1)).step_by(options.scale(1, 2));
    let points: Vec<Point> = traces
        .iter()
        .flat_map(|trace| capacities.clone().map(|&per_mille| Point { trace: trace.clone(), per_mille }))
        .collect();
    table(&points, &ratios(&points))
}

/// The hit ratios at every point, on all processors.
fn ratios(points: &[Point]) -> Vec<Ratios> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Relaxed);
            let Some(point) = points.get(at) else { break done };
            done.push((at, point.ratios()));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut all = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Vec<_>>| worker.join();
        let parts = workers.into_iter().map(|worker| join(worker).expect("no cache panics"));
        parts.flatten().collect::<Vec<_>>()
    });
    all.sort_unstable_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, ratios)| ratios).collect()
}

fn table(points: &[Point], ratios: &[Ratios]) -> Table {
    let mut table = Table::new("Hit ratio", LEGEND);
    for (point, ratios) in points.iter().zip(ratios) {
        table.push(row(point.name(), ratios));
    }
    let mean = |at: usize| ratios.iter().map(|row| row[at]).sum::<f64>() / ratios.len() as f64;
    table.push(row("mean".to_owned(), &std::array::from_fn(mean)));
    let behind = ratios.iter().map(behind).fold(f64::MIN, f64::max);
    let cells = vec![(ALL[BASELINE].name, Cell::share(behind, 0.0))];
    table.push(Row { name: "behind the best rival".to_owned(), detail: None, cells });
    table
}

fn row(name: String, ratios: &Ratios) -> Row {
    let cell = |ratio: &f64| Cell::share(*ratio, ratios[BASELINE] - ratio);
    let cells = names().zip(ratios.iter().map(cell));
    Row { name, detail: None, cells: cells.collect() }
}

/// By how much the best rival that keeps to its capacity is ahead of us in a row.
fn behind(ratios: &Ratios) -> f64 {
    let is_fair = |contestant: &Contestant| contestant.is_rival && contestant.keeps_its_capacity;
    let rivals = ALL.iter().zip(ratios).filter(|(contestant, _)| is_fair(contestant));
    rivals.map(|(_, ratio)| *ratio).fold(f64::MIN, f64::max) - ratios[BASELINE]
}
