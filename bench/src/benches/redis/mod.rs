//! `redis`: what a tier in Redis costs, against the bare client and another cache on the same server.
//!
//! The server is started by the bench. All keys are resident in it; our chain has one tier, a
//! [`RedisCache`] as it is by default, and its source stops the bench if it is asked. Everybody reads
//! the same records and decodes them; ours also reads how long each has to live, and keeps the
//! promises of a tier: time limits, breaker, envelope, namespace, one load per key.
//!
//! - `tier alone` is our tier without the engine: no shared loads, no batches, no counters;
//! - `bare GET` and `bare MGET` are what the client can do at best, without lives;
//! - `bare MGET + PTTL` is one pipeline, as one would write by hand who wants the lives too;
//! - `cached` is the `AsyncRedisCache` of that crate, without lives;
//! - `fred GET` and `fred MGET` are what another client can do, as it is by default, without lives.
//!
//! Everybody has two threads, but for one key at a time: there the median would be of two kinds of
//! calls, those that wake another thread and those that need not, so it is one thread.
//!
//! [`RedisCache`]: headwater::redis::RedisCache

mod contestants;

use super::Bench;
use crate::harness::{Options, Row, Table, interleave};
use headwater_servers::Server;
use contestants::{Many, One, World};
use std::sync::Arc;

pub(super) const BENCH: Bench = Bench {
    name: "redis",
    about: "fetch and fetch_many through a tier in Redis: time against bare clients and cached",
    crates: &["redis", "cached", "fred", "tokio"],
    run,
};

const LEGEND: &str = "The rival's time divided by headwater's: 1.00 is the same, higher is better for \
    us. In brackets the median time of one operation: of a batch of 100 keys, or of one key; among \
    many at once, the time of all divided by their number.";

fn run(options: &Options) -> Table {
    let server = Server::start();
    let alone = Arc::new(World::new(&server.url(), 1, options.seed));
    let world = Arc::new(World::new(&server.url(), 2, options.seed));
    let mut table = Table::new("A tier in Redis: speed against the bare client", LEGEND);
    for at_once in [1, 16] {
        table.push(many(options, &world, at_once));
    }
    table.push(one(options, &alone, 1));
    for at_once in [64, 512] {
        table.push(one(options, &world, at_once));
    }
    table
}

fn many(options: &Options, world: &Arc<World>, at_once: usize) -> Row {
    let batches = options.scale(400, 100).max(at_once);
    let contestants = Many::ALL.map(|who| who.contestant(world, at_once, batches));
    let laps = interleave(contestants.into(), options.scale(21, 5), options.seed);
    let name = match at_once {
        1 => "fetch_many of 100 keys".to_owned(),
        _ => format!("fetch_many of 100 keys, {at_once} at once"),
    };
    laps.row(&name, "headwater")
}

fn one(options: &Options, world: &Arc<World>, at_once: usize) -> Row {
    let fetches = match at_once {
        1 => options.scale(4_000, 1_000),
        _ => options.scale(40_000, 10_000),
    };
    let contestants = One::ALL.map(|who| who.contestant(world, at_once, fetches));
    let laps = interleave(contestants.into(), options.scale(21, 5), options.seed);
    let name = match at_once {
        1 => "fetch of one key, p50".to_owned(),
        _ => format!("fetch of one key, {at_once} at once"),
    };
    laps.row(&name, "headwater")
}
