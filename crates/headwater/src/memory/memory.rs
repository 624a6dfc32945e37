//! What is behind both faces: stores behind locks, and around them all that must run outside.

use std::borrow::Cow;
use std::fmt;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::bounds::{Bounds, Rule, UNBOUNDED};
use super::life::{Life, Now};
use super::node::Arrival;
use super::sizing::{MissRatioCurve, Sizing};
use super::stats::MemoryStats;
use super::store::{Look, Outcome, State, Store, table};
use super::sweeper::{Sweep, enlist};
use super::table::{Freeing, Node, Pin, Slot, Table, pin};
use super::touches::{Noted, Touches};
use crate::sync::{Arc, AtomicU64, Mutex, OnceLock, Ordering};
use crate::{
    Cause, Clock, Entry, Error, ErrorKind, Hashed, Key, Moment, Prepared, RemovalListener,
    Removals, Resident, Result, Value,
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

/// A store, on cache lines of its own. Some processors fetch lines in pairs, hence 128 bytes.
#[repr(align(128))]
struct Shard<K: ?Sized + Key, V: Value>(Table<K::Owned, V, State>);

/// A cache in memory.
pub(super) struct Memory<K: ?Sized + Key, V: Value> {
    settings: Settings<K, V>,
    /// Of all shards together.
    capacity: AtomicU64,
    /// Held by who changes it.
    resizing: Mutex<()>,
    /// A power of two of them.
    shards: Box<[Shard<K, V>]>,
    /// Where hits change the order, what takes note of them: then there is one shard.
    touches: Option<Arc<Touches>>,
    time_to_idle: Option<Duration>,
    sizing: Sizing,
    closed: OnceLock<()>,
    own: Weak<Self>,
    /// Whether the [sweeper](super::sweeper) knows of it.
    is_enlisted: AtomicBool,
}

impl<K: ?Sized + Key, V: Value> Memory<K, V> {
    /// A cache of `shards` stores, a power of two, that keep these bounds together; only the absent
    /// entries' bound is rounded up, to the same for each.
    pub(super) fn new(
        settings: Settings<K, V>,
        bounds: Bounds,
        shards: usize,
        sizing: Sizing,
    ) -> Arc<Self> {
        debug_assert!(shards.is_power_of_two(), "shards are chosen by masking");
        let touches = (bounds.rule == Rule::Lru).then(|| Arc::new(Touches::new()));
        debug_assert!(touches.is_none() || shards == 1, "an exact order is one order");
        let order = touches.as_ref();
        let shard = |number| {
            let capacity = part(bounds.capacity, number, shards);
            let absent_capacity = bounds.absent_capacity.div_ceil(shards as u64);
            Shard(table(Bounds { capacity, absent_capacity, ..bounds }, order.cloned()))
        };
        let shards = (0..shards).map(shard).collect();
        Arc::new_cyclic(|own| Self {
            settings,
            capacity: AtomicU64::new(bounds.capacity),
            resizing: Mutex::new(()),
            shards,
            touches,
            time_to_idle: bounds.time_to_idle,
            sizing,
            closed: OnceLock::new(),
            own: Weak::clone(own),
            is_enlisted: AtomicBool::new(false),
        })
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
            let step = |store: &mut Store<'_, K, V>| store.resize(part, AT_ONCE);
            while !self.change(&shard.0, Freeing::Now, &mut removals, step) {}
        }
        drop(resizing);
        Ok(self.notifying(removals))
    }

    pub(super) fn peek(&self, key: Hashed<&K>) -> Option<Entry<V>> {
        let (hash, key) = (key.hash(), key.into_key());
        let Some(pin) = pin() else {
            let mut locked = self.shard(hash).lock();
            return Store::new(locked.parts()).peek(short(hash), key, &self.settings.clock);
        };
        let node = self.find(hash, key, &pin)?;
        let is_dead = node.has_end() && node.is_dead(self.settings.clock.now());
        (!is_dead).then(|| node.entry())
    }

    /// Has `read` look at the value of a live entry, if there is one, where it is stored; it is
    /// `None` for an absent entry. Where that would take the lock, it looks at a clone.
    pub(super) fn with<R>(&self, key: Hashed<&K>, read: impl FnOnce(Option<&V>) -> R) -> Option<R> {
        let (hash, key) = (key.hash(), key.into_key());
        match pin() {
            Some(pin) => self.hit(hash, key, &pin).map(|node| read(node.value())),
            None => self.get_locked(hash, key).map(|entry| read(entry.value())),
        }
    }

    /// Found entries.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().state().len()).sum()
    }

    pub(super) fn absent_len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().state().absent_len()).sum()
    }

    pub(super) fn weight(&self) -> u64 {
        self.shards.iter().map(|shard| shard.0.lock().state().weight()).sum()
    }

    pub(super) fn stats(&self) -> MemoryStats {
        let mut total = MemoryStats::default();
        self.shards.iter().for_each(|shard| total += shard.0.lock().state().stats());
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
        let mut locked = self.shards.get(shard)?.0.lock();
        let next = Store::<K, V>::new(locked.parts()).copy(slot, AT_ONCE, now, page);
        Some(next.map_or((shard + 1, 0), |slot| (shard, slot)))
    }

    #[cfg(feature = "snapshot")]
    pub(super) fn clock(&self) -> &Clock {
        &self.settings.clock
    }

    /// Removes all that is dead; how many entries that were.
    pub(super) fn remove_expired(&self) -> usize {
        let now = self.settings.clock.now();
        self.shards.iter().map(|shard| self.expire(&shard.0, now)).sum()
    }

    /// Removes what is dead in a shard, and lets others in between; how many entries that were.
    fn expire(&self, shard: &Table<K::Owned, V, State>, now: Moment) -> usize {
        let mut total = 0;
        loop {
            let mut removals = Removals::none();
            let step = |store: &mut Store<'_, K, V>| match store.expire(now, AT_ONCE) {
                (taken, true) => (taken + store.expire_presently(now), true),
                more => more,
            };
            let (taken, is_done) = self.change(shard, Freeing::Now, &mut removals, step);
            total += taken;
            drop(self.notifying(removals));
            if is_done {
                return total;
            }
        }
    }

    /// Has it swept from now on, if time goes on by itself.
    #[inline]
    fn enlist(&self) {
        let is_due = self.settings.clock.is_system() && !self.is_enlisted.load(Ordering::Relaxed);
        if is_due && !self.is_enlisted.swap(true, Ordering::Relaxed) {
            enlist(Weak::clone(&self.own) as Weak<dyn Sweep>);
        }
    }

    fn has_mortals(&self) -> bool {
        self.shards.iter().any(|shard| shard.0.lock().state().has_mortals())
    }

    /// Changes a shard under its lock.
    fn change<R>(
        &self,
        shard: &Table<K::Owned, V, State>,
        freeing: Freeing,
        removals: &mut Removals<K::Owned, V>,
        change: impl FnOnce(&mut Store<'_, K, V>) -> R,
    ) -> R {
        let mut locked = shard.lock();
        let mut store = Store::new(locked.parts());
        let outcome = change(&mut store);
        store.settle(freeing, self.settings.listener.is_some(), removals);
        outcome
    }

    /// Stores a copy of an entry, as a tier does.
    pub(super) fn keep(&self, key: &K, entry: &Entry<V>) -> Result<()> {
        self.check_open()?;
        let prepared = self.prepare(key, entry.clone());
        drop(self.put(Hashed::new(key).to_stored(), prepared));
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
        self.shards.iter().for_each(|shard| Store::<K, V>::new(shard.0.lock().parts()).close());
        self.clear()
    }

    /// The store of a hash, chosen by bits that the store itself does not go by.
    #[inline]
    fn shard(&self, hash: u64) -> &Table<K::Owned, V, State> {
        &self.shards[(hash >> 32) as usize & (self.shards.len() - 1)].0
    }

    #[inline(always)]
    fn find<'a>(&'a self, hash: u64, key: &K, pin: &'a Pin) -> Option<Node<'a, K::Owned, V>> {
        self.shard(hash).find(short(hash), key, pin)
    }

    /// The live entry of `key`, whose use is noted.
    #[inline(always)]
    fn hit<'a>(&'a self, hash: u64, key: &K, pin: &'a Pin) -> Option<Node<'a, K::Owned, V>> {
        let node = self.find(hash, key, pin)?;
        if node.has_end() && !self.outlives_this(node) {
            self.bury(hash, key);
            return None;
        }
        match &self.touches {
            None => node.mark().bump(),
            Some(touches) => self.touch(touches, node.slot(), pin),
        }
        self.sizing.note(hash);
        Some(node)
    }

    /// Notes a hit that changes the order. The pin says that the slot stays its entry's meanwhile.
    fn touch(&self, touches: &Touches, slot: Slot, _pin: &Pin) {
        let table = &self.shards[0].0;
        match touches.note(slot) {
            Noted::Done => {}
            Noted::HalfFull => {
                if let Some(mut locked) = table.try_lock() {
                    // All that there is to do: a store applies what was noted.
                    _ = Store::<K, V>::new(locked.parts());
                }
            }
            Noted::Not => Store::<K, V>::new(table.lock().parts()).touch(slot),
        }
    }

    /// Whether an entry that has an end is live; if so, and if it dies unless it is used, that is put
    /// off.
    #[inline(never)]
    fn outlives_this(&self, node: Node<'_, K::Owned, V>) -> bool {
        let now = self.settings.clock.now();
        let is_live = !node.is_dead(now);
        if is_live && let Some(idle) = self.time_to_idle {
            node.idle_until(now + idle);
        }
        is_live
    }

    /// Looks under the lock, as a thread has to that is ending.
    #[cold]
    #[inline(never)]
    fn get_locked(&self, hash: u64, key: &K) -> Option<Entry<V>> {
        let mut locked = self.shard(hash).lock();
        let mut store = Store::new(locked.parts());
        match store.get(short(hash), key, &self.settings.clock) {
            Look::Live(entry) => {
                self.sizing.note(hash);
                Some(entry)
            }
            Look::Missing => None,
            Look::Dead => {
                drop(locked);
                self.bury(hash, key);
                None
            }
        }
    }

    /// Takes out an entry that a look-up found dead, if it still is there.
    #[cold]
    fn bury(&self, hash: u64, key: &K) {
        let mut removals = Removals::none();
        let now = self.settings.clock.now();
        let bury = |store: &mut Store<'_, K, V>| store.remove_dead(short(hash), key, now);
        self.change(self.shard(hash), Freeing::Together, &mut removals, bury);
        drop(self.notifying(removals));
    }

    fn notifying(&self, mut removals: Removals<K::Owned, V>) -> Removals<K::Owned, V> {
        if !removals.is_empty() {
            removals.notify(self.settings.listener.as_ref());
        }
        removals
    }
}

