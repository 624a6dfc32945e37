//! All policies at all capacities, on all processors.

use super::policy::{self, AT_ONCE, Policy};
use headwater::MissRatioCurve;
use headwater_replay::{Optimum, Trace};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

/// What is to be replayed.
pub(super) struct Plan<'a> {
    trace: &'a Trace,
    capacities: Vec<u64>,
    jobs: Vec<Job>,
    optimum: OnceLock<Optimum<'a>>,
}

/// One pass over the trace.
#[derive(Clone, Copy)]
enum Job {
    /// At all capacities.
    Lru,
    At(Policy, u64),
}

/// Hits of one policy at one capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) policy: Policy,
    pub(super) capacity: u64,
    pub(super) hits: u64,
}

/// What was replayed.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// By policy, in the order in which they were asked for, and then by capacity.
    pub(super) points: Vec<Point>,
    /// LRU at all capacities, if it was asked for.
    pub(super) lru: Option<MissRatioCurve>,
    /// Whether it was ended before all was done.
    pub(super) is_cut: bool,
}

impl<'a> Plan<'a> {
    pub(super) fn new(trace: &'a Trace, policies: &[Policy], capacities: &[u64]) -> Self {
        let mut jobs = Vec::new();
        for (at, &policy) in policies.iter().enumerate() {
            match policy {
                _ if policies[..at].contains(&policy) => {}
                Policy::Lru => jobs.push(Job::Lru),
                _ => jobs.extend(capacities.iter().map(|&capacity| Job::At(policy, capacity))),
            }
        }
        Self { trace, capacities: capacities.to_vec(), jobs, optimum: OnceLock::new() }
    }

    /// How many requests all passes have together.
    pub(super) fn requests(&self) -> u64 {
        self.jobs.len() as u64 * self.trace.requests().len() as u64
    }

    /// Runs all passes, and counts requests, as long as it is to go on.
    pub(super) fn run(&self, replayed: &AtomicU64, go_on: &(dyn Fn() -> bool + Sync)) -> Outcome {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::new());
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(&job) = self.jobs.get(at) else { break };
                let go_on = |requests: usize| {
                    replayed.fetch_add(requests as u64, Ordering::Relaxed);
                    go_on()
                };
                let Some(part) = self.pass(job, &go_on) else { break };
                done.lock().unwrap_or_else(PoisonError::into_inner).push((at, part));
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(self.jobs.len());
        thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_unstable_by_key(|(at, _)| *at);
        let is_cut = done.len() < self.jobs.len();
        let parts = done.into_iter().map(|(_, part)| part);
        parts.fold(Outcome { is_cut, ..Outcome::default() }, |mut all, part| {
            all.points.extend(part.points);
            all.lru = all.lru.or(part.lru);
            all
        })
    }

    fn pass(&self, job: Job, go_on: policy::GoOn<'_>) -> Option<Outcome> {
        let (policy, capacity) = match job {
            Job::Lru => return policy::lru(self.trace, go_on).map(|curve| self.lru(curve)),
            Job::At(policy, capacity) => (policy, capacity),
        };
        let hits = match policy {
            Policy::Memory => policy::memory(self.trace, capacity, go_on)?,
            Policy::Fifo => policy::fifo(self.trace, capacity, go_on)?,
            Policy::Lru | Policy::Optimum => self.optimum(capacity, go_on)?,
        };
        let points = vec![Point { policy, capacity, hits }];
        Some(Outcome { points, ..Outcome::default() })
    }

    fn lru(&self, curve: MissRatioCurve) -> Outcome {
        let hits =
            |capacity| (curve.hit_ratio_at(capacity) * curve.requests() as f64).round() as u64;
        let point = |&capacity| Point { policy: Policy::Lru, capacity, hits: hits(capacity) };
        let points = self.capacities.iter().map(point).collect();
        Outcome { points, lru: Some(curve), is_cut: false }
    }

    fn optimum(&self, capacity: u64, go_on: policy::GoOn<'_>) -> Option<u64> {
        let optimum = self.optimum.get_or_init(|| Optimum::new(self.trace));
        optimum.hits(usize::try_from(capacity).unwrap_or(usize::MAX), || go_on(AT_ONCE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_replay::Requests;

    #[test]
    fn a_replay_that_is_ended_says_so_and_has_whole_points_only() {
        let trace = (0..100_000_u32).map(|at| at % 70).collect::<Requests<_>>().end();
        let plan = Plan::new(&trace, &[Policy::Fifo, Policy::Lru, Policy::Fifo], &[1, 10, 100]);
        assert_eq!(plan.requests(), 400_000);
        let replayed = AtomicU64::new(0);
        let all = plan.run(&replayed, &|| true);
        assert_eq!((all.points.len(), all.is_cut, replayed.into_inner()), (6, false, 400_000));
        assert!(all.lru.is_some());
        // Ended in the second pass, or in the first of another thread.
        let replayed = AtomicU64::new(0);
        let cut = plan.run(&replayed, &|| replayed.load(Ordering::Relaxed) <= 100_000);
        assert!(cut.is_cut && cut.points.len() <= 2, "{cut:?}");
        assert!(cut.points.iter().all(|point| all.points.contains(point)));
    }
}
