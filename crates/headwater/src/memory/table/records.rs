//! Who reads at the moment, so that nothing is freed under somebody's eyes.
//!
//! Each thread that reads has a [`Record`] with the number of its turns: odd while it reads, even
//! otherwise. What was unlinked may be freed once every record that was odd after that has moved on:
//! who began to read later cannot have found it any more.

use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering};
use std::marker::PhantomData;
use std::sync::atomic::AtomicBool;

/// The turns of one thread, on cache lines of its own. It is never freed, but used again by another
/// thread when its own has ended.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Record {
    turns: AtomicU64,
    is_taken: AtomicBool,
}

impl Record {
    /// Begins to read. What follows must not be moved before it: see [`barrier`](super::barrier).
    #[inline(always)]
    pub(super) fn begin(&'static self) -> Pin {
        let turns = self.turns.load(Ordering::Relaxed);
        self.turns.store(turns | 1, Ordering::Relaxed);
        Pin { record: self, after: turns + (!turns & 1) * 2, _stays: PhantomData }
    }

    /// The same, unless this thread is reading already.
    #[inline(always)]
    pub(super) fn begin_outermost(&'static self) -> Option<Pin> {
        let turns = self.turns.load(Ordering::Relaxed);
        if turns & 1 == 1 {
            return None;
        }
        self.turns.store(turns + 1, Ordering::Relaxed);
        Some(Pin { record: self, after: turns + 2, _stays: PhantomData })
    }

    pub(super) fn is_reading(&self) -> bool {
        self.turns.load(Ordering::Relaxed) & 1 == 1
    }
}

/// As long as it is held, nothing is freed that this thread could have found before.
#[derive(Debug)]
pub(in crate::memory) struct Pin {
    record: &'static Record,
    /// The turns when it ends; within another pin of the thread, they stay as they are.
    after: u64,
    /// The record is this thread's.
    _stays: PhantomData<*const ()>,
}

impl Drop for Pin {
    #[inline(always)]
    fn drop(&mut self) {
        self.record.turns.store(self.after, Ordering::Release);
    }
}

/// All records there are.
pub(super) struct Records {
    all: Mutex<Vec<&'static Record>>,
    /// How many of them are taken.
    taken: AtomicUsize,
}

impl Records {
    pub(super) const fn new() -> Self {
        Self { all: Mutex::new(Vec::new()), taken: AtomicUsize::new(0) }
    }

    /// A record for a thread. Before it is used, a full fence is due.
    pub(super) fn take(&self) -> &'static Record {
        let mut all = self.all.lock();
        self.taken.fetch_add(1, Ordering::SeqCst);
        if let Some(free) = all.iter().find(|record| !record.is_taken.load(Ordering::Relaxed)) {
            free.is_taken.store(true, Ordering::Relaxed);
            return free;
        }
        let (turns, is_taken) = (AtomicU64::new(0), AtomicBool::new(true));
        let record: &'static Record = Box::leak(Box::new(Record { turns, is_taken }));
        all.push(record);
        record
    }

    pub(super) fn give_back(&self, record: &Record) {
        let _all = self.all.lock();
        record.is_taken.store(false, Ordering::Relaxed);
        self.taken.fetch_sub(1, Ordering::SeqCst);
    }

    /// How many threads have a record.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// Who reads.
    pub(super) fn reading(&self) -> Vec<Reader> {
        let reading = |record: &&'static Record| {
            let turns = record.turns.load(Ordering::Acquire);
            (turns & 1 == 1).then_some(Reader { record, turns })
        };
        self.all.lock().iter().filter_map(reading).collect()
    }
}

/// A reader that has to move on before something is freed.
#[derive(Debug)]
pub(super) struct Reader {
    record: &'static Record,
    turns: u64,
}

impl Reader {
    pub(super) fn has_moved_on(&self) -> bool {
        self.record.turns.load(Ordering::Acquire) != self.turns
    }
}
