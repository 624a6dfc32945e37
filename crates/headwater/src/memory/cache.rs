use std::fmt;

use super::bounds::UNBOUNDED;
use super::builder::MemoryBuilder;
use super::memory::Memory;
use super::sizing::MissRatioCurve;
use super::stats::MemoryStats;
use crate::sync::Arc;
use crate::{Batching, Entry, Hashed, Key, Moment, Resident, Result, Shared, Tier, Value};

/// A tier in memory that holds so many entries, or so much weight, and evicts exactly the one that
/// was not used for longest.
///
/// A clone is another handle to the same cache, cheap to make: keep one to look at a cache that
/// went into a chain.
///
/// - *Bounds*: the capacity is never exceeded, not for a moment. It is for found entries; absent
///   ones have [a bound of their own](MemoryBuilder::absent_capacity) beside it.
/// - *Lives*: an entry lives until the end that it brings, or for less: see
///   [`time_to_live`](MemoryBuilder::time_to_live) and [`time_to_idle`](MemoryBuilder::time_to_idle).
///   A dead entry is never returned. It is removed when it is met, by later puts (up to 16 each), within
///   some two seconds by a thread named `headwater-expiry`, or by
///   [`remove_expired`](Self::remove_expired). All caches of the process share the thread; it is there
///   only while some cache has entries whose lives end, and listeners that it calls find the runtime
///   around them, if any, in which the first of these was put. Caches with a clock of their own do
///   without it.
/// - *Versions*: an entry that is older than the live one of its key is declined.
/// - *Threads*: a hit takes no lock. It takes its turn in a ring of 512 hits, and whoever next takes the
///   one lock that guards the order brings that up to date first: a write, or the hit that finds the ring
///   half full. So the order is exact whatever the threads do; of hits that overlap, either may
///   be the earlier one. Weigher, listener and destructors run outside the lock; a key's `Eq` and the
///   clock may run under it and must not use the cache.
/// - *Freeing*: what leaves is dropped at once if no other thread has ever read a cache; see
///   [`MemoryCache`].
/// - *Cost*: get, put and remove take constant time. A hit allocates nothing and reads the clock
///   only if the entry has an end. An entry takes some 35 bytes beside its key and value, or 28 if
///   the key is a whole number and the value a number: these are faster to find. It takes 8 more each
///   if entries have an end, a time of loading (those from a chain have), a version, a weigher or a time
///   to idle, and 8 more if either ends their lives; memory grows
///   by doubling, and is used again, not given back, before the cache is dropped.
///
/// ```
/// use headwater::{fetch_fn, Fetcher, Headwater, LruCache};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let cache = LruCache::new(10_000)?;
/// let lengths = Headwater::source(fetch_fn(async |word: String| Ok(word.len())))
///     .through(cache.clone())
///     .build();
/// assert_eq!(lengths.fetch(&"headwater".to_owned()).await?, 9);
/// assert_eq!(cache.len(), 1);
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
pub struct LruCache<K: ?Sized + Key, V: Value>(pub(super) Arc<Memory<K, V>>);

impl<K: ?Sized + Key, V: Value> LruCache<K, V> {
    /// A cache of up to `capacity` found entries, with the defaults of its
    /// [`builder`](Self::builder).
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if `capacity` is 0.
    ///
    /// ```
    /// use headwater::LruCache;
    ///
    /// assert_eq!(LruCache::<str, u32>::new(100)?.capacity(), 100);
    /// let error = LruCache::<str, u32>::new(0).unwrap_err();
    /// assert_eq!(error.to_string(), "invalid configuration: capacity must be at least 1");
    /// # Ok::<(), headwater::Error>(())
    /// ```
    pub fn new(capacity: u64) -> Result<Self> {
        Self::builder(capacity).build()
    }

    /// Begins a cache of `capacity` entries, or of that weight if a
    /// [`weigher`](MemoryBuilder::weigher) is set.
    ///
    /// ```
    /// use headwater::{LruCache, Tier};
    ///
    /// let cache = LruCache::<str, u32>::builder(100).name("l1").build()?;
    /// assert_eq!(cache.name(), "l1");
    /// # Ok::<(), headwater::Error>(())
    /// ```
    pub fn builder(capacity: u64) -> MemoryBuilder<K, V, Self> {
        MemoryBuilder::lru(capacity)
    }

    /// The most that found entries may weigh together; their number, without a weigher.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.0.capacity()
    }
}

impl<K: ?Sized + Key, V: Value> MemoryBuilder<K, V, LruCache<K, V>> {
    /// Makes the cache.
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig), with the setting's name in the message:
    /// a capacity, time to live or time to idle of zero; a jitter outside 0 to 1.
    pub fn build(self) -> Result<LruCache<K, V>> {
        Ok(LruCache(self.build_memory()?))
    }
}

