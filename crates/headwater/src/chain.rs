//! Chains in reading order: from the source towards the service.

use crate::read_through::Settings;
use crate::{Batching, Cache, Clock, Fetcher, Orphans, ReadThrough, Source, Tier};
use std::time::Duration;

/// Where a chain begins: `Headwater::source(...)`, then `.through(...)` for each tier.
///
/// ```
/// use headwater::{fetch_fn, Fetcher, Headwater, LruCache, MemoryCache};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let users = Headwater::source(fetch_fn(async |id: String| Ok(format!("user {id}"))))
///     .through(MemoryCache::builder().name("shared").build()?) // asked second
///     .through(LruCache::new(10_000)?) // asked first
///     .build();
/// assert_eq!(users.fetch("123").await?, "user 123");
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Headwater;

impl Headwater {
    /// Begins a chain at its source of truth.
    pub fn source<F: Fetcher>(fetcher: F) -> ChainBuilder<Source<F>> {
        ChainBuilder { end: Source::new(fetcher), settings: Settings::default() }
    }

    /// Goes on with a chain that is built already; its engine reads time from `clock`.
    ///
    /// ```
    /// use headwater::{fetch_fn, Clock, Fetcher, Headwater, MemoryCache, Orphans, Source};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let lower = Source::new(fetch_fn(async |key: u32| Ok(key)));
    /// let chain = Headwater::over(lower, Clock::system())
    ///     .orphans(Orphans::Finish)
    ///     .through(MemoryCache::new())
    ///     .build();
    /// assert_eq!(chain.fetch(&7).await?, 7);
    /// # Ok::<(), headwater::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn over<N: Cache>(next: N, clock: Clock) -> ChainBuilder<N> {
        ChainBuilder { end: next, settings: Settings { clock, ..Settings::default() } }
    }
}

/// A chain being built, from the source towards the service.
///
/// Settings apply to the tiers that are added after them.
#[derive(Debug)]
#[must_use = "a chain does nothing until it is built and fetched from"]
pub struct ChainBuilder<N> {
    end: N,
    settings: Settings,
}

impl<F: Fetcher> ChainBuilder<Source<F>> {
    /// Reads time from `clock`, in the source and in the engine. Give the same clock to the tiers.
    /// Default: the system's.
    pub fn clock(self, clock: Clock) -> Self {
        let settings = Settings { clock: clock.clone(), ..self.settings };
        Self { end: self.end.clock(clock), settings }
    }

    /// Allows at most `calls` calls of the source at once; see [`Source::limit`].
    pub fn limit(self, calls: usize) -> Self {
        Self { end: self.end.limit(calls), ..self }
    }

    /// Asks the source for many keys at a time wherever it can; see [`Source::batching`].
    pub fn batching(self, batching: Batching) -> Self {
        Self { end: self.end.batching(batching), ..self }
    }

    /// Remembers errors of the source for `span`; see [`Source::error_memo`].
    pub fn error_memo(self, span: Duration) -> Self {
        Self { end: self.end.error_memo(span), ..self }
    }
}

impl<N: Cache> ChainBuilder<N> {
    /// What becomes of loads that everybody who waited for them has left. Default:
    /// [`Orphans::Drop`].
    pub fn orphans(mut self, orphans: Orphans) -> Self {
        self.settings.orphans = orphans;
        self
    }

    /// How long `close` waits, in each tier, for loads and fills that are under way; what is left
    /// is given up and reported. Default: 5 s.
    pub fn close_within(mut self, limit: Duration) -> Self {
        self.settings.close_within = limit;
        self
    }

    /// How many entries may be on their way into each tier that is not in memory; more are not
    /// stored there, and counted as dropped. Default: 65,536.
    pub fn pending_fills(mut self, entries: usize) -> Self {
        self.settings.pending_fills = entries;
        self
    }

    /// Puts a faster tier in front.
    pub fn through<T>(self, tier: T) -> ChainBuilder<ReadThrough<T, N>>
    where
        T: Tier<Key = N::Key, Value = N::Value>,
    {
        let end = ReadThrough::with_settings(tier, self.end, self.settings.clone());
        ChainBuilder { end, settings: self.settings }
    }

    /// The chain.
    #[must_use]
    pub fn build(self) -> N {
        self.end
    }
}
