//! The records of this process's threads.

use super::barrier;
use super::records::{Pin, Reader, Record, Records};
use std::cell::Cell;
use std::sync::atomic::{Ordering, fence};

static RECORDS: Records = Records::new();

thread_local! {
    /// This thread's record, for quick reach.
    static OWN: Cell<Option<&'static Record>> = const { Cell::new(None) };
    /// The same, given back when the thread ends.
    static LEASE: Cell<Lease> = const { Cell::new(Lease(None)) };
}

thread_local! {
    /// This thread's record, where nothing but a store is needed to say that it reads.
    static QUICK: Cell<Option<&'static Record>> = const { Cell::new(None) };
}

struct Lease(Option<&'static Record>);

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(record) = self.0 {
            OWN.set(None);
            QUICK.set(None);
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
    let pin = record.begin();
    barrier::light();
    Some(pin)
}

/// The same, if that is done at once; who gets none has to [`pin`].
#[inline(always)]
pub(in crate::memory) fn pin_quickly() -> Option<Pin> {
    let pin = QUICK.get()?.begin_outermost()?;
    barrier::light_if_heavy_reaches_all();
    Some(pin)
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
        QUICK.set(barrier::reaches_all().then_some(record));
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
