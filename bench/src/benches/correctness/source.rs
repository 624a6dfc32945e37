//! The source of most cases: one number, and a gate.

use crate::contenders::{Fault, Outcome, Source};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::Arc;
use tokio::sync::{Notify, Semaphore};

/// The key that most cases are about.
pub(super) const KEY: &str = "the key";
/// What the source has when a case begins.
pub(super) const OLD: u64 = 1;
/// What it has later.
pub(super) const NEW: u64 = 2;

/// A source whose loads read its number first, and then wait at a gate until it is opened.
pub(super) struct Gated {
    number: AtomicU64,
    loads: AtomicU64,
    failing: AtomicBool,
    begun: Notify,
    gate: Semaphore,
}

impl Gated {
    /// A source that has [`OLD`], with its gate closed.
    pub(super) fn closed() -> Arc<Self> {
        Arc::new(Self {
            number: AtomicU64::new(OLD),
            loads: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            begun: Notify::new(),
            gate: Semaphore::new(0),
        })
    }

    /// From now on, loads read `number`.
    pub(super) fn set(&self, number: u64) {
        self.number.store(number, SeqCst);
    }

    /// From now on, loads fail once they are let through.
    pub(super) fn fail(&self) {
        self.failing.store(true, SeqCst);
    }

    /// Waits until a load has read the number.
    pub(super) async fn begun(&self) {
        self.begun.notified().await;
    }

    /// Lets through whoever waits and whoever comes.
    pub(super) fn open(&self) {
        self.gate.close();
    }

    /// How many loads have begun.
    pub(super) fn loads(&self) -> u64 {
        self.loads.load(SeqCst)
    }

    /// How many loads have begun beyond those that were needed.
    pub(super) fn loads_beyond(&self, needed: u64) -> u64 {
        self.loads().saturating_sub(needed)
    }
}

impl Source<u64> for Gated {
    async fn load(&self, _: &str) -> Outcome<u64> {
        let number = self.number.load(SeqCst);
        self.loads.fetch_add(1, SeqCst);
        self.begun.notify_one();
        // A closed semaphore is an open gate: it refuses, and that lets everybody go on.
        let _ = self.gate.acquire().await;
        if self.failing.load(SeqCst) { Err(Fault::Source) } else { Ok(Some(number)) }
    }
}
