//! Entries on their way into the table, and out of it.

use super::table::{Content, Form, LANES, Lane, Node, Notes, Receives, Slot};
use crate::{Cause, Entry, Moment, Version};

/// An entry with its key on its way into a store.
pub(super) struct Arrival<K, V> {
    pub(super) hash: u32,
    pub(super) key: K,
    pub(super) entry: Entry<V>,
}

impl<K, V> Arrival<K, V> {
    /// Hands it back instead of keeping it.
    pub(super) fn leave(self, cause: Cause, removals: &mut impl Receives<K, V>) {
        removals.push(self.key, self.entry.into_value(), cause);
    }
}

/// What an entry says beside its value, as the table keeps it; it dies at `idle_end` if not used. An end
/// that never comes is none, and nobody need look out for it.
pub(super) fn notes(entry: &Entry<()>, idle_end: Option<Moment>) -> [Option<u64>; LANES] {
    let comes = |end: Option<Moment>| end.filter(|end| *end < Moment::END).map(Moment::bits);
    let mut notes = [None; LANES];
    notes[Lane::Expiry as usize] = comes(entry.expiry());
    notes[Lane::IdleEnd as usize] = comes(idle_end);
    notes[Lane::Loaded as usize] = entry.loaded().map(Moment::bits);
    notes[Lane::Version as usize] = entry.version().map(Version::get);
    notes
}

/// When an entry with these notes dies, if ever.
pub(super) fn deadline(notes: &[Option<u64>; LANES]) -> Option<Moment> {
    let end = notes[Lane::IdleEnd as usize].or(notes[Lane::Expiry as usize]);
    end.and_then(Moment::from_bits)
}

impl<C: Content> Notes<'_, C> {
    fn moment(&self, lane: Lane) -> Option<Moment> {
        self.note(lane).and_then(Moment::from_bits)
    }

    pub(super) fn expiry(&self) -> Option<Moment> {
        self.moment(Lane::Expiry)
    }

    /// When it dies, if ever.
    pub(super) fn deadline(&self) -> Option<Moment> {
        if !self.has_end() {
            return None;
        }
        self.moment(Lane::IdleEnd).or_else(|| self.expiry())
    }

    pub(super) fn is_dead(&self, now: Moment) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// Lets it live until `until` at least, if it is not used, within what else ends its life.
    pub(super) fn idle_until(&self, until: Moment) {
        let end = self.expiry().map_or(until, |end| end.min(until));
        self.raise(Lane::IdleEnd, end.bits());
    }
}

impl<F: Form> Node<'_, F> {
    /// When it dies; `None` if it has no end, and no clock need be read.
    #[inline]
    pub(super) fn deadline(self) -> Option<Moment> {
        if self.has_end() { self.notes().deadline() } else { None }
    }

    pub(super) fn is_dead(self, now: Moment) -> bool {
        self.has_end() && self.notes().is_dead(now)
    }

    pub(super) fn version(self) -> Option<Version> {
        self.notes().note(Lane::Version).map(Version::new)
    }

    /// The entry, cloned.
    #[inline]
    pub(super) fn entry(self) -> Entry<F::Value> {
        let value = self.value().cloned();
        if F::is_bare(&self) {
            return Entry::of_parts(value, None, None, None);
        }
        let notes = self.notes();
        let version = notes.note(Lane::Version).map(Version::new);
        Entry::of_parts(value, notes.deadline(), notes.moment(Lane::Loaded), version)
    }
}

/// What the entries in slots weigh, without memory until one weighs more than 1.
pub(super) struct Weights(Vec<u64>);

impl Weights {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    #[inline]
    pub(super) fn get(&self, slot: Slot) -> u64 {
        self.0.get(slot as usize).copied().unwrap_or(1)
    }

    /// Sets a slot's weight. There is memory for `numbers` of slots at least after that, if for any.
    pub(super) fn set(&mut self, slot: Slot, weight: u64, numbers: usize) {
        let index = slot as usize;
        if index >= self.0.len() {
            if weight == 1 {
                return;
            }
            let numbers = numbers.max(index + 1);
            self.0.reserve_exact(numbers - self.0.len());
            self.0.resize(index + 1, 1);
        }
        self.0[index] = weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_take_no_memory_while_all_are_one() {
        let mut weights = Weights::new();
        weights.set(1_000, 1, 2_000);
        assert_eq!((weights.get(1_000), weights.0.capacity()), (1, 0));
        weights.set(10, 5, 100);
        assert_eq!((weights.get(9), weights.get(10), weights.get(11)), (1, 5, 1));
        assert_eq!(weights.0.capacity(), 100);
        weights.set(10, 1, 100);
        assert_eq!(weights.get(10), 1);
    }
}
