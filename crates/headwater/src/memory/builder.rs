use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::bounds::{Bounds, Rule, UNBOUNDED};
use super::cache::{LruCache, MemoryCache};
use super::life::Life;
use super::memory::{Memory, Settings, Weigher};
use super::sizing::Sizing;
use crate::{Cause, Clock, Error, ErrorKind, Key, RemovalListener, Result, Value};

/// How many shards a bounded cache has per processor. More of them share a processor's cache less well.
const SHARDS_PER_PROCESSOR: usize = 4;

/// How many one without a bound has.
const SHARDS_WITHOUT_BOUND: usize = 16;

/// The most shards.
const MOST_SHARDS: usize = 1 << 10;

/// A bounded cache of fewer entries than this per shard has fewer shards: each judges by what it
/// holds itself, and judges badly if that is little.
const ENTRIES_PER_SHARD: u64 = 1_024;

/// One of more entries than this per shard has more shards: numbers that are [found
/// quickly](super::kept::Kept::Within) have to be few enough in each.
const MOST_ENTRIES_PER_SHARD: u64 = 1 << 22;

/// The life of an absent entry if nothing is said.
const ABSENT_TTL: Duration = Duration::from_secs(60);

/// The settings of a cache in memory; `C` is what it builds: an [`LruCache`] or a [`MemoryCache`].
///
/// Made by [`LruCache::builder`] and [`MemoryCache::builder`].
///
/// [`LruCache`]: crate::LruCache
/// [`LruCache::builder`]: crate::LruCache::builder
/// [`MemoryCache`]: crate::MemoryCache
/// [`MemoryCache::builder`]: crate::MemoryCache::builder
///
/// ```
/// use headwater::LruCache;
/// use std::time::Duration;
///
/// let planes = LruCache::<str, String>::builder(64 << 20)
///     .weigher(|tail, plane| (tail.len() + plane.len()) as u64)
///     .time_to_live(Duration::from_secs(3_600))
///     .ttl_jitter(0.1)
///     .name("planes")
///     .build()?;
/// assert!(planes.is_empty());
/// # Ok::<(), headwater::Error>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct MemoryBuilder<K: ?Sized + Key, V: Value, C> {
    capacity: Option<u64>,
    absent_capacity: Option<u64>,
    time_to_idle: Option<Duration>,
    rule: Rule,
    shards: Option<usize>,
    live_sizing: Option<f64>,
    settings: Settings<K, V>,
    builds: PhantomData<fn() -> C>,
}

impl<K: ?Sized + Key, V: Value> MemoryBuilder<K, V, LruCache<K, V>> {
    pub(super) fn lru(capacity: u64) -> Self {
        Self::new("lru", Rule::Lru, Some(capacity))
    }
}

impl<K: ?Sized + Key, V: Value> MemoryBuilder<K, V, MemoryCache<K, V>> {
    pub(super) fn memory() -> Self {
        Self::new("memory", Rule::Adaptive, None)
    }

    /// Bounds the cache: so many found entries, or so much weight if a [`weigher`](Self::weigher) is
    /// set. Default: no bound.
    ///
    /// The capacity is never exceeded, not for a moment. It is divided among the
    /// [shards](Self::shards).
    ///
    /// ```
    /// use headwater::MemoryCache;
    ///
    /// let cache = MemoryCache::<str, u32>::builder().capacity(10_000).build()?;
    /// assert_eq!(cache.capacity(), Some(10_000));
    /// # Ok::<(), headwater::Error>(())
    /// ```
    pub fn capacity(mut self, capacity: u64) -> Self {
        self.capacity = Some(capacity);
        self
    }

    /// Into how many parts the cache is divided, each with a lock of its own and its part of the
    /// capacity: a power of two up to 1,024.
    ///
    /// More parts keep threads that *write* from waiting for each other. With few entries per part
    /// the hit ratio suffers, and an entry that is heavier than a part's capacity is not kept.
    ///
    /// Default: four per processor, but no more than one per 1,024 entries of capacity and no
    /// fewer than one per 4,194,304; 1 with a [`weigher`](Self::weigher); 16 without a capacity.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }
}

