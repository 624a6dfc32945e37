//! What one lock guards: entries by key, within their bounds.

mod short;

use std::sync::Arc;

use self::short::Seen;
use super::bounds::{Bounds, Rule};
use super::life::Now;
use super::lists::{HEADS, List, Lists};
use super::node::{Arrival, Weights, deadline, notes};
use super::policy::{Adaptive, Entries};
use super::stats::MemoryStats;
use super::table::{
    Content, Form, Freeing, IsIt, Located, Node, Notes, Receives, Slot, Table, View, Writer,
};
use super::touches::Touches;
use super::wheel::Wheel;
use crate::{Cause, Clock, Entry, Moment};

pub(super) use self::short::Begun;

/// How many dead entries a put removes, so that what nobody asks for any more does not stay for ever.
const EXPIRED_PER_PUT: usize = 16;

/// How many entries are looked at for each that may be removed: some are due and not dead.
const LOOKS_PER_EXPIRED: usize = 4;

/// How many hits ahead memory is asked for.
const AHEAD: usize = 8;

/// What became of a put.
pub(super) enum Outcome<K, V> {
    /// The entry moved in.
    Kept,
    /// It did not, for want of room or life: it leaves again.
    Left(Arrival<K, V>, Cause),
    /// Nothing changed. That it was handed back is no listener's business.
    Declined(Arrival<K, V>),
}

/// What a look-up met.
pub(super) enum Look<V> {
    Live(Entry<V>),
    /// An entry past its life; to be taken out.
    Dead,
    Missing,
}

/// What is known of a store's entries, and guarded by its lock.
pub(super) struct State {
    bounds: Bounds,
    weights: Weights,
    lists: Lists,
    /// Of each list who may leave next and who then, where what that takes was asked for.
    foreseen: [[Slot; 2]; HEADS],
    /// Who leaves, if not whoever was not used for longest.
    policy: Option<Adaptive>,
    /// Hits that are not in the order of the lists yet, where these have to be exact; and room for those
    /// that are being applied.
    touches: Option<(Arc<Touches>, Vec<Slot>)>,
    /// When lives end, from the first entry on that has an end.
    wheel: Option<Box<Wheel>>,
    stats: MemoryStats,
    closed: bool,
}

/// A table, empty at first, that is kept within bounds. Its hits are noted in `touches`, where they
/// change the order.
pub(super) fn table<F: Form>(bounds: Bounds, touches: Option<Arc<Touches>>) -> Table<F, State> {
    let state = State {
        bounds,
        weights: Weights::new(),
        lists: Lists::new(),
        foreseen: Default::default(),
        policy: bounds.policy(),
        touches: touches.map(|touches| (touches, Vec::new())),
        wheel: None,
        stats: MemoryStats::default(),
        closed: false,
    };
    Table::new(bounds.limits(), state)
}

impl State {
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

    /// Whether an entry is there whose life has an end.
    pub(super) fn has_mortals(&self) -> bool {
        self.wheel.as_ref().is_some_and(|wheel| wheel.len() > 0)
    }
}

/// The list that an entry is on.
fn list_of<C: Content>(notes: &Notes<'_, C>) -> List {
    if notes.is_absent() { List::Absent } else { notes.queue().list() }
}

/// A store, its lock held.
pub(super) struct Store<'a, F: Form> {
    writer: Writer<'a, F>,
    state: &'a mut State,
}

impl<'a, F: Form> Store<'a, F> {
    pub(super) fn new((writer, state): (Writer<'a, F>, &'a mut State)) -> Self {
        let mut store = Self { writer, state };
        if store.state.touches.is_some() {
            store.apply_touches();
        }
        store
    }

