//! The engine: look in a tier, on a miss ask the next, fill on the way out. Written once, for every
//! tier.
//!
//! # The path of a key
//! 1. A *hit* in a resident tier is answered at once: no lock of the engine, no flight, no box.
//! 2. A miss boards a [flight](crate::flight): one load per key, whoever asks meanwhile joins.
//! 3. The load looks in the tier if that takes waiting, and asks the next fetcher for what is left:
//!    one `get_many` and one `fetch_entries`, however many keys the flight carries.
//! 4. What came is committed: into a resident tier in the critical section that ends the flight's
//!    registration; into any other by a task behind the caller's back, in the key's
//!    [lane](lanes), while the flight stays registered and answers who comes meanwhile.
//!
//! Changes (`invalidate`, `insert`, `clear`) go the other way, from the source to the fastest tier,
//! each key in its lane, so that what a tier has forgotten cannot come back from a slower one. Where there
//! is none, below a resident tier over a source, there are no lanes either.

mod activity;
mod change;
mod epochs;
mod fill;
mod floors;
mod lanes;
mod lease;
mod load;
mod many;

use crate::batch::{Ask, Batcher, WhenIdle};
use crate::fetcher::{FetchOptions, is_young, one_per_key};
use crate::flight::{Boarded, Boarding, Flights, Request, Trip};
use crate::hashed::hashed;
use crate::observe::Counter;
use crate::runtime::spawn;
use crate::sync::Mutex;
use crate::{
    Above, Cache, Clock, Entry, Error, ErrorKind, Fetcher, Hashed, Moment, Result, Stats, Tier,
    TierStats,
};
use activity::Activity;
use epochs::Epochs;
use floors::Floors;
use lanes::Lanes;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{OnceCell, RwLock};

/// What becomes of a load that everybody who waited for it has left.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orphans {
    /// It is dropped at once. The default.
    #[default]
    Drop,
    /// It is finished by a task of its own, and fills.
    Finish,
}

/// What most calls ask for: nothing special. Kept here, so that no call's future has to hold it.
static PLAIN: FetchOptions = FetchOptions::new();

/// How a chain's engine behaves, the same for each of its tiers.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) clock: Clock,
    pub(crate) orphans: Orphans,
    pub(crate) close_within: Duration,
    pub(crate) pending_fills: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            orphans: Orphans::default(),
            close_within: Duration::from_secs(5),
            pending_fills: 65_536,
        }
    }
}

/// A tier as one who answers batches.
struct Lookups<T>(Arc<T>);

impl<T: Tier> Ask for Lookups<T> {
    type Key = T::Key;
    type Answer = Option<Entry<T::Value>>;

    async fn ask(&self, keys: &[&T::Key]) -> Vec<Result<Self::Answer>> {
        match keys {
            [key] => vec![self.0.get(key).await],
            keys => one_per_key(keys.len(), self.0.get_many(keys).await),
        }
    }
}

type Owned<T> = <<T as Tier>::Key as ToOwned>::Owned;

/// A tier in front of a fetcher: a cache that answers from the tier, asks the fetcher on a miss,
/// and fills the tier with what came.
///
/// Made by [`ChainBuilder::through`](crate::ChainBuilder::through) or
/// [`TierExt::over`](crate::TierExt::over). Clones share one cache. Besides its value and its place
/// in the load that it waits for, a fetch holds nothing; there are no tasks while nothing is to be done.
///
/// # Cancellation
/// Dropping a fetch leaves the load to those who still wait for it; when nobody does,
/// [`Orphans`] decides. Fills behind the caller's back go on.
///
/// ```
/// use headwater::{fetch_fn, Fetcher, LruCache, Source, TierExt};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let lengths = Source::new(fetch_fn(async |word: String| Ok(word.len())));
/// let cached = LruCache::new(1_000)?.over(lengths);
/// assert_eq!(cached.fetch("river").await?, 5);
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
pub struct ReadThrough<T: Tier, N> {
    inner: Arc<Inner<T, N>>,
}

struct Inner<T: Tier, N> {
    own: Weak<Self>,
    tier: Arc<T>,
    next: N,
    settings: Settings,
    /// Gathers look-ups of single keys, if the tier likes that.
    lookups: Option<Arc<Batcher<Lookups<T>>>>,
    flights: Arc<Flights<Owned<T>, T::Value>>,
    lanes: Arc<Lanes<Owned<T>>>,
    /// What this process itself changed; counted for a shared tier only.
    epochs: Arc<Epochs<Owned<T>>>,
    floors: Floors<Owned<T>>,
    /// Writes of single keys that go in lanes share it, a `clear` has it alone.
    gate: Arc<RwLock<()>>,
    work: Arc<Activity>,
    fills: Arc<Activity>,
    counters: Counters,
    is_closed: AtomicBool,
    closing: OnceCell<Result<()>>,
    /// The caches in front of this one, which forget what others change below.
    above: Mutex<Vec<Weak<dyn Above<T::Key>>>>,
}

