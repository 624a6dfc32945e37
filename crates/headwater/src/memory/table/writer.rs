//! What the one who holds the lock can do.

use super::super::lists::List;
use super::form::{Bucket, Form};
use super::index::{Index, Spot};
use super::readers;
use super::records::Reader;
use super::shared::Shared;
use super::slots::{LANES, Node, Notes, Slot, Stock};
use super::view::View;
use crate::sync::Ordering;
use crate::{Cause, Removals};
use std::collections::VecDeque;

/// Who is given what left.
pub(in crate::memory) trait Receives<K, V> {
    /// Takes what left, and why.
    fn push(&mut self, key: K, value: Option<V>, cause: Cause);

    /// Takes what was told before, and only has to be dropped.
    fn discard(&mut self, key: K, value: Option<V>);
}

impl<K, V> Receives<K, V> for Removals<K, V> {
    fn push(&mut self, key: K, value: Option<V>, cause: Cause) {
        Self::push(self, key, value, cause);
    }

    fn discard(&mut self, key: K, value: Option<V>) {
        Self::discard(self, key, value);
    }
}

/// The part by which an index grows that has more than the usual entries, and that there are more slots
/// than these.
const GROWTH_BEYOND: usize = 16;

/// The entries that an index has room for at first.
const FIRST_ROOM: usize = 20;

/// How many entries a table may have.
#[derive(Clone, Copy, Debug)]
pub(in crate::memory) struct Limits {
    /// At any time, within [`MOST_ENTRIES`](Form::MOST_ENTRIES).
    pub(in crate::memory) most: usize,
    /// So many that memory for more comes little by little.
    pub(in crate::memory) usual: usize,
    /// How many of those that left may wait until they are freed together.
    pub(in crate::memory) patience: usize,
    /// Who looks something up says later on which slot that was in, whatever is in it.
    pub(in crate::memory) are_slots_told: bool,
    /// Somebody is told of what leaves.
    pub(in crate::memory) listens: bool,
}

impl Limits {
    fn bounded<F: Form>(self) -> Self {
        Self { most: self.most.min(F::MOST_ENTRIES), ..self }
    }
}

/// What left and may still be read.
pub(super) struct Leaver<F: Form> {
    slot: Slot,
    left: F::Left,
    /// Why, until the removal was told.
    cause: Option<Cause>,
}

/// An index that was replaced and may still be read.
pub(super) struct OldIndex<F: Form>(pub(super) *mut Index<F::Bucket>);

// SAFETY: it is owned, and an index is atomics and plain numbers.
unsafe impl<F: Form> Send for OldIndex<F> {}

/// What left together, and who has to move on before it is freed.
pub(super) struct Batch<F: Form> {
    leavers: Vec<Leaver<F>>,
    indexes: Vec<OldIndex<F>>,
    readers: Vec<Reader>,
}

/// What the writer knows about the table.
pub(super) struct Book<F: Form> {
    pub(super) limits: Limits,
    pub(super) index: OldIndex<F>,
    pub(super) stock: Stock,
    /// An entry that was lifted, and is still listed: its hash and its slot.
    pub(super) lifted: Option<(u32, Slot)>,
    /// What left and is in its slot no more.
    pub(super) gone: Vec<Gone<F>>,
    pub(super) leavers: Vec<Leaver<F>>,
    pub(super) indexes: Vec<OldIndex<F>>,
    pub(super) batches: VecDeque<Batch<F>>,
}

/// Key and value of what left, and why it did.
pub(super) type Gone<F> = (<F as Form>::Key, Option<<F as Form>::Value>, Cause);

