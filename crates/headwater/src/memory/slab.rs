//! Items in numbered slots, each linked into one of two lists by how recently it was used.

/// The number of a slot. It stays an item's own until the item is removed.
pub(super) type Slot = u32;

/// The slots that are the heads of the lists and hold no item.
const HEADS: usize = 2;

/// Ends the chain of free slots: a head, and thus never free.
const NO_SLOT: Slot = 0;

/// As many items as slot numbers can tell apart.
pub(super) const MOST_ITEMS: usize = u32::MAX as usize - HEADS;

/// Which of the two lists an item is on. Its number is that of the list's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Found = 0,
    Absent = 1,
}

/// The neighbours of a slot on its circular list. The hottest slot is the head's `colder`, the
/// coldest the head's `hotter`. Free slots are chained by `colder`.
#[derive(Clone, Copy, Debug)]
struct Link {
    hotter: Slot,
    colder: Slot,
}

/// A slab with two recency lists.
pub(super) struct Slab<T> {
    /// The item of slot `n + HEADS` at `n`; `None` where the slot is free.
    items: Vec<Option<T>>,
    /// One per slot, the heads included.
    links: Vec<Link>,
    /// The first free slot.
    free: Slot,
    /// Items per list.
    lens: [usize; HEADS],
    /// No more items than these, found and absent together.
    limit: usize,
}

impl<T> Slab<T> {
    /// An empty slab for up to `limit` items, or [`MOST_ITEMS`] if that is less.
    pub(super) fn new(limit: usize) -> Self {
        let head = |list| Link { hotter: list as Slot, colder: list as Slot };
        Self {
            items: Vec::new(),
            links: vec![head(List::Found), head(List::Absent)],
            free: NO_SLOT,
            lens: [0; HEADS],
            limit: limit.min(MOST_ITEMS),
        }
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        self.items.get(Self::index(slot))?.as_ref()
    }

    pub(super) fn len(&self, list: List) -> usize {
        self.lens[list as usize]
    }

    /// Whether one more item finds a slot.
    pub(super) fn has_room(&self) -> bool {
        self.free != NO_SLOT || self.items.len() < self.limit
    }

    /// The slot that was not used for longest.
    pub(super) fn coldest(&self, list: List) -> Option<Slot> {
        let slot = self.links[list as usize].hotter;
        (slot != list as Slot).then_some(slot)
    }

    /// Puts an item at the hot end of a list; `None`, and the item lost, if there is no room.
    pub(super) fn insert(&mut self, list: List, item: T) -> Option<Slot> {
        let slot = self.vacant_slot()?;
        self.items[Self::index(slot)] = Some(item);
        self.link(list, slot);
        self.lens[list as usize] += 1;
        Some(slot)
    }

    /// Takes an item out of the list that it is on.
    pub(super) fn remove(&mut self, list: List, slot: Slot) -> Option<T> {
        let item = self.items.get_mut(Self::index(slot))?.take()?;
        self.unlink(slot);
        self.links[slot as usize].colder = self.free;
        self.free = slot;
        self.lens[list as usize] -= 1;
        Some(item)
    }

    /// Moves an item to the hot end of the list that it is on.
    #[inline]
    pub(super) fn touch(&mut self, list: List, slot: Slot) {
        if self.links[list as usize].colder != slot {
            self.unlink(slot);
            self.link(list, slot);
        }
    }

    /// The slots at `from` and after, used or not; the first is at 0.
    pub(super) fn slots(&self, from: usize) -> impl Iterator<Item = Slot> + use<T> {
        (from + HEADS..self.links.len()).map(|slot| slot as Slot)
    }

    /// All items, in no order.
    pub(super) fn into_items(self) -> impl Iterator<Item = T> {
        self.items.into_iter().flatten()
    }

    fn index(slot: Slot) -> usize {
        // The heads have no item: theirs is an index that no vector has.
        (slot as usize).wrapping_sub(HEADS)
    }

    fn vacant_slot(&mut self) -> Option<Slot> {
        if self.free != NO_SLOT {
            let slot = self.free;
            self.free = self.links[slot as usize].colder;
            return Some(slot);
        }
        let len = self.items.len();
        let slot = Slot::try_from(len + HEADS).ok().filter(|_| len < self.limit)?;
        if len == self.items.capacity() {
            // Doubles as a vector does, but never past the limit: a full cache wastes no slot.
            let more = len.max(4).min(self.limit - len);
            self.items.reserve_exact(more);
            self.links.reserve_exact(more);
        }
        self.items.push(None);
        self.links.push(Link { hotter: slot, colder: slot });
        Some(slot)
    }