#[derive(Default)]
struct Counters {
    hits: Counter,
    absent_hits: Counter,
    misses: Counter,
    coalesced: Counter,
    errors: Counter,
    fills: Counter,
    superseded_fills: Counter,
    dropped_fills: Counter,
}

impl<T, N> ReadThrough<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    /// Puts `tier` in front of `next`, with default settings.
    pub(crate) fn new(tier: T, next: N) -> Self {
        Self::with_settings(tier, next, Settings::default())
    }

    pub(crate) fn with_settings(tier: T, next: N, settings: Settings) -> Self {
        let heirs = match settings.orphans {
            Orphans::Drop => None,
            Orphans::Finish => Some(finish_in_background()),
        };
        let tier = Arc::new(tier);
        let lookups = tier.batching().map(|batching| {
            let lookups = Lookups(Arc::clone(&tier));
            Arc::new(Batcher::new(lookups, batching, WhenIdle::Go))
        });
        let inner = Arc::new_cyclic(|own| Inner {
            own: own.clone(),
            tier,
            next,
            settings,
            lookups,
            flights: Arc::new(Flights::new(heirs)),
            lanes: Arc::new(Lanes::new()),
            epochs: Arc::new(Epochs::new()),
            floors: Floors::new(),
            gate: Arc::default(),
            work: Arc::default(),
            fills: Arc::default(),
            counters: Counters::default(),
            is_closed: AtomicBool::new(false),
            closing: OnceCell::new(),
            above: Mutex::default(),
        });
        let own: Weak<Inner<T, N>> = Arc::downgrade(&inner);
        if let Some(shared) = inner.tier.shared() {
            shared.attach(own.clone());
        }
        inner.next.attach(own);
        Self { inner }
    }

    /// The tier of this cache.
    pub fn tier(&self) -> &T {
        &self.inner.tier
    }

    /// What this cache asks on a miss.
    pub fn next(&self) -> &N {
        &self.inner.next
    }
}

fn finish_in_background() -> crate::flight::Heirs {
    Box::new(|load| {
        // Outside of a runtime there is nobody to finish it, and the load is dropped.
        let _ = spawn(load);
    })
}

impl<T, N> Inner<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    fn check_open(&self) -> Result<()> {
        if self.is_closed.load(Relaxed) { Err(self.closed()) } else { Ok(()) }
    }

    fn closed(&self) -> Error {
        Error::new(ErrorKind::Closed, "").with_tier(self.tier.name().to_owned())
    }

    /// The entry of `key` if it is to be had without waiting, and young enough.
    fn look(
        &self,
        key: Hashed<&T::Key>,
        options: &FetchOptions,
        floor: Option<Moment>,
    ) -> Option<Entry<T::Value>> {
        let resident = self.tier.resident()?;
        if !options.is_default() && options.skips(self.tier.name()) {
            return None;
        }
        resident.get(key).filter(|entry| is_young(entry, floor))
    }

    fn count_hit(&self, entry: &Entry<T::Value>) {
        self.counters.hits.add(1);
        if entry.is_absent() {
            self.counters.absent_hits.add(1);
        }
    }

    /// The answer to a plain fetch, if the tier has it at hand.
    fn hit(&self, key: Hashed<&T::Key>) -> Option<Result<T::Value>> {
        if self.is_closed.load(Relaxed) {
            return Some(Err(self.closed()));
        }
        let value = self.tier.resident()?.value(key)?;
        self.counters.hits.add(1);
        if value.is_none() {
            self.counters.absent_hits.add(1);
        }
        Some(value.ok_or(Error::not_found()))
    }

    fn request(&self, options: &FetchOptions) -> Request {
        let now = || self.settings.clock.now();
        // With a tier at hand, what is loaded is there before its flight has landed, or is not wanted there.
        let now = if self.tier.resident().is_some() { None } else { Some(now()) };
        let floor = options.floor_at(|| now.unwrap_or_else(|| self.settings.clock.now()));
        Request { options: options.clone(), floor, now }
    }

    /// The answer to a fetch of one key that is not at hand. Out of the way, so that a hit's code stays
    /// small.
    #[cold]
    #[inline(never)]
    fn missed(
        self: &Arc<Self>,
        key: Hashed<&T::Key>,
        options: &FetchOptions,
    ) -> Trip<Owned<T>, T::Value> {
        self.board(&[key], &self.request(options)).landed_alone()
    }

    /// Boards the flights of these keys, which do not repeat; whose keys nobody loads yet are loaded.
    fn board(
        self: &Arc<Self>,
        keys: &[Hashed<&T::Key>],
        request: &Request,
    ) -> Boarding<Owned<T>, T::Value> {
        let look = |key: Hashed<&_>| self.look(key, &request.options, request.floor);
        let mut boarding = self.flights.board(keys, request, look);
        let own = boarding.depart(|id, keys| self.load_of(id, keys, request));
        let mut riding = 0;
        for boarded in &boarding.keys {
            match boarded {
                Boarded::Hit(entry) => self.count_hit(entry),
                Boarded::Riding { .. } => riding += 1,
                Boarded::Refused(_) => {}
            }
        }
        self.counters.coalesced.add(riding - own as u64);
        boarding
    }
}

