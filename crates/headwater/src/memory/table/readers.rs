//! Who reads at the moment, so that nothing is freed under somebody's eyes.
//!
//! Each thread that reads has a [`Record`] with the number of its turns: odd while it reads, even
//! otherwise. What was unlinked may be freed once every record that was odd after that has moved on:
//! who began to read later cannot have found it any more.

use super::barrier;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, fence};

/// The turns of one thread, on cache lines of its own. It is never freed, but used again by another
/// thread when its own has ended.
#[derive(Debug)]
#[repr(align(128))]
struct Record {
    turns: AtomicU64,
    is_taken: AtomicBool,
}

/// All records there are.
static RECORDS: Mutex<Vec<&'static Record>> = Mutex::new(Vec::new());

/// How many of them are taken.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's record, for quick reach.
    static OWN: Cell<Option<&'static Record>> = const { Cell::new(None) };
    /// The same, given back when the thread ends.
    static LEASE: Cell<Lease> = const { Cell::new(Lease(None)) };
}

struct Lease(Option<&'static Record>);

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(record) = self.0 {
            OWN.set(None);
            let _records = RECORDS.lock();
            record.is_taken.store(false, Ordering::Relaxed);
            TAKEN.fetch_sub(1, Ordering::SeqCst);
        }
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

/// Begins to read; `None` in a thread that is ending and has given its record back, which has to
/// take the lock instead.
#[inline(always)]
pub(in crate::memory) fn pin() -> Option<Pin> {
    let record = match OWN.get() {
        Some(record) => record,
        None => introduce()?,
    };
    let turns = record.turns.load(Ordering::Relaxed);
    record.turns.store(turns | 1, Ordering::Relaxed);
    barrier::light();
    Some(Pin { record, after: turns + (!turns & 1) * 2, _stays: PhantomData })
}

impl Drop for Pin {
    #[inline(always)]
    fn drop(&mut self) {
        self.record.turns.store(self.after, Ordering::Release);
    }
}

/// Gives this thread a record.
#[cold]
#[inline(never)]
fn introduce() -> Option<&'static Record> {
    LEASE
        .try_with(|lease| {
            barrier::prepare();
            let record = take();
            // Who looked how many there are before this one was taken unlinked before that.
            fence(Ordering::SeqCst);
            lease.set(Lease(Some(record)));
            OWN.set(Some(record));
            record
        })
        .ok()
}

fn take() -> &'static Record {
    let mut records = RECORDS.lock();
    TAKEN.fetch_add(1, Ordering::SeqCst);
    if let Some(free) = records.iter().find(|record| !record.is_taken.load(Ordering::Relaxed)) {
        free.is_taken.store(true, Ordering::Relaxed);
        return free;
    }
    let record: &'static Record =
        Box::leak(Box::new(Record { turns: AtomicU64::new(0), is_taken: AtomicBool::new(true) }));
    records.push(record);
    record
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

/// Whether no other thread reads, now or soon, what this one unlinked before: cheap, where it holds.
pub(super) fn nobody_else() -> bool {
    let own = OWN.get();
    fence(Ordering::SeqCst);
    TAKEN.load(Ordering::SeqCst) <= usize::from(own.is_some())
        && own.is_none_or(|record| record.turns.load(Ordering::Relaxed) & 1 == 0)
}

/// Who may still see what was unlinked before; `None` if that cannot be told.
pub(super) fn now_reading() -> Option<Vec<Reader>> {
    if !barrier::heavy() {
        return None;
    }
    let records = RECORDS.lock();
    let reading = |record: &&'static Record| {
        let turns = record.turns.load(Ordering::Acquire);
        (turns & 1 == 1).then_some(Reader { record, turns })
    };
    Some(records.iter().filter_map(reading).collect())
}
