//! Whose life ends when: what is due is found without a look at what is not.
//!
//! A hierarchical timing wheel (Varghese and Lauck, 1987), its levels chosen by the highest digit in
//! which a moment differs from the present. Time is counted in *ticks* of some 17 ms, a tick in digits
//! of six bits. Level 0 has a ring for each tick that differs from the present one in the last digit
//! only, level 1 for each group of 64 ticks that differs in the last but one, and so on. When the
//! present enters a group, its ring is spread over the level below. So each entry is moved at most once
//! per level, and putting it in or taking it out costs the same however many there are.
//!
//! It is not exact by itself: a ring's entries are given out when its tick is over, and whoever put
//! a life's end off in the meantime did not tell. Who takes entries out looks, and puts back those that
//! live on.

use super::lists::Rings;
use super::table::Slot;
use crate::Moment;

/// A tick has 2 to this of nanoseconds.
const TICK_BITS: u32 = 24;

/// The bits of a digit, and as many rings of a level as it has values.
const DIGIT_BITS: u32 = 6;
const DIGITS: usize = 1 << DIGIT_BITS;

/// Digits enough for every moment there is.
const LEVELS: usize = (u64::BITS - TICK_BITS).div_ceil(DIGIT_BITS) as usize;

/// Slots by the moment when they are due.
pub(super) struct Wheel {
    rings: Rings,
    /// For each level, a bit for each ring that may have slots.
    used: [u64; LEVELS],
    /// All earlier ticks are dealt with.
    present: u64,
    len: usize,
}

fn tick(moment: Moment) -> u64 {
    moment.bits() >> TICK_BITS
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self { rings: Rings::new(LEVELS * DIGITS), used: [0; LEVELS], present: 0, len: 0 }
    }

    /// The slots in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a slot that is not in it. There is memory for `numbers` of slots at least after that.
    pub(super) fn insert(&mut self, slot: Slot, due: Moment, numbers: usize) {
        let due = tick(due).max(self.present);
        let highest = (due ^ self.present).checked_ilog2().unwrap_or(0);
        let level = (highest / DIGIT_BITS) as usize;
        let digit = digit(due, level);
        self.used[level] |= 1 << digit;
        self.rings.push(ring(level, digit), slot, numbers);
        self.len += 1;
    }

    /// Takes out a slot that is in it.
    pub(super) fn remove(&mut self, slot: Slot) {
        self.rings.unlink(slot);
        self.len -= 1;
    }

    /// Takes out a slot whose tick is over at `now`, or whose time has come to be put in again.
    pub(super) fn take_due(&mut self, now: Moment) -> Option<Slot> {
        let now = tick(now);
        while let Some((first, level, digit)) = self.next() {
            // Of level 0, what is due in the present tick is not due for sure before it is over.
            if first > now || (level == 0 && first == now) {
                break;
            }
            self.present = self.present.max(first);
            if let Some(slot) = self.rings.coldest(ring(level, digit)) {
                self.remove(slot);
                return Some(slot);
            }
            self.used[level] &= !(1 << digit);
        }
        self.present = self.present.max(now);
        None
    }

    /// The slots that are due in the present tick, some of them perhaps already.
    pub(super) fn presently(&self) -> impl Iterator<Item = Slot> + use<'_> {
        self.rings.slots(ring(0, digit(self.present, 0)))
    }

    /// The first ring that may have slots: its first tick, level and digit. Of those that begin
    /// together it is the widest, which may not be spread over the others wholly yet.
    fn next(&self) -> Option<(u64, usize, usize)> {
        let used = self.used.iter().enumerate().rev().filter(|(_, used)| **used != 0);
        let firsts = used.map(|(level, used)| {
            let digit = used.trailing_zeros() as usize;
            (first_tick(self.present, level, digit), level, digit)
        });
        firsts.min_by_key(|(first, ..)| *first)
    }
}

/// The digit of a tick that decides its place in a level.
fn digit(tick: u64, level: usize) -> usize {
    (tick >> (level as u32 * DIGIT_BITS)) as usize & (DIGITS - 1)
}

/// A ring's number.
fn ring(level: usize, digit: usize) -> usize {
    level * DIGITS + digit
}

/// The first tick of a ring: the digits above its level are those of the present.
fn first_tick(present: u64, level: usize, digit: usize) -> u64 {
    let bits = level as u32 * DIGIT_BITS;
    let above = present.checked_shr(bits + DIGIT_BITS).unwrap_or(0);
    (above << DIGIT_BITS | digit as u64) << bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn at(millis: u64) -> Moment {
        Moment::START + Duration::from_millis(millis)
    }

    /// Up to `most` slots whose tick is over; those of `dues` that are not dead are put in again.
    fn taken(
        wheel: &mut Wheel,
        dues: &BTreeMap<Slot, Moment>,
        now: Moment,
        most: usize,
    ) -> Vec<Slot> {
        let mut taken = Vec::new();
        for _ in 0..most {
            let Some(slot) = wheel.take_due(now) else { break };
            if dues[&slot] <= now {
                taken.push(slot);
            } else {
                wheel.insert(slot, dues[&slot], 0);
            }
        }
        taken
    }

    #[test]
    fn each_slot_is_given_out_once_soon_after_it_is_due_and_never_before() {
        let mut random = fastrand::Rng::with_seed(3);
        let (mut wheel, mut dues, mut now) = (Wheel::new(), BTreeMap::new(), 1);
        for round in 0..3_000 {
            let life = 1_u64 << random.u32(..40);
            let due = at(now).max(at(now + random.u64(..life)));
            wheel.insert(3 + round, due, 0);
            dues.insert(3 + round, due);
            if random.u8(..4) == 0 {
                let slot = *dues.keys().nth(random.usize(..dues.len())).unwrap();
                wheel.remove(slot);
                dues.remove(&slot);
            }
            now += 1 << random.u32(..20);
            // A few first, as a put does.
            for most in [random.usize(..4), usize::MAX] {
                for slot in taken(&mut wheel, &dues, at(now), most) {
                    dues.remove(&slot).expect("it is given out once");
                }
            }
            assert_eq!(wheel.len(), dues.len());
            let late: Vec<_> = dues.values().filter(|due| tick(**due) < tick(at(now))).collect();
            assert!(late.is_empty(), "{late:?} at {now}");
            let due_now = dues.values().filter(|due| tick(**due) == tick(at(now))).count();
            assert_eq!(wheel.presently().count(), due_now);
        }
        let end = Moment::END;
        let left = taken(&mut wheel, &dues, end, usize::MAX);
        assert_eq!(left.len(), dues.values().filter(|due| tick(**due) < tick(end)).count());
    }

    #[test]
    fn the_ends_of_time_are_in_reach() {
        let mut wheel = Wheel::new();
        for (slot, due) in (3..).zip([Moment::START, at(1), Moment::END]) {
            wheel.insert(slot, due, 0);
        }
        assert_eq!(wheel.presently().collect::<Vec<_>>(), [4, 3]);
        assert_eq!(wheel.take_due(Moment::START), None);
        let mut taken: Vec<_> = std::iter::from_fn(|| wheel.take_due(at(1_000))).collect();
        taken.sort_unstable();
        assert_eq!(taken, [3, 4]);
        // It comes down level by level, and then stays until its tick is over.
        for _ in 0..LEVELS {
            wheel.take_due(Moment::END).inspect(|slot| wheel.insert(*slot, Moment::END, 0));
        }
        assert_eq!((wheel.take_due(Moment::END), wheel.len()), (None, 1));
        assert_eq!(wheel.presently().collect::<Vec<_>>(), [5]);
    }
}
