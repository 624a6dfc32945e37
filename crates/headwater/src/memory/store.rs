//! What one lock guards: entries by key, in order of use, within their bounds.

use std::borrow::Borrow;
use std::time::Duration;

use hashbrown::HashTable;

use super::slab::{List, MOST_ITEMS, Slab, Slot};
use super::stats::MemoryStats;
use crate::{Cause, Clock, Entry, Key, Moment, Removals, Value};

/// How many dead entries a put looks for at the cold end of each list, so that what nobody asks
/// for any more does not stay for ever.
const SWEPT_PER_PUT: usize = 2;

/// A capacity that no store comes near.
pub(super) const UNBOUNDED: u64 = u64::MAX;

/// What a store may hold, and which rules it keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The most that found entries may weigh together, or [`UNBOUNDED`].
    pub(super) capacity: u64,
    /// The most absent entries.
    pub(super) absent_capacity: u64,
    /// Whether entries weigh what their weigher says, instead of 1.
    pub(super) weighed: bool,
    /// How long an entry lives after its last use.
    pub(super) time_to_idle: Option<Duration>,
}

impl Bounds {
    /// Whether anything asks for the found entry that was not used for longest. If not, the order
    /// of writing does better: it is that of dying.
    fn order_matters(&self) -> bool {
        self.capacity != UNBOUNDED || self.weighed || self.time_to_idle.is_some()
    }
}

/// An entry with its key and the key's hash.
pub(super) struct Node<K, V> {
    pub(super) hash: u64,
    pub(super) key: K,
    pub(super) entry: Entry<V>,
}

impl<K, V> Node<K, V> {
    fn list(&self) -> List {
        if self.entry.is_absent() { List::Absent } else { List::Found }
    }

    fn leave(self, cause: Cause, removals: &mut Removals<K, V>) {
        removals.push(self.key, self.entry.into_value(), cause);
    }
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The entry moved in, or moved out again at once for want of room or life.
    Accepted,
    /// Nothing changed; the entry itself is all that was handed back, and no listener's business.
    Declined,
}

/// What a look-up met.
pub(super) enum Look<V> {
    Live(Entry<V>),
    /// An entry past its life; to be taken out before the lock is released.
    Dead(Slot),
    Missing,
}

/// One number per slot, kept by those caches only that need it.
struct Lane<T>(Option<Vec<T>>);

impl<T: Copy> Lane<T> {
    fn new(needed: bool) -> Self {
        Self(needed.then(Vec::new))
    }

    fn get(&self, slot: Slot) -> Option<T> {
        self.0.as_ref()?.get(slot as usize).copied()
    }

    fn set(&mut self, slot: Slot, value: T) {
        let Some(lane) = &mut self.0 else { return };
        let index = slot as usize;
        if index >= lane.len() {
            lane.resize(index + 1, value);
        }
        lane[index] = value;
    }
}

/// The content of a cache, or of one shard of it.
pub(super) struct Store<K: ?Sized + Key, V: Value> {
    bounds: Bounds,
    /// Slots by the hash that their nodes carry.
    table: HashTable<Slot>,
    slab: Slab<Node<K::Owned, V>>,
    /// What the node of a slot weighs; 1 if entries are counted.
    weights: Lane<u64>,
    /// When the node of a slot dies if it is not used, or dies anyway.
    deadlines: Lane<Moment>,
    /// Whether the lists are in order of use; if not, of writing.
    is_ordered: [bool; 2],
    /// What the lists' nodes weigh together. An absent one weighs 1.
    used: [u64; 2],
    stats: MemoryStats,
    closed: bool,
}

impl<K: ?Sized + Key, V: Value> Store<K, V> {
    pub(super) fn new(bounds: Bounds) -> Self {
        // Counted entries need no more slots than there may be entries.
        let entries = bounds.capacity.saturating_add(bounds.absent_capacity);
        let limit = if bounds.weighed { UNBOUNDED } else { entries };
        Self {
            bounds,
            table: HashTable::new(),
            slab: Slab::new(usize::try_from(limit).unwrap_or(MOST_ITEMS)),
            weights: Lane::new(bounds.weighed),
            deadlines: Lane::new(bounds.time_to_idle.is_some()),
            is_ordered: [bounds.order_matters(), true],
            used: [0; 2],
            stats: MemoryStats::default(),
            closed: false,
        }
    }

    /// Looks for the live entry of `key`, which becomes the one used last.
    pub(super) fn get(&mut self, hash: u64, key: &K, clock: &Clock) -> Look<V> {
        let Some((slot, node)) = self.find(hash, key) else { return Look::Missing };
        let Some(deadline) = self.deadline(slot, node) else {
            let (list, entry) = (node.list(), node.entry.clone());
            self.touch(list, slot);
            return Look::Live(entry);
        };
        self.get_mortal(slot, deadline, clock)
    }

