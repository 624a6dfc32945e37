//! Keys that were evicted lately, without their values.
//!
//! A ghost is four bytes in a bucket of four, found by the key's hash: a fingerprint, the list that
//! the entry was evicted from, and when, counted in evictions from that list. It is one for as long
//! as no more than a *window* of evictions followed. A new ghost takes the place of the oldest of
//! its bucket. So it is a queue without links, right but for one ghost in ten that is pushed out early,
//! and a few keys in a hundred thousand that look like another.

use crate::memory::table::prefetch;

/// Ghosts per bucket.
const WAYS: usize = 4;

/// One bucket more than needed for every so many, because they do not fill evenly.
const SPARE: usize = 8;

/// How many ages are told apart within the wider window, roughly.
const TICKS: u64 = 1_024;

/// Times are kept modulo this: some sixteen windows.
const TIME_MASK: u32 = (1 << TIME_BITS) - 1;
const TIME_BITS: u32 = 14;

const FINGERPRINT_SHIFT: u32 = TIME_BITS + 1;

/// The age at the end of the window. Ages are whole numbers, and this is how fine they are.
const OLD: u64 = 1 << 20;

/// From which list an entry was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ghost {
    Small = 0,
    Main = 1,
}

/// The evictions from one list, of which some are remembered.
#[derive(Clone, Copy)]
struct Window {
    /// So many evictions are one tick.
    per_tick: u64,
    /// How much older a tick makes.
    aging: u64,
    evictions: u64,
}

impl Window {
    fn new(len: usize) -> Self {
        let len = (len as u64).max(1);
        let per_tick = (len / TICKS).max(1);
        Self { per_tick, aging: per_tick * OLD / len, evictions: 0 }
    }

    fn now(&self) -> u32 {
        (self.evictions / self.per_tick) as u32 & TIME_MASK
    }

    /// How old a ghost of that time is at another.
    fn age(&self, time: u32, now: u32) -> u64 {
        u64::from(now.wrapping_sub(time) & TIME_MASK) * self.aging
    }
}

/// A ghost in its four bytes; 0 is none.
#[derive(Clone, Copy, Default)]
struct Packed(u32);

impl Packed {
    fn new(fingerprint: u32, ghost: Ghost, time: u32) -> Self {
        Self(fingerprint << FINGERPRINT_SHIFT | (ghost as u32) << TIME_BITS | time)
    }

    fn fingerprint(self) -> u32 {
        self.0 >> FINGERPRINT_SHIFT
    }

    fn ghost(self) -> Ghost {
        if self.0 >> TIME_BITS & 1 == 0 { Ghost::Small } else { Ghost::Main }
    }

    fn time(self) -> u32 {
        self.0 & TIME_MASK
    }
}

/// The ghosts of a cache.
pub(super) struct Ghosts {
    buckets: Box<[[Packed; WAYS]]>,
    windows: [Window; 2],
}

impl Ghosts {
    /// Remembers so many evictions from each list.
    pub(super) fn new(small: usize, main: usize) -> Self {
        let buckets = (small + main).div_ceil(WAYS);
        let buckets = buckets + buckets / SPARE + 1;
        Self {
            buckets: vec![[Packed::default(); WAYS]; buckets].into(),
            windows: [Window::new(small), Window::new(main)],
        }
    }

    /// Has the place of a key fetched.
    pub(super) fn foresee(&self, hash: u32) {
        self.buckets.get(self.place(hash).0).inspect(|bucket| prefetch(*bucket));
    }

    /// Notes that an entry was evicted.
    pub(super) fn add(&mut self, hash: u32, ghost: Ghost) {
        self.windows[ghost as usize].evictions += 1;
        let (bucket, fingerprint) = self.place(hash);
        let (windows, now) = (self.windows, self.windows.map(|window| window.now()));
        let age = |packed: &Packed| match packed.0 {
            0 => u64::MAX,
            _ => {
                let list = packed.ghost() as usize;
                windows[list].age(packed.time(), now[list])
            }
        };
        if let Some(oldest) = self.buckets[bucket].iter_mut().max_by_key(|packed| age(packed)) {
            *oldest = Packed::new(fingerprint, ghost, now[ghost as usize]);
        }
    }

    /// Whether a key is a ghost, which it then is no more, and from which list.
    pub(super) fn take(&mut self, hash: u32) -> Option<Ghost> {
        let (bucket, fingerprint) = self.place(hash);
        let is_key = |packed: &&mut Packed| packed.fingerprint() == fingerprint;
        let found = std::mem::take(self.buckets[bucket].iter_mut().find(is_key)?);
        let window = self.windows[found.ghost() as usize];
        (window.age(found.time(), window.now()) < OLD).then_some(found.ghost())
    }

    /// A key's bucket, and its fingerprint, which is never 0.
    fn place(&self, hash: u32) -> (usize, u32) {
        let mixed = u64::from(hash).wrapping_mul(0x4528_21E6_38D0_1377);
        (
            super::spread((mixed >> 32) as u32, self.buckets.len()),
            mixed as u32 >> FINGERPRINT_SHIFT | 1,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u32) -> u32 {
        (u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
    }

    #[test]
    fn evictions_are_remembered_for_their_window() {
        let mut ghosts = Ghosts::new(8_000, 2_000);
        (0..20_000).for_each(|n| ghosts.add(hash(n), Ghost::Small));
        (20_000..25_000).for_each(|n| ghosts.add(hash(n), Ghost::Main));
        let mut known = |keys: std::ops::Range<u32>, ghost| {
            keys.filter(|n| ghosts.take(hash(*n)) == Some(ghost)).count()
        };
        assert!(known(0..11_000, Ghost::Small) < 20);
        assert!((6_400..=8_000).contains(&known(12_000..20_000, Ghost::Small)));
        assert!(known(20_000..22_900, Ghost::Main) < 20);
        assert!((1_600..=2_000).contains(&known(23_000..25_000, Ghost::Main)));
        assert!(known(23_000..25_000, Ghost::Main) < 20, "a ghost is taken once");
    }

    #[test]
    fn the_smallest_window_remembers_the_last_eviction() {
        let mut ghosts = Ghosts::new(1, 0);
        for n in 0..1_000 {
            ghosts.add(hash(n), Ghost::Small);
            assert_eq!(ghosts.take(hash(n)), Some(Ghost::Small));
        }
        assert_eq!(ghosts.take(hash(998)), None);
    }

    #[test]
    fn strangers_are_hardly_ever_taken_for_ghosts() {
        let mut ghosts = Ghosts::new(10_000, 2_500);
        (0..10_000).for_each(|n| ghosts.add(hash(n), Ghost::Small));
        let mistaken = (0..100_000).filter(|n| ghosts.take(hash(n + 1_000_000)).is_some()).count();
        assert!(mistaken < 20, "{mistaken}");
    }
}
