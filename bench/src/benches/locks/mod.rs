//! `locks`: whether two owners of one lock ever undo each other's work, under faults.
//!
//! Four processes with many tasks each take locks on a few names, and some sleep for longer than a
//! lock lasts without looking at the clock, while the server is killed, restarted empty, stopped and
//! flushed, and connections are cut or go silent. Each owner reads a number from a register and writes
//! it back, one larger, both times with its fencing token; the register refuses tokens smaller than
//! it has seen. Then the history is held against the promises:
//!
//! - No write is accepted that was worked out from a number that somebody else has replaced since.
//! - A lock that was asked for after another one of that name was taken has a larger token.
//!
//! A second, shorter run has a register that does not look at tokens, and must be found out: locks by
//! themselves cannot prevent it.

mod child;
mod history;
mod register;

use super::Bench;
use crate::harness::{Cell, Options, Row, Table};
use crate::processes::{Children, Faults, Proxy};
use headwater_servers::Server;
use history::History;
use register::{Fencing, Register, Tally};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(crate) use child::child;

pub(super) const BENCH: Bench = Bench {
    name: "locks",
    about: "processes that write under locks while Redis fails: lost writes counted (ours: 0)",
    crates: &["redis"],
    run,
};

const PROCESSES: usize = 4;
const LEGEND: &str = "Violations: 0 is right. `no fencing` runs a quarter of the time with a register \
    that does not look at tokens, and must be found out.";

fn run(options: &Options) -> Table {
    let seconds = options.seconds.unwrap_or_else(|| options.scale(90, 20));
    let runs = [
        ("headwater", Fencing::On, seconds),
        ("no fencing", Fencing::Off, (seconds / 4).max(10)),
    ];
    let results = runs.map(|(name, fencing, seconds)| {
        (name, measure(fencing, Duration::from_secs(seconds), options.seed))
    });
    let mut table = Table::new(format!("Locks under faults, {seconds} s"), LEGEND);
    let mut push = |name: &str, of: &dyn Fn(&Found) -> Cell| {
        let cells = results.iter().map(|(name, found)| (*name, of(found)));
        table.push(Row { name: name.to_owned(), detail: None, cells: cells.collect() });
    };
    let count = |number: u64| Cell::count(number, None);
    push("writes that undid another owner's", &|found| count(found.tally.lost));
    push("tokens that did not grow", &|found| count(found.history.backward));
    push("locks taken", &|found| {
        Cell::count(found.history.taken, Some(format!("{} failed", found.history.failed)))
    });
    push("writes accepted", &|found| count(found.tally.accepted));
    push("refused for their tokens", &|found| count(found.tally.refused));
    push("faults", &|found| {
        Cell::count(found.faults.total(), Some(found.faults.to_string()))
    });
    table
}

/// What came of one run.
struct Found {
    tally: Tally,
    history: History,
    faults: Faults,
}

/// Runs the processes and the faults, and checks what was recorded.
fn measure(fencing: Fencing, span: Duration, seed: u64) -> Found {
    let mut server = Server::start();
    let register = Register::start(fencing);
    let proxies: Vec<Proxy> = (0..PROCESSES).map(|_| Proxy::to(server.port())).collect();
    let files: Vec<PathBuf> = (0..PROCESSES).map(file).collect();
    let arguments = proxies.iter().zip(&files).enumerate().map(|(number, (proxy, file))| {
        let (port, seed) = (register.port().to_string(), seed + number as u64);
        vec![proxy.url(), port, seed.to_string(), file.display().to_string()]
    });
    let mut children = Children::start("locks", &arguments.collect::<Vec<_>>());
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
    let found = Found { tally: register.tally(), history: History::read(&files), faults };
    files.iter().for_each(|file| drop(std::fs::remove_file(file)));
    found
}

fn file(number: usize) -> PathBuf {
    std::env::temp_dir().join(format!("headwater-locks-{}-{number}", std::process::id()))
}
