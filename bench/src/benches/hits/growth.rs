//! Cost with size: how much more a hit costs in a large cache than in a small one.
//!
//! Every key is as likely as any other, so that the processor's caches help with small sizes and not
//! with large ones; `hashbrown`, a map that nobody shares, shows what that alone comes to.

use super::numbers;
use crate::contenders::shelves::{MAP, makers_and_map};
use crate::harness::{Cell, Contestant, Options, Row, Table, interleave, machine, median};
use std::time::Instant;

const OURS: &str = "headwater";

/// How many entries there are, and how that is written. The first is what growth is counted from.
type Size = (usize, &'static str);

const SIZES: [Size; 4] =
    [(1_000, "1,000"), (10_000, "10,000"), (100_000, "100,000"), (1_000_000, "1,000,000")];

/// The size that is not in a quick run, and the memory without which it is in none.
const LARGEST: Size = (10_000_000, "10,000,000");
const NEEDED: u64 = 4 << 30;

pub(super) fn rows(table: &mut Table, options: &Options) {
    let mut sizes = SIZES.to_vec();
    match machine::available_memory() {
        _ if options.quick => {}
        Some(free) if free >= NEEDED => sizes.push(LARGEST),
        _ => table.miss(&name(LARGEST), "there are less than 4 GiB of memory available"),
    }
    let laps = laps(&sizes, options);
    let mut worst: f64 = 0.0;
    for (at, size) in sizes.iter().enumerate() {
        let [ours, map] = [0, 1].map(|who| growth(&laps[who], &laps[2 * at + who]));
        worst = worst.max(median(ours.iter().zip(&map).map(|(ours, map)| ours / map).collect()));
        let cell = |who: usize, growth| Cell::time(median(laps[2 * at + who].clone()), median(growth));
        let cells = vec![(OURS, cell(0, ours)), (MAP, cell(1, map))];
        table.push(Row { name: name(*size), detail: None, cells });
    }
    let cells = vec![(OURS, Cell::factor(worst))];
    let name = "cost with size: growth against hashbrown's, at most".to_owned();
    table.push(Row { name, detail: None, cells });
}

fn name((_, written): Size) -> String {
    format!("cost with size: {written} entries")
}

/// How many times as long as the small ones the large ones took, round by round.
fn growth(small: &[f64], large: &[f64]) -> Vec<f64> {
    small.iter().zip(large).map(|(small, large)| large / small).collect()
}

/// What was measured: for each size ours, then the map's.
fn laps(sizes: &[Size], options: &Options) -> Vec<Vec<f64>> {
    let mut random = fastrand::Rng::with_seed(options.seed);
    let contestants = sizes.iter().flat_map(|&(size, _)| {
        let keys = numbers(size);
        let count = options.scale(1_000_000, 300_000);
        // One after the other in memory, so that finding out what is wanted costs nothing.
        let wanted: Vec<u64> = (0..count).map(|_| keys[random.usize(..size)]).collect();
        [OURS, MAP].map(|name| contestant(name, &keys, wanted.clone()))
    });
    let contestants = contestants.collect();
    interleave(contestants, options.scale(21, 11), options.seed).into_times()
}

fn contestant(name: &'static str, keys: &[u64], wanted: Vec<u64>) -> Contestant {
    let makers = makers_and_map::<u64, u64>();
    let (_, make) = makers.iter().find(|maker| maker.0 == name).expect("it takes part");
    let shelf = make(2 * keys.len(), || 7);
    keys.iter().for_each(|key| shelf.put(key));
    let order: Vec<u32> = (0..wanted.len() as u32).collect();
    Contestant::new(name, move |_| timed(wanted.len(), || shelf.hits(&wanted, &order)))
}

/// The nanoseconds of each of so many hits.
fn timed(count: usize, hits: impl FnOnce() -> usize) -> f64 {
    let began = Instant::now();
    assert_eq!(hits(), count, "all keys are resident");
    began.elapsed().as_nanos() as f64 / count as f64
}
