//! What the one who holds the lock sees, and the changes that need no more than that: a number comes
//! home, has another value, or another takes its slot.

use super::super::lists::List;
use super::super::policy::Mark;
use super::form::{Bucket, Form, IsIt, Place};
use super::index::Index;
use super::shared::Shared;
use super::slots::{Cell, Node, Notes, Slot};
use super::writer::Book;
use std::mem::needs_drop;

/// An entry that has not left, and where it is.
pub(in crate::memory) struct Located<'a, F: Form> {
    /// Of its table.
    shared: &'a Shared<F>,
    slot: Slot,
    cell: &'a Cell<F::Content>,
    at: F::At<'a>,
}

impl<F: Form> Clone for Located<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Form> Copy for Located<'_, F> {}

impl<'a, F: Form> Located<'a, F> {
    #[inline(always)]
    pub(in crate::memory) fn slot(self) -> Slot {
        self.slot
    }

    /// The hash of its key.
    #[inline(always)]
    pub(in crate::memory) fn hash(self) -> u32 {
        self.cell.hash()
    }

    /// What the policy notes about it.
    #[inline(always)]
    pub(in crate::memory) fn mark(self) -> Mark<'a> {
        Mark::new(F::uses_of(self.at), self.cell.queue())
    }
}

/// A table as the one who holds its lock sees it. It exists under the lock only, and stays in its
/// thread, since a [`Book`] is not for several at once.
pub(in crate::memory) struct View<'a, F: Form> {
    pub(super) shared: &'a Shared<F>,
    pub(super) book: &'a Book<F>,
}

impl<F: Form> Clone for View<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Form> Copy for View<'_, F> {}

