//! The table itself: what readers share, behind it the writer.

use super::form::{Bucket, Form, IsIt, Turn};
use super::index::Index;
use super::records::Pinned;
use super::slots::{Node, Slot, Slots};
use super::view::View;
use super::within::{Glance, Within};
use super::writer::{Book, Limits, Writer};
use crate::sync::{AtomicPtr, Mutex, MutexGuard, Ordering};

/// What readers use.
pub(super) struct Shared<F: Form> {
    pub(super) index: AtomicPtr<Index<F::Bucket>>,
    pub(super) slots: Slots<F::Content>,
}

/// Entries by key, and `S`, what the writer keeps about them.
pub(in crate::memory) struct Table<F: Form, S> {
    shared: Shared<F>,
    writer: Mutex<(Book<F>, S)>,
}

// SAFETY: entries are handed out by reference to any thread, and by value to the writer, which any
// thread may be; the rest is atomic or behind the mutex.
unsafe impl<F, S: Send> Sync for Table<F, S> where F: Form<Key: Send + Sync, Value: Send + Sync> {}
// SAFETY: it owns its entries.
unsafe impl<F: Form<Key: Send, Value: Send>, S: Send> Send for Table<F, S> {}

impl<F: Form, S> Table<F, S> {
    /// An empty table.
    pub(in crate::memory) fn new(limits: Limits, state: S) -> Self {
        let (book, index) = Book::new(limits);
        let shared = Shared { index: AtomicPtr::new(index), slots: Slots::new() };
        Self { shared, writer: Mutex::new((book, state)) }
    }

    /// Finds the entry of a key.
    #[inline(always)]
    pub(in crate::memory) fn find<'a>(
        &'a self,
        hash: u32,
        is_it: impl IsIt<F::Key>,
        _pin: &'a impl Pinned,
    ) -> Option<Node<'a, F>> {
        // SAFETY: an index that was published is freed only after everybody who is pinned now has
        // moved on (2), so not before `'a` ends.
        let index = unsafe { &*self.shared.index.load(Ordering::Acquire) };
        let slots = &self.shared.slots;
        // SAFETY: a slot in the index holds an entry (1), and is emptied only after everybody who is
        // pinned now has moved on (2), or if nothing is needed of it.
        index.find(hash, move |bucket, turn| unsafe { F::find(bucket, slots, turn, hash, is_it) })
    }

    /// Waits for the lock.
    pub(in crate::memory) fn lock(&self) -> Locked<'_, F, S> {
        Locked { shared: &self.shared, guard: self.writer.lock() }
    }

    /// Does not wait for it; `None` if somebody has it.
    pub(in crate::memory) fn try_lock(&self) -> Option<Locked<'_, F, S>> {
        let guard = self.writer.try_lock()?;
        Some(Locked { shared: &self.shared, guard })
    }
}

impl<S> Table<Within, S> {
    /// Looks once, at the first entry that may be the one, and notes its use if it is.
    #[inline(always)]
    pub(in crate::memory) fn glance(
        &self,
        hash: u32,
        is_it: impl IsIt<u64>,
        _pin: &impl Pinned,
    ) -> Glance {
        // SAFETY: as in `find`.
        let index = unsafe { &*self.shared.index.load(Ordering::Acquire) };
        index.home(hash).glance(hash, is_it)
    }

    /// The slot and the value of a plain entry that is seen at once, in the first bucket. As long as the pin is held,
    /// the slot stays its own where [slots are told](super::Limits::are_slots_told).
    #[inline(always)]
    pub(in crate::memory) fn glance_for_slot(
        &self,
        hash: u32,
        is_it: impl IsIt<u64>,
        _pin: &impl Pinned,
    ) -> Option<(Slot, u64)> {
        // SAFETY: as in `find`.
        let index = unsafe { &*self.shared.index.load(Ordering::Acquire) };
        index.home(hash).glance_for_slot(hash, is_it)
    }

    /// Looks at all that may be the one, and then in the second bucket.
    #[inline(always)]
    pub(in crate::memory) fn glance_further(
        &self,
        hash: u32,
        is_it: impl IsIt<u64>,
        _pin: &impl Pinned,
    ) -> Glance {
        // SAFETY: as in `find`.
        let index = unsafe { &*self.shared.index.load(Ordering::Acquire) };
        let home = index.home(hash);
        let version = home.version();
        match home.glance_at_all(Turn::Home, hash, is_it) {
            Glance::Further => match index.second(hash).glance_at_all(Turn::Later, hash, is_it) {
                // It may have come home meanwhile.
                Glance::Missing if home.version() != version => Glance::Unclear,
                seen => seen,
            },
            seen => seen,
        }
    }
}

impl<F: Form, S> Drop for Table<F, S> {
    fn drop(&mut self) {
        let mut locked = self.writer.lock();
        // SAFETY: `&mut self` says that nobody looks any more.
        unsafe { locked.0.free(&mut self.shared) };
    }
}

/// The table's lock, held.
pub(in crate::memory) struct Locked<'a, F: Form, S> {
    shared: &'a Shared<F>,
    guard: MutexGuard<'a, (Book<F>, S)>,
}

impl<F: Form, S> Locked<'_, F, S> {
    /// What the writer keeps.
    pub(in crate::memory) fn state(&self) -> &S {
        &self.guard.1
    }

    /// What the one who holds the lock sees, and what the writer keeps.
    #[inline(always)]
    pub(in crate::memory) fn view(&mut self) -> (View<'_, F>, &mut S) {
        let (book, state) = &mut *self.guard;
        (View { shared: self.shared, book }, state)
    }

    /// The writer, and what it keeps.
    pub(in crate::memory) fn parts(&mut self) -> (Writer<'_, F>, &mut S) {
        let (book, state) = &mut *self.guard;
        (Writer::new(self.shared, book), state)
    }
}
