//! `coherence`: whether anybody ever sees what it must not, under faults.
//!
//! Four processes, each memory over Redis over one source, read sixteen keys, write the source and
//! invalidate at random, while the server is killed, restarted empty, stopped and flushed, and
//! connections are cut or go silent. Each records what it read and which invalidations were
//! confirmed, on a clock that they share; afterwards the history is held against the promises:
//!
//! - R4 in the same process: a read that begins after an invalidation was confirmed sees the version
//!   that it was for, or a later one. At once.
//! - R4 in another process: the same, if it begins later than `max_staleness` (1 s) after it, and half
//!   a second for a machine on which nobody runs at once.
//! - R5: nothing that was read is older than its life.
//!
//! A second, shorter run has no leases and no news, and must be found out: else nothing was checked.

mod checker;
mod child;

use super::Bench;
use crate::harness::{Cell, Options, Row, Table};
use crate::processes::{Children, Faults, Proxy, SourceServer};
use headwater_servers::Server;
use checker::Findings;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(crate) use child::child;

pub(super) const BENCH: Bench = Bench {
    name: "coherence",
    about: "processes that read and invalidate while Redis fails: stale reads counted (ours: 0)",
    crates: &["redis"],
    run,
};

const PROCESSES: usize = 4;
/// How old an entry may get, from the source's answer on.
const LIFE: Duration = Duration::from_secs(5);
/// For what a machine adds to each bound.
const ALLOWANCE: Duration = Duration::from_millis(500);
/// The bound of R4 between processes, and what the caches are told it is without the allowance.
const MAX_STALENESS: Duration = Duration::from_secs(1);
const LEGEND: &str = "Violations: 0 is right. `no fence` runs a quarter of the time without leases \
    and without news, and must be found out.";

fn run(options: &Options) -> Table {
    let seconds = options.seconds.unwrap_or_else(|| options.scale(60, 20));
    let runs = [("headwater", "fence", seconds), ("no fence", "none", (seconds / 4).max(5))];
    let results = runs.map(|(name, fence, seconds)| {
        let (findings, faults) = measure(fence, Duration::from_secs(seconds), options.seed);
        (name, findings, faults)
    });
    let mut table = Table::new(format!("Coherence under faults, {seconds} s"), LEGEND);
    let mut push = |name: &str, of: &dyn Fn(&Findings, &Faults) -> Cell| {
        let cells = results.iter().map(|(name, findings, faults)| (*name, of(findings, faults)));
        table.push(Row { name: name.to_owned(), detail: None, cells: cells.collect() });
    };
    let count = |number: u64| Cell::count(number, None);
    push("R4: stale after an invalidation of the same process", &|found, _| count(found.own));
    push("R4: stale after another's, later than the bound", &|found, _| count(found.others));
    push("R5: older than its life", &|found, _| count(found.aged));
    push("longest that a value outlived another's invalidation, ms", &|found, _| {
        count(found.longest / 1_000_000)
    });
    push("reads that outlived another's invalidation at all", &|found, _| count(found.stale));
    push("reads checked", &|found, _| count(found.reads));
    push("invalidations confirmed", &|found, _| {
        Cell::count(found.invalidations, Some(format!("{} failed", found.failed)))
    });
    push("faults", &|_, faults| Cell::count(faults.total(), Some(faults.to_string())));
    table
}

/// Runs the processes and the faults, and checks what was recorded.
fn measure(fence: &str, span: Duration, seed: u64) -> (Findings, Faults) {
    let mut server = Server::start();
    let source = SourceServer::start(Duration::from_millis(1), Duration::from_millis(30));
    let proxies: Vec<Proxy> = (0..PROCESSES).map(|_| Proxy::to(server.port())).collect();
    let files: Vec<PathBuf> = (0..PROCESSES).map(history).collect();
    let arguments = proxies.iter().zip(&files).enumerate().map(|(number, (proxy, file))| {
        let (source, seed) = (source.port().to_string(), seed + number as u64);
        vec![proxy.url(), source, fence.to_owned(), seed.to_string(), file.display().to_string()]
    });
    let mut children = Children::start("coherence", &arguments.collect::<Vec<_>>());
    for _ in 0..PROCESSES {
        children.hear().expect("every child begins");
    }
    let mut faults = Faults::new(seed);
    let end = Instant::now() + span;
    while Instant::now() < end {
        faults.happen(&mut server, &proxies);
    }
    children.end();
    for _ in 0..PROCESSES {
        children.hear().expect("every child ends");
    }
    let findings = checker::check(&files);
    files.iter().for_each(|file| drop(std::fs::remove_file(file)));
    (findings, faults)
}

fn history(number: usize) -> PathBuf {
    std::env::temp_dir().join(format!("headwater-coherence-{}-{number}", std::process::id()))
}
