//! What the one who holds the lock can do.

use super::index::Index;
use super::readers;
use super::records::Reader;
use super::shared::Shared;
use super::slots::{LANES, Node, Slot, Stock};
use crate::sync::Ordering;
use crate::{Cause, Removals};
use std::borrow::Borrow;
use std::collections::VecDeque;

/// As many entries as slots can be told apart, with many more that may be waiting to be freed.
const MOST_ENTRIES: usize = 1 << 31;

/// The entries that an index has room for at first.
const FIRST_ROOM: usize = 20;

/// What left and may still be read.
struct Leaver {
    slot: Slot,
    /// Why, until the removal was told.
    cause: Option<Cause>,
}

/// An index that was replaced and may still be read.
struct OldIndex(*mut Index);

// SAFETY: it is owned, and an index is atomics and plain numbers.
unsafe impl Send for OldIndex {}

/// What left together, and who has to move on before it is freed.
struct Batch {
    leavers: Vec<Leaver>,
    indexes: Vec<OldIndex>,
    readers: Vec<Reader>,
}

/// What the writer knows about the table.
pub(super) struct Book {
    patience: usize,
    /// No more entries than these.
    limit: usize,
    index: OldIndex,
    stock: Stock,
    /// An entry that was lifted, and is still listed: its hash and its slot.
    lifted: Option<(u32, Slot)>,
    leavers: Vec<Leaver>,
    indexes: Vec<OldIndex>,
    batches: VecDeque<Batch>,
}

impl Book {
    /// A book, and the index that readers are to see.
    pub(super) fn new(limit: usize, patience: usize) -> (Self, *mut Index) {
        let index = Box::into_raw(Box::new(Index::new(FIRST_ROOM)));
        let book = Self {
            patience,
            limit: limit.min(MOST_ENTRIES),
            index: OldIndex(index),
            stock: Stock::new(),
            lifted: None,
            leavers: Vec::new(),
            indexes: Vec::new(),
            batches: VecDeque::new(),
        };
        (book, index)
    }

    /// Frees everything.
    ///
    /// # Safety
    /// Nobody may look at any of it any more.
    pub(super) unsafe fn free<K, V>(&mut self, shared: &mut Shared<K, V>) {
        // SAFETY: the caller says so.
        unsafe { shared.slots.free(&mut self.stock) };
        self.indexes.push(OldIndex(self.index.0));
        let old = self.batches.drain(..).flat_map(|batch| batch.indexes);
        for index in self.indexes.drain(..).chain(old) {
            // SAFETY: each was made from a box, is owned here alone, and nobody looks at it.
            drop(unsafe { Box::from_raw(index.0) });
        }
    }
}

/// How soon what left has to be freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::memory) enum Freeing {
    /// When so much has left that it is worth it.
    Together,
    /// At once, if nobody reads it.
    Now,
}

/// The one who may change a table.
pub(in crate::memory) struct Writer<'a, K, V> {
    shared: &'a Shared<K, V>,
    book: &'a mut Book,
}

impl<'a, K, V> Writer<'a, K, V> {
    pub(super) fn new(shared: &'a Shared<K, V>, book: &'a mut Book) -> Self {
        let mut writer = Self { shared, book };
        // A panic of user code may have come in between.
        writer.unlink_lifted();
        writer
    }

    fn index(&self) -> &Index {
        // SAFETY: the book's own index is freed only after it was replaced, by `&mut self`.
        unsafe { &*self.book.index.0 }
    }

    /// Entries that have not left.
    pub(in crate::memory) fn len(&self) -> usize {
        self.index().len() - usize::from(self.book.lifted.is_some())
    }

    /// Whether one more entry is within the limit.
    pub(in crate::memory) fn has_room(&self) -> bool {
        self.len() < self.book.limit
    }

    /// Changes how many entries there may be, which [`MOST_ENTRIES`] bounds. It may be less than there
    /// are: then there is no room.
    pub(in crate::memory) fn set_limit(&mut self, limit: usize) {
        self.book.limit = limit.min(MOST_ENTRIES);
    }