impl<F: Form> Book<F> {
    /// A book, and the index that readers are to see.
    pub(super) fn new(limits: Limits) -> (Self, *mut Index<F::Bucket>) {
        let index = Box::into_raw(Box::new(Index::new(FIRST_ROOM)));
        let book = Self {
            limits: limits.bounded::<F>(),
            index: OldIndex(index),
            stock: Stock::new(),
            lifted: None,
            gone: Vec::new(),
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
    pub(super) unsafe fn free(&mut self, shared: &mut Shared<F>) {
        // SAFETY: the caller says so, and each cell is given once.
        unsafe { shared.slots.free(&mut self.stock, |cell| F::discard(cell)) };
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

/// The one who may change a table, and all of it.
pub(in crate::memory) struct Writer<'a, F: Form> {
    shared: &'a Shared<F>,
    book: &'a mut Book<F>,
}

impl<'a, F: Form> Writer<'a, F> {
    pub(super) fn new(shared: &'a Shared<F>, book: &'a mut Book<F>) -> Self {
        let mut writer = Self { shared, book };
        // A panic of user code may have come in between.
        writer.unlink_lifted();
        writer
    }

    /// What can be looked at.
    #[inline(always)]
    pub(in crate::memory) fn view(&self) -> View<'_, F> {
        View { shared: self.shared, book: self.book }
    }

    #[inline(always)]
    fn index(&self) -> &Index<F::Bucket> {
        self.view().index()
    }

    /// Changes how many entries there may be. It may be less than there are: then there is no room.
    pub(in crate::memory) fn set_limits(&mut self, limits: Limits) {
        self.book.limits = limits.bounded::<F>();
    }
}

impl<F: Form> Writer<'_, F> {
    /// Stores an entry that is to be on this list: of a key that is not there, or in place of the one of that
    /// key that was [lifted](Self::lift) just before. Hands it back if there is no memory for one more.
    #[inline(always)]
    pub(in crate::memory) fn insert(
        &mut self,
        hash: u32,
        key: F::Key,
        value: Option<F::Value>,
        list: List,
        notes: &[Option<u64>; LANES],
    ) -> Result<Slot, (F::Key, Option<F::Value>)> {
        // First, because it may panic.
        let whereabouts = F::whereabouts(&key);
        let Some(slot) = self.take_slot() else { return Err((key, value)) };
        let (slots, stock) = (&self.shared.slots, &self.book.stock);
        // SAFETY: the slot was just taken, so that it holds nothing, and is not in the index.
        let cell = unsafe { slots.begin(stock, slot, hash, list, value.is_some(), notes) };
        // SAFETY: as above.
        let item = unsafe { F::keep(cell, slot, key, value, whereabouts) };
        let spot = match self.book.lifted.take() {
            Some(lifted) => self.insert_after(lifted, hash, item),
            None => self.list(hash, item),
        };
        cell.note_spot(spot);
        Ok(slot)
    }

    /// Lists an entry of a key that is not there.
    #[inline(always)]
    fn list(&mut self, hash: u32, item: <F::Bucket as Bucket>::Item) -> Spot {
        if !self.index().has_room() {
            self.renew_index();
        }
        self.index().insert(hash, item)
    }

    /// Lists an entry when another was lifted, whose place it takes if they have the same key.
    #[inline(never)]
    fn insert_after(
        &mut self,
        (lifted, old): (u32, Slot),
        hash: u32,
        item: <F::Bucket as Bucket>::Item,
    ) -> Spot {
        if lifted != hash {
            self.unlink(lifted, old);
            return self.list(hash, item);
        }
        // SAFETY: the slot of one who was lifted is not free before it was unlinked and settled.
        let spot = unsafe { self.shared.slots.cell(old) }.spot();
        self.index().replace(hash, old, spot, item);
        spot
    }

    #[inline(always)]
    fn take_slot(&mut self) -> Option<Slot> {
        self.book.stock.take().or_else(|| self.take_new_slot())
    }

    #[cold]
    fn take_new_slot(&mut self) -> Option<Slot> {
        let Book { stock, limits, .. } = &mut *self.book;
        // Those that left may be read for longer than patience has it.
        let waiting = limits.usual / GROWTH_BEYOND + limits.patience + 1;
        let wanted = |entries: usize| {
            let slots = entries.saturating_add(waiting);
            slots.checked_sub(stock.allocated()).filter(|more| *more > 0)
        };
        let wanted = wanted(limits.usual).or_else(|| wanted(limits.most)).unwrap_or(0);
        self.shared.slots.grow(stock, wanted, F::SLOT_BITS).then(|| stock.take()).flatten()
    }

    /// Moves what is listed into an index that has room for more.
    #[cold]
    fn renew_index(&mut self) {
        let len = self.index().len();
        let Limits { most, usual, .. } = self.book.limits;
        let room = len.saturating_mul(2).min(usual).max(len + len / GROWTH_BEYOND + 1);
        let room = room.min(most).max(len + 1).max(FIRST_ROOM);
        let index = Index::new(room);
        for item in self.index().items() {
            // SAFETY: there is memory for the slot of an entry (1).
            let cell = unsafe { self.shared.slots.cell(F::Bucket::slot(&item)) };
            cell.note_spot(index.insert(cell.hash(), item));
        }
        let index = Box::into_raw(Box::new(index));
        self.shared.index.store(index, Ordering::Release);
        let old = std::mem::replace(&mut self.book.index, OldIndex(index));
        self.book.indexes.push(old);
    }

    /// Takes an entry out, if one is there; what was `seen` of it. Where nobody looks into its slot, that is
    /// free at once.
    pub(in crate::memory) fn remove<R>(
        &mut self,
        slot: Slot,
        cause: Cause,
        seen: impl FnOnce(&Notes<'_, F::Content>) -> R,
    ) -> Option<R> {
        self.unlink_lifted();
        let (slots, cell) = (&self.shared.slots, self.view().cell(slot)?);
        let (hash, spot) = (cell.hash(), cell.spot());
        let place = self.index().place(hash, slot, spot)?;
        let seen = seen(&Notes { slot, slots, cell });
        let is_free_at_once = self.view().are_slots_free_at_once();
        if F::IS_COPIED && is_free_at_once && cell.is_bare() && self.view().is_nobodys_business() {
            self.index().remove(hash, place, spot);
            // SAFETY: as below.
            unsafe { slots.empty(&mut self.book.stock, slot) };
            return Some(seen);
        }
        // SAFETY: as in `node`.
        let node = Node { slot, slots, seen: unsafe { F::look(|| Some(place), cell) }? };
        let left = F::leave(&node);
        let alone = if is_free_at_once { F::alone(&node) } else { None };
        self.index().remove(hash, place, spot);
        let Book { stock, gone, leavers, .. } = &mut *self.book;
        match alone {
            Some((key, value)) => {
                // SAFETY: it was unlinked, and who still looks into the slot of one that is alone sees by its
                // bucket that it was.
                unsafe { self.shared.slots.empty(stock, slot) };
                gone.push((key, value, cause));
            }
            None => {
                // SAFETY: it is a live entry's.
                unsafe { self.shared.slots.leave(slot) };
                leavers.push(Leaver { slot, left, cause: Some(cause) });
            }
        }
        Some(seen)
    }

    /// Takes an entry out, but lets readers see it until the next [`insert`](Self::insert) replaces
    /// it, or until it is [settled](Self::settle).
    pub(in crate::memory) fn lift<R>(
        &mut self,
        slot: Slot,
        cause: Cause,
        seen: impl FnOnce(&Notes<'_, F::Content>) -> R,
    ) -> Option<R> {
        self.unlink_lifted();
        let node = self.view().node(slot)?;
        let (hash, left, seen) = (node.hash(), F::leave(&node), seen(&node.notes()));
        // SAFETY: it is a live entry's.
        unsafe { self.shared.slots.leave(slot) };
        self.book.lifted = Some((hash, slot));
        self.book.leavers.push(Leaver { slot, left, cause: Some(cause) });
        Some(seen)
    }

    #[inline(always)]
    fn unlink_lifted(&mut self) {
        if let Some((hash, slot)) = self.book.lifted.take() {
            self.unlink(hash, slot);
        }
    }

    fn unlink(&mut self, hash: u32, slot: Slot) {
        // SAFETY: as in `insert`.
        let spot = unsafe { self.shared.slots.cell(slot) }.spot();
        if let Some(place) = self.index().place(hash, slot, spot) {
            self.index().remove(hash, place, spot);
        }
    }

    /// Tells what has left, and frees what nobody reads any more. What is freed goes into `removals`, if there
    /// is anything to tell or to drop, to be dropped without the lock; what is told before it can be freed is
    /// cloned for it, if somebody listens.
    #[inline]
    pub(in crate::memory) fn settle(
        &mut self,
        freeing: Freeing,
        removals: &mut impl Receives<F::Key, F::Value>,
    ) {
        self.unlink_lifted();
        let Book { gone, leavers, indexes, batches, .. } = &*self.book;
        let is_free = leavers.is_empty() && indexes.is_empty() && batches.is_empty();
        if !is_free || !gone.is_empty() {
            self.settle_all(freeing, removals);
        }
    }

    /// The same, whatever has left.
    #[inline(never)]
    fn settle_all(&mut self, freeing: Freeing, removals: &mut impl Receives<F::Key, F::Value>) {
        for (key, value, cause) in self.book.gone.drain(..) {
            removals.push(key, value, cause);
        }
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
        self.tell(removals);
        if let Some(readers) = readers {
            let leavers = std::mem::take(&mut self.book.leavers);
            let indexes = std::mem::take(&mut self.book.indexes);
            self.book.batches.push_back(Batch { leavers, indexes, readers });
        }
    }

    /// Who may still read what has left since the last batch; `None` if it is not worth finding out.
    fn readers_of_leavers(&self, freeing: Freeing) -> Option<Vec<Reader>> {
        let Book { limits, leavers, indexes, .. } = &*self.book;
        if readers::nobody_reads() {
            return Some(Vec::new());
        }
        let is_worth_it =
            freeing == Freeing::Now || leavers.len() >= limits.patience || !indexes.is_empty();
        if is_worth_it { readers::now_reading() } else { None }
    }

    fn tell(&mut self, removals: &mut impl Receives<F::Key, F::Value>) {
        let listens = self.book.limits.listens;
        for leaver in &mut self.book.leavers {
            let Some(cause) = leaver.cause.take().filter(|_| listens) else { continue };
            // SAFETY: the slot of one who left is emptied when it leaves the list, and so is its entry.
            let (key, value) = unsafe {
                let cell = self.shared.slots.cell(leaver.slot);
                F::left(&leaver.left, cell)
            };
            removals.push(key.clone(), value.cloned(), cause);
        }
    }

    /// Frees the batches whose readers have all moved on.
    fn free_batches(&mut self, removals: &mut impl Receives<F::Key, F::Value>) {
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
        mut leavers: Vec<Leaver<F>>,
        indexes: Vec<OldIndex<F>>,
        removals: &mut impl Receives<F::Key, F::Value>,
    ) -> Vec<Leaver<F>> {
        for Leaver { slot, left, cause } in leavers.drain(..) {
            // SAFETY: it was unlinked, and everybody who could have found it has moved on (2); its slot
            // is free after that.
            let (key, value) = unsafe {
                let taken = F::take(left, self.shared.slots.cell(slot));
                self.shared.slots.empty(&mut self.book.stock, slot);
                taken
            };
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