impl<'a, F: Form> View<'a, F> {
    #[inline(always)]
    pub(super) fn index(self) -> &'a Index<F::Bucket> {
        // SAFETY: the book's own index is freed only after it was replaced, by `&mut Writer` (3).
        unsafe { &*self.book.index.0 }
    }

    /// Entries that have not left.
    #[inline(always)]
    pub(in crate::memory) fn len(self) -> usize {
        self.index().len() - usize::from(self.book.lifted.is_some())
    }

    /// Whether one more entry is within the limit.
    #[inline(always)]
    pub(in crate::memory) fn has_room(self) -> bool {
        self.len() < self.book.limits.most
    }

    /// How many slots there are numbers for, those of heads included.
    pub(in crate::memory) fn numbers(self) -> usize {
        self.book.stock.last() as usize + 1
    }

    /// Finds the entry of a key.
    #[inline(always)]
    pub(in crate::memory) fn find(
        self,
        hash: u32,
        is_it: impl IsIt<F::Key>,
    ) -> Option<Node<'a, F>> {
        let slots = &self.shared.slots;
        // SAFETY: a slot in the index holds an entry (1), and is emptied by `&mut Writer` only; nobody
        // else changes buckets, as this thread has the lock (3).
        self.index().find(hash, move |bucket, turn| unsafe {
            F::find_still(bucket, slots, turn, hash, is_it)
        })
    }

    /// The entry of a slot, if one is there that has not left.
    pub(in crate::memory) fn node(self, slot: Slot) -> Option<Node<'a, F>> {
        let cell = self.cell(slot)?;
        // SAFETY: who has not left is listed (1), and is emptied by `&mut Writer` only (3).
        let seen = unsafe { F::look(|| self.place(slot, cell), cell) }?;
        Some(Node { slot, slots: &self.shared.slots, seen })
    }

    /// Whether it is seen at once that no entry of this hash is there.
    #[inline(always)]
    pub(in crate::memory) fn lacks(self, hash: u32) -> bool {
        self.index().home(hash).lacks(hash)
    }

    /// Writes a value in place of that of a bare entry, which has one use from now on. `None`, and nothing
    /// is done, if there is more to the entry, or if anybody is told what leaves.
    #[inline(always)]
    pub(in crate::memory) fn rewrite(self, held: &Node<'_, F>, value: &F::Value) -> Option<()> {
        if !F::is_bare(held) || !self.is_nobodys_business() {
            return None;
        }
        let Located { slot, cell, at, .. } = self.locate(held.slot)?;
        let (bucket, place) = F::listed(at)?;
        bucket.replace(place, cell.hash(), F::bare(slot, held.key(), value));
        F::uses(held).set(1);
        Some(())
    }

    /// The entry of a slot, if one is there that has not left.
    #[inline(always)]
    pub(in crate::memory) fn locate(self, slot: Slot) -> Option<Located<'a, F>> {
        let cell = self.cell(slot)?;
        let listed = if F::IS_COPIED { self.place(slot, cell) } else { None };
        Some(Located { shared: self.shared, slot, cell, at: F::at(listed, cell)? })
    }

    /// What the entry of a slot says beside key and value, if one is there that has not left.
    pub(in crate::memory) fn notes(self, slot: Slot) -> Option<Notes<'a, F::Content>> {
        Some(Notes { slot, slots: &self.shared.slots, cell: self.cell(slot)? })
    }

    /// The cell of an entry that has not left.
    #[inline(always)]
    pub(super) fn cell(self, slot: Slot) -> Option<&'a Cell<F::Content>> {
        self.shared.slots.live(&self.book.stock, slot)
    }

    /// Where the entry in a cell is listed.
    #[inline(always)]
    pub(super) fn place(self, slot: Slot, cell: &Cell<F::Content>) -> Option<Place<'a, F>> {
        self.index().place(cell.hash(), slot, cell.spot())
    }

    /// Has the entry of a slot that is there fetched, for a [`node`](Self::node) soon.
    #[inline(always)]
    pub(in crate::memory) fn foresee(self, slot: Slot) {
        self.shared.slots.prefetch(&self.book.stock, slot);
    }

    /// Has the place fetched where the entry of a slot is listed; the hash of its key.
    #[inline(always)]
    pub(in crate::memory) fn foresee_key(self, slot: Slot) -> Option<u32> {
        let cell = self.cell(slot)?;
        let hash = cell.hash();
        self.index().prefetch(hash, cell.spot());
        Some(hash)
    }

    /// Lists an entry in the bucket that is looked at first, if it is in another one and there is room by now;
    /// whether it was brought there. What was found of it before stays right, but for its uses.
    pub(in crate::memory) fn bring_home(self, slot: Slot) -> bool {
        let Some(cell) = self.cell(slot) else { return false };
        let spot = self.index().bring_home(cell.hash(), slot, cell.spot());
        spot.inspect(|spot| cell.note_spot(*spot)).is_some()
    }

    /// Whether an entry is in the bucket that is looked at first.
    #[cfg(test)]
    pub(in crate::memory) fn is_at_home(self, slot: Slot) -> bool {
        self.cell(slot).is_some_and(|cell| cell.spot().is_home())
    }

    /// Has the place fetched where a key of this hash is to be listed, which was looked up just before.
    #[inline(always)]
    pub(in crate::memory) fn foresee_insert(self, hash: u32) {
        self.index().prefetch_second(hash);
    }

    /// The slots that were ever used, from the `first` of them on.
    pub(in crate::memory) fn slots(self, first: usize) -> impl Iterator<Item = Slot> + use<F> {
        self.book.stock.used(first)
    }

    /// Stores a bare entry of a key that is not there in the slot of another, which leaves; the list of
    /// that one. `None`, and nothing is done, if there is more to that one, if anybody is told what
    /// leaves, or if an index waits to be freed. Nothing may have changed since it was located.
    #[inline(always)]
    pub(in crate::memory) fn swap(
        self,
        leaver: Located<'a, F>,
        hash: u32,
        key: &F::Key,
        value: &F::Value,
        list: List,
    ) -> Option<List> {
        let Located { shared, slot, cell, at } = leaver;
        // So there is memory for the slot, whoever asks.
        let is_own = std::ptr::eq(shared, self.shared);
        let is_unseen = self.is_nobodys_business() && self.are_slots_free_at_once();
        if !is_own || !is_unseen || !cell.is_bare() {
            return None;
        }
        let place = F::listed(at)?;
        debug_assert_eq!(place.0.slot_at(place.1), slot, "it is there still");
        let left = cell.queue().list();
        self.index().take_out(cell.hash(), place, cell.spot());
        // Its state stays: it is bare, and who looks into it any further holds the lock.
        cell.set_hash(hash);
        cell.set_place(list, self.index().list(hash, || F::bare(slot, key, value)));
        Some(left)
    }

    /// Whether what leaves is neither told nor has to be dropped.
    #[inline(always)]
    pub(super) fn is_nobodys_business(self) -> bool {
        !self.book.limits.listens && !needs_drop::<(F::Key, F::Value)>()
    }

    /// Whether nobody looks into a slot of an entry that is [alone](Form::alone) once it is not listed. Who may
    /// still look into an index that was replaced would find it listed there, for ever.
    #[inline(always)]
    pub(super) fn are_slots_free_at_once(self) -> bool {
        let Book { limits, indexes, batches, .. } = self.book;
        !limits.are_slots_told && indexes.is_empty() && batches.is_empty()
    }
}