/// The 32 bits of a hash that a store goes by. The others choose the shard.
fn short(hash: u64) -> u32 {
    hash as u32
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
    fn get(&self, key: Hashed<&K>) -> Option<Entry<V>> {
        let (hash, key) = (key.hash(), key.into_key());
        match pin() {
            Some(pin) => self.hit(hash, key, &pin).map(Node::entry),
            None => self.get_locked(hash, key),
        }
    }

    #[inline(always)]
    fn value(&self, key: Hashed<&K>) -> Option<Option<V>> {
        let (hash, key) = (key.hash(), key.into_key());
        match pin() {
            Some(pin) => self.hit(hash, key, &pin).map(|node| node.value().cloned()),
            None => self.get_locked(hash, key).map(Entry::into_value),
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

    fn put(&self, key: Hashed<K::Owned>, entry: Prepared<V>) -> Removals<K::Owned, V> {
        let (hash, key) = (key.hash(), key.into_key());
        self.sizing.note(hash);
        let is_mortal = self.time_to_idle.is_some() || entry.entry.expiry().is_some();
        let now = Now::new(&self.settings.clock);
        let new = Arrival { hash: short(hash), key, entry: entry.entry };
        let mut removals = Removals::none();
        let put = |store: &mut Store<'_, K, V>| store.put(new, entry.weight, &now);
        let outcome = self.change(self.shard(hash), Freeing::Together, &mut removals, put);
        if is_mortal {
            self.enlist();
        }
        match outcome {
            Outcome::Kept => self.notifying(removals),
            Outcome::Left(new, cause) => {
                new.leave(cause, &mut removals);
                self.notifying(removals)
            }
            Outcome::Declined(new) => {
                new.leave(Cause::Replaced, &mut removals);
                removals
            }
        }
    }

    fn remove(&self, key: Hashed<&K>) -> Removals<K::Owned, V> {
        let (hash, key) = (key.hash(), key.into_key());
        let mut removals = Removals::none();
        let remove = |store: &mut Store<'_, K, V>| store.remove(short(hash), key);
        self.change(self.shard(hash), Freeing::Now, &mut removals, remove);
        self.notifying(removals)
    }

    fn clear(&self) -> Removals<K::Owned, V> {
        let mut all = Removals::none();
        for shard in &self.shards {
            let mut next = Some(0);
            while let Some(from) = next {
                let clear = |store: &mut Store<'_, K, V>| store.clear(from, AT_ONCE);
                next = self.change(&shard.0, Freeing::Now, &mut all, clear);
            }
        }
        self.notifying(all)
    }
}

impl<K: ?Sized + Key, V: Value> Sweep for Memory<K, V> {
    fn sweep(&self) -> bool {
        self.remove_expired();
        if self.has_mortals() {
            return true;
        }
        // In this order: who puts something after the second look finds that it has to enlist.
        self.is_enlisted.store(false, Ordering::Relaxed);
        self.has_mortals() && !self.is_enlisted.swap(true, Ordering::Relaxed)
    }
}

impl<K: ?Sized + Key, V: Value> fmt::Debug for Memory<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("name", &self.settings.name).finish_non_exhaustive()
    }
}
