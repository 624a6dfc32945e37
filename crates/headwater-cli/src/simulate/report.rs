//! What is told about a replay: a table, or one JSON object.

use super::policy::Policy;
use super::replay::Outcome;
use crate::enrich::millis;
use crate::progress::grouped;
use crate::signal::Signal;
use headwater_replay::Trace;
use serde::Serialize;
use std::fmt::Write;
use std::time::Duration;

/// A replay in figures.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) requests: u64,
    /// Different ones.
    pub(super) keys: u64,
    elapsed_ms: u64,
    interrupted: Option<&'static str>,
    pub(super) points: Vec<Row>,
}

/// One policy at one capacity.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Row {
    pub(super) policy: Policy,
    pub(super) capacity: u64,
    hits: u64,
    pub(super) hit_ratio: f64,
}

impl Report {
    pub(super) fn new(
        trace: &Trace,
        outcome: &Outcome,
        signal: Option<Signal>,
        elapsed: Duration,
    ) -> Self {
        let requests = trace.requests().len() as u64;
        let row = |point: &super::replay::Point| Row {
            policy: point.policy,
            capacity: point.capacity,
            hits: point.hits,
            hit_ratio: point.hits as f64 / requests.max(1) as f64,
        };
        Self {
            requests,
            keys: trace.distinct() as u64,
            elapsed_ms: millis(elapsed),
            interrupted: signal.map(Signal::name),
            points: outcome.points.iter().map(row).collect(),
        }
    }

    /// The policies, in their order.
    pub(super) fn policies(&self) -> Vec<Policy> {
        let mut policies: Vec<Policy> = self.points.iter().map(|row| row.policy).collect();
        policies.dedup();
        policies
    }

    /// A line per capacity, a column per policy.
    pub(super) fn table(&self) -> String {
        let mut capacities: Vec<u64> = self.points.iter().map(|row| row.capacity).collect();
        capacities.sort_unstable();
        capacities.dedup();
        let (requests, keys) = (grouped(self.requests), grouped(self.keys));
        let mut text = format!("{requests} requests of {keys} keys; hits per request:\n\n");
        // Writing to a string cannot fail.
        let _ = write!(text, "{:>14} {:>9}", "entries", "of keys");
        for policy in self.policies() {
            let _ = write!(text, " {:>9}", policy.name());
        }
        text.push('\n');
        for capacity in capacities {
            let percent = capacity as f64 * 100.0 / self.keys.max(1) as f64;
            let _ = write!(text, "{:>14} {:>7.2} %", grouped(capacity), percent);
            for policy in self.policies() {
                let is_it = |row: &&Row| row.policy == policy && row.capacity == capacity;
                let ratio =
                    self.points.iter().find(is_it).map(|row| format!("{:.4}", row.hit_ratio));
                let _ = write!(text, " {:>9}", ratio.as_deref().unwrap_or("-"));
            }
            text.push('\n');
        }
        text
    }
}
