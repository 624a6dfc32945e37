//! Where the entry of a key is: slots by hash, in buckets of twelve.
//!
//! A bucket is one cache line: a byte of the hash (the *tag*) for each of its places, compared all at
//! once, and the slots' numbers. A key's slot is in its bucket or, if that is full, in a later one; a
//! bucket counts those that passed it by. So a look-up reads one line, nearly always.
//!
//! A slot never moves within an index. That is what makes look-ups without a lock right: an entry
//! that is there all the time of a look-up is in one place all that time, and an entry that was replaced
//! has its successor in that same place. One thread at a time changes an index; any number may look
//! things up meanwhile.

use super::prefetch::prefetch;
use super::slots::Slot;
use crate::sync::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

const WAYS: usize = 12;

/// One bit per place.
const ALL_WAYS: u32 = (1 << WAYS) - 1;

/// Places that are used in a bucket on average, when the index is as full as it gets.
const FILL: usize = 10;

/// The tags that are in a bucket's first word. The others are in the second.
const FIRST_TAGS: usize = 8;

/// The tag of a place that is free. No slot's tag is that.
const FREE: u8 = 0;

/// One that passed by, in the second word.
const PASSED: u64 = 1 << 32;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket {
    /// The tags of the first eight places.
    first: AtomicU64,
    /// The tags of the other four, and above them, how many slots are in later buckets because this
    /// one was full.
    second: AtomicU64,
    slots: [AtomicU32; WAYS],
}

/// What became of a look into a bucket.
enum Sought<T> {
    Found(T),
    Missing,
    /// It may be in a later one.
    Further,
}

/// The places that these bits are for.
fn places(mut matches: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = (matches != 0).then(|| matches.trailing_zeros() as usize);
        matches &= matches.wrapping_sub(1);
        place
    })
}

/// The places whose tags are `tag`, one bit each.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn matches(first: u64, second: u64, tag: u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    // SAFETY: every x86_64 processor has SSE2.
    let equal = unsafe {
        let tags = _mm_set_epi64x(second.cast_signed(), first.cast_signed());
        _mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8(tag.cast_signed())))
    };
    equal.cast_unsigned() & ALL_WAYS
}

/// The same elsewhere.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn matches(first: u64, second: u64, tag: u8) -> u32 {
    matches_by_words(first, second, tag)
}

/// The same, eight tags at once by arithmetic; now and then also a place above one that matches.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
fn matches_by_words(first: u64, second: u64, tag: u8) -> u32 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    // Moves the lowest bit of each byte into the highest byte, in order.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let places = |word: u64| {
        let differing = word ^ (u64::from(tag) * LOW);
        let zeros = differing.wrapping_sub(LOW) & !differing & (LOW << 7);
        ((zeros >> 7).wrapping_mul(GATHER) >> 56) as u32
    };
    (places(first) | places(second) << FIRST_TAGS) & ALL_WAYS
}

impl Bucket {
    /// Looks for a slot of which `at` says that it is the one, by what it makes of it.
    #[inline(always)]
    fn find<T>(&self, tag: u8, at: impl Fn(Slot) -> Option<T>) -> Sought<T> {
        let second = self.second.load(Ordering::Acquire);
        let mut matches = matches(self.first.load(Ordering::Acquire), second, tag);
        while matches != 0 {
            let place = matches.trailing_zeros() as usize;
            // SAFETY: there is one bit for each of the places.
            let slot = unsafe { self.slots.get_unchecked(place) }.load(Ordering::Acquire);
            if slot != 0
                && let Some(it) = at(slot)
            {
                return Sought::Found(it);
            }
            matches &= matches - 1;
        }
        if second < PASSED { Sought::Missing } else { Sought::Further }
    }

    fn set_tag(&self, place: usize, tag: u8) {
        let (word, at) = if place < FIRST_TAGS {
            (&self.first, place * 8)
        } else {
            (&self.second, (place - FIRST_TAGS) * 8)
        };
        let others = word.load(Ordering::Relaxed) & !(0xFF << at);
        word.store(others | u64::from(tag) << at, Ordering::Release);
    }

    /// The place of a slot whose hash has this tag.
    fn place(&self, tag: u8, slot: Slot) -> Option<usize> {
        let holds = |place: &usize| self.slots[*place].load(Ordering::Relaxed) == slot;
        places(self.matches(tag)).find(holds)
    }

    /// A place that is free.
    fn free_place(&self) -> Option<usize> {
        places(self.matches(FREE)).find(|place| self.slots[*place].load(Ordering::Relaxed) == 0)
    }

    /// The places whose tags are `tag`, one bit each, as the one writer sees them.
    fn matches(&self, tag: u8) -> u32 {
        let tags = [&self.first, &self.second].map(|tags| tags.load(Ordering::Relaxed));
        matches(tags[0], tags[1], tag)
    }

    fn has_passed(&self) -> bool {
        self.second.load(Ordering::Relaxed) >= PASSED
    }

    fn let_pass(&self) {
        self.second.store(self.second.load(Ordering::Relaxed) + PASSED, Ordering::Release);
    }

    fn take_back(&self) {
        self.second.store(self.second.load(Ordering::Relaxed) - PASSED, Ordering::Release);
    }
}

#[derive(Debug)]
pub(super) struct Index {
    buckets: Box<[Bucket]>,
    len: AtomicUsize,
}

