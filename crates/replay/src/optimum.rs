//! The best that any cache could do: Belady's rule, which knows the future.

use crate::Trace;
use std::collections::BinaryHeap;

/// After the last request: never.
const NEVER: u32 = u32::MAX;

/// When each request's key is requested next, from which the most hits follow for each capacity.
#[derive(Debug)]
pub struct Optimum<'a> {
    trace: &'a Trace,
    next: Vec<u32>,
}

impl<'a> Optimum<'a> {
    /// Looks ahead in a trace, of fewer than 2^32 requests.
    #[must_use]
    pub fn new(trace: &'a Trace) -> Self {
        let requests = trace.requests();
        let mut next = vec![NEVER; requests.len()];
        let mut latest = vec![NEVER; trace.distinct()];
        for (at, &key) in requests.iter().enumerate().rev() {
            next[at] = std::mem::replace(&mut latest[key as usize], at as u32);
        }
        Self { trace, next }
    }

    /// How many requests hit in a cache of `capacity` entries that always gives up the one that is
    /// wanted again last, which may be the newcomer. `None` if `go_on`, which is asked now and then, says
    /// so.
    ///
    /// ```
    /// use headwater_replay::{Optimum, Requests};
    ///
    /// // A loop of four keys through three places: all but one of them can stay.
    /// let trace = (0..400).map(|at| at % 4).collect::<Requests<_>>().end();
    /// let best = Optimum::new(&trace);
    /// assert_eq!(best.hits(4, || true), Some(396));
    /// assert_eq!(best.hits(1, || true), Some(99));
    /// assert_eq!(best.hits(1, || false), None);
    /// ```
    #[must_use]
    pub fn hits(&self, capacity: usize, mut go_on: impl FnMut() -> bool) -> Option<u64> {
        let mut hits = 0;
        let mut is_held = vec![false; self.trace.distinct()];
        let mut held = 0;
        // By next use, the farthest first. A hit leaves its key's old place behind, which is then
        // in the past: behind all that are held.
        let mut farthest: BinaryHeap<(u32, u32)> = BinaryHeap::new();
        for (at, &key) in self.trace.requests().iter().enumerate() {
            if at.is_multiple_of(1 << 14) && !go_on() {
                return None;
            }
            let was_held = std::mem::replace(&mut is_held[key as usize], true);
            hits += u64::from(was_held);
            held += usize::from(!was_held);
            farthest.push((self.next[at], key));
            if held > capacity
                && let Some((_, loser)) = farthest.pop()
            {
                is_held[loser as usize] = false;
                held -= 1;
            }
            if farthest.len() > 2 * capacity.max(1 << 16) {
                let now = at as u32;
                farthest.retain(|(next, _)| *next > now);
            }
        }
        Some(hits)
    }
}
