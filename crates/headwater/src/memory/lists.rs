//! Circular lists of slots, linked by numbers instead of pointers.

use super::table::{Slot, prefetch};

/// The slots that are the heads of the lists and hold no item.
pub(super) const HEADS: usize = 3;

/// Which list a slot is on. Its number is that of the list's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// Found entries; where a policy has newcomers prove themselves first, those that did.
    Main = 0,
    /// Found entries that have not proved themselves yet.
    Small = 1,
    /// Absent entries.
    Absent = 2,
}

impl List {
    #[cfg(test)]
    pub(super) const ALL: [Self; HEADS] = [Self::Main, Self::Small, Self::Absent];
}

/// The neighbours of a slot. The hottest slot of a ring is the head's `colder`, the coldest the
/// head's `hotter`.
#[derive(Clone, Copy, Debug)]
struct Link {
    hotter: u32,
    colder: u32,
}

/// Rings of slots, each slot on one of them or on none. Links are numbered: those of the rings' heads
/// first, then one per slot.
pub(super) struct Rings {
    links: Vec<Link>,
    /// From a slot to its link.
    offset: u32,
}

impl Rings {
    /// So many empty rings.
    pub(super) fn new(heads: usize) -> Self {
        let alone = |head| Link { hotter: head, colder: head };
        Self { links: (0..heads as u32).map(alone).collect(), offset: (heads - HEADS) as u32 }
    }

    /// The slot at the cold end.
    pub(super) fn coldest(&self, ring: usize) -> Option<Slot> {
        let link = self.links[ring].hotter;
        (link != ring as u32).then(|| link - self.offset)
    }

    /// The slot that is next to this one in the direction of the hot end.
    fn hotter(&self, slot: Slot) -> Option<Slot> {
        let link = self.links[(slot + self.offset) as usize].hotter;
        (link >= HEADS as u32 + self.offset).then(|| link - self.offset)
    }

    /// Has a slot's link fetched.
    pub(super) fn foresee(&self, slot: Slot) {
        self.foresee_link(slot + self.offset);
    }

    /// Has the links of a slot's neighbours fetched, its own being there.
    pub(super) fn foresee_neighbours(&self, slot: Slot) {
        if let Some(Link { hotter, colder }) = self.links.get((slot + self.offset) as usize) {
            self.foresee_link(*hotter);
            self.foresee_link(*colder);
        }
    }

    fn foresee_link(&self, index: u32) {
        self.links.get(index as usize).inspect(|link| prefetch(*link));
    }

    /// The slots of a ring, the hottest first.
    pub(super) fn slots(&self, ring: usize) -> impl Iterator<Item = Slot> + use<'_> {
        let next = move |link: &u32| {
            let colder = self.links[*link as usize].colder;
            (colder != ring as u32).then_some(colder)
        };
        std::iter::successors(next(&(ring as u32)), next).map(|link| link - self.offset)
    }

    /// Puts a slot that is on no ring at the hot end of one. There is memory for `numbers` of slots
    /// at least after that.
    pub(super) fn push(&mut self, ring: usize, slot: Slot, numbers: usize) {
        let index = (slot + self.offset) as usize;
        if index >= self.links.len() {
            self.grow(index, numbers + self.offset as usize);
        }
        self.link(ring, index as u32);
    }

    /// Grows as the slots do: a full cache wastes no link.
    #[cold]
    fn grow(&mut self, index: usize, links: usize) {
        self.links.reserve_exact(links.saturating_sub(self.links.len()));
        self.links.resize(index + 1, Link { hotter: 0, colder: 0 });
    }

    /// Takes a slot off the ring that it is on.
    pub(super) fn unlink(&mut self, slot: Slot) {
        self.cut((slot + self.offset) as usize);
    }

    /// Moves a slot to the hot end of the ring that it is on.
    #[inline]
    pub(super) fn touch(&mut self, ring: usize, slot: Slot) {
        let index = slot + self.offset;
        if self.links[ring].colder != index {
            self.cut(index as usize);
            self.link(ring, index);
        }
    }

    fn link(&mut self, ring: usize, index: u32) {
        let hottest = std::mem::replace(&mut self.links[ring].colder, index);
        self.links[hottest as usize].hotter = index;
        self.links[index as usize] = Link { hotter: ring as u32, colder: hottest };
    }

    fn cut(&mut self, index: usize) {
        let Link { hotter, colder } = self.links[index];
        self.links[hotter as usize].colder = colder;
        self.links[colder as usize].hotter = hotter;
    }
}

