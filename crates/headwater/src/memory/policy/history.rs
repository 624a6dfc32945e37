//! What is remembered of keys beyond the entries: how often they were wanted, and which left lately.
//!
//! All that there is of a key is in one *block*, which its hash chooses: a line of [counters](super::sketch),
//! and beside it the [ghosts](super::ghosts) of as many entries. So what is looked at of a key is in one
//! page of memory, which takes a processor half the time that two take to find.

use super::ghosts::{Bucket, Ghost, Returned, SMALL_WAYS, Windows};
use super::sketch::Counters;
use super::spread;
use crate::memory::table::prefetch;

/// The entries that a block is for.
const ENTRIES_PER_BLOCK: usize = 32;

/// The most buckets of ghosts in a block.
const BUCKETS: usize = 24;

/// One ghost more than are remembered for every so many, because buckets do not fill evenly; not many more,
/// because ghosts that nobody pushes out would be there when their times begin again.
const SPARE: usize = 8;

/// All counters are halved when this many notes per entry were taken.
const NOTES_PER_ENTRY: usize = 10;

/// An odd number without pattern, from the digits of pi.
const FACTOR: u64 = 0x243F_6A88_85A3_08D3;

#[derive(Clone, Default)]
#[repr(align(256))]
struct Block {
    counters: Counters,
    ghosts: [Bucket; BUCKETS],
}

/// What a key goes by in its block.
#[derive(Clone, Copy)]
struct Mixed(u64);

impl Mixed {
    fn new(hash: u32) -> Self {
        Self(u64::from(hash).wrapping_mul(FACTOR))
    }

