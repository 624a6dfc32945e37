//! Keys that were evicted lately, without their values.
//!
//! A ghost is two bytes in a bucket of four, which the key's hash chooses: a fingerprint, the list that
//! the entry was evicted from, and when, counted in evictions from that list. It is one for as long
//! as no more than a *window* of evictions followed. A new ghost takes the place of the oldest of
//! its bucket. So it is a queue without links, right but for one ghost in six that is pushed out early,
//! ages that are told in a few steps, and one key in two hundred that looks like another. It is enough:
//! with four bytes, exact ages and hardly a mistaken key, the hit ratio is the same.

/// Ghosts per bucket.
pub(super) const WAYS: usize = 4;

/// How many ages are told apart within each window, at most.
const SMALL_TICKS: u64 = 16;
const MAIN_TICKS: u64 = 4;

/// Times are kept modulo this: windows enough for hardly a ghost to be left after so long.
const TIME_MASK: u16 = (1 << TIME_BITS) - 1;
const TIME_BITS: u32 = 6;

const FINGERPRINT_SHIFT: u32 = TIME_BITS + 1;

/// A tick of main is as many of small, as parts of their windows.
const MAIN_AGING: u64 = SMALL_TICKS / MAIN_TICKS;

/// From which list an entry was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ghost {
    Small = 0,
    Main = 1,
}

/// A ghost whose key came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Returned {
    pub(super) ghost: Ghost,
    /// How many evictions from the same list followed, but for less than a tick.
    pub(super) evictions: u64,
}

/// The evictions from one list, of which some are remembered.
#[derive(Clone, Copy)]
struct Window {
    len: u64,
    /// So many evictions are one tick.
    per_tick: u64,
    /// The tick, once for each ghost of a bucket, and how many evictions are left of it.
    now: u64,
    left: u64,
}

impl Window {
    fn new(len: usize, ticks: u64) -> Self {
        let len = (len as u64).max(1);
        let per_tick = len.div_ceil(ticks);
        Self { len, per_tick, now: 0, left: per_tick }
    }

    /// Notes an eviction.
    fn go_on(&mut self) {
        self.left -= 1;
        if self.left == 0 {
            self.now = (self.now + each(1)) & each(TIME_MASK);
            self.left = self.per_tick;
        }
    }

    fn now(&self) -> u16 {
        self.now as u16
    }

    /// How many evictions ago a tick was.
    fn evictions_since(&self, time: u16) -> u64 {
        u64::from(self.now().wrapping_sub(time) & TIME_MASK) * self.per_tick
    }
}

/// The evictions from both lists.
pub(super) struct Windows([Window; 2]);

impl Windows {
    /// So many evictions are remembered of each list.
    pub(super) fn new(small: usize, main: usize) -> Self {
        Self([Window::new(small, SMALL_TICKS), Window::new(main, MAIN_TICKS)])
    }
}

/// A ghost in its two bytes; 0 is none.
#[derive(Clone, Copy)]
struct Packed(u16);

impl Packed {
    fn new(fingerprint: u16, ghost: Ghost, time: u16) -> Self {
        Self(fingerprint << FINGERPRINT_SHIFT | (ghost as u16) << TIME_BITS | time)
    }

    fn ghost(self) -> Ghost {
        if self.0 >> TIME_BITS & 1 == 0 { Ghost::Small } else { Ghost::Main }
    }

    fn time(self) -> u16 {
        self.0 & TIME_MASK
    }
}

/// Some ghosts, side by side in one word, that are looked at all at once: which one it will be cannot be
/// foretold, and a wrong guess costs a processor more than to look at all of them.
#[derive(Clone, Default)]
pub(super) struct Bucket(u64);

/// A number, in each of the four.
const fn each(number: u16) -> u64 {
    number as u64 * (u64::MAX / u16::MAX as u64)
}

/// The highest bit of each of the four.
const HIGHEST: u64 = each(1 << (u16::BITS - 1));

/// The number of each of the four.
const WAY: u64 = 3 << 48 | 2 << 32 | 1 << 16;

/// The highest bit of each of the four that is 0.
fn zeros(word: u64) -> u64 {
    !(((word & !HIGHEST) + !HIGHEST) | word) & HIGHEST
}

