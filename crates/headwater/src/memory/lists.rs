//! Circular lists of slots, each slot on one of them, linked by numbers instead of pointers.

use super::table::Slot;

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
    pub(super) const ALL: [Self; HEADS] = [Self::Main, Self::Small, Self::Absent];
}

/// The neighbours of a slot. The hottest slot of a list is the head's `colder`, the coldest the
/// head's `hotter`.
#[derive(Clone, Copy, Debug)]
struct Link {
    hotter: Slot,
    colder: Slot,
}

/// The lists, and what the slots on each weigh together.
pub(super) struct Lists {
    /// One per slot, the heads included.
    links: Vec<Link>,
    lens: [usize; HEADS],
    weights: [u64; HEADS],
}

impl Lists {
    pub(super) fn new() -> Self {
        let head = |list: List| Link { hotter: list as Slot, colder: list as Slot };
        Self { links: List::ALL.map(head).to_vec(), lens: [0; HEADS], weights: [0; HEADS] }
    }

    pub(super) fn len(&self, list: List) -> usize {
        self.lens[list as usize]
    }

    pub(super) fn weight(&self, list: List) -> u64 {
        self.weights[list as usize]
    }

    /// The slot at the cold end.
    pub(super) fn coldest(&self, list: List) -> Option<Slot> {
        let slot = self.links[list as usize].hotter;
        (slot != list as Slot).then_some(slot)
    }

    /// The slots of a list, the hottest first.
    pub(super) fn slots(&self, list: List) -> impl Iterator<Item = Slot> + use<'_> {
        let head = list as Slot;
        let next = move |slot: &Slot| {
            let colder = self.links[*slot as usize].colder;
            (colder != head).then_some(colder)
        };
        std::iter::successors(next(&head), next)
    }

    /// Puts a slot that is on no list at the hot end of one. There is memory for `numbers` of slots
    /// at least after that.
    pub(super) fn push(&mut self, list: List, slot: Slot, weight: u64, numbers: usize) {
        let index = slot as usize;
        if index >= self.links.len() {
            // Grown as the items are: a full cache wastes no link.
            self.links.reserve_exact(numbers.saturating_sub(self.links.len()));
            self.links.resize(index + 1, Link { hotter: slot, colder: slot });
        }
        self.link(list, slot);
        self.lens[list as usize] += 1;
        self.weights[list as usize] += weight;
    }

    /// Takes a slot off the list that it is on.
    pub(super) fn remove(&mut self, list: List, slot: Slot, weight: u64) {
        self.unlink(slot);
        self.lens[list as usize] -= 1;
        self.weights[list as usize] -= weight;
    }

    /// Moves a slot to the hot end of the list that it is on.
    #[inline]
    pub(super) fn touch(&mut self, list: List, slot: Slot) {
        if self.links[list as usize].colder != slot {
            self.unlink(slot);
            self.link(list, slot);
        }
    }

    /// Moves a slot to the hot end of another list.
    pub(super) fn transfer(&mut self, from: List, to: List, slot: Slot, weight: u64) {
        self.remove(from, slot, weight);
        self.push(to, slot, weight, 0);
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
impl Lists {
    /// The slots of a list, the hottest first, each link looked at from both sides.
    pub(super) fn order(&self, list: List) -> Vec<Slot> {
        let slots: Vec<Slot> = self.slots(list).collect();
        assert_eq!(slots.len(), self.len(list));
        let mut hotter = list as Slot;
        for &slot in &slots {
            assert_eq!(self.links[slot as usize].hotter, hotter, "links agree both ways");
            hotter = slot;
        }
        assert_eq!(self.links[list as usize].hotter, hotter);
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
