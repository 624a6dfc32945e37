use crate::hashed::plain;
use crate::{Above, Entry, FetchOptions, Fetcher, Hashed, Result, Stats};
use std::sync::Weak;

/// A [`Fetcher`] that keeps what it fetched, and so can be told to forget it.
///
/// # Semantics
/// - A fetch that starts after `invalidate(key)` returned never sees a value loaded before it, in
///   any tier; a load in flight meanwhile never writes its old value anywhere (R4). Callers that
///   were already waiting for that load still get its outcome.
/// - `insert` puts a value into every tier. It is for whoever has just written the source: a load
///   in flight meanwhile does not overwrite it. A tier that holds a newer version does not take it,
///   nor do those in front of that tier.
/// - When a tier cannot be reached, the faster ones are changed all the same, and the error names
///   the tier that was not.
/// - Dropping one of these futures before it ended leaves each tier either changed or not yet; no
///   tier is left with an entry that the call did not see or write.
///
/// The methods called `..._through` are what one link of a chain asks of the next. Keys come with their
/// hash, so that no link has to compute it again; a cache that makes no use of it need not provide them.
///
/// ```
/// use headwater::{fetch_fn, Cache, Fetcher, Headwater, LruCache};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let planes = Headwater::source(fetch_fn(async |tail: String| Ok(format!("plane {tail}"))))
///     .through(LruCache::new(1_000)?)
///     .build();
/// planes.insert("N14228", "Boeing 737".to_owned()).await?;
/// assert_eq!(planes.fetch("N14228").await?, "Boeing 737");
/// planes.invalidate("N14228").await?;
/// assert_eq!(planes.fetch("N14228").await?, "plane N14228");
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
pub trait Cache: Fetcher {
    /// Removes one key from every tier, so that the next fetch asks the source.
    fn invalidate(&self, key: &Self::Key) -> impl Future<Output = Result<()>> + Send;

    /// Removes many keys from every tier.
    fn invalidate_many(&self, keys: &[&Self::Key]) -> impl Future<Output = Result<()>> + Send;

    /// Puts an entry (or a plain value) into every tier.
    fn insert(
        &self,
        key: &Self::Key,
        entry: impl Into<Entry<Self::Value>> + Send,
    ) -> impl Future<Output = Result<()>> + Send;

    /// As [`insert`](Self::insert), and hands back the entry with the life that it got here, or the
    /// one of a newer version that is here: what a cache in front of this one keeps of it.
    fn insert_through(
        &self,
        key: Hashed<&Self::Key>,
        entry: Entry<Self::Value>,
    ) -> impl Future<Output = Result<Entry<Self::Value>>> + Send;

    /// Whether neither this cache nor what lies below it keeps anything that it answers with, nor writes what
    /// is inserted, so that changes of one key need no order here. A memory tier in front of it then does
    /// not have its own changes wait for each other.
    ///
    /// The answer must not change over time. The provided method says no, which is right everywhere and costs
    /// time; a cache that wraps another may pass the other's answer on.
    ///
    /// ```
    /// use headwater::{fetch_fn, BoxCache, Cache, LruCache, Source, TierExt};
    ///
    /// let source: BoxCache<u32, u32> = BoxCache::new(Source::new(fetch_fn(async |key: u32| Ok(key))));
    /// assert!(source.keeps_nothing());
    /// assert!(!LruCache::new(10)?.over(source).keeps_nothing());
    /// # Ok::<(), headwater::Error>(())
    /// ```
    fn keeps_nothing(&self) -> bool {
        false
    }

    /// As [`fetch_entry`](Fetcher::fetch_entry), which the provided method asks.
    fn fetch_through(
        &self,
        key: Hashed<&Self::Key>,
        options: &FetchOptions,
    ) -> impl Future<Output = Result<Entry<Self::Value>>> + Send {
        self.fetch_entry(key.into_key(), options)
    }

    /// As [`fetch_entries`](Fetcher::fetch_entries), which the provided method asks.
    fn fetch_many_through(
        &self,
        keys: &[Hashed<&Self::Key>],
        options: &FetchOptions,
    ) -> impl Future<Output = Vec<Result<Entry<Self::Value>>>> + Send {
        async move { self.fetch_entries(&plain(keys), options).await }
    }

    /// As [`invalidate_many`](Self::invalidate_many), which the provided method asks.
    fn invalidate_through(
        &self,
        keys: &[Hashed<&Self::Key>],
    ) -> impl Future<Output = Result<()>> + Send {
        async move { self.invalidate_many(&plain(keys)).await }
    }

    /// Removes everything from every tier.
    fn clear(&self) -> impl Future<Output = Result<()>> + Send;

    /// The counters so far, the fastest tier first.
    fn stats(&self) -> Stats;

    /// Tells `above` from now on which keys are changed here, by this process or another; for as long
    /// as it exists.
    fn attach(&self, above: Weak<dyn Above<Self::Key>>);
}
