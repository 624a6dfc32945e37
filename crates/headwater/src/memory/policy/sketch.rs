//! How often keys were wanted lately, roughly, whether they are cached or not.
//!
//! A count-min sketch (Cormode and Muthukrishnan, 2005) of counters of four bits, halved now and
//! then so that the past fades, as TinyLFU has it (Einziger, Friedman and Manes, 2017). A key has
//! four counters, one in each quarter of a word, and the least of them is the estimate: others can
//! only have added to it.

/// Counters in a quarter of a word.
const PER_QUARTER: u32 = 4;

/// The entries that one word of 16 counters is for.
const ENTRIES_PER_WORD: usize = 4;

/// All counters are halved when this many notes per entry were taken.
const NOTES_PER_ENTRY: usize = 10;

/// Odd numbers without pattern (from the digits of pi), one per quarter.
const FACTORS: [u64; 4] =
    [0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7345, 0xA409_3822_299F_31D1, 0x082E_FA98_EC4E_6C89];

/// Estimates of keys' popularity.
pub(super) struct Sketch {
    words: Box<[u64]>,
    notes: usize,
    most_notes: usize,
}

impl Sketch {
    /// A sketch for a cache of that many entries.
    pub(super) fn new(entries: usize) -> Self {
        let words = entries.div_ceil(ENTRIES_PER_WORD).max(4);
        let most_notes = entries.saturating_mul(NOTES_PER_ENTRY).max(16);
        Self { words: vec![0; words].into(), notes: 0, most_notes }
    }

    /// Counts one more use of a key.
    pub(super) fn note(&mut self, hash: u32) {
        let mut is_noted = false;
        for quarter in 0..4 {
            let (word, shift) = self.counter(hash, quarter);
            if (self.words[word] >> shift) & 15 < 15 {
                self.words[word] += 1 << shift;
                is_noted = true;
            }
        }
        self.notes += usize::from(is_noted);
        if self.notes >= self.most_notes {
            self.halve();
        }
    }

    /// How often a key was used, up to 15.
    pub(super) fn estimate(&self, hash: u32) -> u64 {
        let count = |quarter| {
            let (word, shift) = self.counter(hash, quarter);
            (self.words[word] >> shift) & 15
        };
        (0..4).map(count).fold(15, u64::min)
    }

    fn halve(&mut self) {
        self.notes /= 2;
        for word in &mut self.words {
            *word = (*word >> 1) & 0x7777_7777_7777_7777;
        }
    }

    /// The word and the place in it of a key's counter in a quarter.
    fn counter(&self, hash: u32, quarter: u32) -> (usize, u32) {
        let mixed = u64::from(hash).wrapping_mul(FACTORS[quarter as usize]);
        let word = super::spread((mixed >> 32) as u32, self.words.len());
        // Other bits than those that decide the word.
        let place = (mixed >> 28) as u32 % PER_QUARTER;
        (word, (quarter * PER_QUARTER + place) * 4)
    }
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