    #[inline(always)]
    fn view(&self) -> View<'_, F> {
        self.writer.view()
    }

    /// Brings the order up to date with the hits that were noted. What each will look at is asked for
    /// some hits ahead.
    #[inline(never)]
    fn apply_touches(&mut self) {
        let Some((touches, hits)) = &mut self.state.touches else { return };
        touches.apply(|slot| hits.push(slot));
        if hits.is_empty() {
            return;
        }
        let hits = std::mem::take(hits);
        for (at, slot) in hits.iter().enumerate() {
            let (soon, sooner) = (hits.get(at + AHEAD), hits.get(at + AHEAD / 2));
            let rings = self.state.lists.rings();
            soon.inspect(|slot| rings.foresee(**slot));
            soon.inspect(|slot| self.view().foresee(**slot));
            sooner.inspect(|slot| rings.foresee_neighbours(**slot));
            self.touch(*slot);
        }
        if let Some((_, empty)) = &mut self.state.touches {
            *empty = hits;
            empty.clear();
        }
    }

    /// Notes a hit in the order itself, if the entry has not left since.
    pub(super) fn touch(&mut self, slot: Slot) {
        if let Some(notes) = self.view().notes(slot) {
            self.state.lists.touch(list_of(&notes), slot);
        }
    }

    /// Looks for the live entry of a key, which becomes the one used last, or, where the policy
    /// keeps the order, has its use noted.
    pub(super) fn get(
        &mut self,
        hash: u32,
        is_it: impl IsIt<F::Key>,
        clock: &Clock,
    ) -> Look<F::Value> {
        let Some(node) = self.view().find(hash, is_it) else { return Look::Missing };
        if node.has_end() {
            let now = clock.now();
            if node.is_dead(now) {
                return Look::Dead;
            }
            if let Some(idle) = self.state.bounds.time_to_idle {
                node.notes().idle_until(now + idle);
            }
        }
        // Cloned first: if that panics, nothing has changed.
        let entry = node.entry();
        match self.state.bounds.rule {
            Rule::Lru => self.state.lists.touch(list_of(&node.notes()), node.slot()),
            Rule::Adaptive => node.bump(),
        }
        Look::Live(entry)
    }

    /// The live entry of a key, and nothing changed.
    pub(super) fn peek(
        &self,
        hash: u32,
        is_it: impl IsIt<F::Key>,
        clock: &Clock,
    ) -> Option<Entry<F::Value>> {
        let node = self.view().find(hash, is_it)?;
        let is_dead = node.has_end() && node.is_dead(clock.now());
        (!is_dead).then(|| node.entry())
    }

    /// Takes out the entry of a key if it is dead.
    pub(super) fn remove_dead(&mut self, hash: u32, is_it: impl IsIt<F::Key>, now: Moment) {
        let dead = self.view().find(hash, is_it).filter(|node| node.is_dead(now));
        if let Some(slot) = dead.map(Node::slot) {
            self.take_out(slot, Cause::Expired);
        }
    }

    /// Goes on with storing an entry, from where [`put_shortly`](State::put_shortly) came to.
    pub(super) fn put_further(
        &mut self,
        begun: Begun,
        new: Arrival<F::Key, F::Value>,
        weight: u64,
        now: &Now<'_>,
    ) -> Outcome<F::Key, F::Value> {
        match begun {
            Begun::Nothing => self.put(new, weight, now),
            Begun::Admitted(list, leaver) => match self.clear_room(list, leaver, 1) {
                Some(list) => self.settle_in(new, list, 1, now, false),
                None => Outcome::Left(new, Cause::Evicted),
            },
        }
    }

    /// Stores an entry in place of what its key had, unless that is of a newer version.
    fn put(
        &mut self,
        new: Arrival<F::Key, F::Value>,
        weight: u64,
        now: &Now<'_>,
    ) -> Outcome<F::Key, F::Value> {
        if self.state.closed {
            return Outcome::Declined(new);
        }
        let view = self.writer.view();
        self.state.foresee(view, new.hash);
        self.state.foresee_victims(view);
        let mut known = None;
        if let Some(held) = self.view().find(new.hash, |key| *key == new.key) {
            let (is_live, slot) = (now.is_before(held.deadline()), held.slot());
            let versions = new.entry.version().zip(held.version());
            if is_live && versions.is_some_and(|(new, held)| new < held) {
                self.state.stats.outdated += 1;
                return Outcome::Declined(new);
            }
            known = is_live.then(|| list_of(&held.notes()));
            self.lift(slot, if is_live { Cause::Replaced } else { Cause::Expired });
        }
        if self.state.has_mortals() {
            self.expire(now.get(), EXPIRED_PER_PUT);
        }
        if now.is_before(new.entry.expiry()) {
            return self.move_in(new, weight, now, known);
        }
        self.weight_of(&new.entry, weight);
        self.state.stats.expired += 1;
        Outcome::Left(new, Cause::Expired)
    }

    pub(super) fn remove(&mut self, hash: u32, is_it: impl IsIt<F::Key>) {
        if let Some(slot) = self.view().find(hash, is_it).map(Node::slot) {
            self.take_out(slot, Cause::Invalidated);
        }
    }

    /// Frees what left, and hands out what is to be told and dropped without the lock.
    pub(super) fn settle(
        &mut self,
        freeing: Freeing,
        removals: &mut impl Receives<F::Key, F::Value>,
    ) {
        self.writer.settle(freeing, removals);
    }

    /// Brings the capacity closer to `capacity`, with up to `most` evictions; whether it is there.
    pub(super) fn resize(&mut self, capacity: u64, most: usize) -> bool {
        for _ in 0..most {
            if self.state.weight() <= capacity {
                break;
            }
            let Some(slot) = self.victim(List::Main) else { break };
            self.take_out(slot, Cause::Evicted);
        }
        let held = self.state.weight();
        let bounds = &mut self.state.bounds;
        bounds.capacity = capacity.max(held);
        self.writer.set_limits(bounds.limits());
        if let Some(policy) = &mut self.state.policy {
            policy.set_capacity(bounds.capacity);
        }
        bounds.capacity == capacity
    }

    /// Removes up to `most` dead entries; how many, and whether all that are due by their
    /// [tick](Wheel) were looked at.
    pub(super) fn expire(&mut self, now: Moment, most: usize) -> (usize, bool) {
        let mut taken = 0;
        for _ in 0..most * LOOKS_PER_EXPIRED {
            let Some(wheel) = &mut self.state.wheel else { return (taken, true) };
            let Some(slot) = wheel.take_due(now) else { return (taken, true) };
            let notes = self.writer.view().notes(slot);
            let Some(deadline) = notes.and_then(|notes| notes.deadline()) else { continue };
            // On the wheel in any case: who takes it out takes it off.
            wheel.insert(slot, deadline, 0);
            if deadline <= now {
                self.take_out(slot, Cause::Expired);
                taken += 1;
                if taken == most {
                    break;
                }
            }
        }
        (taken, false)
    }

    /// Removes the dead entries whose tick is not over; how many. After [`expire`](Self::expire) none
    /// is left.
    pub(super) fn expire_presently(&mut self, now: Moment) -> usize {
        let Some(wheel) = &self.state.wheel else { return 0 };
        let is_dead =
            |slot: &Slot| self.view().notes(*slot).is_some_and(|notes| notes.is_dead(now));
        let dead: Vec<Slot> = wheel.presently().filter(is_dead).collect();
        dead.iter().for_each(|slot| self.take_out(*slot, Cause::Expired));
        dead.len()
    }

    /// Has `add` given copies of the live entries of `count` slots; the next ones to look at, if there
    /// are more.
    pub(super) fn copy(
        &self,
        from: usize,
        count: usize,
        now: Moment,
        add: &mut impl FnMut(&F::Key, Entry<F::Value>),
    ) -> Option<usize> {
        let mut slots = self.view().slots(from);
        for slot in slots.by_ref().take(count) {
            if let Some(node) = self.view().node(slot).filter(|node| !node.is_dead(now)) {
                add(node.key(), node.entry());
            }
        }
        slots.next().map(|_| from + count)
    }

    /// Removes all entries of `count` slots, and at last what the policy has learnt of them; the next
    /// slots to look at, if there are more.
    pub(super) fn clear(&mut self, from: usize, count: usize) -> Option<usize> {
        let mut slots = self.view().slots(from);
        slots.by_ref().take(count).for_each(|slot| self.take_out(slot, Cause::Invalidated));
        let next = slots.next().map(|_| from + count);
        if next.is_none() {
            self.state.policy = self.state.bounds.policy();
        }
        next
    }

    /// Has every put declined from now on.
    pub(super) fn close(&mut self) {
        self.state.closed = true;
    }

    /// What an entry weighs here, by what its weigher said.
    #[inline(always)]
    fn weight_of(&mut self, entry: &Entry<F::Value>, said: u64) -> u64 {
        if !self.state.bounds.weighed || entry.is_absent() {
            return 1;
        }
        self.state.stats.zero_weights += u64::from(said == 0);
        said.max(1)
    }

    /// Stores an entry of a key that is not there; `known` is the list that the key was on.
    #[inline(always)]
    fn move_in(
        &mut self,
        new: Arrival<F::Key, F::Value>,
        weight: u64,
        now: &Now<'_>,
        known: Option<List>,
    ) -> Outcome<F::Key, F::Value> {
        let weight = self.weight_of(&new.entry, weight);
        let placed = if new.entry.is_absent() {
            self.make_room_for_absent()
        } else {
            self.make_room(new.hash, weight, known)
        };
        match placed {
            Some(list) => self.settle_in(new, list, weight, now, known.is_some()),
            None => Outcome::Left(new, Cause::Evicted),
        }
    }

    /// Evicts until `weight` more fits; the list that the entry is to be on, if it then does.
    #[inline(always)]
    fn make_room(&mut self, hash: u32, weight: u64, known: Option<List>) -> Option<List> {
        if self.state.bounds.capacity < weight {
            self.state.stats.too_heavy += 1;
            return None;
        }
        let known = known.filter(|list| *list != List::Absent);
        let State { policy, lists, weights, .. } = &mut *self.state;
        let held = Seen { view: self.writer.view(), weights };
        let (list, loser) = match (policy, known) {
            (Some(policy), None) => policy.admit(hash, weight, lists, held),
            (_, known) => (known.unwrap_or(List::Main), None),
        };
        let loser = loser.map(Located::slot);
        self.clear_room(list, loser, weight)
    }

    /// Evicts this one, if it is one, and then others until `weight` more fits on the list; the list, if it then
    /// does.
    #[inline(always)]
    fn clear_room(&mut self, list: List, leaver: Option<Slot>, weight: u64) -> Option<List> {
        let allowed = self.state.bounds.capacity.checked_sub(weight)?;
        if let Some(leaver) = leaver {
            self.take_out(leaver, Cause::Evicted);
        }
        while self.state.weight() > allowed || !self.view().has_room() {
            let victim = self.victim(List::Main)?;
            self.take_out(victim, Cause::Evicted);
        }
        Some(list)
    }

    fn make_room_for_absent(&mut self) -> Option<List> {
        let allowed = self.state.bounds.absent_capacity.checked_sub(1)?;
        while self.state.lists.weight(List::Absent) > allowed || !self.view().has_room() {
            let victim = self.victim(List::Absent)?;
            self.take_out(victim, Cause::Evicted);
        }
        Some(List::Absent)
    }

    /// Who has to leave: a found entry, or an absent one.
    fn victim(&mut self, list: List) -> Option<Slot> {
        let State { policy, lists, weights, .. } = &mut *self.state;
        let held = Seen { view: self.writer.view(), weights };
        match policy {
            Some(policy) if list != List::Absent => policy.victim(lists, held).map(Located::slot),
            _ => coldest(list, lists, held),
        }
    }

    /// Stores an entry in room that was made for it.
    #[inline(always)]
    fn settle_in(
        &mut self,
        new: Arrival<F::Key, F::Value>,
        list: List,
        weight: u64,
        now: &Now<'_>,
        is_known: bool,
    ) -> Outcome<F::Key, F::Value> {
        let Arrival { hash, key, entry } = new;
        let (value, entry) = entry.split();
        let idle_end = self.state.bounds.time_to_idle.map(|idle| {
            let until = now.get() + idle;
            entry.expiry().map_or(until, |end| end.min(until))
        });
        let notes = notes(&entry, idle_end);
        let slot = match self.writer.insert(hash, key, value, list, &notes) {
            Ok(slot) => slot,
            Err((key, value)) => {
                let entry = Entry::of_parts(value, None, None, None);
                return Outcome::Left(Arrival { hash, key, entry }, Cause::Evicted);
            }
        };
        let State { policy, lists, weights, bounds, wheel, .. } = &mut *self.state;
        let view = self.writer.view();
        let numbers = view.numbers();
        if is_known
            && bounds.rule == Rule::Adaptive
            && let Some(node) = view.node(slot)
        {
            // Written again is used.
            node.bump();
        }
        if let Some(deadline) = deadline(&notes) {
            let wheel = wheel.get_or_insert_with(|| Box::new(Wheel::new()));
            wheel.insert(slot, deadline, numbers);
        }
        if bounds.weighed {
            weights.set(slot, weight, numbers);
        }
        lists.push(list, slot, weight, numbers);
        if let Some(policy) = policy {
            policy.settle(lists, Seen { view, weights });
        }
        Outcome::Kept
    }

    /// Removes the entry of a slot, if there is one.
    fn take_out(&mut self, slot: Slot, cause: Cause) {
        let seen = self.writer.remove(slot, cause, list_and_end);
        self.strike(slot, seen, cause);
    }

    /// The same, but who looks it up finds it until another takes its place, or all is settled.
    fn lift(&mut self, slot: Slot, cause: Cause) {
        let seen = self.writer.lift(slot, cause, list_and_end);
        self.strike(slot, seen, cause);
    }

    /// Strikes an entry that was seen off its list, and counts.
    fn strike(&mut self, slot: Slot, seen: Option<(List, bool)>, cause: Cause) {
        let Some((list, has_end)) = seen else { return };
        let State { lists, weights, stats, wheel, .. } = &mut *self.state;
        lists.remove(list, slot, weights.get(slot));
        if let Some(wheel) = wheel.as_mut().filter(|_| has_end) {
            wheel.remove(slot);
        }
        match (cause, list) {
            (Cause::Evicted, List::Absent) => stats.absent_evicted += 1,
            (Cause::Evicted, _) => stats.evicted += 1,
            (Cause::Expired, _) => stats.expired += 1,
            _ => {}
        }
    }
}

/// What an entry has to be struck off.
fn list_and_end<C: Content>(notes: &Notes<'_, C>) -> (List, bool) {
    (list_of(notes), notes.has_end())
}

/// The entry of a list that was not used for longest. Where hits do not keep the order, one that was
/// used since it last came up gets another turn instead; but not all of them for ever, since hits go
/// on meanwhile.
fn coldest<'e>(list: List, lists: &mut Lists, entries: impl Entries<'e>) -> Option<Slot> {
    for _ in 0..lists.len(list) {
        let slot = lists.coldest(list)?;
        if !entries.get(slot).is_some_and(|held| held.mark.spend()) {
            break;
        }
        lists.touch(list, slot);
    }
    lists.coldest(list)
}

#[cfg(test)]
mod tests;
