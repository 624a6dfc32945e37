//! What is behind both faces: stores behind locks, and around them all that must run outside.

mod lookup;

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::iter::Sum;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::bounds::{Bounds, Rule, UNBOUNDED};
use super::kept::{Keeps, Kept, Makes, each};
use super::life::{Life, Now};
use super::node::Arrival;
use super::sizing::{MissRatioCurve, Sizing};
use super::stats::MemoryStats;
use super::store::{Begun, Outcome, State, Store, table};
use super::sweeper::{Sweep, enlist};
use super::table::{Form, Freeing, Locked, Shards, Table};
use super::touches::Touches;
use crate::hashed::{Seed, seed};
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

/// A cache in memory.
pub(super) struct Memory<K: ?Sized + Key, V: Value> {
    settings: Settings<K, V>,
    /// Of all shards together.
    capacity: AtomicU64,
    /// Held by who changes it.
    resizing: Mutex<()>,
    kept: Kept<K, V>,
    /// Where hits change the order, what takes note of them: then there is one shard.
    touches: Option<Arc<Touches>>,
    time_to_idle: Option<Duration>,
    /// Something is asked what an entry weighs, or how long it lives.
    has_rules: bool,
    seed: Seed,
    sizing: Sizing,
    closed: OnceLock<()>,
    own: Weak<Self>,
    /// Whether the [sweeper](super::sweeper) knows of it.
    is_enlisted: AtomicBool,
}

/// What stores are made by.
struct Plan<'a> {
    bounds: Bounds,
    shards: usize,
    touches: Option<&'a Arc<Touches>>,
}

impl Plan<'_> {
    /// The bounds of one store. Those of the first are the widest.
    fn part(&self, number: usize) -> Bounds {
        let capacity = part(self.bounds.capacity, number, self.shards);
        let absent_capacity = self.bounds.absent_capacity.div_ceil(self.shards as u64);
        Bounds { capacity, absent_capacity, ..self.bounds }
    }
}

