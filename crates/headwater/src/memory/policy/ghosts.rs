//! Keys that were evicted lately, without their values.
//!
//! A ghost is two bytes in a bucket, which the key's hash chooses: a fingerprint, and when it was evicted,
//! counted in evictions from its list. It is one for as long as no more than a *window* of evictions
//! followed. A bucket has places for three ghosts of small, in order of their age, and for one of main; a new
//! one pushes out the oldest. So it is a queue without links, right but for one ghost in five that is
//! pushed out early, ages that are told in a few steps, and one key in three hundred that looks like
//! another. It is enough: with four bytes, exact ages and hardly a mistaken key, the hit ratio is the same.

/// Ghosts of small per bucket. There is one of main beside them.
pub(super) const SMALL_WAYS: usize = 3;

/// How many ages are told apart within each window, at most.
const SMALL_TICKS: u64 = 16;
const MAIN_TICKS: u64 = 4;

/// Times are kept modulo this: windows enough for hardly a ghost to be left after so long.
const TIME_MASK: u16 = (1 << TIME_BITS) - 1;
const TIME_BITS: u32 = 6;

/// Where the place of main's ghost is.
const MAIN_SHIFT: u32 = SMALL_WAYS as u32 * u16::BITS;

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
    /// The tick, and how many evictions are left of it.
    now: u16,
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
            self.now = (self.now + 1) & TIME_MASK;
            self.left = self.per_tick;
        }
    }

    /// How many evictions ago a tick was.
    fn evictions_since(&self, time: u16) -> u64 {
        u64::from(self.now.wrapping_sub(time) & TIME_MASK) * self.per_tick
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

/// Some ghosts, two bytes each, side by side in one word: those of small, the latest lowest, and above
/// them that of main; 0 is none. They are looked at all at once: which one it will be cannot be
/// foretold, and a wrong guess costs a processor more than to look at all of them.
#[derive(Clone, Default)]
pub(super) struct Bucket(u64);

/// A number, in each of the four.
const fn each(number: u16) -> u64 {
    number as u64 * (u64::MAX / u16::MAX as u64)
}

/// The places of small's ghosts.
const BELOW_MAIN: u64 = (1 << MAIN_SHIFT) - 1;

/// The highest bit of each of the four.
const HIGHEST: u64 = each(1 << (u16::BITS - 1));

/// The highest bit of each of the four that is 0.
fn zeros(word: u64) -> u64 {
    !(((word & !HIGHEST) + !HIGHEST) | word) & HIGHEST
}

impl Bucket {
    /// Notes that an entry was evicted whose key has these bits.
    #[inline(always)]
    pub(super) fn add(&mut self, bits: u16, ghost: Ghost, Windows(windows): &mut Windows) {
        let window = &mut windows[ghost as usize];
        window.go_on();
        let new = u64::from(fingerprint(bits) | window.now);
        let (small, main) = (self.0 & BELOW_MAIN, self.0 & !BELOW_MAIN);
        self.0 = match ghost {
            Ghost::Small => main | small << u16::BITS & BELOW_MAIN | new,
            Ghost::Main => small | new << MAIN_SHIFT,
        };
    }

    /// Whether a key with these bits is a ghost, which it then is no more.
    #[inline]
    pub(super) fn take(&mut self, bits: u16, Windows(windows): &Windows) -> Option<Returned> {
        let differ = self.0 ^ each(fingerprint(bits));
        let same = zeros(differ & each(!TIME_MASK));
        if same == 0 {
            return None;
        }
        let at = same.trailing_zeros() & !(u16::BITS - 1);
        let time = (self.0 >> at) as u16 & TIME_MASK;
        let ghost = if at == MAIN_SHIFT { Ghost::Main } else { Ghost::Small };
        // Those before it move up; where main's was, there is none to do so.
        let later = (1 << at) - 1;
        let older = self.0 & !later & !(u64::from(u16::MAX) << at);
        self.0 = match ghost {
            Ghost::Small => {
                older & !BELOW_MAIN | (older & BELOW_MAIN) >> u16::BITS | self.0 & later
            }
            Ghost::Main => self.0 & BELOW_MAIN,
        };
        let window = &windows[ghost as usize];
        let evictions = window.evictions_since(time);
        (evictions < window.len).then_some(Returned { ghost, evictions })
    }
}

/// A key's fingerprint, its high bits where they are. It is never 0.
#[inline(always)]
fn fingerprint(bits: u16) -> u16 {
    (bits & !TIME_MASK).max(TIME_MASK + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ghosts_looked_at_all_at_once_are_those_looked_at_one_by_one() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut windows = Windows::new(100, 20);
        let mut bucket = Bucket::default();
        // What they were told to remember, the latest first.
        let mut all: [Vec<u16>; 2] = Default::default();
        let mut found = [0, 0];
        for _ in 0..20_000 {
            let ghost = if random.u8(..4) > 0 { Ghost::Small } else { Ghost::Main };
            // Of few fingerprints, so that some are met again.
            let few = [0, 1, 2, 5, 0x1FF, 0x200, 0x201, 0x3FF][random.usize(..8)];
            let bits = few << TIME_BITS | random.u16(..=TIME_MASK);
            if random.u8(..4) > 0 {
                bucket.add(bits, ghost, &mut windows);
                all[ghost as usize].insert(0, fingerprint(bits));
                all[Ghost::Small as usize].truncate(SMALL_WAYS);
                all[Ghost::Main as usize].truncate(1);
                continue;
            }
            let is_it = |it: &u16| *it == fingerprint(bits);
            let expected = [Ghost::Small, Ghost::Main].into_iter().find_map(|ghost| {
                let at = all[ghost as usize].iter().position(is_it)?;
                all[ghost as usize].remove(at);
                Some(ghost)
            });
            let returned = bucket.take(bits, &windows);
            // There are so few that none is too old.
            assert_eq!(returned.map(|it| it.ghost), expected);
            returned.iter().for_each(|it| found[it.ghost as usize] += 1);
        }
        assert!(found.iter().all(|found| *found > 300), "{found:?}");
    }
}
