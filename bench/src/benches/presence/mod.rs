//! `presence`: what a roster costs, against what Redis can do at best.
//!
//! - Heartbeats: 100,000 connections are touched, in batches as a roster sends them. What counts is the
//!   time that the server computes, because that is what all processes share; `bare ZADD XX` is one
//!   command for 1,000 members, which finds nobody missing and keeps no count of keys, `bare PEXPIRE` a
//!   pipeline over one Redis key per connection.
//! - Joins: the same for `bare join`, a pipeline of the five commands that keep a connection, its name,
//!   its value, its key and the log, without being one step.
//! - Bytes: what the server's memory grows by, and this process's for the roster in memory.
//! - Delays: from before a join in one process until a watcher in another is told, and the same with
//!   10,000 joins at once. In memory it is one process.
//!
//! - Writes: 10,000 connections of one process join a roster on an emulator of Firestore, and what its
//!   store counts as billed (writes and deletes) from one heartbeat to the third after it is divided by
//!   the heartbeats that it confirmed to single connections. Per day is that share of what a write for
//!   each connection and heartbeat of 20 s would be. A full run beats every 20 s, give or take the tenth
//!   by which beats come earlier; a quick one every 2 s.
//!
//! Without a server there is nobody else to pay: there the time is this thread's.

mod bare;
mod crowd;
mod world;
mod writes;

use super::Bench;
use crate::harness::{Cell, Contestant, Options, Row, Table, interleave};
use crowd::Seen;
use std::rc::Rc;
use world::World;

pub(crate) use crowd::child;

pub(super) const BENCH: Bench = Bench {
    name: "presence",
    about: "a roster's heartbeats, joins, bytes, delays and billed writes: against bare Redis, and in memory",
    crates: &["firestore", "redis", "tokio"],
    run,
};

const LEGEND: &str = "Of times, the rival's divided by headwater's on Redis: 1.00 is the same, higher \
    is better for us; in brackets, per connection, the server's time (in memory, the thread's). \
    Counts are plain; a share is of one write per connection and heartbeat.";

fn run(options: &Options) -> Table {
    let count = options.scale(100_000, 20_000);
    let world = Rc::new(World::start(count));
    let mut table = Table::new(format!("Presence, {count} connections"), LEGEND);
    let rounds = options.scale(11, 5);
    let beats = lap_row("heartbeat", World::BEATS, &world, rounds, options.seed);
    table.push(per_second(&beats));
    table.push(beats);
    table.push(lap_row("join", World::JOINS, &world, rounds, options.seed));
    let bytes = world.bytes.iter().map(|(name, bytes)| (*name, Cell::count(*bytes, None)));
    table.push(Row { name: "bytes per connection".to_owned(), detail: None, cells: bytes.collect() });
    let redis = crowd::on_redis(&world.url(), options);
    let memory = crowd::in_memory(options);
    for row in crowd_rows(&[("headwater", redis), ("memory", memory)]) {
        table.push(row);
    }
    for row in writes::rows(options) {
        table.push(row);
    }
    table
}

/// What contenders do in a lap of a row.
type Lap = (&'static str, fn(&World) -> f64);

fn lap_row(name: &str, laps: &[Lap], world: &Rc<World>, rounds: usize, seed: u64) -> Row {
    let contestants = laps.iter().map(|(name, lap)| {
        let (world, lap) = (Rc::clone(world), *lap);
        Contestant::new(name, move |_| lap(&world))
    });
    interleave(contestants.collect(), rounds, seed).row(name, "headwater")
}

fn per_second(beats: &Row) -> Row {
    let cells = beats.cells.iter().map(|(name, cell)| {
        let note = (*name == "memory").then(|| "by one thread".to_owned());
        (*name, Cell::count((1e9 / cell.value) as u64, note))
    });
    let name = "heartbeats per second and core of Redis".to_owned();
    Row { name, detail: None, cells: cells.collect() }
}

fn crowd_rows(seen: &[(&'static str, Seen)]) -> Vec<Row> {
    let row = |name: &str, of: &dyn Fn(&Seen) -> u64| Row {
        name: name.to_owned(),
        detail: None,
        cells: seen.iter().map(|(name, seen)| (*name, Cell::count(of(seen), None))).collect(),
    };
    vec![
        row("a join is seen elsewhere after, p50, µs", &|seen| seen.delay(0.5)),
        row("a join is seen elsewhere after, p99, µs", &|seen| seen.delay(0.99)),
        row("10,000 join at once: all are in after, ms", &|seen| seen.joined_ms),
        row("10,000 join at once: all are seen elsewhere after, ms", &|seen| seen.seen_ms),
        row("10,000 join at once: tries that failed", &|seen| seen.failed),
    ]
}
