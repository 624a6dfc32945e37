//! `first`: what the first flow costs, from `fetch` to the answer.
//!
//! Every row runs the same calls on every contender in interleaved rounds (see
//! [`crate::harness`]): `String` keys looked up by `&str`, values `Arc` of 200 bytes, the async call
//! that reads through. Keys and their order are made before the clock starts, and are the same for
//! everybody. A cache of fewer abilities is not charged for what it does without: what the
//! abilities are worth is in `correctness`.
//!
//! Ours is the chain of the README, `source -> LruCache`: exact least-recently-used order behind
//! one lock. Rivals run with the policy and the sharding that are their defaults.

mod cold;
mod hit;
mod miss;
mod refetch;
mod world;

use super::Bench;
use crate::contenders::CRATES;
use crate::harness::{Options, Table};

pub(super) const BENCH: Bench = Bench {
    name: "first",
    about: "hit, miss, stampede and refetch through a chain in memory: time against rivals",
    crates: CRATES,
    run,
};

const LEGEND: &str = "The rival's time divided by headwater's: 1.00 is the same, 2.00 means that \
    headwater is twice as fast, higher is better for us. In brackets the median time of one \
    operation (of all 1,000 tasks, for a stampede). Loads are numbers.";

fn run(options: &Options) -> Table {
    let mut table = Table::new("First flow: speed against rivals", LEGEND);
    table.push(hit::row(options, 1));
    table.push(hit::row(options, 2));
    table.push(miss::row(options));
    table.push(refetch::row(options));
    cold::rows(options).into_iter().for_each(|row| table.push(row));
    table
}
