//! Where the entry of a key is: buckets by hash.
//!
//! What is listed of a key is in its bucket, its *home*, or, if that was full, in another one that is chosen
//! by its hash too, or, if that was full as well, in one of those after it. A bucket counts those that are
//! not in it because it was full: by themselves those whose home it is, and those that came by later. So a
//! look-up looks at one bucket, or seldom at two. In the one after home alone, as in linear probing, those
//! without room would meet those of their neighbours; as entries come and go, and none moves back, it would
//! come to some twenty buckets for a key that is not there.
//!
//! What is listed stays in its bucket as long as the index is used, and an entry that was replaced has its
//! successor in that same bucket, which changes from the one to the other at once. That is what makes
//! look-ups without a lock right. One thread at a time changes an index; any number may look things up
//! meanwhile.

use super::form::{Bucket, Sought, Turn};
use super::slots::Slot;
use crate::sync::{AtomicUsize, Ordering};

/// A key's second bucket is among so many after the first.
const NEAR: usize = 256;

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
        self.home(hash).foresee();
    }

    /// Looks into the buckets of a hash, as long as `look` is told to look further.
    #[inline(always)]
    pub(super) fn find<'a, T>(
        &'a self,
        hash: u32,
        look: impl Fn(&'a B, Turn) -> Sought<T> + Copy,
    ) -> Option<T> {
        match look(self.home(hash), Turn::Home) {
            Sought::Found(it) => Some(it),
            Sought::Missing => None,
            Sought::Further => self.find_further(hash, look),
        }
    }

    #[inline(never)]
    fn find_further<'a, T>(
        &'a self,
        hash: u32,
        look: impl Fn(&'a B, Turn) -> Sought<T>,
    ) -> Option<T> {
        for bucket in self.later(hash) {
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

    /// Lists what is kept of a key that is not listed. There has to be [room](Self::has_room).
    pub(super) fn insert(&self, hash: u32, item: B::Item) {
        self.len.store(self.len() + 1, Ordering::Relaxed);
        if !self.home(hash).insert(hash, item) {
            self.insert_further(hash, item);
        }
    }

    #[inline(never)]
    fn insert_further(&self, hash: u32, item: B::Item) {
        // Before the item is listed: who does not find it in a bucket has to look on.
        self.home(hash).let_pass(Turn::Home);
        for bucket in self.later(hash) {
            if bucket.insert(hash, item) {
                return;
            }
            bucket.let_pass(Turn::Later);
        }
    }

    /// Lists `new` in place of `old`, which has the same key.
    pub(super) fn replace(&self, hash: u32, old: Slot, new: B::Item) {
        if let Some((bucket, place)) = self.place(hash, old) {
            bucket.replace(place, new);
        }
    }

    pub(super) fn remove(&self, hash: u32, slot: Slot) {
        let home = self.home(hash);
        if let Some(place) = home.place(hash, slot) {
            home.remove(place);
        } else if let Some((found, place)) = self.place_further(hash, slot) {
            found.remove(place);
            home.take_back(Turn::Home);
            let passed = self.later(hash).take_while(|bucket| !std::ptr::eq(*bucket, found));
            passed.for_each(|bucket| bucket.take_back(Turn::Later));
        } else {
            return;
        }
        self.len.store(self.len() - 1, Ordering::Relaxed);
    }

    /// The bucket and the place in it of a slot that is listed.
    #[inline]
    pub(super) fn place(&self, hash: u32, slot: Slot) -> Option<(&B, usize)> {
        let home = self.home(hash);
        match home.place(hash, slot) {
            Some(place) => Some((home, place)),
            None => self.place_further(hash, slot),
        }
    }

    #[inline(never)]
    fn place_further(&self, hash: u32, slot: Slot) -> Option<(&B, usize)> {
        if !self.home(hash).has_passed(Turn::Home) {
            return None;
        }
        for bucket in self.later(hash) {
            if let Some(place) = bucket.place(hash, slot) {
                return Some((bucket, place));
            }
            if !bucket.has_passed(Turn::Later) {
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
        !self.buckets.iter().any(|it| it.has_passed(Turn::Home) || it.has_passed(Turn::Later))
    }
}