/// A tier in memory that keeps what is wanted most, or, without a capacity, all it is given until
/// that dies or is removed.
///
/// A clone is another handle to the same cache, cheap to make.
///
/// - *Bounds*: the capacity, of entries or weight, is never exceeded, not for a moment. It is for
///   found entries; absent ones have [a bound of their own](MemoryBuilder::absent_capacity) beside it.
/// - *Who leaves*: a policy decides that goes by how lately *and* how often keys were wanted, finds
///   the right mix by itself, and is not impressed by scans and loops, which empty an [`LruCache`].
///   Prefer this one unless the order has to be exact.
/// - *Threads*: a hit takes no lock, and once the entry is hot, writes nothing that another thread
///   reads; with a [`time_to_idle`](MemoryBuilder::time_to_idle) it writes the entry's new end. Writes
///   take the lock of one of the [shards](MemoryBuilder::shards) that keys are spread over.
/// - *Freeing*: what leaves is dropped at once, outside every lock, if no other thread has ever read a
///   cache; else by a later write to its shard: up to 64 entries per shard wait for it, but not more than
///   a sixteenth of its capacity, and with a weigher no more than 8. What is removed by key, cleared or
///   swept waits only for who reads at that moment. With a
///   [listener](MemoryBuilder::on_removal), what has to wait is cloned for it. Numbers by numbers that
///   have no end and no version do not wait.
/// - *Shards*: each keeps its part of the capacity, so that a cache of several may evict a little
///   before the whole is full. One of fewer than 2,048 entries has one shard, unless told otherwise.
/// - *Lives*, *versions*, *cost*: as in an [`LruCache`]; the policy takes 8 bytes more per entry, from
///   when the cache is first full.
///
/// ```
/// use headwater::{fetch_fn, Fetcher, Headwater, MemoryCache};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let cache = MemoryCache::with_capacity(10_000)?;
/// let squares = Headwater::source(fetch_fn(async |n: u64| Ok(n * n)))
///     .through(cache.clone())
///     .build();
/// assert_eq!(squares.fetch(&12).await?, 144);
/// assert_eq!(cache.len(), 1);
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
pub struct MemoryCache<K: ?Sized + Key, V: Value>(pub(super) Arc<Memory<K, V>>);

impl<K: ?Sized + Key, V: Value> MemoryCache<K, V> {
    /// A cache without a capacity, and otherwise with the defaults of its [`builder`](Self::builder).
    ///
    /// ```
    /// assert!(headwater::MemoryCache::<str, u32>::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self(Self::builder().into_memory())
    }

    /// A cache of up to `capacity` found entries, and otherwise with the defaults of its
    /// [`builder`](Self::builder).
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if `capacity` is 0.
    ///
    /// ```
    /// use headwater::MemoryCache;
    ///
    /// assert_eq!(MemoryCache::<str, u32>::with_capacity(100)?.capacity(), Some(100));
    /// # Ok::<(), headwater::Error>(())
    /// ```
    pub fn with_capacity(capacity: u64) -> Result<Self> {
        Self::builder().capacity(capacity).build()
    }

    /// The most that found entries may weigh together (their number, without a weigher); `None` if
    /// there is no bound.
    #[must_use]
    pub fn capacity(&self) -> Option<u64> {
        Some(self.0.capacity()).filter(|capacity| *capacity != UNBOUNDED)
    }

    /// Begins a cache.
    ///
    /// ```
    /// use headwater::MemoryCache;
    /// use std::time::Duration;
    ///
    /// let cache: MemoryCache<str, u32> =
    ///     MemoryCache::builder().time_to_live(Duration::from_secs(5)).build()?;
    /// assert_eq!(cache.weight(), 0);
    /// # Ok::<(), headwater::Error>(())
    /// ```
    pub fn builder() -> MemoryBuilder<K, V, Self> {
        MemoryBuilder::memory()
    }
}

impl<K: ?Sized + Key, V: Value> Default for MemoryCache<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: ?Sized + Key, V: Value> MemoryBuilder<K, V, MemoryCache<K, V>> {
    /// Makes the cache.
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig), with the setting's name in the message:
    /// a capacity, time to live or time to idle of zero; a jitter outside 0 to 1; a weigher without
    /// a capacity to count against; a number of shards that is not a power of two.
    pub fn build(self) -> Result<MemoryCache<K, V>> {
        Ok(MemoryCache(self.build_memory()?))
    }
}

