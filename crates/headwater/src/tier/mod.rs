//! [`Tier`], the one trait that a store implements, and its two further faces: [`Resident`], when the
//! store is this process's own memory, and [`Shared`], when other processes use it too.

mod removals;
mod shared;

pub use removals::{Cause, RemovalListener, Removals};
pub use shared::{Above, Lease, Leased, Shared};

use crate::{Batching, Entry, Hashed, Key, Moment, Result, Value};

/// A place where entries live: look in, store, drop. Nothing else: asking the next tier, sharing
/// loads and filling are the engine's ([`ReadThrough`](crate::ReadThrough)).
///
/// # Semantics
/// - A miss is `Ok(None)`, never an error; an entry past its life is a miss (R5).
/// - `put` keeps the entry until its life ends, or for less. A tier may decline to keep an entry,
///   and declines one that is older by [`Version`](crate::Version) than what it holds.
/// - `get_many` and `put_many` give one outcome per key, in order; duplicates are allowed, and one
///   bad key never fails its neighbours (R8).
/// - When `put` or `remove` has returned, later calls see its effect. The engine never runs two
///   writes of one key at the same time.
/// - Every operation ends by itself within a time that the tier states, whatever its store does:
///   the engine waits for it, and later changes of the same keys wait behind it.
/// - An error is this tier's trouble only: the engine counts it and goes on to the next tier (R6).
/// - `close` is idempotent and closes what the tier owns, nothing injected (R11).
///
/// # Example: a tier of your own
/// ```
/// use headwater::{Batching, Entry, Moment, Resident, Result, Shared, Tier};
/// use std::{collections::HashMap, sync::Mutex};
///
/// #[derive(Default)]
/// struct Shelf(Mutex<HashMap<u32, Entry<String>>>);
///
/// impl Tier for Shelf {
///     type Key = u32;
///     type Value = String;
///     fn name(&self) -> &str { "shelf" }
///     async fn get(&self, key: &u32) -> Result<Option<Entry<String>>> {
///         Ok(self.0.lock().unwrap().get(key).cloned())
///     }
///     async fn get_many(&self, keys: &[&u32]) -> Vec<Result<Option<Entry<String>>>> {
///         let shelf = self.0.lock().unwrap();
///         keys.iter().map(|key| Ok(shelf.get(*key).cloned())).collect()
///     }
///     async fn put(&self, key: &u32, entry: &Entry<String>) -> Result<()> {
///         self.0.lock().unwrap().insert(*key, entry.clone());
///         Ok(())
///     }
///     async fn put_many(&self, entries: &[(&u32, &Entry<String>)]) -> Vec<Result<()>> {
///         let mut shelf = self.0.lock().unwrap();
///         entries.iter().map(|(key, entry)| {
///             shelf.insert(**key, (*entry).clone());
///             Ok(())
///         }).collect()
///     }
///     async fn remove(&self, key: &u32) -> Result<()> {
///         self.0.lock().unwrap().remove(key);
///         Ok(())
///     }
///     async fn remove_many(&self, keys: &[&u32]) -> Result<()> {
///         let mut shelf = self.0.lock().unwrap();
///         keys.iter().for_each(|key| { shelf.remove(*key); });
///         Ok(())
///     }
///     async fn clear(&self) -> Result<()> { Ok(self.0.lock().unwrap().clear()) }
///     async fn close(&self) -> Result<()> { Ok(()) }
///     fn life(&self, _: &u32, entry: &Entry<String>) -> Option<Moment> { entry.expiry() }
///     fn batching(&self) -> Option<Batching> { None }
///     fn resident(&self) -> Option<&dyn Resident<u32, String>> { None }
///     fn shared(&self) -> Option<&dyn Shared<u32, String>> { None }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let shelf = Shelf::default();
/// shelf.put(&7, &Entry::found("seven".to_owned())).await?;
/// assert_eq!(shelf.get(&7).await?.and_then(Entry::into_value).as_deref(), Some("seven"));
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
pub trait Tier: Send + Sync + 'static {
    /// What entries are stored by.
    type Key: ?Sized + Key;
    /// What is stored.
    type Value: Value;

    /// A short name for counters, errors and [`FetchOptions::skip_tier`]: `"lru"`, `"redis"`.
    ///
    /// [`FetchOptions::skip_tier`]: crate::FetchOptions::skip_tier
    fn name(&self) -> &str;

    /// The live entry of `key`, or `None`.
    fn get(
        &self,
        key: &Self::Key,
    ) -> impl Future<Output = Result<Option<Entry<Self::Value>>>> + Send;

    /// The live entries of many keys, one outcome per key and in their order.
    fn get_many(
        &self,
        keys: &[&Self::Key],
    ) -> impl Future<Output = Vec<Result<Option<Entry<Self::Value>>>>> + Send;

    /// Stores an entry.
    fn put(
        &self,
        key: &Self::Key,
        entry: &Entry<Self::Value>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Stores many entries, one outcome per key and in their order.
    fn put_many(
        &self,
        entries: &[(&Self::Key, &Entry<Self::Value>)],
    ) -> impl Future<Output = Vec<Result<()>>> + Send;

    /// Drops an entry; dropping what is not there is fine.
    fn remove(&self, key: &Self::Key) -> impl Future<Output = Result<()>> + Send;

    /// Drops many entries. On an error some may have been dropped.
    fn remove_many(&self, keys: &[&Self::Key]) -> impl Future<Output = Result<()>> + Send;

    /// Drops everything.
    fn clear(&self) -> impl Future<Output = Result<()>> + Send;

    /// When the life of `entry` will end if it is put here now; `None` if it has no end.
    ///
    /// On its way out of a chain an entry passes through tiers that have not stored it yet; this
    /// way none of the faster ones keeps it longer than this one (R5).
    fn life(&self, key: &Self::Key, entry: &Entry<Self::Value>) -> Option<Moment>;

    /// Ends the tier.
    fn close(&self) -> impl Future<Output = Result<()>> + Send;

    /// How look-ups of single keys are to be gathered into [`get_many`](Self::get_many), if a batch
    /// costs little more than one key; `None` looks each key up by itself.
    fn batching(&self) -> Option<Batching>;

    /// The tier's synchronous face, if it lives in this process's memory; `None` if it ever waits.
    ///
    /// A resident tier gets hits without a future, and fills inside the critical section that
    /// decides whether the load was superseded. The answer must not change over time.
    fn resident(&self) -> Option<&dyn Resident<Self::Key, Self::Value>>;

    /// The tier's face towards other processes, if it can keep them in step; `None` otherwise.
    ///
    /// The engine then fills under leases only, and forgets what others change. A [resident](Self::resident)
    /// tier fills without leases, and of this face only the news are heeded. The answer must not change
    /// over time.
    fn shared(&self) -> Option<&dyn Shared<Self::Key, Self::Value>>;
}

