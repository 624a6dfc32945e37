//! How often this process changed keys, so that a load can tell whether it was overtaken.

use crate::Hashed;
use crate::sync::{AtomicU64, Ordering};

/// Keys share counters; a load that is taken for overtaken is only not stored.
const STRIPES: usize = 256;

/// A counter for each stripe of keys.
///
/// Fills of a shared tier go by these and not by the flight's registration: news of others end
/// registrations too, so that nobody joins, but whether the *store* may be filled is for the lease to
/// decide. News of a key's expiry, say, come at the very beginning of the load that replaces it.
#[derive(Debug)]
pub(super) struct Epochs(Box<[AtomicU64]>);

impl Epochs {
    pub(super) fn new() -> Self {
        Self((0..STRIPES).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn of<K>(&self, key: &Hashed<K>) -> u64 {
        self.stripe(key).load(Ordering::SeqCst)
    }

    pub(super) fn advance<K>(&self, key: &Hashed<K>) {
        self.stripe(key).fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn advance_all(&self) {
        for stripe in &self.0 {
            stripe.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn stripe<K>(&self, key: &Hashed<K>) -> &AtomicU64 {
        &self.0[key.hash() as usize % STRIPES]
    }
}
