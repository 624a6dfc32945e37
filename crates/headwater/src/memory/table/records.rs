//! Who reads at the moment, so that nothing is freed under somebody's eyes.
//!
//! Each thread that reads has a [`Record`] that says since when: in which period, of which another begins
//! whenever somebody asks who reads. What was unlinked may be freed once nobody who was reading after that
//! has gone on since: who began to read later cannot have found it any more. As periods are not the same,
//! who reads again and again is not taken for one who never ends.

use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering};
use std::marker::PhantomData;
use std::sync::atomic::AtomicBool;

/// Since when a thread reads that does not.
const NEVER: u64 = 0;

/// Since when one thread reads, on cache lines of its own. It is never freed, but used again by another
/// thread when its own has ended.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Record {
    since: AtomicU64,
    is_taken: AtomicBool,
}

impl Record {
    /// One whose thread reads all the time, and that is no thread's: in the place of one that is missing.
    pub(super) const fn nobodys() -> Self {
        Self { since: AtomicU64::new(!NEVER), is_taken: AtomicBool::new(true) }
    }

    /// Begins to read. What follows must not be moved before it: see [`barrier`](super::barrier).
    #[inline(always)]
    pub(super) fn begin(&'static self, records: &Records) -> Pin {
        let is_outermost = self.begin_outermost(records);
        let before = if is_outermost { NEVER } else { self.since.load(Ordering::Relaxed) };
        Pin { record: self, before, _stays: PhantomData }
    }

    /// Begins to read, unless this thread is reading already; whether it did.
    #[inline(always)]
    pub(super) fn begin_outermost(&self, records: &Records) -> bool {
        if self.since.load(Ordering::Relaxed) != NEVER {
            return false;
        }
        // Who sees this also knows that the thread is done with what it read before.
        self.since.store(records.period.load(Ordering::Relaxed), Ordering::Release);
        true
    }

    /// Ends what began as the outermost.
    #[inline(always)]
    pub(super) fn end(&self) {
        self.since.store(NEVER, Ordering::Release);
    }

    pub(super) fn is_reading(&self) -> bool {
        self.since.load(Ordering::Relaxed) != NEVER
    }
}

/// As long as it is held, nothing is freed that this thread could have found before.
///
/// # Safety
/// So it has to be: who looks things up while one is held rests on it.
pub(in crate::memory) unsafe trait Pinned {}

/// What pins at any time, also within another.
#[derive(Debug)]
pub(in crate::memory) struct Pin {
    record: &'static Record,
    /// Since when the thread was reading before: what it goes on with within another pin.
    before: u64,
    /// The record is this thread's.
    _stays: PhantomData<*const ()>,
}

// SAFETY: its record says that the thread reads, from when this was made until it is dropped.
unsafe impl Pinned for Pin {}

impl Drop for Pin {
    #[inline(always)]
    fn drop(&mut self) {
        self.record.since.store(self.before, Ordering::Release);
    }
}

/// All records there are.
pub(super) struct Records {
    all: Mutex<Vec<&'static Record>>,
    /// Now.
    period: AtomicU64,
    /// How many of them are taken.
    taken: AtomicUsize,
}

impl Records {
    pub(super) const fn new() -> Self {
        Self {
            all: Mutex::new(Vec::new()),
            period: AtomicU64::new(NEVER + 1),
            taken: AtomicUsize::new(0),
        }
    }

    /// A record for a thread. Before it is used, a full fence is due.
    pub(super) fn take(&self) -> &'static Record {
        let mut all = self.all.lock();
        self.taken.fetch_add(1, Ordering::SeqCst);
        if let Some(free) = all.iter().find(|record| !record.is_taken.load(Ordering::Relaxed)) {
            free.is_taken.store(true, Ordering::Relaxed);
            return free;
        }
        let (since, is_taken) = (AtomicU64::new(NEVER), AtomicBool::new(true));
        let record: &'static Record = Box::leak(Box::new(Record { since, is_taken }));
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
            let since = record.since.load(Ordering::Acquire);
            (since != NEVER).then_some(Reader { record, since })
        };
        let readers = self.all.lock().iter().filter_map(reading).collect();
        // After that: whoever begins now has not begun when any of these did.
        self.period.fetch_add(1, Ordering::Relaxed);
        readers
    }
}

/// A reader that has to move on before something is freed.
#[derive(Debug)]
pub(super) struct Reader {
    record: &'static Record,
    since: u64,
}

impl Reader {
    pub(super) fn has_moved_on(&self) -> bool {
        self.record.since.load(Ordering::Acquire) != self.since
    }
}
