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

#[cfg(test)]
mod tests {
    use super::*;
    use shuttle::sync::Arc;
    use shuttle::sync::mpsc::channel;
    use shuttle::thread;

    #[test]
    fn who_begins_when_all_that_read_are_known_is_none_of_them() {
        super::super::super::explore(
            || {
                let records = Arc::new(Records::new());
                let ((known, is_known), (began, has_begun)) = (channel(), channel());
                let (seen, is_seen) = channel();
                let reader = {
                    let records = Arc::clone(&records);
                    thread::spawn(move || {
                        let record = records.take();
                        drop(record.begin(&records));
                        is_known.recv().unwrap();
                        let again = record.begin(&records);
                        began.send(()).unwrap();
                        is_seen.recv().unwrap();
                        drop(again);
                    })
                };
                let readers = records.reading();
                known.send(()).unwrap();
                has_begun.recv().unwrap();
                assert!(readers.iter().all(Reader::has_moved_on));
                seen.send(()).unwrap();
                reader.join().unwrap();
            },
            3_000,
        );
    }
}
