//! How much of what outlives its caller is under way: for bounds, and for `close` to wait.

use crate::Clock;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::Notify;

/// How much of something is under way, and when it is none.
#[derive(Debug, Default)]
pub(super) struct Activity {
    count: AtomicUsize,
    /// Somebody waits, or has waited, until nothing is under way.
    awaited: AtomicBool,
    ended: AtomicBool,
    quiet: Notify,
    over: Notify,
}

impl Activity {
    /// Notes so many things under way until the result is dropped.
    pub(super) fn begin(self: &Arc<Self>, things: usize) -> Active {
        self.add(things);
        Active(Arc::clone(self), things)
    }

    /// Notes so many things under way until they are [taken back](Self::take_back).
    pub(super) fn add(&self, things: usize) {
        self.count.fetch_add(things, SeqCst);
    }

    pub(super) fn take_back(&self, things: usize) {
        // In one order for all: either this sees that somebody waits, or who waits sees the count.
        if self.count.fetch_sub(things, SeqCst) == things && self.awaited.load(SeqCst) {
            self.quiet.notify_waiters();
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(SeqCst)
    }

    /// Whether what has not begun its last step yet should give up.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(SeqCst)
    }

    /// Waits until nothing is under way, but for no longer than `limit`. Returns how many things
    /// still were, which are told to give up.
    pub(super) async fn end(&self, clock: &Clock, limit: Duration) -> usize {
        self.awaited.store(true, SeqCst);
        let quiet = pin!(async {
            loop {
                let quiet = self.quiet.notified();
                if self.count() == 0 {
                    return;
                }
                quiet.await;
            }
        });
        let left = match select(quiet, pin!(clock.sleep(limit))).await {
            Either::Left(_) => 0,
            Either::Right(_) => self.count(),
        };
        self.ended.store(true, SeqCst);
        self.over.notify_waiters();
        left
    }

    /// Waits for the end.
    pub(super) async fn over(&self) {
        loop {
            let over = self.over.notified();
            if self.has_ended() {
                return;
            }
            over.await;
        }
    }
}

/// Things under way.
#[derive(Debug)]
pub(super) struct Active(Arc<Activity>, usize);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.take_back(self.1);
    }
}