impl Makes for Plan<'_> {
    fn most_entries(&self) -> usize {
        self.part(0).limits().most
    }

    fn are_ordered(&self) -> bool {
        self.touches.is_some()
    }

    fn make<F: Form>(&self, number: usize) -> Table<F, State> {
        table(self.part(number), self.touches.cloned())
    }
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
        let touches = (bounds.rule == Rule::Lru).then(|| Arc::new(Touches::new()));
        debug_assert!(touches.is_none() || shards == 1, "an exact order is one order");
        let kept = Kept::new(shards, &Plan { bounds, shards, touches: touches.as_ref() });
        let has_rules = settings.weigher.is_some() || settings.life.has_rules();
        Arc::new_cyclic(|own| Self {
            settings,
            capacity: AtomicU64::new(bounds.capacity),
            resizing: Mutex::new(()),
            kept,
            touches,
            time_to_idle: bounds.time_to_idle,
            has_rules,
            seed: seed().clone(),
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
        let (shards, most_each) = self.kept.limits();
        let most = (shards as u64).saturating_mul(most_each as u64);
        if capacity > most && self.settings.weigher.is_none() {
            let fault = format!(
                "capacity is {capacity}, and {shards} shards have room for {most} entries: build the cache \
                 for that many"
            );
            return Err(Error::new(ErrorKind::InvalidConfig, fault));
        }
        let resizing = self.resizing.lock();
        self.capacity.store(capacity, Ordering::Relaxed);
        let removals = each!(&self.kept, shards => self.resize_all(shards, capacity));
        drop(resizing);
        Ok(self.notifying(removals))
    }

    fn resize_all<F: Keeps<K, V>>(
        &self,
        shards: &Shards<F, State>,
        capacity: u64,
    ) -> Removals<K::Owned, V> {
        let mut removals = Removals::none();
        for (number, shard) in shards.iter().enumerate() {
            let part = part(capacity, number, shards.len());
            let step = |store: &mut Store<'_, F>| store.resize(part, AT_ONCE);
            while !self.change(shard, Freeing::Now, &mut removals, step) {}
        }
        removals
    }

    /// Found entries.
    pub(super) fn len(&self) -> usize {
        self.sum(State::len)
    }

    pub(super) fn absent_len(&self) -> usize {
        self.sum(State::absent_len)
    }

    pub(super) fn weight(&self) -> u64 {
        self.sum(State::weight)
    }

    pub(super) fn stats(&self) -> MemoryStats {
        let mut total = MemoryStats::default();
        self.each_state(|state| total += state.stats());
        total
    }

    fn sum<N: Sum>(&self, of: impl Fn(&State) -> N) -> N {
        let mut all = Vec::new();
        self.each_state(|state| all.push(of(state)));
        all.into_iter().sum()
    }

    /// Looks at what each store knows, under its lock.
    fn each_state(&self, mut look: impl FnMut(&State)) {
        each!(&self.kept, shards => shards.iter().for_each(|shard| look(shard.lock().state())));
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
        each!(&self.kept, shards => self.copy_from(shards.get(shard)?, slot, page))
            .map_or(Some((shard + 1, 0)), |slot| Some((shard, slot)))
    }

    /// The same of one store; the slot to go on with.
    fn copy_from<F: Keeps<K, V>>(
        &self,
        shard: &Table<F, State>,
        slot: usize,
        page: &mut Vec<(K::Owned, Entry<V>)>,
    ) -> Option<usize> {
        let now = self.settings.clock.now();
        let mut locked = shard.lock();
        let mut add = |key: &F::Key, entry: Entry<F::Value>| {
            page.push((F::key_out(key.clone()), entry.map(F::value_out)));
        };
        Store::new(locked.parts()).copy(slot, AT_ONCE, now, &mut add)
    }

    #[cfg(feature = "snapshot")]
    pub(super) fn clock(&self) -> &Clock {
        &self.settings.clock
    }

    /// Removes all that is dead; how many entries that were.
    pub(super) fn remove_expired(&self) -> usize {
        let now = self.settings.clock.now();
        each!(&self.kept, shards => shards.iter().map(|shard| self.expire(shard, now)).sum())
    }

    /// Removes what is dead in a shard, and lets others in between; how many entries that were.
    fn expire<F: Keeps<K, V>>(&self, shard: &Table<F, State>, now: Moment) -> usize {
        let mut total = 0;
        loop {
            let mut removals = Removals::none();
            let step = |store: &mut Store<'_, F>| match store.expire(now, AT_ONCE) {
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
        let mut has_some = false;
        self.each_state(|state| has_some |= state.has_mortals());
        has_some
    }

    /// Changes a shard under its lock.
    fn change<F: Keeps<K, V>, R>(
        &self,
        shard: &Table<F, State>,
        freeing: Freeing,
        removals: &mut Removals<K::Owned, V>,
        change: impl FnOnce(&mut Store<'_, F>) -> R,
    ) -> R {
        let mut locked = shard.lock();
        let mut store = Store::new(locked.parts());
        let outcome = change(&mut store);
        store.settle(freeing, &mut F::into(removals));
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
        each!(&self.kept, shards => {
            shards.iter().for_each(|shard| Store::new(shard.lock().parts()).close());
        });
        self.clear()
    }

    /// Stores a found value, as an entry to which there is nothing more. Where no rules are asked, all that is
    /// done for it is made for just that.
    ///
    /// # Errors
    /// `Closed` after [`close`](Self::close).
    #[inline]
    pub(super) fn insert(&self, key: K::Owned, value: V) -> Result<()> {
        self.check_open()?;
        let key = Hashed::seeded(key, &self.seed);
        let entry = Entry::found(value);
        if self.has_rules {
            let prepared = self.prepare(key.key().borrow(), entry);
            drop(self.put(key, prepared));
            return Ok(());
        }
        drop(self.store(key, entry, 1));
        Ok(())
    }

    /// Stores an entry whose weight and life are decided; what left for that, and what is handed back.
    #[inline(always)]
    fn store(
        &self,
        key: Hashed<K::Owned>,
        entry: Entry<V>,
        weight: u64,
    ) -> Option<Removals<K::Owned, V>> {
        let (hash, key) = (key.hash(), key.into_key());
        self.sizing.note(hash);
        each!(&self.kept, all => self.put_in(all.of(hash), hash, key, entry, weight))
    }

    /// The same in one of the tables. What is compiled into each of the two who store is what most puts
    /// need.
    #[inline(always)]
    fn put_in<F: Keeps<K, V>>(
        &self,
        table: &Table<F, State>,
        hash: u64,
        key: K::Owned,
        entry: Entry<V>,
        weight: u64,
    ) -> Option<Removals<K::Owned, V>> {
        let (hash, key, entry) = (F::short(hash), F::key_in(key), entry.map(F::value_in));
        let mut locked = table.lock();
        let (view, state) = locked.view();
        match state.put_shortly(view, hash, &key, &entry) {
            None => None,
            Some(begun) => {
                let new = Arrival { hash, key, entry };
                Some(self.put_further(locked, begun, new, weight))
            }
        }
    }

    /// Goes on with storing an entry. What is handed back that no listener is told of is among what left.
    #[inline(never)]
    fn put_further<F: Keeps<K, V>>(
        &self,
        mut locked: Locked<'_, F, State>,
        begun: Begun,
        new: Arrival<F::Key, F::Value>,
        weight: u64,
    ) -> Removals<K::Owned, V> {
        let mut removals = Removals::none();
        let now = Now::new(&self.settings.clock);
        let is_mortal = self.time_to_idle.is_some() || new.entry.expiry().is_some();
        let mut store = Store::new(locked.parts());
        let outcome = store.put_further(begun, new, weight, &now);
        store.settle(Freeing::Together, &mut F::into(&mut removals));
        drop(locked);
        let is_told = match outcome {
            Outcome::Kept => true,
            Outcome::Left(new, cause) => {
                new.leave(cause, &mut F::into(&mut removals));
                true
            }
            Outcome::Declined(new) => {
                new.leave(Cause::Replaced, &mut F::into(&mut removals));
                false
            }
        };
        if is_told {
            self.notify(&mut removals);
        }
        if is_mortal {
            self.enlist();
        }
        removals
    }

    fn remove_in<F: Keeps<K, V>>(
        &self,
        table: &Table<F, State>,
        hash: u64,
        key: &K,
    ) -> Removals<K::Owned, V> {
        let mut removals = Removals::none();
        let remove = |store: &mut Store<'_, F>| store.remove(F::short(hash), F::is(key));
        self.change(table, Freeing::Now, &mut removals, remove);
        removals
    }

    fn clear_all<F: Keeps<K, V>>(&self, shards: &Shards<F, State>) -> Removals<K::Owned, V> {
        let mut all = Removals::none();
        for shard in shards.iter() {
            let mut next = Some(0);
            while let Some(from) = next {
                let clear = |store: &mut Store<'_, F>| store.clear(from, AT_ONCE);
                next = self.change(shard, Freeing::Now, &mut all, clear);
            }
        }
        all
    }

    /// Has the listener told of them, when they are dropped.
    #[inline]
    fn notify(&self, removals: &mut Removals<K::Owned, V>) {
        if self.settings.listener.is_some() && !removals.is_empty() {
            removals.notify(self.settings.listener.as_ref());
        }
    }

    fn notifying(&self, mut removals: Removals<K::Owned, V>) -> Removals<K::Owned, V> {
        self.notify(&mut removals);
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
    fn get(&self, key: Hashed<&K>) -> Option<Entry<V>> {
        let (hash, key) = (key.hash(), key.into_key());
        each!(&self.kept, all => self.get_in(all.of(hash), hash, key))
    }

    #[inline(always)]
    fn value(&self, key: Hashed<&K>) -> Option<Option<V>> {
        self.look(key, |seen| seen.map(Option::<&V>::cloned))
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
        let Prepared { entry, weight } = entry;
        self.store(key, entry, weight).unwrap_or_else(Removals::none)
    }

    fn remove(&self, key: Hashed<&K>) -> Removals<K::Owned, V> {
        let (hash, key) = (key.hash(), key.into_key());
        let removals = each!(&self.kept, all => self.remove_in(all.of(hash), hash, key));
        self.notifying(removals)
    }

    fn clear(&self) -> Removals<K::Owned, V> {
        self.notifying(each!(&self.kept, shards => self.clear_all(shards)))
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
