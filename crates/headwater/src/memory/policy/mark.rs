//! What a policy notes about one entry: two bits that hits write, and a byte beside it.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use crate::memory::lists::List;

/// The bit of an entry that is in small.
const IN_SMALL: u8 = 1;

/// The most uses that are told apart.
const MOST_USES: u8 = 3;

/// The uses of up to eight entries, or rather how many each is short of the [most](MOST_USES): two bits, of which
/// the low ones and the high ones stand apart. So where all is 0, there is nothing to note for anybody.
#[derive(Debug)]
pub(in crate::memory) struct Counts {
    low: AtomicU8,
    high: AtomicU8,
}

/// No uses.
impl Default for Counts {
    fn default() -> Self {
        Self { low: AtomicU8::new(!0), high: AtomicU8::new(!0) }
    }
}

impl Counts {
    /// Notes a use of the entry that has the lowest of these bits. Nothing is done if none of those that have one is
    /// short of anything.
    #[inline(always)]
    pub(in crate::memory) fn bump(&self, bits: u32) {
        if (self.low.load(Relaxed) | self.high.load(Relaxed)) & bits as u8 != 0 {
            self.bump_one((bits & bits.wrapping_neg()) as u8);
        }
    }

    #[inline(always)]
    fn bump_one(&self, bit: u8) {
        let (low, high) = (self.low.load(Relaxed), self.high.load(Relaxed));
        if low & bit != 0 {
            self.low.store(low & !bit, Relaxed);
        } else if high & bit != 0 {
            self.high.store(high & !bit, Relaxed);
            self.low.store(low | bit, Relaxed);
        }
    }
}

/// Where an entry's uses are counted.
#[derive(Clone, Copy, Debug)]
pub(in crate::memory) struct Uses<'a> {
    counts: &'a Counts,
    number: usize,
}

impl<'a> Uses<'a> {
    /// Those of the entry of this number, from 0 to 7.
    #[inline(always)]
    pub(in crate::memory) fn new(counts: &'a Counts, number: usize) -> Self {
        Self { counts, number }
    }

    #[inline(always)]
    pub(in crate::memory) fn get(self) -> u8 {
        let bit = |bits: &AtomicU8| bits.load(Relaxed) >> self.number & 1;
        MOST_USES - (bit(&self.counts.low) | bit(&self.counts.high) << 1)
    }

    /// Whether there are any.
    #[inline(always)]
    fn any(self) -> bool {
        let Counts { low, high } = self.counts;
        (low.load(Relaxed) & high.load(Relaxed)) >> self.number & 1 == 0
    }

    #[inline(always)]
    pub(in crate::memory) fn set(self, uses: u8) {
        let short = MOST_USES - uses;
        let set = |bits: &AtomicU8, bit: u8| {
            let others = bits.load(Relaxed) & !(1 << self.number);
            bits.store(others | bit << self.number, Relaxed);
        };
        set(&self.counts.low, short & 1);
        set(&self.counts.high, short >> 1);
    }

    /// Notes a use.
    #[inline(always)]
    pub(in crate::memory) fn bump(self) {
        self.counts.bump(1 << self.number);
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
        self.0.store(others | Self::bit(list), Relaxed);
    }

    /// The bit that says so.
    pub(in crate::memory) fn bit(list: List) -> u8 {
        if list == List::Small { IN_SMALL } else { 0 }
    }
}

/// How often an entry was used lately, up to 3, and in which queue it is.
///
/// A hit may note its use at any time. Two at once may count as one, and one may undo what the policy
/// or another hit notes at the same moment of this entry or of its neighbours in the counts, and
/// who looks between the two stores of one may see one use too many or too few: it is an estimate anyway. Once the count has reached its end, a hit writes nothing, so that threads do not
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

    #[inline(always)]
    pub(in crate::memory) fn is_used(self) -> bool {
        self.uses.any()
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
        let (counts, queue) = (Counts::default(), AtomicU8::new(0));
        let mark = Mark::new(Uses::new(&counts, 3), Queue::new(&queue));
        assert!(!mark.is_used() && !mark.spend());
        (0..10).for_each(|_| mark.uses.bump());
        assert_eq!((0..10).filter(|_| mark.spend()).count(), 3);
        mark.enter(List::Small);
        (0..10).for_each(|_| mark.uses.bump());
        assert_eq!(mark.list(), List::Small);
        mark.enter(List::Main);
        assert!(mark.is_used() && mark.list() == List::Main);
        mark.begin_anew();
        assert!(!mark.is_used());
    }

    #[test]
    fn entries_that_share_a_byte_are_counted_apart() {
        let (counts, queue) = (Counts::default(), AtomicU8::new(0));
        let marks: Vec<Mark<'_>> =
            (0..8).map(|n| Mark::new(Uses::new(&counts, n), Queue::new(&queue))).collect();
        for (uses, mark) in [0, 3, 1, 2, 3, 9, 0, 2].into_iter().zip(&marks) {
            (0..uses).for_each(|_| mark.uses.bump());
        }
        Uses::new(&counts, 6).set(3);
        for (uses, mark) in [0, 3, 1, 2, 3, 3, 3, 2].into_iter().zip(&marks) {
            assert_eq!((0..9).filter(|_| mark.spend()).count(), uses);
        }
        assert!((0..8).all(|n| Uses::new(&counts, n).get() == 0));
    }
}
