//! The history, and what is wrong with it.

use super::{ALLOWANCE, LIFE, MAX_STALENESS};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

/// What was found; durations in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) reads: u64,
    pub(super) invalidations: u64,
    pub(super) failed: u64,
    pub(super) own: u64,
    pub(super) others: u64,
    pub(super) aged: u64,
    pub(super) stale: u64,
    pub(super) longest: u64,
}

/// A read: when it began, which version it saw, and when the source had said so.
struct Read {
    process: usize,
    key: String,
    began: u64,
    version: u64,
    at: u64,
}

/// The invalidations of a key, as moments from which on a version is the oldest allowed.
#[derive(Default)]
struct Floor(Vec<(u64, u64)>);

impl Floor {
    /// Sorts, and makes versions grow.
    fn settle(&mut self) {
        self.0.sort_unstable();
        let mut highest = 0;
        for (_, version) in &mut self.0 {
            highest = highest.max(*version);
            *version = highest;
        }
    }

    /// The oldest version that a read beginning at this moment may see.
    fn at(&self, moment: u64) -> u64 {
        let after = self.0.partition_point(|(confirmed, _)| *confirmed < moment);
        after.checked_sub(1).map_or(0, |last| self.0[last].1)
    }

    /// Since when `version` may not be seen any more.
    fn end_of(&self, version: u64) -> Option<u64> {
        let at = self.0.partition_point(|(_, floor)| *floor <= version);
        self.0.get(at).map(|(confirmed, _)| *confirmed)
    }
}

pub(super) fn check(files: &[PathBuf]) -> Findings {
    let mut findings = Findings::default();
    let mut reads = Vec::new();
    let mut all: HashMap<String, Floor> = HashMap::new();
    let mut own: HashMap<(usize, String), Floor> = HashMap::new();
    for (process, file) in files.iter().enumerate() {
        let lines = BufReader::new(File::open(file).expect("each child left its history")).lines();
        for line in lines.map_while(Result::ok) {
            let mut parts = line.split(' ');
            let (verb, key) = (parts.next(), parts.next().unwrap_or_default().to_owned());
            let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
            match verb {
                Some("r") => {
                    let (began, version, at) = (number(), number(), number());
                    reads.push(Read { process, key, began, version, at });
                }
                Some("i") => {
                    let (confirmed, version) = (number(), number());
                    all.entry(key.clone()).or_default().0.push((confirmed, version));
                    own.entry((process, key)).or_default().0.push((confirmed, version));
                    findings.invalidations += 1;
                }
                _ => findings.failed += 1,
            }
        }
    }
    all.values_mut().for_each(Floor::settle);
    own.values_mut().for_each(Floor::settle);
    for read in &reads {
        findings.judge(read, all.get(&read.key), own.get(&(read.process, read.key.clone())));
    }
    findings
}

impl Findings {
    fn judge(&mut self, read: &Read, all: Option<&Floor>, own: Option<&Floor>) {
        let bound = (MAX_STALENESS + ALLOWANCE).as_nanos() as u64;
        let life = (LIFE + ALLOWANCE).as_nanos() as u64;
        let floor = |floor: Option<&Floor>, at| floor.map_or(0, |floor| floor.at(at));
        self.reads += 1;
        self.aged += u64::from(read.began.saturating_sub(read.at) > life);
        self.own += u64::from(read.version < floor(own, read.began));
        self.others += u64::from(read.version < floor(all, read.began.saturating_sub(bound)));
        if let Some(ended) = all.and_then(|all| all.end_of(read.version))
            && ended < read.began
        {
            self.stale += 1;
            self.longest = self.longest.max(read.began - ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(began: u64, version: u64) -> Read {
        Read { process: 0, key: String::new(), began, version, at: began }
    }

    #[test]
    fn stale_reads_are_found() {
        let second = 1_000_000_000;
        let mut floor = Floor(vec![(5 * second, 2), (second, 3), (9 * second, 4)]);
        floor.settle();
        let judge = |read: &Read| {
            let mut findings = Findings::default();
            findings.judge(read, Some(&floor), Some(&floor));
            (findings.own, findings.others, findings.longest)
        };
        assert_eq!(judge(&read(second / 2, 1)), (0, 0, 0), "before any");
        assert_eq!(judge(&read(2 * second, 1)), (1, 0, second), "within the bound");
        assert_eq!(judge(&read(4 * second, 1)), (1, 1, 3 * second));
        assert_eq!(judge(&read(8 * second, 3)), (0, 0, 0), "a later one is for an older version");
        assert_eq!(judge(&read(20 * second, 4)), (0, 0, 0));
    }
}