impl<K: ?Sized + Key, V: Value, C> MemoryBuilder<K, V, C> {
    fn new(name: &'static str, rule: Rule, capacity: Option<u64>) -> Self {
        let life = Life {
            time_to_live: None,
            time_to_live_with: None,
            absent_ttl: ABSENT_TTL,
            jitter: 0.0,
        };
        let (name, clock) = (Cow::Borrowed(name), Clock::system());
        let settings = Settings { name, clock, life, weigher: None, listener: None };
        Self {
            capacity,
            absent_capacity: None,
            time_to_idle: None,
            rule,
            shards: None,
            live_sizing: None,
            settings,
            builds: PhantomData,
        }
    }

    /// Bounds the sum of weights instead of the number of entries: the capacity is then in the
    /// unit of `weigher`, bytes for instance. Default: each entry weighs 1.
    ///
    /// It is asked once per put of a found entry, outside every lock. A weight of 0 would let an
    /// endless number of entries in, so it counts as 1, and in
    /// [`zero_weights`](crate::MemoryStats::zero_weights). An entry heavier than the whole capacity
    /// is not kept: whoever fetched it gets it, an older entry of its key is removed as
    /// [`Replaced`](Cause::Replaced), and it leaves at once itself, as [`Evicted`](Cause::Evicted).
    ///
    /// ```
    /// use headwater::{Entry, LruCache, Tier};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache: LruCache<u32, &str> =
    ///     LruCache::builder(10).weigher(|_, text: &&str| text.len() as u64).build()?;
    /// for (key, text) in [(1, "seven"), (2, "eight"), (3, "nine"), (4, "more than ten")] {
    ///     cache.put(&key, &Entry::found(text)).await?;
    /// }
    /// assert_eq!((cache.len(), cache.weight()), (2, 9));
    /// # Ok::<(), headwater::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn weigher(mut self, weigher: impl Fn(&K, &V) -> u64 + Send + Sync + 'static) -> Self {
        let weigher: Weigher<K, V> = Box::new(weigher);
        self.settings.weigher = Some(weigher);
        self
    }

    /// How many absent entries may be kept, beside the capacity, which is for found ones: neither
    /// kind can push out the other. 0 keeps none.
    ///
    /// Default: an eighth of the capacity but at least 1; 1,024 if there is a weigher; 10,000 without
    /// a capacity. The number is divided among the shards, rounding up.
    pub fn absent_capacity(mut self, entries: u64) -> Self {
        self.absent_capacity = Some(entries);
        self
    }

    /// How long an absent entry lives, from the put; its own end, if earlier, stays. Zero keeps
    /// none. Default: 60 seconds.
    pub fn absent_ttl(mut self, ttl: Duration) -> Self {
        self.settings.life.absent_ttl = ttl;
        self
    }

    /// How long a found entry lives, from the put; its own end, if earlier, stays. Default: as
    /// long as the tier or source below says, or for ever.
    pub fn time_to_live(mut self, ttl: Duration) -> Self {
        self.settings.life.time_to_live = Some(ttl);
        self
    }

    /// Decides a found entry's life from the value, from the put; `None` sets no end. With
    /// [`time_to_live`](Self::time_to_live) too, the shorter one applies. Default: not asked.
    ///
    /// It is asked once per put, outside every lock. An entry whose life is zero is not kept.
    ///
    /// ```
    /// use headwater::LruCache;
    /// use std::time::Duration;
    ///
    /// struct Token { seconds_left: u64 }
    /// let tokens: LruCache<str, std::sync::Arc<Token>> = LruCache::builder(1_000)
    ///     .time_to_live_with(|_, token: &std::sync::Arc<Token>| {
    ///         Some(Duration::from_secs(token.seconds_left))
    ///     })
    ///     .build()?;
    /// # Ok::<(), headwater::Error>(())
    /// ```
    pub fn time_to_live_with(
        mut self,
        life: impl Fn(&K, &V) -> Option<Duration> + Send + Sync + 'static,
    ) -> Self {
        self.settings.life.time_to_live_with = Some(Box::new(life));
        self
    }

    /// How long an entry, found or absent, lives after its last put or get, within what else ends
    /// its life. Entries that are handed out carry the nearer end. Default: no limit.
    pub fn time_to_idle(mut self, tti: Duration) -> Self {
        self.time_to_idle = Some(tti);
        self
    }

    /// Shortens each life that this cache sets from the put (not the idle one, and not an end that
    /// comes from below) at random by up to this fraction, from 0 to 1, so that what came together
    /// does not expire together. An end within the life that this cache gives is kept as it is, so
    /// that an entry ends in a faster tier no later than in a slower one. Default: 0.
    pub fn ttl_jitter(mut self, fraction: f64) -> Self {
        self.settings.life.jitter = fraction;
        self
    }

    /// Has `listener` called with each found entry that leaves, outside every lock and by whoever
    /// caused it. It may use the cache; its panics are caught. Default: nobody is told.
    ///
    /// An entry that is put but cannot be kept leaves at once: [`Evicted`](Cause::Evicted) if it is
    /// too heavy, [`Expired`](Cause::Expired) if it has no life left. One that is declined for a
    /// newer version was never in, and is not reported. Dropping the cache reports nothing;
    /// closing it reports all as [`Invalidated`](Cause::Invalidated).
    ///
    /// ```
    /// use headwater::{Entry, LruCache, Tier};
    /// use std::sync::mpsc;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (left, log) = mpsc::channel();
    /// let cache: LruCache<str, u32> = LruCache::builder(1)
    ///     .on_removal(move |key: &String, value, cause| {
    ///         let _ = left.send(format!("{key}={value} {cause:?}"));
    ///     })
    ///     .build()?;
    /// for (key, value) in [("a", 1), ("b", 2)] {
    ///     cache.put(key, &Entry::found(value)).await?;
    /// }
    /// assert_eq!(log.try_recv().as_deref(), Ok("a=1 Evicted"));
    /// # Ok::<(), headwater::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn on_removal(
        mut self,
        listener: impl Fn(&K::Owned, &V, Cause) + Send + Sync + 'static,
    ) -> Self {
        let listener: RemovalListener<K::Owned, V> = Arc::new(listener);
        self.settings.listener = Some(listener);
        self
    }

    /// Measures, while the cache is in use, what its hit ratio would be at other capacities: see
    /// [`miss_ratio_curve`](LruCache::miss_ratio_curve). Default: not measured, and costs nothing.
    ///
    /// Begins with a sample of this `share` of the keys, from above 0 to 1, and lowers it so that the
    /// sample never has more than 1,792 keys: up to 80 kB. Requests of keys in the sample cost some
    /// 100 ns more, all others some ten instructions; so 0.01 is a good share where hits are many. The more keys
    /// are in the sample, the better the curve. With 1,792 it is off by 0.01 on average, with 200 by
    /// 0.03, so give a cache of a few thousand entries a larger share.
    ///
    /// A request is a get that hits, or a put, which is how a miss ends. An entry in the sample is
    /// thirty bytes without key and value: nothing of yours is kept.
    ///
    /// ```
    /// use headwater::MemoryCache;
    ///
    /// let cache: MemoryCache<str, u32> =
    ///     MemoryCache::builder().capacity(100_000).live_sizing(0.01).build()?;
    /// assert_eq!(cache.miss_ratio_curve().unwrap().requests(), 0);
    /// # Ok::<(), headwater::Error>(())
    /// ```
    pub fn live_sizing(mut self, share: f64) -> Self {
        self.live_sizing = Some(share);
        self
    }

    /// The clock that lives are counted by: give the same one to the whole chain. Default: the
    /// system's monotonic clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.settings.clock = clock;
        self
    }

    /// The tier's name in counters and errors. Default: `"lru"` for an
    /// [`LruCache`](crate::LruCache), `"memory"` for a [`MemoryCache`](crate::MemoryCache).
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// What both kinds of `build` do.
    pub(super) fn build_memory(self) -> Result<Arc<Memory<K, V>>> {
        match self.fault() {
            Some(fault) => Err(Error::new(ErrorKind::InvalidConfig, fault)),
            None => Ok(self.into_memory()),
        }
    }

    /// The cache of settings that have no fault.
    pub(super) fn into_memory(self) -> Arc<Memory<K, V>> {
        let shards = self.shards.unwrap_or_else(|| self.usual_shards());
        let absent_capacity = if self.settings.life.absent_ttl.is_zero() {
            0
        } else {
            self.absent_capacity.unwrap_or_else(|| self.usual_absent_capacity())
        };
        let bounds = Bounds {
            rule: self.rule,
            capacity: self.capacity.unwrap_or(UNBOUNDED),
            absent_capacity,
            weighed: self.settings.weigher.is_some(),
            time_to_idle: self.time_to_idle,
            listens: self.settings.listener.is_some(),
        };
        Memory::new(self.settings, bounds, shards, Sizing::new(self.live_sizing))
    }

    fn usual_shards(&self) -> usize {
        match (self.rule, self.capacity, &self.settings.weigher) {
            (Rule::Lru, ..) | (_, Some(_), Some(_)) => 1,
            (_, None, _) => SHARDS_WITHOUT_BOUND,
            (_, Some(capacity), None) => {
                let processors = std::thread::available_parallelism().map_or(1, usize::from);
                let enough = capacity.div_ceil(MOST_ENTRIES_PER_SHARD) as usize;
                let enough = enough.max(SHARDS_PER_PROCESSOR * processors);
                let most = enough.next_power_of_two().min(MOST_SHARDS);
                let worthwhile = (capacity / ENTRIES_PER_SHARD).checked_ilog2().unwrap_or(0);
                most.min(1_usize.checked_shl(worthwhile).unwrap_or(most))
            }
        }
    }

    fn usual_absent_capacity(&self) -> u64 {
        match (self.capacity, &self.settings.weigher) {
            (None, _) => 10_000,
            (Some(_), Some(_)) => 1_024,
            (Some(capacity), None) => (capacity / 8).max(1),
        }
    }

    fn fault(&self) -> Option<&'static str> {
        let life = &self.settings.life;
        if self.capacity == Some(0) {
            Some("capacity must be at least 1")
        } else if self.capacity.is_none() && self.settings.weigher.is_some() {
            Some("weigher needs a capacity")
        } else if self.shards.is_some_and(|n| !n.is_power_of_two() || n > MOST_SHARDS) {
            Some("shards must be a power of two up to 1,024")
        } else if life.time_to_live == Some(Duration::ZERO) {
            Some("time_to_live must be longer than zero")
        } else if self.time_to_idle == Some(Duration::ZERO) {
            Some("time_to_idle must be longer than zero")
        } else if !(0.0..=1.0).contains(&life.jitter) {
            Some("ttl_jitter must be from 0 to 1")
        } else if self.live_sizing.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
            Some("live_sizing must be above 0, and 1 at most")
        } else {
            None
        }
    }
}

impl<K: ?Sized + Key, V: Value, C> fmt::Debug for MemoryBuilder<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { name, clock, life, weigher, listener } = &self.settings;
        f.debug_struct("MemoryBuilder")
            .field("name", name)
            .field("capacity", &self.capacity)
            .field("absent_capacity", &self.absent_capacity)
            .field("shards", &self.shards)
            .field("time_to_idle", &self.time_to_idle)
            .field("live_sizing", &self.live_sizing)
            .field("life", life)
            .field("clock", clock)
            .field("weigher", &weigher.is_some())
            .field("on_removal", &listener.is_some())
            .finish()
    }
}
