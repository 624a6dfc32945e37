//! What one lock guards: entries by key, within their bounds.

use std::borrow::Borrow;
use std::time::Duration;

use hashbrown::HashTable;

use super::lists::{List, Lists};
use super::node::{Arrival, Lanes, Node};
use super::policy::{Adaptive, Entries, Mark};
use super::slab::{MOST_ITEMS, Slab, Slot};
use super::stats::MemoryStats;
use crate::{Cause, Clock, Entry, Key, Moment, Removals, Value};

/// How many dead entries a put looks for at the cold end of each list, so that what nobody asks
/// for any more does not stay for ever.
const SWEPT_PER_PUT: usize = 2;

/// A capacity that no store comes near.
pub(super) const UNBOUNDED: u64 = u64::MAX;

/// Which entry has to make room for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The one that was not used for longest, exactly.
    Lru,
    /// The one that the [policy](super::policy) says.
    Adaptive,
}

/// What a store may hold, and which rules it keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) rule: Rule,
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
    /// Whether a hit can be noted while others read. It cannot where each moves an entry to the
    /// front, or its end into the future.
    pub(super) fn hits_are_shared(&self) -> bool {
        self.rule != Rule::Lru && self.time_to_idle.is_none()
    }

    /// Counted entries need no more slots than there may be entries.
    fn most_items(&self) -> usize {
        let entries = self.capacity.saturating_add(self.absent_capacity);
        let most = if self.weighed { UNBOUNDED } else { entries };
        usize::try_from(most).unwrap_or(MOST_ITEMS)
    }

    fn policy(&self) -> Option<Adaptive> {
        let is_adaptive = self.rule == Rule::Adaptive && self.capacity != UNBOUNDED;
        is_adaptive.then(|| Adaptive::new(self.capacity))
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
    /// An entry past its life; to be taken out.
    Dead,
    Missing,
}

/// The content of a cache, or of one shard of it.
pub(super) struct Store<K: ?Sized + Key, V: Value> {
    bounds: Bounds,
    /// Slots by the hash that their nodes carry.
    table: HashTable<Slot>,
    held: Held<K::Owned, V>,
    lists: Lists,
    /// Who leaves, if not whoever was not used for longest.
    policy: Option<Adaptive>,
    stats: MemoryStats,
    closed: bool,
}

/// The entries in their slots.
struct Held<K, V> {
    slab: Slab<Node<K, V>>,
    lanes: Lanes,
}

impl<K, V> Entries for Held<K, V> {
    fn hash(&self, slot: Slot) -> u32 {
        self.slab.get(slot).map_or(0, Node::hash)
    }

    fn weight(&self, slot: Slot) -> u64 {
        self.lanes.weight.get(slot)
    }

    fn mark(&self, slot: Slot) -> Option<&Mark> {
        self.slab.get(slot).map(Node::mark)
    }
}

/// The 32 bits of a hash that a store goes by. The others choose the shard.
fn short(hash: u64) -> u32 {
    hash as u32
}

