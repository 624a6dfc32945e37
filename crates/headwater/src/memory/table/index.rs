//! Where the entry of a key is: buckets by hash.
//!
//! What is listed of a key is in its bucket, its *home*, or, if that was full, in another one that is chosen
//! by its hash too, or, if that was full as well, in one of those after it. A bucket counts those that are
//! not in it because it was full: by themselves those whose home it is, and those that came by later. So a
//! look-up looks at one bucket, or seldom at two. In the one after home alone, as in linear probing, those
//! without room would meet those of their neighbours; as entries come and go, it would
//! come to some twenty buckets for a key that is not there.
//!
//! What is listed stays in its bucket as long as the index is used, but that it may come home from elsewhere,
//! if who looks can tell; and an entry that was replaced has its successor in that same bucket, which changes
//! from the one to the other at once. That is what makes look-ups without a lock right. One thread at a time
//! changes an index; any number may look things up meanwhile.

use super::form::{Bucket, Sought, Turn};
use super::slots::Slot;
use crate::sync::{AtomicUsize, Ordering};

/// A key's second bucket is among so many after the first, or the further half of them where hashes are
/// [short](super::form::Form::short).
const NEAR: usize = 256;

/// Where something is listed: in which of its key's buckets, and in which place of it. It fits in
/// [`Spot::BITS`] bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot(u8);

impl Spot {
    pub(super) const BITS: u32 = Self::PLACE_BITS + 2;

    const PLACE_BITS: u32 = 4;
    const HOME: u8 = 0;
    const SECOND: u8 = 1;
    /// In one of those after the second.
    const FURTHER: u8 = 2;

    fn new(bucket: u8, place: usize) -> Self {
        debug_assert!(place < 1 << Self::PLACE_BITS, "no bucket has more places");
        Self(bucket << Self::PLACE_BITS | place as u8)
    }

    pub(super) fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    pub(super) fn bits(self) -> u8 {
        self.0
    }

    fn bucket(self) -> u8 {
        self.0 >> Self::PLACE_BITS
    }

    #[cfg(test)]
    pub(super) fn is_home(self) -> bool {
        self.bucket() == Self::HOME
    }

    fn place(self) -> usize {
        usize::from(self.0 & ((1 << Self::PLACE_BITS) - 1))
    }
}

#[derive(Debug)]
pub(in crate::memory) struct Index<B> {
    buckets: Box<[B]>,
    len: AtomicUsize,
}

impl<B: Bucket> Index<B> {
    /// An index with room for so many entries.
    pub(super) fn new(entries: usize) -> Self {
        let buckets = entries as u64 * 4 / B::FILL_OF_FOUR as u64 + 1;
        let buckets = (0..buckets.min(u32::MAX.into())).map(|_| B::default()).collect();
        Self { buckets, len: AtomicUsize::new(0) }
    }

