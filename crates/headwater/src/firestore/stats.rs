use crate::observe::Counter;

/// What a [`FirestoreSource`](super::FirestoreSource) has counted so far, beside what the chain
/// counts of any source. Counters only grow.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirestoreStats {
    /// Calls of `BatchGetDocuments`, each with its retries: one for a key, one per 100 keys.
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
    /// Documents that the server answered, the missing ones too: each is billed as one read.
    pub reads: u64,
    /// Of the reads, documents that do not exist.
    pub missing: u64,
    /// Of the reads, documents that do not fit the value's type.
    pub undecodable: u64,
    /// Keys that make no document id.
    pub bad_keys: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) calls: Counter,
    pub(super) retries: Counter,
    pub(super) timeouts: Counter,
    pub(super) failures: Counter,
    pub(super) retries_refused: Counter,
    pub(super) reads: Counter,
    pub(super) missing: Counter,
    pub(super) undecodable: Counter,
    pub(super) bad_keys: Counter,
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
            missing: self.missing.get(),
            undecodable: self.undecodable.get(),
            bad_keys: self.bad_keys.get(),
        }
    }
}