    /// What it goes by among counters: its high half is mixed best.
    fn counters(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Its bucket of ghosts, one of so many, by bits that no counter goes by.
    fn bucket(self, buckets: usize) -> usize {
        (((self.0 >> 40) as usize & 0xFF) * buckets) >> 8
    }

    fn fingerprint(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

/// What is remembered for a cache of so many entries.
pub(super) struct History {
    blocks: Box<[Block]>,
    /// The buckets of ghosts in each that are used.
    buckets: usize,
    windows: Windows,
    entries: usize,
    notes: usize,
    most_notes: usize,
}

impl History {
    /// Of `entries` entries, with so many evictions of small and of main.
    pub(super) fn new(entries: usize, small: usize, main: usize) -> Self {
        let blocks = entries.div_ceil(ENTRIES_PER_BLOCK).max(1);
        // Of main there are no more ghosts than one per bucket.
        let buckets = (small + small / SPARE).div_ceil(SMALL_WAYS * blocks);
        Self {
            blocks: vec![Block::default(); blocks].into(),
            buckets: buckets.clamp(1, BUCKETS),
            windows: Windows::new(small, main),
            entries,
            notes: 0,
            most_notes: entries.saturating_mul(NOTES_PER_ENTRY).max(16),
        }
    }

    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// Has what is known of a key fetched.
    #[inline(always)]
    pub(super) fn foresee(&self, hash: u32) {
        prefetch(&self.block(hash).counters);
        self.foresee_ghost(hash);
    }

    /// Has the place fetched where a key is to be a ghost.
    #[inline(always)]
    pub(super) fn foresee_ghost(&self, hash: u32) {
        prefetch(&self.block(hash).ghosts[Mixed::new(hash).bucket(self.buckets)]);
    }

    /// Counts one more use of a key.
    pub(super) fn note(&mut self, hash: u32) {
        let is_noted = self.block_mut(hash).counters.note(Mixed::new(hash).counters());
        self.count(is_noted);
    }

    /// The same of a key that was missed; whether it is a ghost, which it then is no more.
    pub(super) fn note_missed(&mut self, hash: u32) -> Option<Returned> {
        let (mixed, block) = (Mixed::new(hash), spread(hash, self.blocks.len()));
        let Block { counters, ghosts } = &mut self.blocks[block];
        let is_noted = counters.note(mixed.counters());
        let returned = ghosts[mixed.bucket(self.buckets)].take(mixed.fingerprint(), &self.windows);
        self.count(is_noted);
        returned
    }

    /// Notes that an entry was evicted, and makes its key a ghost.
    pub(super) fn remember(&mut self, hash: u32, ghost: Ghost) {
        let (mixed, block) = (Mixed::new(hash), spread(hash, self.blocks.len()));
        let bucket = &mut self.blocks[block].ghosts[mixed.bucket(self.buckets)];
        bucket.add(mixed.fingerprint(), ghost, &mut self.windows);
    }

    /// How often a key was wanted lately, up to 15.
    pub(super) fn estimate(&self, hash: u32) -> u64 {
        self.block(hash).counters.estimate(Mixed::new(hash).counters())
    }

    fn block(&self, hash: u32) -> &Block {
        &self.blocks[spread(hash, self.blocks.len())]
    }

    fn block_mut(&mut self, hash: u32) -> &mut Block {
        let block = spread(hash, self.blocks.len());
        &mut self.blocks[block]
    }

    fn count(&mut self, is_noted: bool) {
        self.notes += usize::from(is_noted);
        if self.notes >= self.most_notes {
            self.fade();
        }
    }

    #[cold]
    fn fade(&mut self) {
        self.notes /= 2;
        self.blocks.iter_mut().for_each(|block| block.counters.halve());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u32) -> u32 {
        // Twice, lest neighbours be spread more evenly than chance has it.
        let once = u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((once ^ once >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 32) as u32
    }

    /// A history of as many entries as it has room for, if so many evictions are remembered of each list.
    fn history(small: usize, main: usize) -> History {
        History::new((small + main) * 4 / 9, small, main)
    }

    fn from(history: &mut History, n: u32) -> Option<Ghost> {
        history.note_missed(hash(n)).map(|returned| returned.ghost)
    }

    #[test]
    fn evictions_are_remembered_for_their_window() {
        let mut history = history(8_000, 1_000);
        (0..20_000).for_each(|n| history.remember(hash(n), Ghost::Small));
        (20_000..25_000).for_each(|n| history.remember(hash(n), Ghost::Main));
        let mut known = |keys: std::ops::Range<u32>, ghost| {
            keys.filter(|n| from(&mut history, *n) == Some(ghost)).count()
        };
        assert!(known(0..11_000, Ghost::Small) < 110);
        assert!((5_200..=8_000).contains(&known(12_000..20_000, Ghost::Small)));
        assert!(known(20_000..23_700, Ghost::Main) < 40);
        assert!((650..=1_000).contains(&known(24_000..25_000, Ghost::Main)));
        assert!(known(24_000..25_000, Ghost::Main) < 20, "a ghost is taken once");
    }

    #[test]
    fn who_comes_back_brings_its_age() {
        let mut history = history(1_600, 200);
        let mut right = 0;
        for n in 0..10_000 {
            history.remember(hash(n), Ghost::Small);
            let returned = n.checked_sub(1_000).and_then(|early| history.note_missed(hash(early)));
            right += returned.filter(|it| it.evictions.abs_diff(1_000) <= 100).iter().count();
        }
        assert!(right > 6_500, "{right}");
        history.remember(hash(10_000), Ghost::Main);
        let returned = Returned { ghost: Ghost::Main, evictions: 0 };
        assert_eq!(history.note_missed(hash(10_000)), Some(returned));
    }

    #[test]
    fn the_smallest_window_remembers_the_last_eviction() {
        let mut history = history(1, 0);
        for n in 0..1_000 {
            history.remember(hash(n), Ghost::Small);
            assert_eq!(from(&mut history, n), Some(Ghost::Small));
        }
        assert_eq!(from(&mut history, 998), None);
    }

    #[test]
    fn a_ghost_is_gone_before_its_time_comes_again_in_small_caches_too() {
        for entries in [8, 16, 40, 1_000] {
            let mut history = History::new(entries, 2 * entries, entries / 4);
            // So many evictions are all times that are told apart.
            let all = 64 * (2 * entries as u32).div_ceil(16);
            let mut mistaken = 0;
            for n in 0..all + 2_000 {
                history.remember(hash(n), Ghost::Small);
                let early = n.checked_sub(all);
                mistaken += usize::from(early.is_some_and(|n| from(&mut history, n).is_some()));
            }
            assert!(mistaken < 100, "{mistaken} of 2,000 with {entries} entries");
        }
    }

    #[test]
    fn strangers_are_seldom_taken_for_ghosts() {
        let mut history = history(10_000, 2_500);
        (0..10_000).for_each(|n| history.remember(hash(n), Ghost::Small));
        let mut is_ghost = |n: &u32| history.note_missed(hash(n + 1_000_000)).is_some();
        let mistaken = (0..100_000).filter(|n| is_ghost(n)).count();
        assert!(mistaken < 450, "{mistaken}");
    }

    #[test]
    fn estimates_are_never_below_the_truth_before_they_fade() {
        let mut history = History::new(1_000, 2_000, 250);
        for n in 0..1_000 {
            (0..n % 8).for_each(|_| history.note(hash(n)));
        }
        assert!((0..1_000).all(|n| history.estimate(hash(n)) >= u64::from(n % 8)));
        let over = |n: &u32| history.estimate(hash(*n)) > u64::from(n % 8) + 2;
        assert!((0..1_000).filter(over).count() < 150);
    }

    #[test]
    fn the_past_fades_by_half() {
        let mut history = History::new(100, 200, 25);
        (0..12).for_each(|_| history.note(1));
        for n in 0..988 {
            history.note(hash(n + 2));
        }
        assert!((6..=11).contains(&history.estimate(1)), "{}", history.estimate(1));
    }

    #[test]
    fn a_counter_at_its_end_stays_there() {
        let mut history = History::new(1, 2, 1);
        (0..1_000).for_each(|_| history.note(5));
        assert_eq!(history.estimate(5), 15);
        assert!(history.estimate(hash(77)) <= 15);
    }
}