/// The lists, and what the slots on each weigh together.
pub(super) struct Lists {
    rings: Rings,
    lens: [usize; HEADS],
    weights: [u64; HEADS],
}

impl Lists {
    pub(super) fn new() -> Self {
        Self { rings: Rings::new(HEADS), lens: [0; HEADS], weights: [0; HEADS] }
    }

    pub(super) fn len(&self, list: List) -> usize {
        self.lens[list as usize]
    }

    pub(super) fn weight(&self, list: List) -> u64 {
        self.weights[list as usize]
    }

    /// The slot at the cold end.
    pub(super) fn coldest(&self, list: List) -> Option<Slot> {
        self.rings.coldest(list as usize)
    }

    /// Where each slot is on its list.
    pub(super) fn rings(&self) -> &Rings {
        &self.rings
    }

    /// The slot that is next to this one in the direction of the hot end.
    pub(super) fn hotter(&self, slot: Slot) -> Option<Slot> {
        self.rings.hotter(slot)
    }

    /// The slots of a list, the hottest first.
    pub(super) fn slots(&self, list: List) -> impl Iterator<Item = Slot> + use<'_> {
        self.rings.slots(list as usize)
    }

    /// Puts a slot that is on no list at the hot end of one. There is memory for `numbers` of slots
    /// at least after that.
    pub(super) fn push(&mut self, list: List, slot: Slot, weight: u64, numbers: usize) {
        self.rings.push(list as usize, slot, numbers);
        self.lens[list as usize] += 1;
        self.weights[list as usize] += weight;
    }

    /// Takes a slot off the list that it is on.
    pub(super) fn remove(&mut self, list: List, slot: Slot, weight: u64) {
        self.rings.unlink(slot);
        self.lens[list as usize] -= 1;
        self.weights[list as usize] -= weight;
    }

    /// Moves a slot to the hot end of the list that it is on.
    #[inline]
    pub(super) fn touch(&mut self, list: List, slot: Slot) {
        self.rings.touch(list as usize, slot);
    }

    /// Has a slot that is on one list stand for another entry, which is on this one, at its hot end.
    /// Both weigh 1.
    #[inline(always)]
    pub(super) fn pass_on(&mut self, from: List, to: List, slot: Slot) {
        if from == to {
            self.touch(to, slot);
        } else {
            self.transfer(from, to, slot, 1);
        }
    }

    /// Moves a slot to the hot end of another list.
    pub(super) fn transfer(&mut self, from: List, to: List, slot: Slot, weight: u64) {
        self.remove(from, slot, weight);
        self.push(to, slot, weight, 0);
    }
}

#[cfg(test)]
impl Lists {
    /// The slots of a list, the hottest first, each link looked at from both sides.
    pub(super) fn order(&self, list: List) -> Vec<Slot> {
        let slots: Vec<Slot> = self.slots(list).collect();
        assert_eq!(slots.len(), self.len(list));
        let mut hotter = list as Slot;
        for &slot in &slots {
            assert_eq!(self.rings.links[slot as usize].hotter, hotter, "links agree both ways");
            hotter = slot;
        }
        assert_eq!(self.rings.links[list as usize].hotter, hotter);
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_their_order_and_weight_apart_from_each_other() {
        let mut lists = Lists::new();
        for slot in [3, 4, 5] {
            lists.push(List::Main, slot, 10, 0);
        }
        lists.push(List::Absent, 6, 1, 0);
        lists.touch(List::Main, 4);
        lists.touch(List::Main, 4);
        lists.touch(List::Absent, 6);
        assert_eq!(lists.order(List::Main), [4, 5, 3]);
        assert_eq!(lists.coldest(List::Main), Some(3));
        lists.transfer(List::Main, List::Small, 5, 10);
        lists.remove(List::Main, 3, 10);
        assert_eq!(List::ALL.map(|list| lists.weight(list)), [10, 10, 1]);
        assert_eq!(List::ALL.map(|list| lists.order(list)), [vec![4], vec![5], vec![6]]);
        lists.remove(List::Absent, 6, 1);
        assert_eq!((lists.coldest(List::Absent), lists.len(List::Absent)), (None, 0));
    }
}