    /// Goes on with a look-up that met an entry with an end.
    fn get_mortal(&mut self, slot: Slot, deadline: Moment, clock: &Clock) -> Look<V> {
        let now = clock.now();
        let Some(node) = self.slab.get(slot).filter(|_| now < deadline) else {
            return Look::Dead(slot);
        };
        let (list, mut entry) = (node.list(), node.entry.clone());
        if let Some(until) = self.idle_end(&entry, now) {
            self.deadlines.set(slot, until);
            entry = entry.expires_at(until);
        }
        self.touch(list, slot);
        Look::Live(entry)
    }

    /// The live entry of `key`, and nothing changed.
    pub(super) fn peek(&self, hash: u64, key: &K, clock: &Clock) -> Option<Entry<V>> {
        let (slot, node) = self.find(hash, key)?;
        match self.deadline(slot, node) {
            None => Some(node.entry.clone()),
            Some(deadline) if deadline <= clock.now() => None,
            Some(deadline) => Some(node.entry.clone().expires_at(deadline)),
        }
    }

    /// Stores an entry in place of what its key had, unless that is of a newer version.
    pub(super) fn put(
        &mut self,
        new: Node<K::Owned, V>,
        weight: u64,
        now: Moment,
        removals: &mut Removals<K::Owned, V>,
    ) -> Outcome {
        if self.closed {
            new.leave(Cause::Invalidated, removals);
            return Outcome::Declined;
        }
        if let Some((slot, held)) = self.find(new.hash, new.key.borrow()) {
            let is_live = self.deadline(slot, held).is_none_or(|deadline| now < deadline);
            if is_live && new.entry.is_older_than(&held.entry) {
                self.stats.outdated += 1;
                new.leave(Cause::Replaced, removals);
                return Outcome::Declined;
            }
            self.take_out(slot, if is_live { Cause::Replaced } else { Cause::Expired }, removals);
        }
        self.remove_dead_at_cold_ends(now, removals);
        let weight = self.weight_of(&new, weight);
        if !new.entry.is_live(now) {
            self.stats.expired += 1;
            new.leave(Cause::Expired, removals);
        } else if self.make_room(new.list(), weight, removals) {
            self.move_in(new, weight, now);
        } else {
            new.leave(Cause::Evicted, removals);
        }
        Outcome::Accepted
    }

    pub(super) fn remove(&mut self, hash: u64, key: &K, removals: &mut Removals<K::Owned, V>) {
        if let Some((slot, _)) = self.find(hash, key) {
            self.take_out(slot, Cause::Invalidated, removals);
        }
    }

    /// Takes everything out; the caller drops it after unlocking.
    pub(super) fn take_all(&mut self) -> Self {
        let mut empty = Self::new(self.bounds);
        (empty.stats, empty.closed) = (self.stats, self.closed);
        std::mem::replace(self, empty)
    }

    /// Takes everything out and keeps nothing from now on.
    pub(super) fn close(&mut self) -> Self {
        self.closed = true;
        self.take_all()
    }

    /// The nodes that were taken out, in no order.
    pub(super) fn into_nodes(self) -> impl Iterator<Item = Node<K::Owned, V>> {
        self.slab.into_items()
    }

    /// Removes the dead entries of `count` slots; the next ones to look at, if there are more.
    pub(super) fn sweep(
        &mut self,
        from: usize,
        count: usize,
        now: Moment,
        removals: &mut Removals<K::Owned, V>,
    ) -> Option<usize> {
        let mut slots = self.slab.slots(from);
        for slot in slots.by_ref().take(count) {
            self.remove_if_dead(slot, now, removals);
        }
        slots.next().map(|_| from + count)
    }

    pub(super) fn len(&self, list: List) -> usize {
        self.slab.len(list)
    }

    /// What the found entries weigh together.
    pub(super) fn weight(&self) -> u64 {
        self.used[List::Found as usize]
    }

    pub(super) fn stats(&self) -> MemoryStats {
        self.stats
    }

    fn find(&self, hash: u64, key: &K) -> Option<(Slot, &Node<K::Owned, V>)> {
        let is_key =
            |&slot: &Slot| self.slab.get(slot).is_some_and(|node| node.key.borrow() == key);
        let slot = *self.table.find(hash, is_key)?;
        Some((slot, self.slab.get(slot)?))
    }

    /// When a node dies; `None` if it has no end, and no clock need be read.
    fn deadline(&self, slot: Slot, node: &Node<K::Owned, V>) -> Option<Moment> {
        self.deadlines.get(slot).or(node.entry.expiry())
    }

    /// When an entry that is used now dies, if it is not used again.
    fn idle_end(&self, entry: &Entry<V>, now: Moment) -> Option<Moment> {
        let until = now + self.bounds.time_to_idle?;
        Some(entry.expiry().map_or(until, |expiry| expiry.min(until)))
    }