/// The synchronous verbs of a [`Tier`] in this process's memory.
///
/// The engine calls `put`, `remove` and `clear` while it holds a lock of its own, so they must be
/// short and must not run user code: what they displaced they return as [`Removals`], which run
/// listeners and drop values when they are dropped, outside every lock.
///
/// Keys come with their hash, computed once for all that one call asks of a chain.
///
/// ```
/// use headwater::{Entry, Hashed, MemoryCache, Resident, Tier};
///
/// let cache = MemoryCache::<str, u32>::new();
/// let face: &dyn Resident<str, u32> = cache.resident().expect("it is in memory");
/// let key = Hashed::new("a");
/// drop(face.put(key.to_stored(), face.prepare("a", Entry::found(1))));
/// assert_eq!(face.value(key), Some(Some(1)));
/// ```
pub trait Resident<K: ?Sized + Key, V: Value>: Send + Sync {
    /// The live entry of `key`, or `None`.
    fn get(&self, key: Hashed<&K>) -> Option<Entry<V>>;

    /// The value of the live entry of `key`, `Some(None)` if it is absent: for who wants no more of
    /// the entry, which may take a store less. Provided: goes by [`get`](Self::get).
    fn value(&self, key: Hashed<&K>) -> Option<Option<V>> {
        self.get(key).map(Entry::into_value)
    }

    /// Makes an entry ready to be stored: runs what user code decides about it (weight, life).
    ///
    /// Called without any lock, before [`put`](Self::put) gets the result.
    fn prepare(&self, key: &K, entry: Entry<V>) -> Prepared<V>;

    /// Stores an entry that [`prepare`](Self::prepare) made ready.
    fn put(&self, key: Hashed<K::Owned>, entry: Prepared<V>) -> Removals<K::Owned, V>;

    /// Drops an entry.
    fn remove(&self, key: Hashed<&K>) -> Removals<K::Owned, V>;

    /// Drops everything.
    fn clear(&self) -> Removals<K::Owned, V>;
}

/// An entry on its way into a [`Resident`] tier: its weight and its life are decided.
#[derive(Clone, Debug)]
pub struct Prepared<V> {
    /// The entry, its life shortened to what the tier gives it.
    pub entry: Entry<V>,
    /// What it costs of the tier's capacity.
    pub weight: u64,
}

/// Conveniences of every [`Tier`].
pub trait TierExt: Tier + Sized {
    /// Puts this tier in front of `next`: the nested form of a chain, with default settings. For
    /// others, see [`Headwater::over`](crate::Headwater::over).
    ///
    /// ```
    /// use headwater::{fetch_fn, Fetcher, LruCache, MemoryCache, Source, TierExt};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let source = Source::new(fetch_fn(async |key: u32| Ok(key + 1)));
    /// let chain = LruCache::new(100)?.over(MemoryCache::new().over(source));
    /// assert_eq!(chain.fetch(&1).await?, 2);
    /// # Ok::<(), headwater::Error>(())
    /// # }).unwrap();
    /// ```
    fn over<N>(self, next: N) -> crate::ReadThrough<Self, N>
    where
        N: crate::Cache<Key = Self::Key, Value = Self::Value>,
    {
        crate::ReadThrough::new(self, next)
    }
}

impl<T: Tier> TierExt for T {}
