/// What a memory tier has counted since it was made. Hits and misses are the chain's to count:
/// see [`Stats`](crate::Stats).
///
/// ```
/// use headwater::{Entry, LruCache, Tier};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let cache = LruCache::<u32, &str>::new(1)?;
/// for (key, name) in [(1, "one"), (2, "two")] {
///     cache.put(&key, &Entry::found(name)).await?;
/// }
/// assert_eq!(cache.stats().evicted, 1);
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// Found entries that had to make room for another.
    pub evicted: u64,
    /// Absent entries that had to make room for another absent one.
    pub absent_evicted: u64,
    /// Entries, found or absent, that were removed because their life was over.
    pub expired: u64,
    /// Entries that were not kept because they weigh more than the whole capacity.
    pub too_heavy: u64,
    /// Entries that were not kept because a newer version was there.
    pub outdated: u64,
    /// Entries whose weigher said 0, which counts as 1: a sign of a faulty weigher.
    pub zero_weights: u64,
}

impl std::ops::AddAssign for MemoryStats {
    fn add_assign(&mut self, other: Self) {
        self.evicted += other.evicted;
        self.absent_evicted += other.absent_evicted;
        self.expired += other.expired;
        self.too_heavy += other.too_heavy;
        self.outdated += other.outdated;
        self.zero_weights += other.zero_weights;
    }
}