    /// How many slots there are numbers for, those of heads included.
    pub(in crate::memory) fn numbers(&self) -> usize {
        self.book.stock.last() as usize + 1
    }

    #[inline]
    pub(in crate::memory) fn find<Q>(&self, hash: u32, key: &Q) -> Option<Node<'_, K, V>>
    where
        Q: ?Sized + Eq,
        K: Borrow<Q>,
    {
        let slots = &self.shared.slots;
        self.index().find(hash, |slot| {
            // SAFETY: a slot in the index holds an entry (1), and is emptied by `&mut self` only (3).
            let node = unsafe { slots.node(slot) };
            (node.key().borrow() == key).then_some(node)
        })
    }

    /// The entry of a slot, if one is there that has not left.
    pub(in crate::memory) fn node(&self, slot: Slot) -> Option<Node<'_, K, V>> {
        let is_live = self.shared.slots.is_live(&self.book.stock, slot);
        // SAFETY: a live entry holds its slot, which is emptied by `&mut self` only (3).
        is_live.then(|| unsafe { self.shared.slots.node(slot) })
    }

    /// Has the entry of a slot that is there fetched, for a [`node`](Self::node) soon.
    pub(in crate::memory) fn foresee(&self, slot: Slot) {
        self.shared.slots.prefetch(&self.book.stock, slot);
    }

    /// Has the place fetched where the key of this hash is listed.
    pub(in crate::memory) fn foresee_key(&self, hash: u32) {
        self.index().prefetch(hash);
    }

    /// The slots that were ever used, from the `first` of them on.
    pub(in crate::memory) fn slots(&self, first: usize) -> impl Iterator<Item = Slot> + use<K, V> {
        self.book.stock.used(first)
    }
}