/// A hash for the table, which takes its place from low bits and a tag from the highest seven.
fn long(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl<K: ?Sized + Key, V: Value> Store<K, V> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            table: HashTable::new(),
            held: Held { slab: Slab::new(bounds.most_items()), lanes: Lanes::new() },
            lists: Lists::new(),
            policy: bounds.policy(),
            stats: MemoryStats::default(),
            closed: false,
        }
    }

    /// Looks for the live entry of `key` and notes its use, where hits are
    /// [shared](Bounds::hits_are_shared).
    #[inline]
    pub(super) fn get_shared(&self, hash: u64, key: &K, clock: &Clock) -> Look<V> {
        let Some((slot, node)) = self.find(hash, key) else { return Look::Missing };
        if self.is_dead(slot, clock) {
            return Look::Dead;
        }
        node.mark().bump();
        Look::Live(self.held.lanes.entry(slot, node.value().cloned()))
    }

    /// Looks for the live entry of `key`, which becomes the one used last.
    pub(super) fn get(&mut self, hash: u64, key: &K, clock: &Clock) -> Look<V> {
        let Some((slot, node)) = self.find(hash, key) else { return Look::Missing };
        if self.is_dead(slot, clock) {
            return Look::Dead;
        }
        let (list, value) = (node.list(), node.value().cloned());
        if self.policy.is_some() && list != List::Absent {
            node.mark().bump();
        } else {
            self.lists.touch(list, slot);
        }
        if self.bounds.time_to_idle.is_some() {
            self.begin_idling(slot, clock.now());
        }
        Look::Live(self.held.lanes.entry(slot, value))
    }

    /// The live entry of `key`, and nothing changed.
    pub(super) fn peek(&self, hash: u64, key: &K, clock: &Clock) -> Option<Entry<V>> {
        let (slot, node) = self.find(hash, key)?;
        let is_dead = self.is_dead(slot, clock);
        (!is_dead).then(|| self.held.lanes.entry(slot, node.value().cloned()))
    }

    /// Takes out the entry of `key` if it is dead.
    pub(super) fn remove_dead(
        &mut self,
        hash: u64,
        key: &K,
        now: Moment,
        removals: &mut Removals<K::Owned, V>,
    ) {
        if let Some((slot, _)) = self.find(hash, key) {
            self.remove_if_dead(slot, now, removals);
        }
    }

    /// Stores an entry in place of what its key had, unless that is of a newer version.
    pub(super) fn put(
        &mut self,
        new: Arrival<K::Owned, V>,
        weight: u64,
        now: Moment,
        removals: &mut Removals<K::Owned, V>,
    ) -> Outcome {
        if self.closed {
            new.leave(Cause::Invalidated, removals);
            return Outcome::Declined;
        }
        let mut known = None;
        if let Some((slot, held)) = self.find(new.hash, new.key.borrow()) {
            let is_live = self.held.lanes.deadline(slot).is_none_or(|deadline| now < deadline);
            if is_live && self.is_outdated(slot, &new.entry) {
                self.stats.outdated += 1;
                new.leave(Cause::Replaced, removals);
                return Outcome::Declined;
            }
            known = is_live.then(|| held.list());
            self.take_out(slot, if is_live { Cause::Replaced } else { Cause::Expired }, removals);
        }
        self.remove_dead_at_cold_ends(now, removals);
        if new.entry.is_live(now) {
            self.move_in(new, weight, now, known, removals);
        } else {
            self.weight_of(&new.entry, weight);
            self.stats.expired += 1;
            new.leave(Cause::Expired, removals);
        }
        Outcome::Accepted
    }

    pub(super) fn remove(&mut self, hash: u64, key: &K, removals: &mut Removals<K::Owned, V>) {
        if let Some((slot, _)) = self.find(hash, key) {
            self.take_out(slot, Cause::Invalidated, removals);
        }
    }

    /// Brings the capacity closer to `capacity`, with up to `most` evictions; whether it is there.
    pub(super) fn resize(
        &mut self,
        capacity: u64,
        most: usize,
        removals: &mut Removals<K::Owned, V>,
    ) -> bool {
        for _ in 0..most {
            if self.weight() <= capacity {
                break;
            }
            let Some(slot) = self.victim(List::Main) else { break };
            self.take_out(slot, Cause::Evicted, removals);
        }
        self.bounds.capacity = capacity.max(self.weight());
        self.held.slab.set_limit(self.bounds.most_items());
        if let Some(policy) = &mut self.policy {
            policy.set_capacity(self.bounds.capacity);
        }
        self.bounds.capacity == capacity
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

    /// What was taken out, in no order.
    pub(super) fn into_items(self) -> impl Iterator<Item = (K::Owned, Option<V>)> {
        self.held.slab.into_items().map(Node::into_parts)
    }

    /// Removes the dead entries of `count` slots; the next ones to look at, if there are more.
    pub(super) fn sweep(
        &mut self,
        from: usize,
        count: usize,
        now: Moment,
        removals: &mut Removals<K::Owned, V>,
    ) -> Option<usize> {
        let mut slots = self.held.slab.slots(from);
        for slot in slots.by_ref().take(count) {
            self.remove_if_dead(slot, now, removals);
        }
        slots.next().map(|_| from + count)
    }

    /// Adds copies of the live entries of `count` slots to `page`; the next ones to look at, if there
    /// are more.
    pub(super) fn copy(
        &self,
        from: usize,
        count: usize,
        now: Moment,
        page: &mut Vec<(K::Owned, Entry<V>)>,
    ) -> Option<usize> {
        let mut slots = self.held.slab.slots(from);
        for slot in slots.by_ref().take(count) {
            let Some(node) = self.held.slab.get(slot) else { continue };
            if self.held.lanes.deadline(slot).is_none_or(|deadline| now < deadline) {
                let entry = self.held.lanes.entry(slot, node.value().cloned());
                page.push((node.key().clone(), entry));
            }
        }
        slots.next().map(|_| from + count)
    }

    /// Found entries.
    pub(super) fn len(&self) -> usize {
        self.lists.len(List::Main) + self.lists.len(List::Small)
    }

    pub(super) fn absent_len(&self) -> usize {
        self.lists.len(List::Absent)
    }

    /// What the found entries weigh together.
    pub(super) fn weight(&self) -> u64 {
        self.lists.weight(List::Main) + self.lists.weight(List::Small)
    }

    pub(super) fn stats(&self) -> MemoryStats {
        self.stats
    }

    #[inline]
    fn find(&self, hash: u64, key: &K) -> Option<(Slot, &Node<K::Owned, V>)> {
        let hash = short(hash);
        let node_of = |slot| self.held.slab.get(slot).filter(|node| node.hash() == hash);
        let is_key = |&slot: &Slot| node_of(slot).is_some_and(|node| node.key().borrow() == key);
        let slot = *self.table.find(long(hash), is_key)?;
        Some((slot, self.held.slab.get(slot)?))
    }

    /// Whether the life of a slot's entry is over. The clock is read only if it has an end.
    #[inline]
    fn is_dead(&self, slot: Slot, clock: &Clock) -> bool {
        self.held.lanes.deadline(slot).is_some_and(|deadline| deadline <= clock.now())
    }

    fn is_outdated(&self, slot: Slot, new: &Entry<V>) -> bool {
        let versions = new.version().zip(self.held.lanes.version(slot));
        versions.is_some_and(|(new, held)| new < held)
    }

    /// Lets the entry of a slot live for its idle time from now on, within what else ends its life.
    fn begin_idling(&mut self, slot: Slot, now: Moment) {
        let lanes = &mut self.held.lanes;
        let until = self.bounds.time_to_idle.map(|idle| now + idle);
        let end = until.map(|until| lanes.expiry.get(slot).map_or(until, |end| end.min(until)));
        lanes.idle_end.set(slot, end, self.held.slab.numbers());
    }

    /// What an entry weighs here, by what its weigher said.
    fn weight_of(&mut self, entry: &Entry<V>, said: u64) -> u64 {
        if !self.bounds.weighed || entry.is_absent() {
            return 1;
        }
        self.stats.zero_weights += u64::from(said == 0);
        said.max(1)
    }

    /// Stores an entry of a key that is not there; `known` is the list that the key was on.
    fn move_in(
        &mut self,
        new: Arrival<K::Owned, V>,
        weight: u64,
        now: Moment,
        known: Option<List>,
        removals: &mut Removals<K::Owned, V>,
    ) {
        let weight = self.weight_of(&new.entry, weight);
        let placed = if new.entry.is_absent() {
            self.make_room_for_absent(removals)
        } else {
            self.make_room(short(new.hash), weight, known, removals)
        };
        match placed {
            Some(list) => self.settle_in(new, list, weight, now, known.is_some()),
            None => new.leave(Cause::Evicted, removals),
        }
    }

    /// Evicts until `weight` more fits; the list that the entry is to be on, if it then does.
    fn make_room(
        &mut self,
        hash: u32,
        weight: u64,
        known: Option<List>,
        removals: &mut Removals<K::Owned, V>,
    ) -> Option<List> {
        let Some(allowed) = self.bounds.capacity.checked_sub(weight) else {
            self.stats.too_heavy += 1;
            return None;
        };
        let known = known.filter(|list| *list != List::Absent);
        let (list, loser) = match (&mut self.policy, known) {
            (Some(policy), None) => policy.admit(hash, weight, &mut self.lists, &self.held),
            (_, known) => (known.unwrap_or(List::Main), None),
        };
        if let Some(loser) = loser {
            self.take_out(loser, Cause::Evicted, removals);
        }
        while self.weight() > allowed || !self.held.slab.has_room() {
            let victim = self.victim(List::Main)?;
            self.take_out(victim, Cause::Evicted, removals);
        }
        Some(list)
    }

    fn make_room_for_absent(&mut self, removals: &mut Removals<K::Owned, V>) -> Option<List> {
        let allowed = self.bounds.absent_capacity.checked_sub(1)?;
        while self.lists.weight(List::Absent) > allowed || !self.held.slab.has_room() {
            let victim = self.victim(List::Absent)?;
            self.take_out(victim, Cause::Evicted, removals);
        }
        Some(List::Absent)
    }

    /// Who has to leave: a found entry, or an absent one.
    fn victim(&mut self, list: List) -> Option<Slot> {
        match &mut self.policy {
            Some(policy) if list != List::Absent => policy.victim(&mut self.lists, &self.held),
            _ => self.coldest(list),
        }
    }

    /// The entry of a list that was not used for longest. Where hits do not keep the order, one that
    /// was used since it last came up gets another turn instead.
    fn coldest(&mut self, list: List) -> Option<Slot> {
        loop {
            let slot = self.lists.coldest(list)?;
            if !self.held.mark(slot).is_some_and(Mark::spend) {
                return Some(slot);
            }
            self.lists.touch(list, slot);
        }
    }

    /// Stores an entry in room that was made for it.
    fn settle_in(
        &mut self,
        new: Arrival<K::Owned, V>,
        list: List,
        weight: u64,
        now: Moment,
        is_known: bool,
    ) {
        let hash = short(new.hash);
        let (value, entry) = new.entry.split();
        let node = Node::new(hash, new.key, value);
        node.mark().enter(list);
        if is_known && self.bounds.rule == Rule::Adaptive {
            // Written again is used.
            node.mark().bump();
        }
        let held = &mut self.held;
        let Some(slot) = held.slab.insert(node) else { return };
        let numbers = held.slab.numbers();
        held.lanes.set(slot, &entry, numbers);
        held.lanes.weight.set(slot, weight, numbers);
        self.table.insert_unique(long(hash), slot, |&slot| long(held.hash(slot)));
        self.lists.push(list, slot, weight, numbers);
        self.begin_idling(slot, now);
        if let Some(policy) = &self.policy {
            policy.settle(&mut self.lists, &self.held);
        }
    }

    /// Removes the node of a slot, if there is one.
    fn take_out(&mut self, slot: Slot, cause: Cause, removals: &mut Removals<K::Owned, V>) {
        let Some(node) = self.held.slab.remove(slot) else { return };
        if let Ok(cell) = self.table.find_entry(long(node.hash()), |&other| other == slot) {
            cell.remove();
        }
        self.lists.remove(node.list(), slot, self.held.weight(slot));
        match (cause, node.list()) {
            (Cause::Evicted, List::Absent) => self.stats.absent_evicted += 1,
            (Cause::Evicted, _) => self.stats.evicted += 1,
            (Cause::Expired, _) => self.stats.expired += 1,
            _ => {}
        }
        node.leave(cause, removals);
    }

    fn remove_dead_at_cold_ends(&mut self, now: Moment, removals: &mut Removals<K::Owned, V>) {
        for list in List::ALL {
            for _ in 0..SWEPT_PER_PUT {
                let Some(slot) = self.lists.coldest(list) else { break };
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
        let is_dead = self.held.slab.get(slot).is_some()
            && self.held.lanes.deadline(slot).is_some_and(|deadline| deadline <= now);
        if is_dead {
            self.take_out(slot, Cause::Expired, removals);
        }
        is_dead
    }
}

#[cfg(test)]
mod tests;
