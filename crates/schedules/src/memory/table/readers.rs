//! The records of the explored threads: as the library's, which are the process's.

use super::records::{Pin, Reader, Record, Records};
use std::cell::Cell;

shuttle::lazy_static! {
    static ref RECORDS: Records = Records::new();
}

shuttle::thread_local! {
    static OWN: Lease = Lease(Cell::new(None));
}

struct Lease(Cell<Option<&'static Record>>);

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(record) = self.0.get() {
            RECORDS.give_back(record);
        }
    }
}

pub(in crate::memory) fn pin() -> Option<Pin> {
    let own = OWN.with(|own| {
        let record = own.0.get().unwrap_or_else(|| RECORDS.take());
        own.0.set(Some(record));
        record
    });
    Some(own.begin(&RECORDS))
}

pub(super) fn nobody_reads() -> bool {
    let own = OWN.with(|own| own.0.get());
    RECORDS.taken() <= usize::from(own.is_some()) && own.is_none_or(|own| !own.is_reading())
}

pub(super) fn now_reading() -> Option<Vec<Reader>> {
    Some(RECORDS.reading())
}
