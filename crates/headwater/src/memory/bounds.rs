//! What a store may hold, and which rules it keeps.

use std::time::Duration;

use super::policy::Adaptive;
use super::table::Limits;

/// How many entries of a store may wait to be freed together, and what part of its capacity.
const PATIENCE: u64 = 64;
const PART_THAT_WAITS: u64 = 16;

/// The same where entries have weights, and a few may be much.
const PATIENCE_FOR_WEIGHED: usize = 8;

/// A capacity that no store comes near.
pub(super) const UNBOUNDED: u64 = u64::MAX;

/// Which entry has to make room for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The one that was not used for longest, exactly.
    Lru,
    /// The one that the [policy](super::policy) says.
    Adaptive,
}

/// What a store may hold, and which rules it keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) rule: Rule,
    /// The most that found entries may weigh together, or [`UNBOUNDED`].
    pub(super) capacity: u64,
    /// The most absent entries.
    pub(super) absent_capacity: u64,
    /// Whether entries weigh what their weigher says, instead of 1.
    pub(super) weighed: bool,
    /// How long an entry lives after its last use.
    pub(super) time_to_idle: Option<Duration>,
    /// Whether somebody is told of what leaves.
    pub(super) listens: bool,
}

impl Bounds {
    /// How many entries that left may wait to be freed together: few enough to matter little beside
    /// those that are kept.
    fn patience(&self) -> usize {
        if self.weighed {
            PATIENCE_FOR_WEIGHED
        } else {
            (self.capacity / PART_THAT_WAITS).clamp(1, PATIENCE) as usize
        }
    }

    /// What a table has to have room for. Counted entries need no more slots than there may be entries.
    pub(super) fn limits(&self) -> Limits {
        let count = |entries: u64| {
            let entries = if self.weighed { UNBOUNDED } else { entries };
            usize::try_from(entries).unwrap_or(usize::MAX)
        };
        let most = count(self.capacity.saturating_add(self.absent_capacity));
        Limits {
            most,
            usual: count(self.capacity),
            patience: self.patience(),
            are_slots_told: self.rule == Rule::Lru,
            listens: self.listens,
        }
    }

    pub(super) fn policy(&self) -> Option<Adaptive> {
        let is_adaptive = self.rule == Rule::Adaptive && self.capacity != UNBOUNDED;
        is_adaptive.then(|| Adaptive::new(self.capacity))
    }
}
