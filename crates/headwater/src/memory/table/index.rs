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

use super::slots::Slot;
use crate::sync::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

const WAYS: usize = 12;

/// Places that are used in a bucket on average, when the index is as full as it gets.
const FILL: usize = 10;

/// The tags that are in a bucket's first word. The others are in the second.
const FIRST_TAGS: usize = 8;

/// One that passed by, in the second word.
const PASSED: u64 = 1 << 32;

/// The lowest and the highest bit of each byte.
const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket {
    /// The tags of the first eight places. No tag is 0, which says that a place is free.
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

/// The highest bit of each byte that is 0; or, now and then, of one above it.
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word & HIGH
}

impl Bucket {
    /// Looks for a slot of which `at` says that it is the one, by what it makes of it.
    #[inline(always)]
    fn find<T>(&self, tag: u64, at: impl Fn(Slot) -> Option<T>) -> Sought<T> {
        let pattern = tag * LOW;
        let second = self.second.load(Ordering::Acquire);
        let first = zeros(self.first.load(Ordering::Acquire) ^ pattern) >> 7;
        let mut matches = first | (zeros(second ^ pattern) & (HIGH >> 32)) >> 6;
        while matches != 0 {
            // Bit 8n is the tag n of the first word, bit 8n + 1 that of the second.
            let bit = matches.trailing_zeros() as usize;
            let place = bit >> 3 | (bit & 1) << 3;
            // SAFETY: there are eight bits of the first and four of the second kind, so this is less
            // than 12.
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

    fn set_tag(&self, place: usize, tag: u64) {
        let (word, at) = if place < FIRST_TAGS {
            (&self.first, place * 8)
        } else {
            (&self.second, (place - FIRST_TAGS) * 8)
        };
        let others = word.load(Ordering::Relaxed) & !(0xFF << at);
        word.store(others | tag << at, Ordering::Release);
    }

    /// The place of a slot; of none, with 0.
    fn place(&self, slot: Slot) -> Option<usize> {
        self.slots.iter().position(|other| other.load(Ordering::Relaxed) == slot)
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
    fn find_further(&self, home: usize, tag: u64, is_it: impl Fn(Slot) -> bool) -> Option<Slot> {
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
            if let Some(place) = bucket.place(0) {
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
        found.set_tag(place, 0);
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
            if let Some(place) = bucket.place(slot) {
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
fn tag(hash: u32) -> u64 {
    u64::from(hash & 0xFF).max(1)
}

#[cfg(test)]
impl Index {
    /// Whether no bucket says that something is in a later one.
    pub(super) fn is_orderly(&self) -> bool {
        !self.buckets.iter().any(Bucket::has_passed)
    }
}