impl Bucket {
    /// Notes that an entry was evicted whose key has these bits.
    #[inline]
    pub(super) fn add(&mut self, bits: u16, ghost: Ghost, Windows(windows): &mut Windows) {
        windows[ghost as usize].go_on();
        let packed = Packed::new(fingerprint(bits), ghost, windows[ghost as usize].now());
        self.set(self.oldest(windows), packed.0);
    }

    /// The ghost that is oldest, as a part of its window, or none.
    #[inline]
    fn oldest(&self, [small, main]: &[Window; 2]) -> usize {
        let is_main = (self.0 >> TIME_BITS & each(1)) * u64::from(u16::MAX);
        let now = small.now ^ is_main & (small.now ^ main.now);
        // One bit more, so that none borrows from its neighbour.
        let ticks = ((now | each(TIME_MASK + 1)) - (self.0 & each(TIME_MASK))) & each(TIME_MASK);
        let ages = ticks + (is_main & (ticks * (MAIN_AGING - 1)));
        // What is none is older than any.
        let ages = ages | zeros(self.0) >> 7;
        let [a, b, c, d] = [0, 1, 2, 3].map(|way| ((ages << 2 | WAY) >> (way * u16::BITS)) as u16);
        usize::from(a.max(b).max(c.max(d))) % WAYS
    }

    /// Whether a key with these bits is a ghost, which it then is no more.
    #[inline]
    pub(super) fn take(&mut self, bits: u16, Windows(windows): &Windows) -> Option<Returned> {
        let differ = self.0 ^ each(fingerprint(bits) << FINGERPRINT_SHIFT);
        let same = zeros(differ & each(u16::MAX << FINGERPRINT_SHIFT));
        if same == 0 {
            return None;
        }
        let way = (same.trailing_zeros() / u16::BITS) as usize;
        let found = self.get(way);
        self.set(way, 0);
        let ghost = found.ghost();
        let window = &windows[ghost as usize];
        let evictions = window.evictions_since(found.time());
        (evictions < window.len).then_some(Returned { ghost, evictions })
    }

    fn get(&self, way: usize) -> Packed {
        Packed((self.0 >> (way as u32 * u16::BITS)) as u16)
    }

    fn set(&mut self, way: usize, packed: u16) {
        let at = way as u32 * u16::BITS;
        self.0 = self.0 & !(u64::from(u16::MAX) << at) | u64::from(packed) << at;
    }
}

/// A key's fingerprint, of its high bits. It is never 0.
#[inline]
fn fingerprint(bits: u16) -> u16 {
    (bits >> FINGERPRINT_SHIFT).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How old a ghost is, as a part of its window; what is none is older than any.
    fn age(packed: Packed, [small, main]: &[Window; 2]) -> u64 {
        let ticks =
            |window: &Window| u64::from(window.now().wrapping_sub(packed.time()) & TIME_MASK);
        match packed.ghost() {
            _ if packed.0 == 0 => u64::MAX,
            Ghost::Small => ticks(small),
            Ghost::Main => ticks(main) * MAIN_AGING,
        }
    }

    #[test]
    fn ghosts_looked_at_all_at_once_are_those_looked_at_one_by_one() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut windows = Windows::new(100, 20);
        let mut bucket = Bucket::default();
        let mut found = 0;
        for _ in 0..20_000 {
            let ghost = if random.bool() { Ghost::Small } else { Ghost::Main };
            // Of few fingerprints, so that some are met again.
            let bits = random.u16(..8) << FINGERPRINT_SHIFT;
            if random.u8(..4) == 0 {
                let is_it = |packed: &Packed| packed.0 >> FINGERPRINT_SHIFT == fingerprint(bits);
                let expected = (0..WAYS).map(|way| bucket.get(way)).find(is_it);
                let before = bucket.0;
                let returned = bucket.take(bits, &windows);
                found += usize::from(returned.is_some());
                assert!(returned.is_none_or(|it| Some(it.ghost) == expected.map(Packed::ghost)));
                assert_eq!(bucket.0 != before, expected.is_some());
            } else {
                let ages: Vec<u64> =
                    (0..WAYS).map(|way| age(bucket.get(way), &windows.0)).collect();
                let oldest = bucket.oldest(&windows.0);
                assert_eq!(Some(&ages[oldest]), ages.iter().max(), "{ages:?}");
                bucket.add(bits, ghost, &mut windows);
            }
        }
        assert!(found > 1_000, "{found}");
    }
}
