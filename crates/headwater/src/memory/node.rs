//! An entry as it is stored, and what only some entries have, kept apart from it.

use super::lists::List;
use super::policy::Mark;
use super::slab::Slot;
use crate::{Cause, Entry, Moment, Removals, Version};

/// An entry with its key on its way into a store.
pub(super) struct Arrival<K, V> {
    pub(super) hash: u64,
    pub(super) key: K,
    pub(super) entry: Entry<V>,
}

impl<K, V> Arrival<K, V> {
    /// Hands it back instead of keeping it.
    pub(super) fn leave(self, cause: Cause, removals: &mut Removals<K, V>) {
        removals.push(self.key, self.entry.into_value(), cause);
    }
}

/// A key with its value, or with the knowledge that there is none. With small keys and values it is
/// no larger than they are and one word more.
pub(super) enum Node<K, V> {
    Found { hash: u32, mark: Mark, key: K, value: V },
    Absent { hash: u32, mark: Mark, key: K },
}

impl<K, V> Node<K, V> {
    pub(super) fn new(hash: u32, key: K, value: Option<V>) -> Self {
        let mark = Mark::default();
        match value {
            Some(value) => Self::Found { hash, mark, key, value },
            None => Self::Absent { hash, mark, key },
        }
    }

    #[inline]
    pub(super) fn hash(&self) -> u32 {
        let (Self::Found { hash, .. } | Self::Absent { hash, .. }) = self;
        *hash
    }

    #[inline]
    pub(super) fn key(&self) -> &K {
        let (Self::Found { key, .. } | Self::Absent { key, .. }) = self;
        key
    }

    #[inline]
    pub(super) fn mark(&self) -> &Mark {
        let (Self::Found { mark, .. } | Self::Absent { mark, .. }) = self;
        mark
    }

    #[inline]
    pub(super) fn value(&self) -> Option<&V> {
        match self {
            Self::Found { value, .. } => Some(value),
            Self::Absent { .. } => None,
        }
    }

    /// The list that it is on.
    pub(super) fn list(&self) -> List {
        match self {
            Self::Found { mark, .. } => mark.list(),
            Self::Absent { .. } => List::Absent,
        }
    }

    pub(super) fn leave(self, cause: Cause, removals: &mut Removals<K, V>) {
        let (key, value) = self.into_parts();
        removals.push(key, value, cause);
    }

    pub(super) fn into_parts(self) -> (K, Option<V>) {
        match self {
            Self::Found { key, value, .. } => (key, Some(value)),
            Self::Absent { key, .. } => (key, None),
        }
    }
}

/// One value per slot, without memory until the first that is not `blank`.
pub(super) struct Lane<T> {
    cells: Vec<T>,
    blank: T,
}

impl<T: Copy + PartialEq> Lane<T> {
    pub(super) fn new(blank: T) -> Self {
        Self { cells: Vec::new(), blank }
    }

    #[inline]
    pub(super) fn get(&self, slot: Slot) -> T {
        self.cells.get(slot as usize).copied().unwrap_or(self.blank)
    }

    /// Sets a slot's value. There is memory for `numbers` of slots at least after that, if for
    /// any.
    pub(super) fn set(&mut self, slot: Slot, value: T, numbers: usize) {
        let index = slot as usize;
        if index >= self.cells.len() {
            if value == self.blank {
                return;
            }
            let numbers = numbers.max(index + 1);
            self.cells.reserve_exact(numbers - self.cells.len());
            self.cells.resize(index + 1, self.blank);
        }
        self.cells[index] = value;
    }
}

/// What few entries have, or all of them: one lane each.
pub(super) struct Lanes {
    /// What the entry weighs.
    pub(super) weight: Lane<u64>,
    /// When its life ends.
    pub(super) expiry: Lane<Option<Moment>>,
    /// When it dies if it is not used, or dies anyway.
    pub(super) idle_end: Lane<Option<Moment>>,
    loaded: Lane<Option<Moment>>,
    version: Lane<Option<Version>>,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            weight: Lane::new(1),
            expiry: Lane::new(None),
            idle_end: Lane::new(None),
            loaded: Lane::new(None),
            version: Lane::new(None),
        }
    }

    /// Takes down what an entry says beside its value.
    pub(super) fn set(&mut self, slot: Slot, entry: &Entry<()>, numbers: usize) {
        self.expiry.set(slot, entry.expiry(), numbers);
        self.loaded.set(slot, entry.loaded(), numbers);
        self.version.set(slot, entry.version(), numbers);
    }

    /// When the entry of a slot dies; `None` if it has no end, and no clock need be read.
    #[inline]
    pub(super) fn deadline(&self, slot: Slot) -> Option<Moment> {
        self.idle_end.get(slot).or(self.expiry.get(slot))
    }

    pub(super) fn version(&self, slot: Slot) -> Option<Version> {
        self.version.get(slot)
    }

    /// The entry that a slot's value and lanes are.
    #[inline]
    pub(super) fn entry<V>(&self, slot: Slot, value: Option<V>) -> Entry<V> {
        let (loaded, version) = (self.loaded.get(slot), self.version.get(slot));
        Entry::of_parts(value, self.deadline(slot), loaded, version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_one_word_more_than_key_and_value() {
        assert_eq!(size_of::<Option<Node<u64, u64>>>(), 24);
        assert_eq!(size_of::<Option<Node<String, String>>>(), 56);
    }

    #[test]
    fn lane_takes_no_memory_for_what_is_blank() {
        let mut lane = Lane::new(1_u64);
        lane.set(1_000, 1, 2_000);
        assert_eq!((lane.get(1_000), lane.cells.capacity()), (1, 0));
        lane.set(10, 5, 100);
        assert_eq!((lane.get(9), lane.get(10), lane.get(11)), (1, 5, 1));
        assert_eq!(lane.cells.capacity(), 100);
        lane.set(10, 1, 100);
        assert_eq!(lane.get(10), 1);
    }
}
