//! What is behind both faces: stores behind locks, and around them all that must run outside.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::BuildHasher;

use foldhash::quality::RandomState;

use super::life::Life;
use super::node::Arrival;
use super::sizing::{MissRatioCurve, Sizing};
use super::stats::MemoryStats;
use super::store::{Bounds, Look, Outcome, Store, UNBOUNDED};
use crate::sync::{AtomicU64, Mutex, OnceLock, Ordering, RwLock};
use crate::{
    Cause, Clock, Entry, Error, ErrorKind, Key, Prepared, RemovalListener, Removals, Resident,
    Result, Value,
};

/// How many slots a sweep looks at, or a resize evicts, before it lets others in.
const AT_ONCE: usize = 1_024;

/// What an entry weighs.
pub(super) type Weigher<K, V> = Box<dyn Fn(&K, &V) -> u64 + Send + Sync>;

/// The settings of a cache that its stores do not know.
pub(super) struct Settings<K: ?Sized + Key, V: Value> {
    pub(super) name: Cow<'static, str>,
    pub(super) clock: Clock,
    pub(super) life: Life<K, V>,
    pub(super) weigher: Option<Weigher<K, V>>,
    pub(super) listener: Option<RemovalListener<K::Owned, V>>,
}

/// A store behind its lock, on cache lines of its own. Some processors fetch lines in pairs, hence
/// 128 bytes.
#[repr(align(128))]
struct Shard<K: ?Sized + Key, V: Value>(RwLock<Store<K, V>>);

/// A cache in memory.
pub(super) struct Memory<K: ?Sized + Key, V: Value> {
    settings: Settings<K, V>,
    /// Of all shards together.
    capacity: AtomicU64,
    /// Held by who changes it.
    resizing: Mutex<()>,
    /// Seeded at random, so that nobody can make up keys that collide.
    hasher: RandomState,
    /// A power of two of them.
    shards: Box<[Shard<K, V>]>,
    hits_are_shared: bool,
    sizing: Sizing,
    closed: OnceLock<()>,
}

impl<K: ?Sized + Key, V: Value> Memory<K, V> {
    /// A cache of `shards` stores, a power of two, that keep these bounds together; only the absent
    /// entries' bound is rounded up, to the same for each.
    pub(super) fn new(
        settings: Settings<K, V>,
        bounds: Bounds,
        shards: usize,
        sizing: Sizing,
    ) -> Self {
        debug_assert!(shards.is_power_of_two(), "shards are chosen by masking");
        let shard = |number| {
            let capacity = part(bounds.capacity, number, shards);
            let absent_capacity = bounds.absent_capacity.div_ceil(shards as u64);
            Shard(RwLock::new(Store::new(Bounds { capacity, absent_capacity, ..bounds })))
        };
        Self {
            settings,
            capacity: AtomicU64::new(bounds.capacity),
            resizing: Mutex::new(()),
            hasher: RandomState::default(),
            shards: (0..shards).map(shard).collect(),
            hits_are_shared: bounds.hits_are_shared(),
            sizing,
            closed: OnceLock::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    /// The most that found entries may weigh together, or [`UNBOUNDED`].
    pub(super) fn capacity(&self) -> u64 {
        self.capacity.load(Ordering::Relaxed)
    }

    /// Changes the capacity, and evicts what is too much.
    pub(super) fn resize(&self, capacity: u64) -> Result<Removals<K::Owned, V>> {
        self.check_open()?;
        if capacity == 0 || self.capacity() == UNBOUNDED {
            let fault = "capacity must be at least 1, and only a cache that has one can be resized";
            return Err(Error::new(ErrorKind::InvalidConfig, fault));
        }
        let mut removals = Removals::none();
        let resizing = self.resizing.lock();
        self.capacity.store(capacity, Ordering::Relaxed);
        for (number, shard) in self.shards.iter().enumerate() {
            let part = part(capacity, number, self.shards.len());
            while !shard.0.write().resize(part, AT_ONCE, &mut removals) {}
        }
        drop(resizing);
        Ok(self.notifying(removals))
    }

    pub(super) fn peek(&self, key: &K) -> Option<Entry<V>> {
        let hash = self.hasher.hash_one(key);
        self.shard(hash).read().peek(hash, key, &self.settings.clock)
    }

    /// Found entries.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.read().len()).sum()
    }

    pub(super) fn absent_len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.read().absent_len()).sum()
    }

    pub(super) fn weight(&self) -> u64 {
        self.shards.iter().map(|shard| shard.0.read().weight()).sum()
    }

    pub(super) fn stats(&self) -> MemoryStats {
        let mut total = MemoryStats::default();
        self.shards.iter().for_each(|shard| total += shard.0.read().stats());
        total
    }

    /// The hit ratios at other capacities, if they are measured.
    pub(super) fn miss_ratio_curve(&self) -> Option<MissRatioCurve> {
        self.sizing.curve()
    }

    /// Copies of all live entries, as many at once as a sweep looks at.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K::Owned, Entry<V>)> + '_ {
        let mut next = Some((0, 0));
        let pages = std::iter::from_fn(move || {
            let (shard, slot) = next?;
            let mut page = Vec::new();
            next = self.copy(shard, slot, &mut page);
            Some(page)
        });
        pages.flatten()
    }

    /// Adds some entries of a shard to `page`; shard and slot to go on with.
    fn copy(
        &self,
        shard: usize,
        slot: usize,
        page: &mut Vec<(K::Owned, Entry<V>)>,
    ) -> Option<(usize, usize)> {
        let now = self.settings.clock.now();
        let next = self.shards.get(shard)?.0.read().copy(slot, AT_ONCE, now, page);
        Some(next.map_or((shard + 1, 0), |slot| (shard, slot)))
    }

    #[cfg(feature = "snapshot")]
    pub(super) fn clock(&self) -> &Clock {
        &self.settings.clock
    }

    /// Removes all that is dead; how many entries that were.
    pub(super) fn remove_expired(&self) -> usize {
        let now = self.settings.clock.now();
        let mut count = 0;
        for shard in &self.shards {
            let mut next = Some(0);
            while let Some(from) = next {
                let mut removals = Removals::none();
                next = shard.0.write().sweep(from, AT_ONCE, now, &mut removals);
                count += removals.len();
                drop(self.notifying(removals));
            }
        }
        count
    }

    /// Stores a copy of an entry, as a tier does.
    pub(super) fn keep(&self, key: &K, entry: &Entry<V>) -> Result<()> {
        self.check_open()?;
        let prepared = self.prepare(key, entry.clone());
        drop(self.put(key.to_owned(), prepared));
        Ok(())
    }

    /// # Errors
    /// `Closed` after [`close`](Self::close).
    pub(super) fn check_open(&self) -> Result<()> {
        match self.closed.get() {
            None => Ok(()),
            Some(()) => {
                Err(Error::new(ErrorKind::Closed, "").with_tier(self.settings.name.clone()))
            }
        }
    }

    /// Takes everything out, for ever.
    pub(super) fn close(&self) -> Removals<K::Owned, V> {
        // Closing twice finds nothing the second time, and that is all.
        let _ = self.closed.set(());
        self.take_from_all(Store::close)
    }

    fn take_from_all(
        &self,
        take: impl Fn(&mut Store<K, V>) -> Store<K, V>,
    ) -> Removals<K::Owned, V> {
        let mut removals = Removals::none();
        for shard in &self.shards {
            let taken = take(&mut shard.0.write());
            for (key, value) in taken.into_items() {
                removals.push(key, value, Cause::Invalidated);
            }
        }
        self.notifying(removals)
    }

    /// The store of a hash, chosen by bits that the store itself does not go by.
    #[inline]
    fn shard(&self, hash: u64) -> &RwLock<Store<K, V>> {
        &self.shards[(hash >> 32) as usize & (self.shards.len() - 1)].0
    }

    /// Takes out an entry that a look-up found dead, if it still is there.
    #[cold]
    fn bury(&self, hash: u64, key: &K) {
        let mut removals = Removals::none();
        let now = self.settings.clock.now();
        self.shard(hash).write().remove_dead(hash, key, now, &mut removals);
        drop(self.notifying(removals));
    }

    fn notifying(&self, mut removals: Removals<K::Owned, V>) -> Removals<K::Owned, V> {
        if !removals.is_empty() {
            removals.notify(self.settings.listener.as_ref());
        }
        removals
    }
}

