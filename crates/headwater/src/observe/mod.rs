//! Counters: always on, cheap, and read as a [`Stats`] snapshot.

mod counter;

pub(crate) use counter::Counter;

/// What a chain has counted so far: one [`TierStats`] per tier, the fastest first, and the source.
///
/// Counters only grow. Those of one snapshot were read one after the other, so sums over a chain
/// that is at work may be off by what happened meanwhile.
///
/// ```
/// use headwater::{fetch_fn, Cache, Fetcher, Headwater, LruCache};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let chain = Headwater::source(fetch_fn(async |key: u32| Ok(key)))
///     .through(LruCache::new(10)?)
///     .build();
/// chain.fetch(&1).await?;
/// chain.fetch(&1).await?;
/// let stats = chain.stats();
/// assert_eq!((stats.tiers[0].hits, stats.tiers[0].misses), (1, 1));
/// assert_eq!(stats.source.keys, 1);
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// One per tier, the fastest first.
    pub tiers: Vec<TierStats>,
    /// The end of the chain.
    pub source: SourceStats,
}

/// What the engine has counted about one tier.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TierStats {
    /// The tier's name.
    pub name: String,
    /// Look-ups answered here, those that said "absent" included.
    pub hits: u64,
    /// Of the hits, those that said "absent".
    pub absent_hits: u64,
    /// Look-ups that found nothing that the call accepts. Each key of a load counts once: callers
    /// that shared a load are `coalesced`.
    pub misses: u64,
    /// Look-ups that waited for a load which another call had begun.
    pub coalesced: u64,
    /// Operations of the tier that failed. A failed look-up is a miss too.
    pub errors: u64,
    /// Entries stored here on their way out.
    pub fills: u64,
    /// Fills given up because of an invalidation, an insert or a newer load meanwhile.
    pub superseded_fills: u64,
    /// Fills given up because too many were waiting, because their turn came more than a second
    /// after the load, or because of a close.
    pub dropped_fills: u64,
}

impl TierStats {
    /// Hits per look-up that was not coalesced, from 0 to 1; 0 before the first.
    #[must_use]
    pub fn hit_ratio(&self) -> f64 {
        let lookups = self.hits + self.misses;
        if lookups == 0 { 0.0 } else { self.hits as f64 / lookups as f64 }
    }
}

/// What the chain has counted about its source.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceStats {
    /// Calls: a batch of many keys is one.
    pub calls: u64,
    /// Keys asked for.
    pub keys: u64,
    /// Keys that the source does not have.
    pub absent: u64,
    /// Keys that failed, "not found" excepted.
    pub errors: u64,
    /// Keys answered from the memo of recent errors, without a call.
    pub remembered_errors: u64,
}
