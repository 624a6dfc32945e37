//! Where the entry of a key is: buckets by hash.
//!
//! What is listed of a key is in its bucket or, if that is full, in a later one; a bucket counts those
//! that passed it by. So a look-up looks at one bucket, nearly always. What is listed stays in its bucket
//! as long as the index is used, and an entry that was replaced has its successor in that same bucket,
//! which changes from the one to the other at once. That is what makes look-ups without a lock right. One
//! thread at a time changes an index; any number may look things up meanwhile.

use super::form::{Bucket, IsIt, Sought};
use super::slots::Slot;
use super::within::{Glance, Inlined};
use crate::sync::{AtomicUsize, Ordering};

/// Who does not find a key in so many more buckets looks more thoroughly.
const MOST_GLANCES: usize = 3;

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

    /// Has a key's bucket fetched.
    pub(super) fn prefetch(&self, hash: u32) {
        self.buckets.get(self.home(hash)).inspect(|bucket| bucket.foresee());
    }

    /// Looks into the bucket of a hash, and into later ones as long as `look` is told to look further.
    #[inline(always)]
    pub(super) fn find<'a, T>(
        &'a self,
        hash: u32,
        look: impl Fn(&'a B) -> Sought<T> + Copy,
    ) -> Option<T> {
        match look(self.home_of(hash)) {
            Sought::Found(it) => Some(it),
            Sought::Missing => None,
            Sought::Further => self.find_further(self.home(hash), look),
        }
    }

    /// The bucket of a hash, in which its key is if there is room.
    #[inline(always)]
    pub(super) fn home_of(&self, hash: u32) -> &B {
        // SAFETY: a home is less than how many buckets there are: see `home`.
        unsafe { self.buckets.get_unchecked(self.home(hash)) }
    }

    #[inline(never)]
    fn find_further<'a, T>(&'a self, home: usize, look: impl Fn(&'a B) -> Sought<T>) -> Option<T> {
        let (before, after) = self.buckets.split_at(home);
        for bucket in after.iter().skip(1) {
            match look(bucket) {
                Sought::Found(it) => return Some(it),
                Sought::Missing => return None,
                Sought::Further => {}
            }
        }
        before.iter().find_map(|bucket| match look(bucket) {
            Sought::Found(it) => Some(Some(it)),
            Sought::Missing => Some(None),
            Sought::Further => None,
        })?
    }

    /// Lists what is kept of a key that is not listed. There has to be [room](Self::has_room).
    pub(super) fn insert(&self, hash: u32, item: B::Item) {
        self.len.store(self.len() + 1, Ordering::Relaxed);
        if !self.home_of(hash).insert(hash, item) {
            self.insert_further(hash, item);
        }
    }

    #[cold]
    #[inline(never)]
    fn insert_further(&self, hash: u32, item: B::Item) {
        // Before the item is listed: who does not find it in a bucket has to look on.
        self.home_of(hash).let_pass();
        for bucket in self.buckets_after(self.home(hash)) {
            if bucket.insert(hash, item) {
                return;
            }
            bucket.let_pass();
        }
    }

    /// Lists `new` in place of `old`, which has the same key.
    pub(super) fn replace(&self, hash: u32, old: Slot, new: B::Item) {
        if let Some((bucket, place)) = self.place(hash, old) {
            bucket.replace(place, new);
        }
    }

    pub(super) fn remove(&self, hash: u32, slot: Slot) {
        let home = self.home_of(hash);
        if let Some(place) = home.place(hash, slot) {
            home.remove(place);
        } else if let Some((found, place)) = self.place_further(hash, slot) {
            found.remove(place);
            home.take_back();
            let passed = self.buckets_after(self.home(hash));
            passed.take_while(|bucket| !std::ptr::eq(*bucket, found)).for_each(B::take_back);
        } else {
            return;
        }
        self.len.store(self.len() - 1, Ordering::Relaxed);
    }

    /// All that is listed.
    pub(super) fn items(&self) -> impl Iterator<Item = B::Item> {
        self.buckets.iter().flat_map(B::items)
    }

    /// The bucket and the place in it of a slot that is listed.
    #[inline]
    pub(super) fn place(&self, hash: u32, slot: Slot) -> Option<(&B, usize)> {
        let home = self.home_of(hash);
        match home.place(hash, slot) {
            Some(place) => Some((home, place)),
            None => self.place_further(hash, slot),
        }
    }

    #[cold]
    #[inline(never)]
    fn place_further(&self, hash: u32, slot: Slot) -> Option<(&B, usize)> {
        let mut last = self.home_of(hash);
        for bucket in self.buckets_after(self.home(hash)) {
            if !last.has_passed() {
                return None;
            }
            if let Some(place) = bucket.place(hash, slot) {
                return Some((bucket, place));
            }
            last = bucket;
        }
        None
    }

    /// All other buckets, from the one after `home` on.
    fn buckets_after(&self, home: usize) -> impl Iterator<Item = &B> {
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

impl Index<Inlined> {
    /// Looks into a few buckets, once.
    #[inline(always)]
    pub(super) fn glance(&self, hash: u32, is_it: impl IsIt<u64>) -> Glance {
        match self.home_of(hash).glance(is_it) {
            Glance::Further => self.glance_further(hash, is_it),
            seen => seen,
        }
    }

    #[inline(always)]
    fn glance_further(&self, hash: u32, is_it: impl IsIt<u64>) -> Glance {
        for bucket in self.buckets.iter().skip(self.home(hash) + 1).take(MOST_GLANCES) {
            match bucket.glance(is_it) {
                Glance::Further => {}
                seen => return seen,
            }
        }
        Glance::Unclear
    }
}

#[cfg(test)]
impl<B: Bucket> Index<B> {
    /// Whether no bucket says that something is in a later one.
    pub(super) fn is_orderly(&self) -> bool {
        !self.buckets.iter().any(B::has_passed)
    }
}
