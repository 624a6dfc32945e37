use crate::observe::Counter;

/// What a [`FirestoreSource`](super::FirestoreSource) or a [`FirestoreStore`](super::FirestoreStore)
/// has counted so far, beside what a chain counts of any source. Counters only grow.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirestoreStats {
    /// Calls, each with its retries. A source's are of `BatchGetDocuments`: one for a key, one per
    /// 100 keys.
    pub calls: u64,
    /// Attempts beyond a call's first.
    pub retries: u64,
    /// Calls that failed in the end, for some of their documents at least, and had no answer in
    /// time.
    pub timeouts: u64,
    /// Calls that failed in the end, for some of their documents at least, in another way.
    pub failures: u64,
    /// Retries that were not made, because there were too many of them.
    pub retries_refused: u64,
    /// Documents that the server answered, the missing ones too: each is billed as one read, as is a
    /// query that finds none.
    pub reads: u64,
    /// Documents that were written: each is billed as one write. A source writes none.
    pub writes: u64,
    /// Documents that were deleted: each is billed as one delete. A source deletes none.
    pub deletes: u64,
    /// Of the reads, documents that do not exist.
    pub missing: u64,
    /// Of the reads, documents that do not fit the value's type.
    pub undecodable: u64,
    /// Keys that make no document id.
    pub bad_keys: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) calls: Counter,
    pub(crate) retries: Counter,
    pub(crate) timeouts: Counter,
    pub(crate) failures: Counter,
    pub(crate) retries_refused: Counter,
    pub(crate) reads: Counter,
    pub(crate) writes: Counter,
    pub(crate) deletes: Counter,
    pub(crate) missing: Counter,
    pub(crate) undecodable: Counter,
    pub(crate) bad_keys: Counter,
}

impl Counters {
    pub(super) fn snapshot(&self) -> FirestoreStats {
        FirestoreStats {
            calls: self.calls.get(),
            retries: self.retries.get(),
            timeouts: self.timeouts.get(),
            failures: self.failures.get(),
            retries_refused: self.retries_refused.get(),
            reads: self.reads.get(),
            writes: self.writes.get(),
            deletes: self.deletes.get(),
            missing: self.missing.get(),
            undecodable: self.undecodable.get(),
            bad_keys: self.bad_keys.get(),
        }
    }
}