    fn bound(&self, list: List) -> u64 {
        match list {
            List::Found => self.bounds.capacity,
            List::Absent => self.bounds.absent_capacity,
        }
    }

    fn touch(&mut self, list: List, slot: Slot) {
        if self.is_ordered[list as usize] {
            self.slab.touch(list, slot);
        }
    }

    fn weight_of(&mut self, node: &Node<K::Owned, V>, weight: u64) -> u64 {
        if !self.bounds.weighed || node.entry.is_absent() {
            return 1;
        }
        self.stats.zero_weights += u64::from(weight == 0);
        weight.max(1)
    }

    /// Evicts from the cold end until `weight` more fits; whether it then does.
    fn make_room(&mut self, list: List, weight: u64, removals: &mut Removals<K::Owned, V>) -> bool {
        let Some(allowed) = self.bound(list).checked_sub(weight) else {
            self.stats.too_heavy += u64::from(list == List::Found);
            return false;
        };
        while self.used[list as usize] > allowed || !self.slab.has_room() {
            let Some(slot) = self.slab.coldest(list) else { return false };
            self.take_out(slot, Cause::Evicted, removals);
        }
        true
    }

    /// Stores a node of a key that is not there, in room that was made for it.
    fn move_in(&mut self, node: Node<K::Owned, V>, weight: u64, now: Moment) {
        let (hash, list) = (node.hash, node.list());
        let deadline = self.idle_end(&node.entry, now);
        let Some(slot) = self.slab.insert(list, node) else { return };
        let slab = &self.slab;
        let hash_of = |&slot: &Slot| slab.get(slot).map_or(0, |node| node.hash);
        self.table.insert_unique(hash, slot, hash_of);
        self.weights.set(slot, weight);
        if let Some(deadline) = deadline {
            self.deadlines.set(slot, deadline);
        }
        self.used[list as usize] += weight;
    }

    /// Removes the node of a slot, if there is one.
    pub(super) fn take_out(
        &mut self,
        slot: Slot,
        cause: Cause,
        removals: &mut Removals<K::Owned, V>,
    ) {
        let Some(node) = self.slab.get(slot) else { return };
        let list = node.list();
        if let Ok(cell) = self.table.find_entry(node.hash, |&other| other == slot) {
            cell.remove();
        }
        let Some(node) = self.slab.remove(list, slot) else { return };
        self.used[list as usize] -= self.weights.get(slot).unwrap_or(1);
        match (cause, list) {
            (Cause::Evicted, List::Found) => self.stats.evicted += 1,
            (Cause::Evicted, List::Absent) => self.stats.absent_evicted += 1,
            (Cause::Expired, _) => self.stats.expired += 1,
            _ => {}
        }
        node.leave(cause, removals);
    }

    fn remove_dead_at_cold_ends(&mut self, now: Moment, removals: &mut Removals<K::Owned, V>) {
        for list in [List::Found, List::Absent] {
            for _ in 0..SWEPT_PER_PUT {
                let Some(slot) = self.slab.coldest(list) else { break };
                if !self.remove_if_dead(slot, now, removals) {
                    break;
                }
            }
        }
    }

    /// Whether there was a dead node in the slot, which is then removed.
    fn remove_if_dead(
        &mut self,
        slot: Slot,
        now: Moment,
        removals: &mut Removals<K::Owned, V>,
    ) -> bool {
        let Some(node) = self.slab.get(slot) else { return false };
        let is_dead = self.deadline(slot, node).is_some_and(|deadline| deadline <= now);
        if is_dead {
            self.take_out(slot, Cause::Expired, removals);
        }
        is_dead
    }
}

#[cfg(test)]
impl<K: ?Sized + Key, V: Value> Store<K, V> {
    /// Recounts everything.
    fn validate(&self) {
        self.slab.validate();
        for list in [List::Found, List::Absent] {
            let slots = self.slab.order(list);
            let weight = |&slot: &Slot| self.weights.get(slot).unwrap_or(1);
            assert_eq!(slots.iter().map(weight).sum::<u64>(), self.used[list as usize]);
            assert!(self.used[list as usize] <= self.bound(list));
            slots.into_iter().for_each(|slot| self.validate_node(list, slot));
        }
        assert_eq!(self.table.len(), self.len(List::Found) + self.len(List::Absent));
    }

    fn validate_node(&self, list: List, slot: Slot) {
        let node = self.slab.get(slot).expect("a slot on a list holds a node");
        assert_eq!(node.list(), list);
        assert_eq!(self.find(node.hash, node.key.borrow()).map(|(slot, _)| slot), Some(slot));
        let deadline = self.deadline(slot, node);
        assert!(deadline <= node.entry.expiry() || node.entry.expiry().is_none());
        assert_eq!(deadline.is_some(), self.deadlines.0.is_some() || node.entry.expiry().is_some());
    }
}

#[cfg(test)]
mod tests;
