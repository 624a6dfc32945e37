//! `freshness`: how soon a document that somebody else has changed is fresh in memory.
//!
//! Two processes, each memory over Redis over Firestore's emulator (`hidane`), neither with lives that
//! would matter. One of them is elected to listen, the other one hears of it by Redis' news. Both have a
//! document in memory; the bare client changes it; both fetch it over and over, once per millisecond,
//! until they see the change. Measured from before the write is sent: the write, the server's news of it,
//! the invalidation, Redis' news of that, and the load of whoever asks first are all in it.

mod child;

use super::Bench;
use crate::harness::{Cell, Options, Row, Table};
use crate::processes::{Children, Documents, now};
use headwater_servers::emulator::{Emulator, Make};
use headwater_servers::Server;
use std::time::Duration;

pub(crate) use child::child;

pub(super) const BENCH: Bench = Bench {
    name: "freshness",
    about: "how soon a document changed by others is fresh in each process's memory",
    crates: &["firestore", "redis"],
    run,
};

const PROCESSES: usize = 2;
const LEGEND: &str = "From before the bare client's write is sent until a fetch through memory and \
    Redis sees it; fetched once per millisecond. `listener` is the process that listens for both.";

fn run(options: &Options) -> Table {
    let mut table = Table::new("Freshness after a change at Firestore", LEGEND);
    rows(options).into_iter().for_each(|row| table.push(row));
    table
}

/// What is measured; `firestore` shows it too.
pub(super) fn rows(options: &Options) -> Vec<Row> {
    let changes = options.scale(200, 40);
    let mut delays = measure(changes);
    delays.iter_mut().for_each(|(_, delays)| delays.sort_unstable());
    let row = |(name, share): (&str, f64)| {
        let cell = |delays: &[u64]| {
            let at = ((delays.len() as f64 * share) as usize).min(delays.len().saturating_sub(1));
            Cell::count(delays.get(at).copied().unwrap_or_default() / 1_000, None)
        };
        Row {
            name: format!("fresh after, {name}, µs"),
            detail: Some(format!("{changes} changes")),
            cells: delays.iter().map(|(who, delays)| (*who, cell(delays))).collect(),
        }
    };
    [("p50", 0.5), ("p99", 0.99), ("longest", 1.0)].into_iter().map(row).collect()
}

/// The delays of each process, in nanoseconds.
fn measure(changes: usize) -> Vec<(&'static str, Vec<u64>)> {
    let (redis, server) = (Server::start(), Emulator::start(Make::Hidane));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system gives a runtime");
    let documents = runtime.block_on(Documents::at(&server.host()));
    let write = |key: &str, number| {
        assert!(runtime.block_on(documents.write(key, number)), "the emulator takes it");
    };
    let arguments = vec![redis.url(), server.host()];
    let mut children = Children::start("freshness", &vec![arguments; PROCESSES]);
    let mut delays = vec![("listener", Vec::new()), ("another process", Vec::new())];
    let roles = collect(&children);
    assert_ne!(roles[0], roles[1], "one listens, the other one follows");
    for round in 0..=changes {
        let key = format!("k{}", round % 16);
        write(&key, 2 * round as u64 + 1);
        children.say(&format!("keep {key} {}", 2 * round + 1));
        collect(&children);
        children.say(&format!("await {key} {}", 2 * round + 2));
        // So that both are there when it happens.
        std::thread::sleep(Duration::from_millis(5));
        let began = now();
        write(&key, 2 * round as u64 + 2);
        // The first round is a warm-up.
        for (number, line) in collect(&children).iter().enumerate().filter(|_| round > 0) {
            let seen: u64 = line.parse().expect("a moment");
            let own = usize::from(roles[number] != "listener");
            delays[own].1.push(seen.saturating_sub(began));
        }
    }
    delays
}

/// A line of each child, in their order.
fn collect(children: &Children) -> Vec<String> {
    let mut lines = vec![String::new(); PROCESSES];
    for _ in 0..PROCESSES {
        let (number, line) = children.hear().expect("every child answers");
        lines[number] = line;
    }
    lines
}