    fn link(&mut self, list: List, slot: Slot) {
        let head = list as Slot;
        let hottest = std::mem::replace(&mut self.links[head as usize].colder, slot);
        self.links[hottest as usize].hotter = slot;
        self.links[slot as usize] = Link { hotter: head, colder: hottest };
    }

    fn unlink(&mut self, slot: Slot) {
        let Link { hotter, colder } = self.links[slot as usize];
        self.links[hotter as usize].colder = colder;
        self.links[colder as usize].hotter = hotter;
    }
}

#[cfg(test)]
impl<T> Slab<T> {
    /// The slots of a list, the hottest first.
    pub(super) fn order(&self, list: List) -> Vec<Slot> {
        let head = list as Slot;
        let next = |&slot: &Slot| {
            let colder = self.links[slot as usize].colder;
            assert_eq!(self.links[colder as usize].hotter, slot, "links agree both ways");
            (colder != head).then_some(colder)
        };
        std::iter::successors(next(&head), next).collect()
    }

    /// Recounts everything: each slot is on one list, or free, and once only.
    pub(super) fn validate(&self) {
        let free = |&slot: &Slot| {
            let next = self.links[slot as usize].colder;
            (next != NO_SLOT).then_some(next)
        };
        let first = (self.free != NO_SLOT).then_some(self.free);
        let mut slots: Vec<Slot> = std::iter::successors(first, free).collect();
        assert!(slots.iter().all(|&slot| self.get(slot).is_none()));
        for list in [List::Found, List::Absent] {
            let order = self.order(list);
            assert_eq!(order.len(), self.len(list));
            assert!(order.iter().all(|&slot| self.get(slot).is_some()));
            slots.extend(order);
        }
        slots.sort_unstable();
        assert!(slots.iter().copied().eq(self.slots(0)));
        assert_eq!(self.items.len() + HEADS, self.links.len());
        assert!(self.items.len() <= self.limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(slab: &Slab<char>, list: List) -> String {
        slab.order(list).into_iter().filter_map(|slot| slab.get(slot)).collect()
    }

    #[test]
    fn lists_keep_the_order_of_use_apart_from_each_other() {
        let mut slab = Slab::new(10);
        let [a, b, c] = ['a', 'b', 'c'].map(|item| slab.insert(List::Found, item).unwrap());
        let z = slab.insert(List::Absent, 'z').unwrap();
        assert_eq!(
            (items(&slab, List::Found), items(&slab, List::Absent)),
            ("cba".into(), "z".into())
        );
        slab.touch(List::Found, b);
        slab.touch(List::Found, b);
        slab.touch(List::Absent, z);
        assert_eq!(items(&slab, List::Found), "bca");
        assert_eq!(slab.coldest(List::Found), Some(a));
        assert_eq!(slab.remove(List::Found, c), Some('c'));
        assert_eq!(slab.remove(List::Found, c), None);
        slab.validate();
        assert_eq!(items(&slab, List::Found), "ba");
    }

    #[test]
    fn freed_slots_are_used_again_before_new_ones() {
        let mut slab = Slab::new(usize::MAX);
        let slots: Vec<Slot> = (0..10).filter_map(|n| slab.insert(List::Found, n)).collect();
        for &slot in &slots[3..6] {
            slab.remove(List::Found, slot);
        }
        slab.validate();
        let mut again: Vec<Slot> = (0..3).filter_map(|n| slab.insert(List::Absent, n)).collect();
        again.sort_unstable();
        assert_eq!(again, slots[3..6]);
        slab.validate();
    }

    #[test]
    fn full_slab_declines_and_has_room_again_after_a_removal() {
        let mut slab = Slab::new(2);
        let first = slab.insert(List::Found, 1).unwrap();
        assert!(slab.insert(List::Absent, 2).is_some());
        assert!(!slab.has_room());
        assert_eq!(slab.insert(List::Found, 3), None);
        slab.validate();
        slab.remove(List::Found, first);
        assert!(slab.has_room() && slab.insert(List::Found, 3).is_some());
        slab.validate();
    }

    #[test]
    fn heads_hold_nothing() {
        let mut slab = Slab::<u8>::new(2);
        assert_eq!((slab.get(0), slab.get(1), slab.coldest(List::Absent)), (None, None, None));
        assert_eq!(slab.remove(List::Found, 1), None);
        slab.validate();
    }

    #[test]
    fn memory_grows_by_doubling_and_stops_at_the_limit() {
        let mut slab = Slab::new(100);
        (0..100).for_each(|n| assert!(slab.insert(List::Found, n).is_some()));
        assert_eq!((slab.items.capacity(), slab.insert(List::Found, 100)), (100, None));
    }
}
