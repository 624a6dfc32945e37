//! `watching`: whether documents that others change are ever seen older than the watch says, under
//! faults; the sister of `coherence`, in which processes invalidate what they have changed.
//!
//! Three processes, each memory over Redis over Firestore's emulator, read sixteen keys. The bare client
//! changes the documents at random and tells nobody; one of the processes is elected to listen. Nothing
//! has a life that would matter. Meanwhile Redis is killed, restarted empty, stopped and flushed, and its
//! connections are cut or go silent; and the emulator is stopped, and connections to it are cut. It is
//! not killed: it would come back empty, and with all documents gone there would be nothing to check.
//!
//! Each process records what it read, and what its watch said just before ([`WatchStatus::lag`]). Held
//! against what was written:
//!
//! - R4, by the watch's own word: whatever had been confirmed longer ago than the lag, the time that a
//!   stream may hold up what it says (`silence`), Redis' `max_staleness` and half a second for the
//!   machine is seen.
//! - No version goes back: a read that began after another of the same process and key had ended sees no
//!   older version than that.
//!
//! A second, shorter run does not watch, and must be found out: else nothing was checked.
//!
//! [`WatchStatus::lag`]: headwater::firestore::WatchStatus::lag

mod checker;
mod child;

use super::Bench;
use crate::harness::{Cell, Options, Row, Table};
use crate::processes::{Children, Documents, Faults, Proxy, now};
use headwater_servers::emulator::{Emulator, Make};
use headwater_servers::Server;
use checker::{Findings, Write};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) use child::child;

pub(super) const BENCH: Bench = Bench {
    name: "watching",
    about: "documents changed by others while Redis and Firestore fail: stale reads (ours: 0)",
    crates: &["firestore", "redis"],
    run,
};

const PROCESSES: usize = 3;
const KEYS: u32 = 16;
/// For what a machine adds to each bound.
const ALLOWANCE: Duration = Duration::from_millis(500);
const MAX_STALENESS: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_secs(1);
const TAKEOVER: Duration = Duration::from_secs(1);
const LEGEND: &str = "Violations: 0 is right. `no watch` runs a quarter of the time, and must be found \
    out.";

fn run(options: &Options) -> Table {
    let seconds = options.seconds.unwrap_or_else(|| options.scale(60, 20));
    let runs = [("headwater", "watch", seconds), ("no watch", "none", (seconds / 4).max(5))];
    let results = runs.map(|(name, mode, seconds)| {
        let (findings, faults) = measure(mode, Duration::from_secs(seconds), options.seed);
        (name, findings, faults)
    });
    let title = format!("Watching documents that others change, under faults, {seconds} s");
    let mut table = Table::new(title, LEGEND);
    let mut push = |name: &str, of: &dyn Fn(&Findings, &Trouble) -> Cell| {
        let cells = results.iter().map(|(name, findings, faults)| (*name, of(findings, faults)));
        table.push(Row { name: name.to_owned(), detail: None, cells: cells.collect() });
    };
    let count = |number: u64| Cell::count(number, None);
    push("R4: stale, later than the watch's lag allows", &|found, _| count(found.stale));
    push("versions that went back", &|found, _| count(found.back));
    push("reads that saw what was not the newest confirmed, at all", &|found, _| count(found.behind));
    push("longest that an old version was seen, ms", &|found, _| count(found.longest / 1_000_000));
    push("reads checked", &|found, _| {
        Cell::count(found.reads, Some(format!("{} while not prompt", found.aware)))
    });
    push("changes confirmed", &|found, _| count(found.writes));
    push("faults", &|_, faults| Cell::count(faults.total(), Some(faults.to_string())));
    table
}

/// Runs the processes, the writer and the faults, and checks what was recorded.
fn measure(mode: &str, span: Duration, seed: u64) -> (Findings, Trouble) {
    let (mut redis, server) = (Server::start(), Emulator::start(Make::Hidane));
    let to_redis: Vec<Proxy> = (0..PROCESSES).map(|_| Proxy::to(redis.port())).collect();
    let to_server: Vec<Proxy> = (0..PROCESSES).map(|_| Proxy::to(server.port())).collect();
    let files: Vec<PathBuf> = (0..PROCESSES).map(history).collect();
    let writer = Writer::start(&server.host(), seed);
    let arguments = (0..PROCESSES).map(|number| {
        let host = format!("127.0.0.1:{}", to_server[number].port());
        let (url, file) = (to_redis[number].url(), files[number].display().to_string());
        vec![url, host, mode.to_owned(), (seed + number as u64).to_string(), file]
    });
    let mut children = Children::start("watching", &arguments.collect::<Vec<_>>());
    for _ in 0..PROCESSES {
        children.hear().expect("every child begins");
    }
    let mut trouble = Trouble::new(seed);
    let end = Instant::now() + span;
    while Instant::now() < end {
        trouble.happen(&mut redis, &to_redis, &server, &to_server);
    }
    children.end();
    for _ in 0..PROCESSES {
        children.hear().expect("every child ends");
    }
    let findings = checker::check(&writer.end(), &files);
    files.iter().for_each(|file| drop(std::fs::remove_file(file)));
    (findings, trouble)
}

fn history(number: usize) -> PathBuf {
    std::env::temp_dir().join(format!("headwater-watching-{}-{number}", std::process::id()))
}

/// Changes documents at random, in a thread of its own.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Write>>,
}

impl Writer {
    /// All documents are there when it has started.
    fn start(host: &str, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the system gives a runtime");
        let documents = runtime.block_on(Documents::at(host));
        for key in 0..KEYS {
            assert!(runtime.block_on(documents.write(&format!("k{key}"), 1)), "it takes them");
        }
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut random = fastrand::Rng::with_seed(seed + 1_000);
            let (mut writes, mut number) = (Vec::new(), 1);
            while !stopped.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(random.u64(5..60)));
                let key = format!("k{}", random.u32(..KEYS));
                number += 1;
                if runtime.block_on(documents.write(&key, number)) {
                    writes.push(Write { key, confirmed: now(), version: number });
                }
            }
            writes
        });
        Self { stop, thread }
    }

    /// What was confirmed.
    fn end(self) -> Vec<Write> {
        self.stop.store(true, Relaxed);
        self.thread.join().expect("the writer does not panic")
    }
}

/// What went wrong with both servers.
struct Trouble {
    redis: Faults,
    random: fastrand::Rng,
    stopped: u64,
    cut: u64,
}

impl Trouble {
    fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed + 2_000);
        Self { redis: Faults::new(seed), random, stopped: 0, cut: 0 }
    }

    fn total(&self) -> u64 {
        self.redis.total() + self.stopped + self.cut
    }

    /// A while in which all is well, and then a fault.
    fn happen(
        &mut self,
        redis: &mut Server,
        to_redis: &[Proxy],
        server: &Emulator,
        to_server: &[Proxy],
    ) {
        match self.random.u32(..4) {
            0 => {
                self.pause(300, 2_500);
                server.signal("-STOP");
                self.pause(50, 3_000);
                server.signal("-CONT");
                self.stopped += 1;
            }
            1 => {
                self.pause(300, 2_500);
                to_server[self.random.usize(..to_server.len())].cut_present();
                self.cut += 1;
            }
            _ => self.redis.happen(redis, to_redis),
        }
    }

    fn pause(&mut self, least: u64, most: u64) {
        std::thread::sleep(Duration::from_millis(self.random.u64(least..most)));
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (redis, stopped, cut) = (&self.redis, self.stopped, self.cut);
        write!(f, "Redis: {redis}; Firestore: {stopped} stopped, {cut} cut")
    }
}
