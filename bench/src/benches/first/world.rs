//! Keys, values and the source of this bench.

use crate::contenders::{Outcome, Source};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::runtime::{Builder, Runtime};

/// What is cached.
pub(super) type Record = Arc<[u8; 200]>;

/// One more of them.
pub(super) fn record() -> Record {
    Arc::new([7; 200])
}

/// A source that answers at once, and counts.
#[derive(Default)]
pub(super) struct Ready {
    loads: AtomicU64,
}

impl Ready {
    pub(super) fn loads(&self) -> u64 {
        self.loads.load(Relaxed)
    }
}

impl Source<Record> for Ready {
    async fn load(&self, _: &str) -> Outcome<Record> {
        self.loads.fetch_add(1, Relaxed);
        Ok(Some(record()))
    }
}

/// The key with this number: 23 to 36 bytes, as names, paths and ids tend to be.
pub(super) fn key(number: usize) -> String {
    let filler = &"-a-key-as-long"[..number % 14];
    format!("customer/{number:08}/plan{filler}x")
}

/// Runs the calls of one thread.
pub(super) fn one_thread() -> Runtime {
    Builder::new_current_thread().build().expect("the system gives a runtime")
}

/// Nanoseconds per operation.
pub(super) fn per_operation(elapsed: std::time::Duration, operations: usize) -> f64 {
    elapsed.as_nanos() as f64 / operations as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_stated_lengths() {
        let lengths: Vec<usize> = (0..100).map(|number| key(number).len()).collect();
        assert_eq!((lengths.iter().min(), lengths.iter().max()), (Some(&23), Some(&36)));
    }
}