/// The common face of the two caches: all of it is [`Memory`]'s.
macro_rules! face_of_memory {
    ($Cache:ident) => {
        impl<K: ?Sized + Key, V: Value> $Cache<K, V> {
            /// Found entries that are here, dead ones that nobody met yet included.
            #[must_use]
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether there is no found entry.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Absent entries that are here, dead ones that nobody met yet included.
            #[must_use]
            pub fn absent_len(&self) -> usize {
                self.0.absent_len()
            }

            /// What the found entries weigh together; their number, without a weigher.
            #[must_use]
            pub fn weight(&self) -> u64 {
                self.0.weight()
            }

            /// The live entry of `key`, found or absent, as if nobody had looked: the order of use
            /// and idle lives stay as they are.
            ///
            /// ```
            /// use headwater::{Entry, LruCache, Tier};
            ///
            /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            /// let cache = LruCache::<str, u32>::new(1)?;
            /// cache.put("a", &Entry::found(1)).await?;
            /// assert_eq!(cache.peek("a").and_then(Entry::into_value), Some(1));
            /// # Ok::<(), headwater::Error>(())
            /// # }).unwrap();
            /// ```
            #[must_use]
            pub fn peek(&self, key: &K) -> Option<Entry<V>> {
                self.0.peek(Hashed::new(key))
            }

            /// Copies of all live entries, found and absent, in no order, as if nobody had looked.
            ///
            /// It does not stop the world: an entry that is there from the first call of `next` to the
            /// last comes once; one that is put, replaced or removed meanwhile may come or not, and one
            /// that is replaced may come twice. Takes copies of up to 1,024 entries at a time, and lets
            /// other threads in between.
            ///
            /// ```
            /// use headwater::{Entry, LruCache, Tier};
            ///
            /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            /// let cache = LruCache::<u32, u32>::new(10)?;
            /// for key in 1..4 {
            ///     cache.put(&key, &Entry::found(key * key)).await?;
            /// }
            /// let sum: u32 = cache.iter().filter_map(|(_, entry)| entry.into_value()).sum();
            /// assert_eq!(sum, 1 + 4 + 9);
            /// # Ok::<(), headwater::Error>(())
            /// # }).unwrap();
            /// ```
            pub fn iter(&self) -> impl Iterator<Item = (K::Owned, Entry<V>)> + '_ {
                self.0.iter()
            }

            /// Has `read` look at the value of `key` where it is stored, if a live entry is here; the
            /// value is `None` if the entry says that the key is absent. A use, as
            /// [`get`](Tier::get) is, but nothing is cloned: an `Arc` that many threads look at is not
            /// counted up and down.
            ///
            /// `read` may use the cache. Be short: nothing that leaves the cache while it runs is freed
            /// before it ends.
            ///
            /// ```
            /// use headwater::{Entry, MemoryCache, Tier};
            ///
            /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            /// let cache = MemoryCache::<str, String>::with_capacity(10)?;
            /// cache.put("a", &Entry::found("long".to_owned())).await?;
            /// assert_eq!(cache.with("a", |text| text.map_or(0, String::len)), Some(4));
            /// assert_eq!(cache.with("b", |_| ()), None);
            /// # Ok::<(), headwater::Error>(())
            /// # }).unwrap();
            /// ```
            pub fn with<R>(&self, key: &K, read: impl FnOnce(Option<&V>) -> R) -> Option<R> {
                self.0.look_up(key, |seen| seen.map(read))
            }

            /// A clone of the value of `key`, if a live entry is here that has one: a use, as
            /// [`get`](Tier::get) is, that needs no `await`. `None` for an absent entry, too: what tells
            /// them apart is [`with`](Self::with).
            ///
            /// ```
            /// use headwater::MemoryCache;
            ///
            /// let cache = MemoryCache::<str, u32>::with_capacity(10)?;
            /// cache.insert("a".to_owned(), 4)?;
            /// assert_eq!(["a", "b"].map(|key| cache.value(key)), [Some(4), None]);
            /// # Ok::<(), headwater::Error>(())
            /// ```
            #[must_use]
            pub fn value(&self, key: &K) -> Option<V> {
                self.0.look_up(key, |seen| seen.flatten().cloned())
            }

            /// Stores a value, as [`put`](Tier::put) does with an entry that says no more than that: by
            /// the rules of this cache for what it weighs and how long it lives. It needs no `await`, and
            /// no copy.
            ///
            /// # Errors
            /// [`Closed`](crate::ErrorKind::Closed) after a close.
            ///
            /// ```
            /// use headwater::MemoryCache;
            ///
            /// let cache = MemoryCache::<str, u32>::with_capacity(10)?;
            /// cache.insert("a".to_owned(), 4)?;
            /// assert_eq!(cache.value("a"), Some(4));
            /// # Ok::<(), headwater::Error>(())
            /// ```
            #[inline]
            pub fn insert(&self, key: K::Owned, value: V) -> Result<()> {
                self.0.insert(key, value)
            }

            /// Removes all dead entries and returns how many they were. Takes time in proportion to
            /// these and to what dies within 17 ms, not to the cache's size, and lets other threads in
            /// after every 1,024.
            ///
            /// Nobody has to call it: dead entries go anyway, if a little later.
            pub fn remove_expired(&self) -> usize {
                self.0.remove_expired()
            }

            /// Changes the capacity while the cache is in use, and evicts at once what is then too
            /// much, as [`Evicted`](crate::Cause::Evicted). Shards stay as many as they are.
            ///
            /// # Errors
            /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if `capacity` is 0, or the cache was
            /// made without one, or it is more than the shards have room for: each for 8,388,608 entries
            /// if keys and values are numbers, otherwise for 2,147,483,648;
            /// [`Closed`](crate::ErrorKind::Closed) after a close.
            ///
            /// ```
            /// use headwater::{Entry, LruCache, Tier};
            ///
            /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            /// let cache = LruCache::<u32, u32>::new(10)?;
            /// for key in 0..10 {
            ///     cache.put(&key, &Entry::found(key)).await?;
            /// }
            /// cache.resize(3)?;
            /// assert_eq!((cache.len(), cache.stats().evicted), (3, 7));
            /// # Ok::<(), headwater::Error>(())
            /// # }).unwrap();
            /// ```
            pub fn resize(&self, capacity: u64) -> Result<()> {
                self.0.resize(capacity).map(drop)
            }

            /// What the hit ratio of an LRU would be at any capacity, as far as one can tell from the
            /// requests so far: `hit_ratio_at(2 * capacity)` is how much twice the size would help.
            /// `None` unless [`live_sizing`](MemoryBuilder::live_sizing) was asked for.
            ///
            /// Copies some kilobytes, under a lock for which no request waits.
            #[must_use]
            pub fn miss_ratio_curve(&self) -> Option<MissRatioCurve> {
                self.0.miss_ratio_curve()
            }

            /// What was counted so far.
            #[must_use]
            pub fn stats(&self) -> MemoryStats {
                self.0.stats()
            }
        }

        impl<K: ?Sized + Key, V: Value> Tier for $Cache<K, V> {
            type Key = K;
            type Value = V;

            fn name(&self) -> &str {
                self.0.name()
            }

            async fn get(&self, key: &K) -> Result<Option<Entry<V>>> {
                self.0.check_open()?;
                Ok(self.0.get(Hashed::new(key)))
            }

            async fn get_many(&self, keys: &[&K]) -> Vec<Result<Option<Entry<V>>>> {
                let get = |key: &&K| self.0.check_open().map(|()| self.0.get(Hashed::new(*key)));
                keys.iter().map(get).collect()
            }

            async fn put(&self, key: &K, entry: &Entry<V>) -> Result<()> {
                self.0.keep(key, entry)
            }

            async fn put_many(&self, entries: &[(&K, &Entry<V>)]) -> Vec<Result<()>> {
                entries.iter().map(|(key, entry)| self.0.keep(key, entry)).collect()
            }

            async fn remove(&self, key: &K) -> Result<()> {
                self.0.check_open()?;
                drop(self.0.remove(Hashed::new(key)));
                Ok(())
            }

            async fn remove_many(&self, keys: &[&K]) -> Result<()> {
                self.0.check_open()?;
                keys.iter().for_each(|key| drop(self.0.remove(Hashed::new(*key))));
                Ok(())
            }

            async fn clear(&self) -> Result<()> {
                self.0.check_open()?;
                drop(self.0.clear());
                Ok(())
            }

            async fn close(&self) -> Result<()> {
                drop(self.0.close());
                Ok(())
            }

            fn life(&self, key: &K, entry: &Entry<V>) -> Option<Moment> {
                self.0.prepare(key, entry.clone()).entry.expiry()
            }

            fn batching(&self) -> Option<Batching> {
                None
            }

            fn resident(&self) -> Option<&dyn Resident<K, V>> {
                Some(&*self.0)
            }

            fn shared(&self) -> Option<&dyn Shared<K, V>> {
                None
            }
        }

        impl<K: ?Sized + Key, V: Value> Clone for $Cache<K, V> {
            fn clone(&self) -> Self {
                Self(Arc::clone(&self.0))
            }
        }

        impl<K: ?Sized + Key, V: Value> fmt::Debug for $Cache<K, V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Cache))
                    .field("name", &self.name())
                    .field("len", &self.len())
                    .field("absent_len", &self.absent_len())
                    .field("weight", &self.weight())
                    .finish_non_exhaustive()
            }
        }
    };
}

face_of_memory!(LruCache);
face_of_memory!(MemoryCache);
