//! `watch`: whether watchers are told all that happens, once and in order, under faults (P4).
//!
//! Four processes have connections come, go and say ever larger numbers, on a few keys; each also
//! watches, with three watchers that keep up and one that does not. A fifth process is killed and
//! started again and again, so that its connections expire. Meanwhile the server is killed, restarted
//! empty, stopped and flushed, and connections are cut or go silent. Each watcher's story is replayed:
//!
//! - No step is told that is not possible after those before it: nobody joins who is there, leaves who
//!   is not, comes online with others there.
//! - No connection says a smaller number than before.
//! - When all has come to rest, each watcher sees exactly who is there: by what those say who hold the
//!   connections, and by what the store lists.
//!
//! Two shorter runs have watchers that leave out, or take twice, one event of 50, and must be found out.

mod child;
mod replay;

use super::Bench;
use crate::harness::{Cell, Options, Row, Table};
use crate::processes::{Children, Faults, Proxy};
use headwater_servers::Server;
use replay::Tally;
use std::time::{Duration, Instant};

pub(crate) use child::child;

pub(super) const BENCH: Bench = Bench {
    name: "watch",
    about: "processes that watch who is there while Redis fails: stories that cannot be (ours: 0)",
    crates: &["redis"],
    run,
};

const PROCESSES: usize = 4;
/// The mode of watchers that take what they are told.
const RIGHT: &str = "right";
const LEGEND: &str = "Violations: 0 is right. `drops` and `doubles` run a quarter of the time with \
    watchers that leave out, or take twice, one event of 50, and must be found out.";

fn run(options: &Options) -> Table {
    let seconds = options.seconds.unwrap_or_else(|| options.scale(90, 20));
    let control = (seconds / 4).max(5);
    let runs = [("headwater", RIGHT, seconds), ("drops", "drops", control), ("doubles", "doubles", control)];
    let results = runs.map(|(name, mode, seconds)| {
        (name, measure(mode, Duration::from_secs(seconds), options.seed))
    });
    let mut table = Table::new(format!("Watchers under faults, {seconds} s"), LEGEND);
    let mut push = |name: &str, of: &dyn Fn(&Found) -> Cell| {
        let cells = results.iter().map(|(name, found)| (*name, of(found)));
        table.push(Row { name: name.to_owned(), detail: None, cells: cells.collect() });
    };
    let count = |number: u64| Cell::count(number, None);
    push("steps that cannot be", &|found| count(found.tally.impossible));
    push("numbers that went back", &|found| count(found.tally.backward));
    push("watchers that end elsewhere", &|found| {
        Cell::count(found.tally.elsewhere, Some(format!("of {}", found.tally.watchers)))
    });
    push("events", &|found| count(found.tally.events));
    push("snapshots after losses", &|found| count(found.tally.resyncs));
    push("snapshots for the slow", &|found| count(found.tally.lags));
    push("processes killed", &|found| count(found.killed));
    push("faults", &|found| {
        Cell::count(found.faults.total(), Some(found.faults.to_string()))
    });
    table
}

/// What came of one run.
struct Found {
    tally: Tally,
    killed: u64,
    faults: Faults,
}

/// Runs the processes and the faults, and has all come to rest.
fn measure(mode: &str, span: Duration, seed: u64) -> Found {
    let mut server = Server::start();
    let proxies: Vec<Proxy> = (0..=PROCESSES).map(|_| Proxy::to(server.port())).collect();
    let arguments = |proxy: &Proxy, number: u64, mode: &str| {
        vec![proxy.url(), (seed + number).to_string(), mode.to_owned()]
    };
    let all: Vec<_> =
        (0..PROCESSES).map(|number| arguments(&proxies[number], number as u64, mode)).collect();
    let mut children = Children::start("watch", &all);
    collect(&children);
    let (mut faults, mut killed) = (Faults::new(seed), 0);
    let end = Instant::now() + span;
    while Instant::now() < end {
        let victim = arguments(&proxies[PROCESSES], 1_000 + killed, "victim");
        let victim = Children::start("watch", &[victim]);
        victim.hear().expect("it begins");
        faults.happen(&mut server, &proxies);
        killed += 1;
        drop(victim);
    }
    children.say("settle");
    let held = collect(&children).join(",");
    children.say(&held);
    let tallies = collect(&children);
    children.end();
    let read = |text: &String| serde_json::from_str::<Tally>(text).expect("what a child wrote");
    let tally = tallies.iter().map(read).fold(Tally::default(), Tally::add);
    Found { tally, killed, faults }
}

/// A line of each process.
fn collect(children: &Children) -> Vec<String> {
    (0..PROCESSES).map(|_| children.hear().expect("every child answers").1).collect()
}
