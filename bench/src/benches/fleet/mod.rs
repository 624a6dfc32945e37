//! `fleet`: one load per key across processes.
//!
//! Eight processes, each memory over Redis over one source, fetch the same key at once, which nobody
//! has fetched before; the source takes 50 ms. Counted is how often it is asked; measured is how much
//! later than its answer the processes that waited have the value: for the way of the answer, the
//! fill, the server's news of it and one more question each.

mod child;

use super::Bench;
use crate::harness::{Cell, Options, Row, Table};
use crate::processes::{Children, SourceServer, now};
use headwater_servers::Server;
use std::time::Duration;

pub(crate) use child::child;

pub(super) const BENCH: Bench = Bench {
    name: "fleet",
    about: "eight processes, one cold key in Redis: calls of the source, and how waiters wake",
    crates: &["redis"],
    run,
};

const PROCESSES: usize = 8;
const LOAD: Duration = Duration::from_millis(50);
const LEGEND: &str = "Eight processes fetch one cold key at once, from a source that takes 50 ms; \
    `polling` is the same without news from the server. Times are of processes that waited, from \
    the source's answer until they have the value.";

/// What one way of waiting came to.
struct Measured {
    name: &'static str,
    calls: Vec<u64>,
    delays: Vec<u64>,
}

fn run(options: &Options) -> Table {
    let rounds = options.scale(200, 20);
    let mut table = Table::new("A fleet on one cold key", LEGEND);
    let results = [("headwater", "news"), ("polling", "polling")].map(|(name, mode)| {
        let (calls, mut delays) = measure(mode, rounds);
        delays.sort_unstable();
        Measured { name, calls, delays }
    });
    let most = |calls: &[u64]| calls.iter().copied().max().unwrap_or_default();
    let row = |name: &str, cell: &dyn Fn(&Measured) -> Cell| Row {
        name: name.to_owned(),
        detail: Some(format!("{rounds} rounds")),
        cells: results.iter().map(|measured| (measured.name, cell(measured))).collect(),
    };
    table.push(row("calls of the source per round, at most", &|Measured { calls, .. }| {
        Cell::count(most(calls), Some(format!("{} in all", calls.iter().sum::<u64>())))
    }));
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("longest", 1.0)] {
        let name = format!("waiters have the value after, {name}, µs");
        table.push(row(&name, &|Measured { delays, .. }| {
            let at = ((delays.len() as f64 * share) as usize).min(delays.len().saturating_sub(1));
            Cell::count(delays.get(at).copied().unwrap_or_default() / 1_000, None)
        }));
    }
    table
}

/// Calls of the source per round, and the delays of those who waited, in nanoseconds.
fn measure(mode: &str, rounds: usize) -> (Vec<u64>, Vec<u64>) {
    let (server, source) = (Server::start(), SourceServer::start(LOAD, LOAD));
    let arguments = vec![server.url(), source.port().to_string(), mode.to_owned()];
    let mut children = Children::start("fleet", &vec![arguments; PROCESSES]);
    collect(&children, "ready");
    let (mut calls, mut delays) = (Vec::with_capacity(rounds), Vec::new());
    for round in 0..=rounds {
        let key = format!("key {round}");
        // So that all are there when it begins.
        children.say(&format!("{} {key}", now() + 20_000_000));
        let mut ends: Vec<u64> =
            collect(&children, "").iter().map(|line| line.parse().expect("a number")).collect();
        let (reads, answered) = source.reads(&key);
        ends.sort_unstable();
        // The first round is a warm-up; the first one in a round is the one that loaded.
        if round > 0 {
            calls.push(reads);
            delays.extend(ends[1..].iter().map(|end| end.saturating_sub(answered)));
        }
    }
    (calls, delays)
}

/// A line of each child.
fn collect(children: &Children, expected: &str) -> Vec<String> {
    (0..PROCESSES)
        .map(|_| {
            let (_, line) = children.hear().expect("every child answers");
            assert!(expected.is_empty() || line == expected, "{line}");
            line
        })
        .collect()
}
