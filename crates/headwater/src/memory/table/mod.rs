//! A table that is read without a lock, and written under one. All unsafe code is in here.
//!
//! # What keeps it right
//! 1. *Published whole*: an entry is written into a slot that nobody knows, and then its slot is
//!    written into the [index] (release); who reads it there (acquire) sees all of it. Keys,
//!    values and notes do not change after that, but for atomics.
//! 2. *Unlinked, then waited for, then freed*: who leaves is first taken out of the index. Its slot
//!    is emptied and used again only when everybody who read at that time has [moved on](readers).
//!    The same goes for an index that grew too small.
//! 3. *One writer*: [`Writer`] exists under the table's mutex only, and all that changes the table
//!    takes one by `&mut`.
//!
//! So a look-up sees each key either there or not, as it was at some moment while it ran: an entry
//! that is replaced is replaced in its place, and an index that is replaced does not change any more.
//!
//! A table whose readers all take the lock anyway ([`Reads::Locked`]) shows nothing to the others and
//! frees at once.
#![allow(unsafe_code, reason = "each use says which of the three above it rests on")]

mod barrier;
mod index;
mod readers;
mod slots;
mod writer;

use self::index::Index;
use self::slots::Slots;
use self::writer::Book;
use crate::sync::{AtomicPtr, Mutex, MutexGuard, Ordering};
use std::borrow::Borrow;

pub(super) use self::readers::{Pin, pin};
pub(super) use self::slots::{LANES, Lane, Node, Slot};
pub(super) use self::writer::{Freeing, Writer};

/// Who may look something up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// Anybody, at any time.
    Free,
    /// Who holds the lock.
    Locked,
}

/// What readers use.
struct Shared<K, V> {
    index: AtomicPtr<Index>,
    slots: Slots<K, V>,
}

/// Entries by key, and `S`, what the writer keeps about them.
pub(super) struct Table<K, V, S> {
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
    pub(super) fn new(reads: Reads, limit: usize, patience: usize, state: S) -> Self {
        let (book, index) = Book::new(reads, limit, patience);
        let shared = Shared { index: AtomicPtr::new(index), slots: Slots::new() };
        Self { shared, writer: Mutex::new((book, state)) }
    }

    /// Finds the entry of a key, if anybody may.
    #[inline(always)]
    pub(super) fn find<'a, Q>(&'a self, hash: u32, key: &Q, _pin: &'a Pin) -> Option<Node<'a, K, V>>
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
    pub(super) fn lock(&self) -> Locked<'_, K, V, S> {
        Locked { shared: &self.shared, guard: self.writer.lock() }
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
pub(super) struct Locked<'a, K, V, S> {
    shared: &'a Shared<K, V>,
    guard: MutexGuard<'a, (Book, S)>,
}

impl<K, V, S> Locked<'_, K, V, S> {
    /// What the writer keeps.
    pub(super) fn state(&self) -> &S {
        &self.guard.1
    }

    /// The writer, and what it keeps.
    pub(super) fn parts(&mut self) -> (Writer<'_, K, V>, &mut S) {
        let (book, state) = &mut *self.guard;
        (Writer::new(self.shared, book), state)
    }
}
