//! What goes wrong with a server and the connections to it.

use super::Proxy;
use headwater_servers::Server;
use std::fmt;
use std::time::Duration;

const NAMES: [&str; 6] = ["killed", "stopped", "news cut", "all cut", "silent", "flushed"];

/// What went wrong so far, by kind.
pub(crate) struct Faults {
    random: fastrand::Rng,
    /// The kinds that are next: all come equally often.
    next: Vec<usize>,
    counts: [u64; NAMES.len()],
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { random, next: Vec::new(), counts: [0; NAMES.len()] }
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// A while in which all is well, and then a fault.
    pub(crate) fn happen(&mut self, server: &mut Server, proxies: &[Proxy]) {
        self.pause(300, 2_500);
        if self.next.is_empty() {
            self.next = (0..NAMES.len()).collect();
            self.random.shuffle(&mut self.next);
        }
        let kind = self.next.pop().expect("it was just filled");
        self.counts[kind] += 1;
        match kind {
            0 => {
                server.kill();
                self.pause(0, 1_500);
                server.restart();
            }
            1 => {
                server.freeze();
                self.pause(50, 3_000);
                server.thaw();
            }
            2 => cut_news(server),
            3 => drop(server.tell("CLIENT KILL TYPE normal SKIPME yes")),
            4 => proxies[self.random.usize(..proxies.len())].mute_present(),
            _ => drop(server.tell("FLUSHALL")),
        }
    }

    fn pause(&mut self, least: u64, most: u64) {
        std::thread::sleep(Duration::from_millis(self.random.u64(least..most)));
    }
}

/// Ends the connections on which the server pushes.
fn cut_news(server: &Server) {
    let list = server.tell("CLIENT LIST");
    let listens = |line: &&str| line.contains("resp=3");
    let id = |line: &str| {
        line.split_whitespace().find_map(|part| part.strip_prefix("id=")).map(str::to_owned)
    };
    for id in list.lines().filter(listens).filter_map(id) {
        server.tell(&format!("CLIENT KILL ID {id}"));
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, count)) in NAMES.iter().zip(&self.counts).enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            write!(f, "{comma}{count} {name}")?;
        }
        Ok(())
    }
}
