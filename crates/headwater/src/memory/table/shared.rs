//! The table itself: what readers share, behind it the writer.

use super::index::Index;
use super::records::Pin;
use super::slots::{Node, Slots};
use super::writer::{Book, Writer};
use crate::sync::{AtomicPtr, Mutex, MutexGuard, Ordering};
use std::borrow::Borrow;

/// What readers use.
pub(super) struct Shared<K, V> {
    pub(super) index: AtomicPtr<Index>,
    pub(super) slots: Slots<K, V>,
}

/// Entries by key, and `S`, what the writer keeps about them.
pub(in crate::memory) struct Table<K, V, S> {
    shared: Shared<K, V>,
    writer: Mutex<(Book, S)>,
}

// SAFETY: entries are handed out by reference to any thread, and by value to the writer, which any
// thread may be; the rest is atomic or behind the mutex.
unsafe impl<K: Send + Sync, V: Send + Sync, S: Send> Sync for Table<K, V, S> {}
// SAFETY: it owns its entries.
unsafe impl<K: Send, V: Send, S: Send> Send for Table<K, V, S> {}

impl<K, V, S> Table<K, V, S> {
    /// An empty table for up to `limit` entries. Up to `patience` entries that left may wait until they are freed together.
    pub(in crate::memory) fn new(limit: usize, patience: usize, state: S) -> Self {
        let (book, index) = Book::new(limit, patience);
        let shared = Shared { index: AtomicPtr::new(index), slots: Slots::new() };
        Self { shared, writer: Mutex::new((book, state)) }
    }

    /// Finds the entry of a key.
    #[inline(always)]
    pub(in crate::memory) fn find<'a, Q>(
        &'a self,
        hash: u32,
        key: &Q,
        _pin: &'a Pin,
    ) -> Option<Node<'a, K, V>>
    where
        Q: ?Sized + Eq,
        K: Borrow<Q>,
    {
        // SAFETY: an index that was published is freed only after everybody who is pinned now has
        // moved on (2), so not before `'a` ends.
        let index = unsafe { &*self.shared.index.load(Ordering::Acquire) };
        let slots = &self.shared.slots;
        index.find(hash, |slot| {
            // SAFETY: a slot in the index holds an entry (1), and is emptied only after everybody who
            // is pinned now has moved on (2).
            let node = unsafe { slots.node(slot) };
            (node.key().borrow() == key).then_some(node)
        })
    }

    /// Waits for the lock.
    pub(in crate::memory) fn lock(&self) -> Locked<'_, K, V, S> {
        Locked { shared: &self.shared, guard: self.writer.lock() }
    }

    /// Does not wait for it; `None` if somebody has it.
    pub(in crate::memory) fn try_lock(&self) -> Option<Locked<'_, K, V, S>> {
        let guard = self.writer.try_lock()?;
        Some(Locked { shared: &self.shared, guard })
    }
}

impl<K, V, S> Drop for Table<K, V, S> {
    fn drop(&mut self) {
        let mut locked = self.writer.lock();
        // SAFETY: `&mut self` says that nobody looks any more.
        unsafe { locked.0.free(&mut self.shared) };
    }
}

/// The table's lock, held.
pub(in crate::memory) struct Locked<'a, K, V, S> {
    shared: &'a Shared<K, V>,
    guard: MutexGuard<'a, (Book, S)>,
}

impl<K, V, S> Locked<'_, K, V, S> {
    /// What the writer keeps.
    pub(in crate::memory) fn state(&self) -> &S {
        &self.guard.1
    }

    /// The writer, and what it keeps.
    pub(in crate::memory) fn parts(&mut self) -> (Writer<'_, K, V>, &mut S) {
        let (book, state) = &mut *self.guard;
        (Writer::new(self.shared, book), state)
    }
}