/// The part of a capacity that one of `shards` gets. All parts add up to the capacity.
fn part(capacity: u64, number: usize, shards: usize) -> u64 {
    if capacity == UNBOUNDED {
        return UNBOUNDED;
    }
    let shards = shards as u64;
    capacity / shards + u64::from((number as u64) < capacity % shards)
}

impl<K: ?Sized + Key, V: Value> Resident<K, V> for Memory<K, V> {
    #[inline]
    fn get(&self, key: &K) -> Option<Entry<V>> {
        let (hash, clock) = (self.hasher.hash_one(key), &self.settings.clock);
        let shard = self.shard(hash);
        let look = if self.hits_are_shared {
            shard.read().get_shared(hash, key, clock)
        } else {
            shard.write().get(hash, key, clock)
        };
        match look {
            Look::Live(entry) => {
                self.sizing.note(hash);
                Some(entry)
            }
            Look::Missing => None,
            Look::Dead => {
                self.bury(hash, key);
                None
            }
        }
    }

    fn prepare(&self, key: &K, entry: Entry<V>) -> Prepared<V> {
        let Settings { life, weigher, clock, .. } = &self.settings;
        let weight = match (weigher, entry.value()) {
            (Some(weigher), Some(value)) => weigher(key, value),
            _ => 1,
        };
        Prepared { entry: life.shorten(key, entry, clock), weight }
    }

    fn put(&self, key: K::Owned, entry: Prepared<V>) -> Removals<K::Owned, V> {
        let hash = self.hasher.hash_one::<&K>(key.borrow());
        self.sizing.note(hash);
        let now = self.settings.clock.now();
        let new = Arrival { hash, key, entry: entry.entry };
        let mut removals = Removals::none();
        let outcome = self.shard(hash).write().put(new, entry.weight, now, &mut removals);
        match outcome {
            Outcome::Accepted => self.notifying(removals),
            Outcome::Declined => removals,
        }
    }

    fn remove(&self, key: &K) -> Removals<K::Owned, V> {
        let hash = self.hasher.hash_one(key);
        let mut removals = Removals::none();
        self.shard(hash).write().remove(hash, key, &mut removals);
        self.notifying(removals)
    }

    fn clear(&self) -> Removals<K::Owned, V> {
        self.take_from_all(Store::take_all)
    }
}

impl<K: ?Sized + Key, V: Value> fmt::Debug for Memory<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("name", &self.settings.name).finish_non_exhaustive()
    }
}
