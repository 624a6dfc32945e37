//! What a policy notes about one entry: two bits that hits write, and a byte beside it.

use std::sync::atomic::{AtomicU8, AtomicU16, Ordering::Relaxed};

use crate::memory::lists::List;

/// The most uses that are told apart.
const MOST_USES: u16 = 3;

/// The bits that they take.
const BITS: u32 = 2;

/// The bit of an entry that is in small.
const IN_SMALL: u8 = 1;

/// Where an entry's uses are counted: in two bits of a word, which may have other entries' beside them.
#[derive(Clone, Copy, Debug)]
pub(in crate::memory) struct Uses<'a> {
    word: &'a AtomicU16,
    shift: u32,
}

impl<'a> Uses<'a> {
    /// In the word's two bits of this number, from 0 to 7.
    #[inline(always)]
    pub(in crate::memory) fn new(word: &'a AtomicU16, number: usize) -> Self {
        Self { word, shift: number as u32 * BITS }
    }

    #[inline(always)]
    pub(in crate::memory) fn get(self) -> u16 {
        self.word.load(Relaxed) >> self.shift & MOST_USES
    }

    pub(in crate::memory) fn set(self, uses: u16) {
        let others = self.word.load(Relaxed) & !(MOST_USES << self.shift);
        self.word.store(others | uses << self.shift, Relaxed);
    }

    /// Notes a use.
    #[inline(always)]
    pub(in crate::memory) fn bump(self) {
        let word = self.word.load(Relaxed);
        if word >> self.shift & MOST_USES != MOST_USES {
            self.word.store(word + (1 << self.shift), Relaxed);
        }
    }
}

/// In which queue an entry is: a bit of a byte. That is no estimate, and is written by who holds the lock,
/// as the other bits are.
#[derive(Clone, Copy, Debug)]
pub(in crate::memory) struct Queue<'a>(&'a AtomicU8);

impl<'a> Queue<'a> {
    #[inline(always)]
    pub(in crate::memory) fn new(queue: &'a AtomicU8) -> Self {
        Self(queue)
    }

    /// The queue of a found entry.
    pub(in crate::memory) fn list(self) -> List {
        if self.0.load(Relaxed) & IN_SMALL == 0 { List::Main } else { List::Small }
    }

    /// Notes that the entry enters a queue.
    pub(in crate::memory) fn enter(self, list: List) {
        let others = self.0.load(Relaxed) & !IN_SMALL;
        self.0.store(others | if list == List::Small { IN_SMALL } else { 0 }, Relaxed);
    }
}

/// How often an entry was used lately, up to 3, and in which queue it is.
///
/// A hit may note its use at any time. Two at once may count as one, and one may undo what the policy
/// or another hit notes at the same moment of this entry or of its neighbours in the word: it is an
/// estimate anyway. Once the count has reached its end, a hit writes nothing, so that threads do not
/// take each other's copy of the line.
#[derive(Clone, Copy, Debug)]
pub(in crate::memory) struct Mark<'a> {
    uses: Uses<'a>,
    queue: Queue<'a>,
}

impl<'a> Mark<'a> {
    #[inline(always)]
    pub(in crate::memory) fn new(uses: Uses<'a>, queue: Queue<'a>) -> Self {
        Self { uses, queue }
    }

    /// Takes one use back, if there is one.
    pub(in crate::memory) fn spend(self) -> bool {
        let uses = self.uses.get();
        if uses > 0 {
            self.uses.set(uses - 1);
        }
        uses > 0
    }

    pub(in crate::memory) fn is_used(self) -> bool {
        self.uses.get() > 0
    }

    /// Notes that the entry enters a queue, and keeps its uses.
    pub(in crate::memory) fn enter(self, list: List) {
        self.queue.enter(list);
    }

    /// Notes that the entry enters main, and forgets its uses.
    pub(in crate::memory) fn begin_anew(self) {
        self.uses.set(0);
        self.enter(List::Main);
    }

    /// The queue of a found entry.
    #[cfg(test)]
    pub(in crate::memory) fn list(self) -> List {
        self.queue.list()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_counted_to_their_end_and_spent_one_by_one() {
        let (word, queue) = (AtomicU16::new(0), AtomicU8::new(0));
        let mark = Mark::new(Uses::new(&word, 3), Queue::new(&queue));
        assert!(!mark.is_used() && !mark.spend());
        (0..10).for_each(|_| mark.uses.bump());
        assert_eq!((0..10).filter(|_| mark.spend()).count(), usize::from(MOST_USES));
        mark.enter(List::Small);
        (0..10).for_each(|_| mark.uses.bump());
        assert_eq!(mark.list(), List::Small);
        mark.enter(List::Main);
        assert!(mark.is_used() && mark.list() == List::Main);
        mark.begin_anew();
        assert!(!mark.is_used());
    }

    #[test]
    fn entries_that_share_a_word_are_counted_apart() {
        let (word, queue) = (AtomicU16::new(0), AtomicU8::new(0));
        let marks: Vec<Mark<'_>> =
            (0..8).map(|n| Mark::new(Uses::new(&word, n), Queue::new(&queue))).collect();
        for (uses, mark) in [0, 3, 1, 2, 3, 9, 0, 2].into_iter().zip(&marks) {
            (0..uses).for_each(|_| mark.uses.bump());
        }
        Uses::new(&word, 6).set(3);
        for (uses, mark) in [0, 3, 1, 2, 3, 3, 3, 2].into_iter().zip(&marks) {
            assert_eq!((0..9).filter(|_| mark.spend()).count(), uses);
        }
        assert_eq!(word.into_inner(), 0);
    }
}
