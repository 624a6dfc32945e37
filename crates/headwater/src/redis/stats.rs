use super::breaker::BreakerState;
use super::link::Link;
use super::news::{Coherence, Hub};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a [`RedisCache`](super::RedisCache) has counted so far, beside what the engine counts of any
/// tier.
///
/// Counters only grow. Each operation that failed is in exactly one of `timeouts`, `failures`,
/// `refusals` and `rejected`.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisStats {
    /// What the breaker does with calls now.
    pub breaker: BreakerState,
    /// How often the breaker opened.
    pub breaker_opens: u64,
    /// Operations that the open breaker failed at once.
    pub rejected: u64,
    /// Connections made, the first ones included.
    pub connects: u64,
    /// Operations without an answer in time.
    pub timeouts: u64,
    /// Operations whose connection was lost or could not be made.
    pub failures: u64,
    /// Operations that the server refused: memory full, read-only, no permission, still loading.
    pub refusals: u64,
    /// Values found that cannot be decoded, decrypted or decompressed. Each was a miss.
    pub corrupt: u64,
    /// Values found that were written with another schema id, codec or layout. Each was a miss.
    pub other_schema: u64,
    /// Keys found to hold another type than a string. Each was a miss.
    pub wrong_type: u64,
    /// Puts declined because a newer version is stored.
    pub declined: u64,
    /// Puts refused because the value cannot be encoded or is too long.
    pub unwritable: u64,
    /// Puts undone because they took so long to arrive that the entry could outlive its end.
    pub late: u64,
    /// How it hears of what others change now.
    pub coherence: Coherence,
    /// Changes it was told of, its own included; a batch between two pushes counts once per key.
    pub changes_heard: u64,
    /// How often the connection for news was lost or went silent, after news had come.
    pub news_losses: u64,
}

/// The counters of the tier itself.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) corrupt: AtomicU64,
    pub(super) other_schema: AtomicU64,
    pub(super) wrong_type: AtomicU64,
    pub(super) declined: AtomicU64,
    pub(super) unwritable: AtomicU64,
    pub(super) late: AtomicU64,
}

impl Counters {
    /// One more.
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    /// All that was counted, over all connections.
    pub(super) fn snapshot(&self, links: [&Link; 2], hub: &Hub) -> RedisStats {
        let sum = |of: fn(&Link) -> u64| links.into_iter().map(of).sum();
        let (changes_heard, news_losses) = hub.counts();
        RedisStats {
            breaker: links[0].breaker().state(),
            breaker_opens: sum(|link| link.breaker().opens()),
            rejected: sum(|link| link.breaker().rejected()),
            connects: sum(|link| link.counts().connects.load(Relaxed)),
            timeouts: sum(|link| link.counts().timeouts.load(Relaxed)),
            failures: sum(|link| link.counts().failures.load(Relaxed)),
            refusals: sum(|link| link.counts().refusals.load(Relaxed)),
            corrupt: self.corrupt.load(Relaxed),
            other_schema: self.other_schema.load(Relaxed),
            wrong_type: self.wrong_type.load(Relaxed),
            declined: self.declined.load(Relaxed),
            unwritable: self.unwritable.load(Relaxed),
            late: self.late.load(Relaxed),
            coherence: hub.state(),
            changes_heard,
            news_losses,
        }
    }
}
