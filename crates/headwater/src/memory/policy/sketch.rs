//! How often keys were wanted lately, roughly, whether they are cached or not.
//!
//! A count-min sketch (Cormode and Muthukrishnan, 2005) of counters of four bits, halved now and
//! then so that the past fades, as TinyLFU has it (Einziger, Friedman and Manes, 2017). A key has
//! four counters, and the least of them is the estimate: others can only have added to it. All four
//! are in one line, as a blocked Bloom filter has its bits (Putze, Sanders and Singler,
//! 2007): a little less exact, and one miss instead of four. Two words of the line have two of them each,
//! one in either half, so that a word's are counted together.

/// Counters on one cache line, sixteen in a word.
#[derive(Clone, Default)]
#[repr(align(64))]
pub(super) struct Counters([u64; 8]);

impl Counters {
    /// Counts one more use of a key; whether any of its counters had not come to its end.
    #[inline]
    pub(super) fn note(&mut self, mixed: u32) -> bool {
        let mut noted = 0;
        for (word, [low, high]) in counters(mixed) {
            // Without branches: whether a counter has come to its end cannot be foretold.
            let word = &mut self.0[word];
            let both = *word & *word >> 1;
            let full = both & both >> 2;
            let more = (1 << low | 1 << high) & !full;
            *word += more;
            noted |= more;
        }
        noted != 0
    }

    /// How often a key was used, up to 15.
    #[inline]
    pub(super) fn estimate(&self, mixed: u32) -> u64 {
        let count = |(word, shifts): (usize, [u32; 2])| {
            let [low, high] = shifts.map(|shift| self.0[word] >> shift & 15);
            low.min(high)
        };
        let [one, other] = counters(mixed).map(count);
        one.min(other)
    }

    pub(super) fn halve(&mut self) {
        for word in &mut self.0 {
            *word = (*word >> 1) & 0x7777_7777_7777_7777;
        }
    }
}

/// The words of a key's counters, one in each half of it, and where the two of a word are, one
/// in each half of that.
#[inline]
fn counters(mixed: u32) -> [(usize, [u32; 2]); 2] {
    [0, 1].map(|half| {
        let bits = mixed >> (half * 16);
        let shift = |bits: u32| (bits & 7) * 4;
        (half * 4 + (bits & 3) as usize, [shift(bits >> 2), 32 + shift(bits >> 5)])
    })
}
