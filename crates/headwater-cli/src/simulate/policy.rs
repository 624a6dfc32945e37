//! The policies, each replayed at one capacity: the library's caches themselves where it has one.

use clap::ValueEnum;
use headwater::{Entry, Hashed, MemoryCache, MissRatioCurve, MissRatioSampler, Tier};
use headwater_replay::Trace;
use serde::Serialize;
use std::collections::VecDeque;

/// How many requests pass between two looks at whether to go on.
pub(super) const AT_ONCE: usize = 1 << 14;

/// What decides who leaves a full cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Policy {
    /// The one that was not used for longest
    Lru,
    /// The library's adaptive policy, in its `MemoryCache`
    Memory,
    /// The one that came first
    Fifo,
    /// The one that will be wanted again last: nobody can know
    #[value(alias = "opt", alias = "belady")]
    Optimum,
}

impl Policy {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::Memory => "memory",
            Self::Fifo => "fifo",
            Self::Optimum => "optimum",
        }
    }
}

/// Reports a piece of work, and says whether to go on.
pub(super) type GoOn<'a> = &'a dyn Fn(usize) -> bool;

/// The hits of an LRU at every capacity.
pub(super) fn lru(trace: &Trace, go_on: GoOn<'_>) -> Option<MissRatioCurve> {
    let mut sampler = MissRatioSampler::exact();
    for piece in trace.requests().chunks(AT_ONCE) {
        piece.iter().for_each(|key| sampler.record(key));
        if !go_on(piece.len()) {
            return None;
        }
    }
    Some(sampler.curve())
}

pub(super) fn memory(trace: &Trace, capacity: u64, go_on: GoOn<'_>) -> Option<u64> {
    // More than all keys is never used, but would be set up.
    let cache = MemoryCache::with_capacity(capacity.min(trace.distinct() as u64)).ok()?;
    tier(&cache, trace, go_on)
}

fn tier(cache: &impl Tier<Key = u32, Value = ()>, trace: &Trace, go_on: GoOn<'_>) -> Option<u64> {
    let face = cache.resident()?;
    count(trace, go_on, |key| {
        let hashed = Hashed::new(key);
        let is_hit = face.get(hashed.borrowed()).is_some();
        if !is_hit {
            drop(face.put(hashed, face.prepare(&key, Entry::found(()))));
        }
        is_hit
    })
}

pub(super) fn fifo(trace: &Trace, capacity: u64, go_on: GoOn<'_>) -> Option<u64> {
    let mut is_held = vec![false; trace.distinct()];
    let mut queue = VecDeque::new();
    count(trace, go_on, |key| {
        let was_held = std::mem::replace(&mut is_held[key as usize], true);
        if !was_held {
            if queue.len() as u64 == capacity
                && let Some(first) = queue.pop_front()
            {
                is_held[first as usize] = false;
            }
            queue.push_back(key);
        }
        was_held
    })
}

fn count(trace: &Trace, go_on: GoOn<'_>, mut is_hit: impl FnMut(u32) -> bool) -> Option<u64> {
    let mut hits = 0;
    for piece in trace.requests().chunks(AT_ONCE) {
        hits += piece.iter().filter(|key| is_hit(**key)).count() as u64;
        if !go_on(piece.len()) {
            return None;
        }
    }
    Some(hits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater::LruCache;
    use headwater_replay::{Optimum, Requests};

    /// A trace with a scan, a loop and keys that are wanted often.
    fn trace() -> Trace {
        let key = |at: u64| match at % 3 {
            0 => at * at % 101,
            1 => 1_000 + at % 400,
            _ => 10_000 + at / 2,
        };
        (0..30_000).map(key).collect::<Requests<_>>().end()
    }

    #[test]
    fn the_one_pass_for_lru_agrees_with_the_cache_itself() {
        let trace = trace();
        let curve = lru(&trace, &|_| true).unwrap();
        for capacity in [1, 10, 150, 151, 700, 20_000] {
            let cache = LruCache::new(capacity).unwrap();
            let hits = tier(&cache, &trace, &|_| true).unwrap() as f64;
            let expected = hits / trace.requests().len() as f64;
            assert!((curve.hit_ratio_at(capacity) - expected).abs() < 1e-9, "{capacity}");
        }
    }

    #[test]
    fn nobody_is_better_than_the_optimum_and_all_are_alike_with_room_for_all() {
        let trace = trace();
        let best = Optimum::new(&trace);
        for capacity in [1, 10, 150, 1_000] {
            let most = best.hits(capacity as usize, || true).unwrap();
            assert!(memory(&trace, capacity, &|_| true).unwrap() <= most);
            assert!(fifo(&trace, capacity, &|_| true).unwrap() <= most);
        }
        let (all, room) = (trace.requests().len() - trace.distinct(), trace.distinct() as u64);
        let hits = [memory, fifo].map(|policy| policy(&trace, room, &|_| true));
        assert_eq!(hits, [Some(all as u64); 2]);
        assert_eq!(best.hits(trace.distinct(), || true), Some(all as u64));
    }

    #[test]
    fn a_replay_that_is_not_to_go_on_has_no_outcome() {
        let trace = trace();
        assert!(lru(&trace, &|_| false).is_none());
        assert_eq!([memory, fifo].map(|policy| policy(&trace, 5, &|_| false)), [None, None]);
    }
}
