//! The records of this process's threads.

use super::barrier;
use super::records::{Pin, Pinned, Reader, Record, Records};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{Ordering, fence};

static RECORDS: Records = Records::new();

thread_local! {
    /// This thread's record, for quick reach.
    static OWN: Cell<Option<&'static Record>> = const { Cell::new(None) };
    /// The same, given back when the thread ends.
    static LEASE: Cell<Lease> = const { Cell::new(Lease(None)) };
}

static NOBODYS: Record = Record::nobodys();

thread_local! {
    /// This thread's record, where nothing but a store is needed to say that it reads.
    static QUICK: Cell<&'static Record> = const { Cell::new(&NOBODYS) };
}

struct Lease(Option<&'static Record>);

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(record) = self.0 {
            OWN.set(None);
            QUICK.set(&NOBODYS);
            RECORDS.give_back(record);
        }
    }
}

/// Begins to read; `None` in a thread that is ending and has given its record back, which has to
/// take the lock instead.
#[inline(always)]
pub(in crate::memory) fn pin() -> Option<Pin> {
    let record = match OWN.get() {
        Some(record) => record,
        None => introduce()?,
    };
    let pin = record.begin(&RECORDS);
    barrier::light();
    Some(pin)
}

/// The same, if that is done at once; who gets none has to [`pin`].
#[inline(always)]
pub(in crate::memory) fn pin_quickly() -> Option<QuickPin> {
    if !QUICK.get().begin_outermost(&RECORDS) {
        return None;
    }
    barrier::light_if_heavy_reaches_all();
    Some(QuickPin(PhantomData))
}

/// An outermost pin. It looks up again whose it is, rather than to keep that all the time.
pub(in crate::memory) struct QuickPin(PhantomData<*const ()>);

// SAFETY: it is the thread's own record that says so, from when this was made until it is dropped.
unsafe impl Pinned for QuickPin {}

impl Drop for QuickPin {
    #[inline(always)]
    fn drop(&mut self) {
        debug_assert!(
            !std::ptr::eq(QUICK.get(), &raw const NOBODYS),
            "the thread still has its record"
        );
        QUICK.get().end();
    }
}

/// Gives this thread a record.
#[cold]
#[inline(never)]
fn introduce() -> Option<&'static Record> {
    let introduce = |lease: &Cell<Lease>| {
        barrier::prepare();
        let record = RECORDS.take();
        // Who looked how many there are before this one was taken unlinked before that.
        fence(Ordering::SeqCst);
        lease.set(Lease(Some(record)));
        OWN.set(Some(record));
        if barrier::reaches_all() {
            QUICK.set(record);
        }
        record
    };
    LEASE.try_with(introduce).ok()
}

/// Whether nobody reads, now or soon, what this thread unlinked before: cheap, where it holds.
pub(super) fn nobody_reads() -> bool {
    let own = OWN.get();
    fence(Ordering::SeqCst);
    RECORDS.taken() <= usize::from(own.is_some()) && own.is_none_or(|own| !own.is_reading())
}

/// Who may still see what was unlinked before; `None` if that cannot be told.
pub(super) fn now_reading() -> Option<Vec<Reader>> {
    barrier::heavy().then(|| RECORDS.reading())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_and_begins_again_is_not_taken_for_one_who_never_ends() {
        // A record is never freed.
        static OF_THIS_TEST: Records = Records::new();
        let (records, record) = (&OF_THIS_TEST, OF_THIS_TEST.take());
        assert!(records.reading().is_empty());
        let pin = record.begin(records);
        let has_moved_on = |reader: &Reader| reader.has_moved_on();
        let readers = records.reading();
        assert_eq!(readers.iter().map(has_moved_on).collect::<Vec<_>>(), [false]);
        // One within another changes nothing.
        let within = record.begin(records);
        assert!(!record.begin_outermost(records) && !has_moved_on(&readers[0]));
        drop(within);
        assert!(record.is_reading() && !has_moved_on(&readers[0]));
        drop(pin);
        assert!(!record.is_reading() && has_moved_on(&readers[0]));
        let pin = record.begin(records);
        assert!(has_moved_on(&readers[0]), "it is another turn");
        assert_eq!(records.reading().iter().map(has_moved_on).collect::<Vec<_>>(), [false]);
        drop(pin);
    }

    #[test]
    fn who_reads_quickly_has_a_record_and_reads_once_at_a_time() {
        let ask = || {
            assert!(pin_quickly().is_none(), "the thread has no record yet");
            drop(pin().unwrap());
            let own = OWN.get().unwrap();
            let quick = pin_quickly();
            assert_eq!(quick.is_some(), barrier::reaches_all());
            assert_eq!(own.is_reading(), quick.is_some());
            assert!(quick.is_none() || pin_quickly().is_none(), "it is reading");
            drop(quick);
            assert!(!own.is_reading());
        };
        std::thread::spawn(ask).join().unwrap();
    }
}
