//! The history, and what is wrong with it.

use super::{ALLOWANCE, MAX_STALENESS, SILENCE};
use std::collections::HashMap;
use std::fs::read_to_string;
use std::path::PathBuf;

/// What was found; durations in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) reads: u64,
    pub(super) writes: u64,
    /// Reads while the watch said that it was not prompt.
    pub(super) aware: u64,
    pub(super) stale: u64,
    pub(super) back: u64,
    pub(super) behind: u64,
    pub(super) longest: u64,
}

/// A change that the server has confirmed.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) key: String,
    pub(super) confirmed: u64,
    pub(super) version: u64,
}

/// A read: how long it took, what it saw, and what the watch said before.
#[derive(Clone, Copy, Debug)]
struct Read {
    began: u64,
    ended: u64,
    version: u64,
    lag: u64,
}

pub(super) fn check(writes: &[Write], files: &[PathBuf]) -> Findings {
    let mut findings = Findings { writes: writes.len() as u64, ..Findings::default() };
    // In the order of their confirmation, which is that of their versions.
    let mut written: HashMap<&str, Vec<(u64, u64)>> = HashMap::new();
    for write in writes {
        written.entry(&write.key).or_default().push((write.confirmed, write.version));
    }
    for file in files {
        let text = read_to_string(file).expect("each child left its history");
        let mut reads: HashMap<&str, Vec<Read>> = HashMap::new();
        for line in text.lines() {
            let (key, rest) = line.split_once(' ').expect("a key");
            let numbers: Vec<u64> = rest.split(' ').map(|n| n.parse().expect("a number")).collect();
            let [began, ended, version, lag, is_prompt] = numbers[..] else { panic!("{line}") };
            findings.aware += 1 - is_prompt;
            reads.entry(key).or_default().push(Read { began, ended, version, lag });
        }
        for (key, reads) in &mut reads {
            let writes = written.get(key).map_or(&[][..], Vec::as_slice);
            reads.iter().for_each(|read| findings.judge(read, writes));
            findings.back += went_back(reads);
        }
    }
    findings
}

impl Findings {
    fn judge(&mut self, read: &Read, writes: &[(u64, u64)]) {
        let bound = (MAX_STALENESS + SILENCE + ALLOWANCE).as_nanos() as u64;
        let oldest = read.began.saturating_sub(bound + read.lag);
        self.reads += 1;
        self.stale += u64::from(read.version < newest(writes, oldest));
        if read.version < newest(writes, read.began) {
            self.behind += 1;
            let after = writes.iter().find(|(_, version)| *version > read.version);
            let since = after.map_or(0, |(confirmed, _)| read.began - confirmed);
            self.longest = self.longest.max(since);
        }
    }
}

/// The newest version that was confirmed before a moment.
fn newest(writes: &[(u64, u64)], moment: u64) -> u64 {
    let after = writes.partition_point(|(confirmed, _)| *confirmed < moment);
    after.checked_sub(1).map_or(0, |last| writes[last].1)
}

/// How many reads saw an older version than one that had ended before they began.
fn went_back(reads: &mut [Read]) -> u64 {
    let mut ended: Vec<(u64, u64)> = reads.iter().map(|read| (read.ended, read.version)).collect();
    ended.sort_unstable();
    reads.sort_unstable_by_key(|read| read.began);
    let (mut before, mut highest, mut back) = (ended.into_iter().peekable(), 0, 0);
    for read in reads {
        while let Some((_, version)) = before.next_if(|(ended, _)| *ended < read.began) {
            highest = highest.max(version);
        }
        back += u64::from(read.version < highest);
    }
    back
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn read(began: u64, version: u64, lag: u64) -> Read {
        Read { began, ended: began + 1, version, lag }
    }

    #[test]
    fn stale_reads_are_found() {
        let writes = [(SECOND, 2), (2 * SECOND, 3)];
        let judge = |read: &Read| {
            let mut findings = Findings::default();
            findings.judge(read, &writes);
            (findings.stale, findings.behind, findings.longest)
        };
        assert_eq!(judge(&read(SECOND, 1, 0)), (0, 0, 0), "before any");
        assert_eq!(judge(&read(3 * SECOND, 2, 0)), (0, 1, SECOND), "within the bound");
        assert_eq!(judge(&read(9 * SECOND, 2, 0)), (1, 1, 7 * SECOND));
        assert_eq!(judge(&read(9 * SECOND, 2, 7 * SECOND)), (0, 1, 7 * SECOND), "it was said");
        assert_eq!(judge(&read(9 * SECOND, 3, 0)), (0, 0, 0));
    }

    #[test]
    fn versions_that_go_back_are_found() {
        let slow = Read { began: 10, ended: 50, version: 1, lag: 0 };
        assert_eq!(went_back(&mut [slow, read(20, 2, 0)]), 0, "it began before");
        assert_eq!(went_back(&mut [read(30, 1, 0), read(20, 2, 0)]), 1);
        assert_eq!(went_back(&mut [read(20, 1, 0), read(30, 2, 0)]), 0);
    }
}