impl Index {
    /// An index with room for so many entries.
    pub(super) fn new(entries: usize) -> Self {
        let buckets = (entries / FILL + 1).min(u32::MAX as usize);
        let buckets = (0..buckets).map(|_| Bucket::default()).collect();
        Self { buckets, len: AtomicUsize::new(0) }
    }

    /// Whether one more entry finds room.
    pub(super) fn has_room(&self) -> bool {
        self.len() < self.buckets.len() * FILL
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Has a key's bucket fetched.
    pub(super) fn prefetch(&self, hash: u32) {
        self.buckets.get(self.home(hash)).inspect(|bucket| prefetch(*bucket));
    }

    /// Finds the slot with this hash of which `at` says that it is the one, by what it makes of it.
    #[inline(always)]
    pub(super) fn find<T>(&self, hash: u32, at: impl Fn(Slot) -> Option<T> + Copy) -> Option<T> {
        let (tag, home) = (tag(hash), self.home(hash));
        // SAFETY: a home is less than how many buckets there are: see `home`.
        let bucket = unsafe { self.buckets.get_unchecked(home) };
        match bucket.find(tag, at) {
            Sought::Found(it) => Some(it),
            Sought::Missing => None,
            Sought::Further => self.find_further(home, tag, |slot| at(slot).is_some()).and_then(at),
        }
    }

    #[cold]
    #[inline(never)]
    fn find_further(&self, home: usize, tag: u8, is_it: impl Fn(Slot) -> bool) -> Option<Slot> {
        for bucket in self.buckets_after(home) {
            match bucket.find(tag, |slot| is_it(slot).then_some(slot)) {
                Sought::Found(slot) => return Some(slot),
                Sought::Missing => return None,
                Sought::Further => {}
            }
        }
        None
    }

    /// Lists a slot whose key is not listed. There has to be [room](Self::has_room).
    pub(super) fn insert(&self, hash: u32, slot: Slot) {
        let home = self.home(hash);
        for bucket in std::iter::once(&self.buckets[home]).chain(self.buckets_after(home)) {
            if let Some(place) = bucket.free_place() {
                bucket.slots[place].store(slot, Ordering::Release);
                bucket.set_tag(place, tag(hash));
                self.len.store(self.len() + 1, Ordering::Relaxed);
                return;
            }
            // Before the slot is written: who does not find it here has to look on.
            bucket.let_pass();
        }
    }

    /// Lists `new` in place of `old`.
    pub(super) fn replace(&self, hash: u32, old: Slot, new: Slot) {
        if let Some((bucket, place)) = self.place(hash, old) {
            bucket.slots[place].store(new, Ordering::Release);
        }
    }

    pub(super) fn remove(&self, hash: u32, slot: Slot) {
        let Some((found, place)) = self.place(hash, slot) else { return };
        found.set_tag(place, FREE);
        found.slots[place].store(0, Ordering::Release);
        self.len.store(self.len() - 1, Ordering::Relaxed);
        let home = self.home(hash);
        let passed = std::iter::once(&self.buckets[home]).chain(self.buckets_after(home));
        passed.take_while(|bucket| !std::ptr::eq(*bucket, found)).for_each(Bucket::take_back);
    }

    /// All slots listed.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        let slots = self.buckets.iter().flat_map(|bucket| &bucket.slots);
        slots.map(|slot| slot.load(Ordering::Relaxed)).filter(|slot| *slot != 0)
    }

    /// The bucket and the place in it of a slot that is listed.
    fn place(&self, hash: u32, slot: Slot) -> Option<(&Bucket, usize)> {
        let home = self.home(hash);
        for bucket in std::iter::once(&self.buckets[home]).chain(self.buckets_after(home)) {
            if let Some(place) = bucket.place(tag(hash), slot) {
                return Some((bucket, place));
            }
            if !bucket.has_passed() {
                return None;
            }
        }
        None
    }

    /// All other buckets, from the one after `home` on.
    fn buckets_after(&self, home: usize) -> impl Iterator<Item = &Bucket> {
        let (before, after) = self.buckets.split_at(home);
        after.iter().skip(1).chain(before)
    }

    /// A key's bucket, chosen by the high bits of its hash. Of fewer than 2^32 parts of 2^32, each
    /// number is in one.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.buckets.len() as u64) >> 32) as usize
    }
}

/// A tag, of the low bits of a hash.
#[inline]
fn tag(hash: u32) -> u8 {
    (hash as u8).max(1)
}

#[cfg(test)]
impl Index {
    /// Whether no bucket says that something is in a later one.
    pub(super) fn is_orderly(&self) -> bool {
        !self.buckets.iter().any(Bucket::has_passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_matching_find_the_places_of_a_tag() {
        // Tags of few values, so that several are alike, by a generator of 64 bits (Knuth, MMIX).
        let mut random = 7_u64;
        let mut below_4 = || {
            random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            (random >> 62) as u8
        };
        for _ in 0..10_000 {
            let tags: [u8; 16] = std::array::from_fn(|_| below_4());
            let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| tags[at + n]));
            let tag = below_4().max(1);
            let found = |place: &usize| tags[*place] == tag;
            let truth = (0..WAYS).filter(found).fold(0, |bits, place| bits | 1 << place);
            assert_eq!(matches(word(0), word(8), tag), truth);
            let by_words = matches_by_words(word(0), word(8), tag);
            assert_eq!(by_words & truth, truth, "none is left out");
            assert!(by_words == truth || by_words.count_ones() > truth.count_ones());
        }
    }
}
