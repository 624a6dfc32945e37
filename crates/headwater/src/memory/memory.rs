//! What is behind both faces: stores behind locks, and around them all that must run outside.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

use super::life::Life;
use super::slab::List;
use super::stats::MemoryStats;
use super::store::{Bounds, Look, Node, Outcome, Store};
use crate::sync::{Mutex, OnceLock};
use crate::{
    Cause, Clock, Entry, Error, ErrorKind, Key, Prepared, RemovalListener, Removals, Resident,
    Result, Value,
};

/// How many slots a sweep looks at before it lets others in.
const SWEPT_AT_ONCE: usize = 1_024;

/// 2^64 divided by the golden ratio: its multiples spread evenly (Knuth, TAOCP 3, section 6.4).
const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;

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
struct Shard<K: ?Sized + Key, V: Value>(Mutex<Store<K, V>>);

/// A cache in memory.
pub(super) struct Memory<K: ?Sized + Key, V: Value> {
    settings: Settings<K, V>,
    capacity: u64,
    hasher: DefaultHashBuilder,
    /// A power of two of them.
    shards: Box<[Shard<K, V>]>,
    closed: OnceLock<()>,
}

impl<K: ?Sized + Key, V: Value> Memory<K, V> {
    /// A cache of `shards` stores, a power of two, with these bounds each.
    pub(super) fn new(settings: Settings<K, V>, bounds: Bounds, shards: usize) -> Self {
        debug_assert!(shards.is_power_of_two(), "shards are chosen by masking");
        Self {
            settings,
            capacity: bounds.capacity,
            hasher: DefaultHashBuilder::default(),
            shards: (0..shards).map(|_| Shard(Mutex::new(Store::new(bounds)))).collect(),
            closed: OnceLock::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(super) fn peek(&self, key: &K) -> Option<Entry<V>> {
        let hash = self.hasher.hash_one(key);
        self.shard(hash).lock().peek(hash, key, &self.settings.clock)
    }

    /// Found entries.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().len(List::Found)).sum()
    }

    pub(super) fn absent_len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().len(List::Absent)).sum()
    }

    pub(super) fn weight(&self) -> u64 {
        self.shards.iter().map(|shard| shard.0.lock().weight()).sum()
    }

    pub(super) fn stats(&self) -> MemoryStats {
        let mut total = MemoryStats::default();
        self.shards.iter().for_each(|shard| total += shard.0.lock().stats());
        total
    }

    /// Removes all that is dead; how many entries that were.
    pub(super) fn remove_expired(&self) -> usize {
        let now = self.settings.clock.now();
        let mut count = 0;
        for shard in &self.shards {
            let mut next = Some(0);
            while let Some(from) = next {
                let mut removals = Removals::none();
                next = shard.0.lock().sweep(from, SWEPT_AT_ONCE, now, &mut removals);
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
            let taken = take(&mut shard.0.lock());
            for node in taken.into_nodes() {
                removals.push(node.key, node.entry.into_value(), Cause::Invalidated);
            }
        }
        self.notifying(removals)
    }

    /// The store of a hash. Which part of the hash of a small number is well spread differs from
    /// process to process, so all of it is mixed first.
    fn shard(&self, hash: u64) -> &Mutex<Store<K, V>> {
        let mixed = hash.wrapping_mul(GOLDEN_RATIO) >> 56;
        &self.shards[mixed as usize & (self.shards.len() - 1)].0
    }

    fn notifying(&self, mut removals: Removals<K::Owned, V>) -> Removals<K::Owned, V> {
        if !removals.is_empty() {
            removals.notify(self.settings.listener.as_ref());
        }
        removals
    }
}

impl<K: ?Sized + Key, V: Value> Resident<K, V> for Memory<K, V> {
    fn get(&self, key: &K) -> Option<Entry<V>> {
        let hash = self.hasher.hash_one(key);
        let mut store = self.shard(hash).lock();
        match store.get(hash, key, &self.settings.clock) {
            Look::Live(entry) => Some(entry),
            Look::Missing => None,
            Look::Dead(slot) => {
                let mut removals = Removals::none();
                store.take_out(slot, Cause::Expired, &mut removals);
                drop(store);
                drop(self.notifying(removals));
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
        let now = self.settings.clock.now();
        let node = Node { hash, key, entry: entry.entry };
        let mut removals = Removals::none();
        let outcome = self.shard(hash).lock().put(node, entry.weight, now, &mut removals);
        match outcome {
            Outcome::Accepted => self.notifying(removals),
            Outcome::Declined => removals,
        }
    }

    fn remove(&self, key: &K) -> Removals<K::Owned, V> {
        let hash = self.hasher.hash_one(key);
        let mut removals = Removals::none();
        self.shard(hash).lock().remove(hash, key, &mut removals);
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
