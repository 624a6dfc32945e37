//! How often keys were wanted lately, roughly, whether they are cached or not.
//!
//! A count-min sketch (Cormode and Muthukrishnan, 2005) of counters of four bits, halved now and
//! then so that the past fades, as TinyLFU has it (Einziger, Friedman and Manes, 2017). A key has
//! four counters, and the least of them is the estimate: others can only have added to it. All four
//! are in one block, a cache line, as a blocked Bloom filter has its bits (Putze, Sanders and Singler,
//! 2007): a little less exact, and one miss instead of four. Two words of the block have two of them each,
//! one in either half, so that a word's are counted together.

use crate::memory::table::prefetch;

/// The entries that one block of 128 counters is for.
const ENTRIES_PER_BLOCK: usize = 32;

/// All counters are halved when this many notes per entry were taken.
const NOTES_PER_ENTRY: usize = 10;

/// An odd number without pattern, from the digits of pi.
const FACTOR: u64 = 0x243F_6A88_85A3_08D3;

/// Counters on one cache line, sixteen in a word.
#[derive(Clone, Default)]
#[repr(align(64))]
struct Block([u64; 8]);

/// Estimates of keys' popularity.
pub(super) struct Sketch {
    blocks: Box<[Block]>,
    notes: usize,
    most_notes: usize,
}

impl Sketch {
    /// A sketch for a cache of that many entries.
    pub(super) fn new(entries: usize) -> Self {
        let blocks = entries.div_ceil(ENTRIES_PER_BLOCK).max(1);
        let most_notes = entries.saturating_mul(NOTES_PER_ENTRY).max(16);
        Self { blocks: vec![Block::default(); blocks].into(), notes: 0, most_notes }
    }

    /// Has the counters of a key fetched.
    pub(super) fn foresee(&self, hash: u32) {
        let block = super::spread(hash, self.blocks.len());
        self.blocks.get(block).inspect(|block| prefetch(*block));
    }

    /// Counts one more use of a key.
    pub(super) fn note(&mut self, hash: u32) {
        let block = super::spread(hash, self.blocks.len());
        let Some(block) = self.blocks.get_mut(block) else { return };
        let mut noted = 0;
        for (word, [low, high]) in counters(hash) {
            // Without branches: whether a counter has come to its end cannot be foretold.
            let word = &mut block.0[word];
            let both = *word & *word >> 1;
            let full = both & both >> 2;
            let more = (1 << low | 1 << high) & !full;
            *word += more;
            noted |= more;
        }
        self.notes += usize::from(noted != 0);
        if self.notes >= self.most_notes {
            self.halve();
        }
    }

    /// How often a key was used, up to 15.
    pub(super) fn estimate(&self, hash: u32) -> u64 {
        let block = &self.blocks[super::spread(hash, self.blocks.len())];
        let count = |(word, shifts): (usize, [u32; 2])| {
            let [low, high] = shifts.map(|shift| block.0[word] >> shift & 15);
            low.min(high)
        };
        let [one, other] = counters(hash).map(count);
        one.min(other)
    }

    fn halve(&mut self) {
        self.notes /= 2;
        for word in self.blocks.iter_mut().flat_map(|block| &mut block.0) {
            *word = (*word >> 1) & 0x7777_7777_7777_7777;
        }
    }
}

/// The words in its block of a key's counters, one in each half of it, and where the two of a word are, one
/// in each half of that.
#[inline]
fn counters(hash: u32) -> [(usize, [u32; 2]); 2] {
    // Its high half is mixed best.
    let mixed = u64::from(hash).wrapping_mul(FACTOR) >> 32;
    [0, 1].map(|half| {
        let bits = mixed >> (half * 16);
        let shift = |bits: u64| (bits & 7) as u32 * 4;
        (half * 4 + (bits & 3) as usize, [shift(bits >> 2), 32 + shift(bits >> 5)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u32) -> u32 {
        (u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
    }

    #[test]
    fn estimates_are_never_below_the_truth_before_they_fade() {
        let mut sketch = Sketch::new(1_000);
        for n in 0..1_000 {
            (0..n % 8).for_each(|_| sketch.note(hash(n)));
        }
        assert!((0..1_000).all(|n| sketch.estimate(hash(n)) >= u64::from(n % 8)));
        let over = |n: &u32| sketch.estimate(hash(*n)) > u64::from(n % 8) + 2;
        assert!((0..1_000).filter(over).count() < 150);
    }

    #[test]
    fn the_past_fades_by_half() {
        let mut sketch = Sketch::new(100);
        (0..12).for_each(|_| sketch.note(1));
        for n in 0..988 {
            sketch.note(hash(n + 2));
        }
        assert!((6..=11).contains(&sketch.estimate(1)), "{}", sketch.estimate(1));
    }

    #[test]
    fn a_counter_at_its_end_stays_there() {
        let mut sketch = Sketch::new(1);
        (0..1_000).for_each(|_| sketch.note(5));
        assert_eq!(sketch.estimate(5), 15);
        assert!(sketch.estimate(hash(77)) <= 15);
    }
}
