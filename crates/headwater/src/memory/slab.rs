//! Items in numbered slots.

use super::lists::HEADS;

/// The number of a slot. It stays an item's own until the item is removed.
pub(super) type Slot = u32;

/// As many items as slot numbers can tell apart: the first ones are the heads of the lists.
pub(super) const MOST_ITEMS: usize = u32::MAX as usize - HEADS;

/// A vector that uses freed slots again.
pub(super) struct Slab<T> {
    /// The item of slot `n + HEADS` at `n`; `None` where the slot is free.
    items: Vec<Option<T>>,
    free: Vec<Slot>,
    /// No more items than these.
    limit: usize,
}

impl<T> Slab<T> {
    /// An empty slab for up to `limit` items, or [`MOST_ITEMS`] if that is less.
    pub(super) fn new(limit: usize) -> Self {
        Self { items: Vec::new(), free: Vec::new(), limit: limit.min(MOST_ITEMS) }
    }

    /// Changes the limit. It may be less than there are items: then there is no room.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(MOST_ITEMS);
    }

    #[inline]
    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        self.items.get(Self::index(slot))?.as_ref()
    }

    pub(super) fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }

    /// How many slot numbers there is memory for, those of heads included.
    pub(super) fn numbers(&self) -> usize {
        self.items.capacity() + HEADS
    }

    /// Whether one more item finds a slot.
    pub(super) fn has_room(&self) -> bool {
        self.len() < self.limit
    }

    /// Gives an item a slot; `None`, and the item lost, if there is no room.
    pub(super) fn insert(&mut self, item: T) -> Option<Slot> {
        if !self.has_room() {
            return None;
        }
        if let Some(slot) = self.free.pop() {
            self.items[Self::index(slot)] = Some(item);
            return Some(slot);
        }
        let len = self.items.len();
        let slot = Slot::try_from(len + HEADS).ok()?;
        if len == self.items.capacity() {
            // Doubles as a vector does, but never past the limit: a full cache wastes no slot.
            self.items.reserve_exact(len.max(4).min(self.limit - len));
        }
        self.items.push(Some(item));
        Some(slot)
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<T> {
        let item = self.items.get_mut(Self::index(slot))?.take()?;
        self.free.push(slot);
        Some(item)
    }

    /// The slots at `from` and after, used or not; the first is at 0.
    pub(super) fn slots(&self, from: usize) -> impl Iterator<Item = Slot> + use<T> {
        (from + HEADS..self.items.len() + HEADS).map(|slot| slot as Slot)
    }

    /// All items, in no order.
    pub(super) fn into_items(self) -> impl Iterator<Item = T> {
        self.items.into_iter().flatten()
    }

    fn index(slot: Slot) -> usize {
        // The heads have no item: theirs is an index that no vector has.
        (slot as usize).wrapping_sub(HEADS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_slots_are_used_again_before_new_ones() {
        let mut slab = Slab::new(usize::MAX);
        let slots: Vec<Slot> = (0..10).filter_map(|n| slab.insert(n)).collect();
        for &slot in &slots[3..6] {
            assert!(slab.remove(slot).is_some());
            assert!(slab.remove(slot).is_none());
        }
        assert_eq!(slab.len(), 7);
        let mut again: Vec<Slot> = (0..3).filter_map(|n| slab.insert(n)).collect();
        again.sort_unstable();
        assert_eq!(again, slots[3..6]);
        assert!(slab.slots(0).eq(slots));
    }

    #[test]
    fn full_slab_declines_and_has_room_again_after_a_removal() {
        let mut slab = Slab::new(2);
        let first = slab.insert(1).unwrap();
        assert!(slab.insert(2).is_some());
        assert!(!slab.has_room());
        assert_eq!(slab.insert(3), None);
        slab.remove(first);
        assert!(slab.has_room() && slab.insert(3).is_some());
        slab.set_limit(1);
        slab.remove(first);
        assert!(!slab.has_room() && slab.insert(4).is_none());
    }

    #[test]
    fn heads_hold_nothing() {
        let mut slab = Slab::<u8>::new(2);
        assert!(slab.get(0).is_none() && slab.remove(1).is_none());
        assert!(slab.insert(7).is_some_and(|slot| slot as usize == HEADS));
    }

    #[test]
    fn memory_grows_by_doubling_and_stops_at_the_limit() {
        let mut slab = Slab::new(100);
        (0..100).for_each(|n| assert!(slab.insert(n).is_some()));
        assert_eq!((slab.items.capacity(), slab.insert(100)), (100, None));
    }
}
