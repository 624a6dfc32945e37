//! Keys that were evicted lately, without their values.
//!
//! A ghost is two bytes in a bucket of four, found by the key's hash: a fingerprint, the list that
//! the entry was evicted from, and when, counted in evictions from that list. It is one for as long
//! as no more than a *window* of evictions followed. A new ghost takes the place of the oldest of
//! its bucket. So it is a queue without links, right but for one ghost in six that is pushed out early,
//! ages that are told in a few steps, and one key in two hundred that looks like another. It is enough:
//! with four bytes, exact ages and hardly a mistaken key, the hit ratio is the same.

use crate::memory::table::prefetch;

/// Ghosts per bucket.
const WAYS: usize = 4;

/// One bucket more than needed for every so many, because they do not fill evenly.
const SPARE: usize = 8;

/// How many ages are told apart within each window, at most.
const SMALL_TICKS: u64 = 16;
const MAIN_TICKS: u64 = 4;

/// Times are kept modulo this: windows enough for hardly a ghost to be left after so long.
const TIME_MASK: u16 = (1 << TIME_BITS) - 1;
const TIME_BITS: u32 = 6;

const FINGERPRINT_SHIFT: u32 = TIME_BITS + 1;

/// The age at the end of the window. Ages are whole numbers, and this is how fine they are.
const OLD: u64 = 1 << 20;

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
    /// How much older a tick makes.
    aging: u64,
    /// The tick, and how many evictions are left of it.
    now: u16,
    left: u64,
}

impl Window {
    fn new(len: usize, ticks: u64) -> Self {
        let len = (len as u64).max(1);
        let per_tick = len.div_ceil(ticks);
        Self { len, per_tick, aging: per_tick * OLD / len, now: 0, left: per_tick }
    }

    /// Notes an eviction.
    fn go_on(&mut self) {
        self.left -= 1;
        if self.left == 0 {
            (self.now, self.left) = ((self.now + 1) & TIME_MASK, self.per_tick);
        }
    }

    fn ticks_since(&self, time: u16) -> u64 {
        u64::from(self.now.wrapping_sub(time) & TIME_MASK)
    }

    /// How many evictions ago a tick was.
    fn evictions_since(&self, time: u16) -> u64 {
        self.ticks_since(time) * self.per_tick
    }

    /// How old a ghost of that time is.
    fn age(&self, time: u16) -> u64 {
        self.ticks_since(time) * self.aging
    }
}

/// A ghost in its two bytes; 0 is none.
#[derive(Clone, Copy, Default)]
struct Packed(u16);

impl Packed {
    fn new(fingerprint: u16, ghost: Ghost, time: u16) -> Self {
        Self(fingerprint << FINGERPRINT_SHIFT | (ghost as u16) << TIME_BITS | time)
    }

    fn fingerprint(self) -> u16 {
        self.0 >> FINGERPRINT_SHIFT
    }

    fn ghost(self) -> Ghost {
        if self.0 >> TIME_BITS & 1 == 0 { Ghost::Small } else { Ghost::Main }
    }

    fn time(self) -> u16 {
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
            windows: [Window::new(small, SMALL_TICKS), Window::new(main, MAIN_TICKS)],
        }
    }

    /// Has the place of a key fetched.
    pub(super) fn foresee(&self, hash: u32) {
        self.buckets.get(self.place(hash).0).inspect(|bucket| prefetch(*bucket));
    }

    /// Notes that an entry was evicted.
    pub(super) fn add(&mut self, hash: u32, ghost: Ghost) {
        self.windows[ghost as usize].go_on();
        let (bucket, fingerprint) = self.place(hash);
        let windows = &self.windows;
        let age = |packed: &Packed| match packed.0 {
            0 => u64::MAX,
            _ => windows[packed.ghost() as usize].age(packed.time()),
        };
        if let Some(oldest) = self.buckets[bucket].iter_mut().max_by_key(|packed| age(packed)) {
            *oldest = Packed::new(fingerprint, ghost, windows[ghost as usize].now);
        }
    }

    /// Whether a key is a ghost, which it then is no more.
    pub(super) fn take(&mut self, hash: u32) -> Option<Returned> {
        let (bucket, fingerprint) = self.place(hash);
        let is_key = |packed: &&mut Packed| packed.fingerprint() == fingerprint;
        let found = std::mem::take(self.buckets[bucket].iter_mut().find(is_key)?);
        let window = self.windows[found.ghost() as usize];
        let evictions = window.evictions_since(found.time());
        (evictions < window.len).then_some(Returned { ghost: found.ghost(), evictions })
    }

    /// A key's bucket, and its fingerprint, which is never 0.
    fn place(&self, hash: u32) -> (usize, u16) {
        let mixed = u64::from(hash).wrapping_mul(0x4528_21E6_38D0_1377);
        let fingerprint = (mixed >> 16) as u16 >> FINGERPRINT_SHIFT;
        (super::spread((mixed >> 32) as u32, self.buckets.len()), fingerprint.max(1))
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

    fn from(ghosts: &mut Ghosts, n: u32) -> Option<Ghost> {
        ghosts.take(hash(n)).map(|returned| returned.ghost)
    }

    #[test]
    fn evictions_are_remembered_for_their_window() {
        let mut ghosts = Ghosts::new(8_000, 2_000);
        (0..20_000).for_each(|n| ghosts.add(hash(n), Ghost::Small));
        (20_000..25_000).for_each(|n| ghosts.add(hash(n), Ghost::Main));
        let mut known = |keys: std::ops::Range<u32>, ghost| {
            keys.filter(|n| from(&mut ghosts, *n) == Some(ghost)).count()
        };
        assert!(known(0..11_000, Ghost::Small) < 110);
        assert!((5_200..=8_000).contains(&known(12_000..20_000, Ghost::Small)));
        assert!(known(20_000..22_900, Ghost::Main) < 30);
        assert!((1_300..=2_000).contains(&known(23_000..25_000, Ghost::Main)));
        assert!(known(23_000..25_000, Ghost::Main) < 20, "a ghost is taken once");
    }

    #[test]
    fn who_comes_back_brings_its_age() {
        let mut ghosts = Ghosts::new(1_600, 400);
        let mut right = 0;
        for n in 0..10_000 {
            ghosts.add(hash(n), Ghost::Small);
            let returned = n.checked_sub(1_000).and_then(|early| ghosts.take(hash(early)));
            right += returned.filter(|it| it.evictions.abs_diff(1_000) <= 100).iter().count();
        }
        assert!(right > 8_000, "{right}");
        ghosts.add(hash(10_000), Ghost::Main);
        let returned = Returned { ghost: Ghost::Main, evictions: 0 };
        assert_eq!(ghosts.take(hash(10_000)), Some(returned));
    }

    #[test]
    fn the_smallest_window_remembers_the_last_eviction() {
        let mut ghosts = Ghosts::new(1, 0);
        for n in 0..1_000 {
            ghosts.add(hash(n), Ghost::Small);
            assert_eq!(from(&mut ghosts, n), Some(Ghost::Small));
        }
        assert_eq!(from(&mut ghosts, 998), None);
    }

    #[test]
    fn strangers_are_seldom_taken_for_ghosts() {
        let mut ghosts = Ghosts::new(10_000, 2_500);
        (0..10_000).for_each(|n| ghosts.add(hash(n), Ghost::Small));
        let mistaken = (0..100_000).filter(|n| ghosts.take(hash(n + 1_000_000)).is_some()).count();
        assert!(mistaken < 1_000, "{mistaken}");
    }
}