    /// Whether one more entry finds room.
    pub(super) fn has_room(&self) -> bool {
        self.len() * 4 < self.buckets.len() * B::FILL_OF_FOUR
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Has the bucket fetched where something is listed, and the one that counts it as elsewhere.
    pub(super) fn prefetch(&self, hash: u32, spot: Spot) {
        self.home(hash).foresee();
        if spot.bucket() != Spot::HOME {
            self.second(hash).foresee();
        }
    }

    /// Has the bucket fetched where a key is to be listed, if that is not its first one, which is there.
    #[inline(always)]
    pub(super) fn prefetch_second(&self, hash: u32) {
        if self.home(hash).is_full() {
            self.second(hash).foresee();
        }
    }

    /// Looks into the buckets of a hash, as long as `look` is told to look further.
    #[inline(always)]
    pub(super) fn find<'a, T>(
        &'a self,
        hash: u32,
        look: impl Fn(&'a B, Turn) -> Sought<T> + Copy,
    ) -> Option<T> {
        let version = self.home(hash).version();
        match look(self.home(hash), Turn::Home) {
            Sought::Found(it) => Some(it),
            Sought::Missing => None,
            Sought::Further => self.find_further(hash, version, look),
        }
    }

    /// Looks into the buckets after home, which had this version when it was looked into. If it changed
    /// meanwhile, what is sought may have [come there](Self::bring_home).
    #[inline(never)]
    fn find_further<'a, T>(
        &'a self,
        hash: u32,
        mut version: u32,
        look: impl Fn(&'a B, Turn) -> Sought<T> + Copy,
    ) -> Option<T> {
        let home = self.home(hash);
        loop {
            let found = self.find_elsewhere(hash, look);
            if found.is_some() || home.version() == version {
                return found;
            }
            version = home.version();
            match look(home, Turn::Home) {
                Sought::Found(it) => return Some(it),
                Sought::Missing => return None,
                Sought::Further => {}
            }
        }
    }

    #[inline(always)]
    fn find_elsewhere<'a, T>(
        &'a self,
        hash: u32,
        look: impl Fn(&'a B, Turn) -> Sought<T>,
    ) -> Option<T> {
        match look(self.second(hash), Turn::Later) {
            Sought::Found(it) => return Some(it),
            Sought::Missing => return None,
            Sought::Further => {}
        }
        for bucket in self.later(hash).skip(1) {
            match look(bucket, Turn::Later) {
                Sought::Found(it) => return Some(it),
                Sought::Missing => return None,
                Sought::Further => {}
            }
        }
        None
    }

    /// The first bucket of a hash.
    #[inline(always)]
    pub(super) fn home(&self, hash: u32) -> &B {
        // SAFETY: a home is less than how many buckets there are: see `home_of`.
        unsafe { self.buckets.get_unchecked(self.home_of(hash)) }
    }

    /// The second bucket of a hash.
    #[inline(always)]
    pub(super) fn second(&self, hash: u32) -> &B {
        &self.buckets[self.second_of(hash)]
    }

    /// Lists what is kept of a key that is not listed, and says where. There has to be
    /// [room](Self::has_room).
    pub(super) fn insert(&self, hash: u32, item: B::Item) -> Spot {
        self.len.store(self.len() + 1, Ordering::Relaxed);
        self.list(hash, || item)
    }

    /// The same without counting it.
    #[inline(always)]
    pub(super) fn list(&self, hash: u32, item: impl Fn() -> B::Item) -> Spot {
        match self.home(hash).insert(hash, item()) {
            Some(place) => Spot::new(Spot::HOME, place),
            None => self.insert_further(hash, item()),
        }
    }

    #[inline(never)]
    fn insert_further(&self, hash: u32, item: B::Item) -> Spot {
        // Before the item is listed: who does not find it in a bucket has to look on.
        self.home(hash).let_pass(Turn::Home, hash);
        if let Some(place) = self.second(hash).insert(hash, item) {
            return Spot::new(Spot::SECOND, place);
        }
        for later in self.later(hash) {
            if let Some(place) = later.insert(hash, item) {
                return Spot::new(Spot::FURTHER, place);
            }
            later.let_pass(Turn::Later, hash);
        }
        unreachable!("there is room");
    }

    /// Lists `new` in place of `old`, which has the same key and is there.
    pub(super) fn replace(&self, hash: u32, old: Slot, spot: Spot, new: B::Item) {
        if let Some((bucket, place)) = self.place(hash, old, spot) {
            bucket.replace(place, hash, new);
        }
    }

    /// Lists at home what is listed elsewhere, if there is room by now; where it then is. It is at both for a
    /// moment, and never at none; but who looks at home before that, and elsewhere after it, has to look again.
    pub(super) fn bring_home(&self, hash: u32, slot: Slot, spot: Spot) -> Option<Spot> {
        if !B::CAN_MOVE || spot.bucket() == Spot::HOME {
            return None;
        }
        let (bucket, place) = self.place(hash, slot, spot)?;
        let home = self.home(hash).insert(hash, bucket.item(place))?;
        self.take_out(hash, (bucket, place), spot);
        Some(Spot::new(Spot::HOME, home))
    }

    /// Takes out what is listed there, in this bucket and this place of it.
    pub(super) fn remove(&self, hash: u32, place: (&B, usize), spot: Spot) {
        self.take_out(hash, place, spot);
        self.len.store(self.len() - 1, Ordering::Relaxed);
    }

    /// The same without counting that it is gone.
    #[inline(always)]
    pub(super) fn take_out(&self, hash: u32, (bucket, place): (&B, usize), spot: Spot) {
        bucket.remove(place);
        if spot.bucket() != Spot::HOME {
            self.home(hash).take_back(Turn::Home, hash);
        }
        if spot.bucket() >= Spot::FURTHER {
            self.take_back(hash, bucket);
        }
    }

    /// Counts one less that passed the buckets before this one, from the second on.
    #[inline(never)]
    fn take_back(&self, hash: u32, found: &B) {
        let passed = self.later(hash).take_while(|bucket| !std::ptr::eq(*bucket, found));
        passed.for_each(|bucket| bucket.take_back(Turn::Later, hash));
    }

    /// The bucket and the place in it of a slot that is listed there.
    #[inline(always)]
    pub(super) fn place(&self, hash: u32, slot: Slot, spot: Spot) -> Option<(&B, usize)> {
        let bucket = match spot.bucket() {
            Spot::HOME => self.home(hash),
            Spot::SECOND => self.second(hash),
            _ => return self.place_further(hash, slot),
        };
        debug_assert_eq!(bucket.slot_at(spot.place()), slot, "it is listed there");
        Some((bucket, spot.place()))
    }

    #[inline(never)]
    fn place_further(&self, hash: u32, slot: Slot) -> Option<(&B, usize)> {
        for bucket in self.later(hash) {
            if let Some(place) = bucket.place(hash, slot) {
                return Some((bucket, place));
            }
            if !bucket.has_passed(Turn::Later, hash) {
                return None;
            }
        }
        None
    }

    /// All that is listed.
    pub(super) fn items(&self) -> impl Iterator<Item = B::Item> {
        self.buckets.iter().flat_map(B::items)
    }

    /// All buckets, from the second of a hash on.
    fn later(&self, hash: u32) -> impl Iterator<Item = &B> {
        let (before, after) = self.buckets.split_at(self.second_of(hash));
        after.iter().chain(before)
    }

    /// A key's first bucket, chosen by the high bits of its hash. Of fewer than 2^32 parts of 2^32, each
    /// number is in one.
    #[inline(always)]
    fn home_of(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.buckets.len() as u64) >> 32) as usize
    }

    /// Its second, chosen by the low bits: not far from the first, where there is memory that the
    /// processor knows the way to.
    #[inline(always)]
    fn second_of(&self, hash: u32) -> usize {
        let (len, near) = (self.buckets.len(), 1 + (hash as usize & (NEAR - 1)));
        let second = self.home_of(hash) + near;
        if second < len { second } else { second % len }
    }
}

#[cfg(test)]
impl<B: Bucket> Index<B> {
    /// Whether no bucket says that something is in another one.
    pub(super) fn is_orderly(&self) -> bool {
        let turns = [Turn::Home, Turn::Later];
        let has_any =
            |it: &B| turns.iter().any(|turn| (0..1_024).any(|hash| it.has_passed(*turn, hash)));
        !self.buckets.iter().any(has_any)
    }
}