impl<K, V> Writer<'_, K, V> {
    /// Stores an entry of a key that is not there, or in place of the one of that key that was
    /// [lifted](Self::lift) just before. Hands it back if there is no memory for one more.
    pub(in crate::memory) fn insert(
        &mut self,
        hash: u32,
        key: K,
        value: Option<V>,
        notes: [Option<u64>; LANES],
    ) -> Result<Slot, (K, Option<V>)> {
        let Some(slot) = self.take_slot() else { return Err((key, value)) };
        // SAFETY: the slot was just taken, so that it holds nothing, and is not in the index.
        unsafe { self.shared.slots.fill(&self.book.stock, slot, hash, key, value, notes) };
        let replaced = self.book.lifted.filter(|(of, _)| *of == hash);
        if replaced.is_none() {
            self.unlink_lifted();
        }
        if replaced.is_none() && !self.index().has_room() {
            self.renew_index();
        }
        match replaced {
            Some((_, old)) => {
                self.index().replace(hash, old, slot);
                self.book.lifted = None;
            }
            None => self.index().insert(hash, slot),
        }
        Ok(slot)
    }

    fn take_slot(&mut self) -> Option<Slot> {
        let Book { stock, limit, patience, .. } = &mut *self.book;
        stock.take().or_else(|| {
            let most = limit.saturating_add(*patience).saturating_add(1);
            let wanted = most.saturating_sub(stock.allocated());
            self.shared.slots.grow(stock, wanted).then(|| stock.take()).flatten()
        })
    }

    /// Moves what is listed into an index that has room for more.
    fn renew_index(&mut self) {
        let len = self.index().len();
        let room = len.saturating_mul(2).min(self.book.limit).max(len + 1).max(FIRST_ROOM);
        let index = Index::new(room);
        for slot in self.index().slots() {
            // SAFETY: a slot in the index holds an entry (1), and is emptied by `&mut self` only (3).
            index.insert(unsafe { self.shared.slots.node(slot) }.hash(), slot);
        }
        let index = Box::into_raw(Box::new(index));
        self.shared.index.store(index, Ordering::Release);
        let old = std::mem::replace(&mut self.book.index, OldIndex(index));
        self.book.indexes.push(old);
    }

    /// Takes an entry out.
    pub(in crate::memory) fn remove(&mut self, slot: Slot, cause: Cause) {
        self.lift(slot, cause);
        self.unlink_lifted();
    }

    /// Takes an entry out, but lets readers see it until the next [`insert`](Self::insert) replaces
    /// it, or until it is [settled](Self::settle).
    pub(in crate::memory) fn lift(&mut self, slot: Slot, cause: Cause) {
        self.unlink_lifted();
        let Some(hash) = self.node(slot).map(Node::hash) else { return };
        // SAFETY: it is a live entry's.
        unsafe { self.shared.slots.leave(slot) };
        self.book.lifted = Some((hash, slot));
        self.book.leavers.push(Leaver { slot, cause: Some(cause) });
    }

    fn unlink_lifted(&mut self) {
        if let Some((hash, slot)) = self.book.lifted.take() {
            self.index().remove(hash, slot);
        }
    }

    /// Tells what has left, and frees what nobody reads any more. What is freed goes into `removals`,
    /// to be dropped without the lock; what is told before it can be freed is cloned for it, if
    /// somebody `listens`.
    pub(in crate::memory) fn settle(
        &mut self,
        freeing: Freeing,
        listens: bool,
        removals: &mut Removals<K, V>,
    ) where
        K: Clone,
        V: Clone,
    {
        self.unlink_lifted();
        self.free_batches(removals);
        if self.book.leavers.is_empty() && self.book.indexes.is_empty() {
            return;
        }
        let readers = self.readers_of_leavers(freeing);
        if readers.as_ref().is_some_and(Vec::is_empty) {
            let leavers = std::mem::take(&mut self.book.leavers);
            let indexes = std::mem::take(&mut self.book.indexes);
            self.book.leavers = self.free(leavers, indexes, removals);
            return;
        }
        self.tell(listens, removals);
        if let Some(readers) = readers {
            let leavers = std::mem::take(&mut self.book.leavers);
            let indexes = std::mem::take(&mut self.book.indexes);
            self.book.batches.push_back(Batch { leavers, indexes, readers });
        }
    }

    /// Who may still read what has left since the last batch; `None` if it is not worth finding out.
    fn readers_of_leavers(&self, freeing: Freeing) -> Option<Vec<Reader>> {
        let Book { patience, leavers, indexes, .. } = &*self.book;
        if readers::nobody_reads() {
            return Some(Vec::new());
        }
        let is_worth_it =
            freeing == Freeing::Now || leavers.len() >= *patience || !indexes.is_empty();
        if is_worth_it { readers::now_reading() } else { None }
    }

    fn tell(&mut self, listens: bool, removals: &mut Removals<K, V>)
    where
        K: Clone,
        V: Clone,
    {
        for leaver in &mut self.book.leavers {
            let Some(cause) = leaver.cause.take().filter(|_| listens) else { continue };
            // SAFETY: the slot of one who left is emptied when it leaves the list.
            let node = unsafe { self.shared.slots.node(leaver.slot) };
            removals.push(node.key().clone(), node.value().cloned(), cause);
        }
    }

    /// Frees the batches whose readers have all moved on.
    fn free_batches(&mut self, removals: &mut Removals<K, V>) {
        while let Some(batch) = self.book.batches.front_mut() {
            batch.readers.retain(|reader| !reader.has_moved_on());
            if !batch.readers.is_empty() {
                return;
            }
            if let Some(Batch { leavers, indexes, .. }) = self.book.batches.pop_front() {
                self.free(leavers, indexes, removals);
            }
        }
    }

    /// Frees what left, was unlinked, and is read by nobody any more; the empty list.
    fn free(
        &mut self,
        mut leavers: Vec<Leaver>,
        indexes: Vec<OldIndex>,
        removals: &mut Removals<K, V>,
    ) -> Vec<Leaver> {
        for Leaver { slot, cause } in leavers.drain(..) {
            // SAFETY: it was unlinked, and everybody who could have found it has moved on (2).
            let (key, value) = unsafe { self.shared.slots.empty(&mut self.book.stock, slot) };
            match cause {
                Some(cause) => removals.push(key, value, cause),
                None => removals.discard(key, value),
            }
        }
        for index in indexes {
            // SAFETY: it was made from a box and replaced, and everybody who could have found it has
            // moved on (2).
            drop(unsafe { Box::from_raw(index.0) });
        }
        leavers
    }
}