impl<T, N> Fetcher for ReadThrough<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    type Key = T::Key;
    type Value = T::Value;

    async fn fetch(&self, key: &T::Key) -> Result<T::Value> {
        let key = Hashed::new(key);
        if let Some(answer) = self.inner.hit(key) {
            return answer;
        }
        self.inner.missed(key, &PLAIN).await?.into_outcome()
    }

    async fn fetch_many(&self, keys: &[&T::Key]) -> Vec<Result<T::Value>> {
        let entries = self.fetch_entries(keys, &FetchOptions::new()).await;
        entries.into_iter().map(|outcome| outcome.and_then(Entry::into_outcome)).collect()
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }

    async fn fetch_entry(&self, key: &T::Key, options: &FetchOptions) -> Result<Entry<T::Value>> {
        self.fetch_through(Hashed::new(key), options).await
    }

    async fn fetch_entries(
        &self,
        keys: &[&T::Key],
        options: &FetchOptions,
    ) -> Vec<Result<Entry<T::Value>>> {
        let sought = self.inner.seek(keys.iter().copied().map(Hashed::new), options);
        self.inner.answer(sought).await
    }
}

impl<T, N> Cache for ReadThrough<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    async fn invalidate(&self, key: &T::Key) -> Result<()> {
        self.inner.invalidate(&[Hashed::new(key)]).await
    }

    async fn invalidate_many(&self, keys: &[&T::Key]) -> Result<()> {
        self.inner.invalidate(&hashed(keys)).await
    }

    async fn insert(&self, key: &T::Key, entry: impl Into<Entry<T::Value>> + Send) -> Result<()> {
        self.inner.insert(Hashed::new(key), entry.into()).await.map(drop)
    }

    async fn insert_through(
        &self,
        key: Hashed<&T::Key>,
        entry: Entry<T::Value>,
    ) -> Result<Entry<T::Value>> {
        self.inner.insert(key, entry).await
    }

    async fn fetch_through(
        &self,
        key: Hashed<&T::Key>,
        options: &FetchOptions,
    ) -> Result<Entry<T::Value>> {
        self.inner.check_open()?;
        let inner = &self.inner;
        // Most calls bound no age, and then a hit reads no clock.
        let floor = options.floor_at(|| inner.settings.clock.now());
        if let Some(entry) = inner.look(key, options, floor) {
            inner.count_hit(&entry);
            return Ok(entry);
        }
        inner.missed(key, options).await
    }

    async fn fetch_many_through(
        &self,
        keys: &[Hashed<&T::Key>],
        options: &FetchOptions,
    ) -> Vec<Result<Entry<T::Value>>> {
        self.inner.answer(self.inner.seek(keys.iter().copied(), options)).await
    }

    async fn invalidate_through(&self, keys: &[Hashed<&T::Key>]) -> Result<()> {
        self.inner.invalidate(keys).await
    }

    async fn clear(&self) -> Result<()> {
        self.inner.clear().await
    }

    fn stats(&self) -> Stats {
        let mut stats = self.inner.next.stats();
        stats.tiers.insert(0, self.inner.stats());
        stats
    }

    fn attach(&self, above: Weak<dyn Above<T::Key>>) {
        let mut caches = self.inner.above.lock();
        caches.retain(|cache| cache.strong_count() > 0);
        caches.push(above);
    }
}

impl<T: Tier, N> Inner<T, N> {
    fn stats(&self) -> TierStats {
        let Counters {
            hits,
            absent_hits,
            misses,
            coalesced,
            errors,
            fills,
            superseded_fills,
            dropped_fills,
        } = &self.counters;
        TierStats {
            name: self.tier.name().to_owned(),
            hits: hits.get(),
            absent_hits: absent_hits.get(),
            misses: misses.get(),
            coalesced: coalesced.get(),
            errors: errors.get(),
            fills: fills.get(),
            superseded_fills: superseded_fills.get(),
            dropped_fills: dropped_fills.get(),
        }
    }
}

impl<T: Tier, N> Clone for ReadThrough<T, N> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T: Tier, N> fmt::Debug for ReadThrough<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadThrough").field("stats", &self.inner.stats()).finish_non_exhaustive()
    }
}
