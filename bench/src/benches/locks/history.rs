//! The history of the locks, and whether their tokens grew.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

/// A lock that was taken: asked for and got, in nanoseconds, and its token.
type Taken = (u64, u64, u64);

/// What was found.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) taken: u64,
    pub(super) failed: u64,
    pub(super) backward: u64,
}

impl History {
    /// Of lines `t NAME ASKED GOT TOKEN`; any other is a failure.
    pub(super) fn read(files: &[PathBuf]) -> Self {
        let mut history = Self::default();
        let mut names: HashMap<String, Vec<Taken>> = HashMap::new();
        for file in files {
            let file = File::open(file).expect("each child left its history");
            for line in BufReader::new(file).lines().map_while(Result::ok) {
                let mut parts = line.split(' ');
                if parts.next() != Some("t") {
                    history.failed += 1;
                    continue;
                }
                let name = parts.next().unwrap_or_default().to_owned();
                let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
                names.entry(name).or_default().push((number(), number(), number()));
                history.taken += 1;
            }
        }
        history.backward = names.into_values().map(backward).sum();
        history
    }
}

/// How many locks have no larger token than one that was got before they were asked for.
fn backward(mut taken: Vec<Taken>) -> u64 {
    let mut got: Vec<(u64, u64)> = taken.iter().map(|(_, got, token)| (*got, *token)).collect();
    taken.sort_unstable();
    got.sort_unstable();
    let (mut earlier, mut highest, mut backward) = (got.into_iter().peekable(), 0, 0);
    for (asked, _, token) in taken {
        while let Some((_, token)) = earlier.next_if(|(got, _)| *got < asked) {
            highest = highest.max(token);
        }
        backward += u64::from(token <= highest);
    }
    backward
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_do_not_grow_are_found() {
        assert_eq!(backward(vec![(1, 2, 7), (3, 4, 8)]), 0);
        assert_eq!(backward(vec![(3, 4, 8), (1, 2, 7), (5, 6, 8)]), 1);
        assert_eq!(backward(vec![(1, 4, 8), (2, 3, 7)]), 0, "at once, in any order");
    }
}
