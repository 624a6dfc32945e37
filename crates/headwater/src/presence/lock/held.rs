//! A lock in the hands of its owner: until when it may be relied on, its renewal and its end.

use super::{LockStore, reliable_until};
use crate::{Clock, Moment, Result, runtime};
use futures_util::future::select;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Between two attempts to give a lock back, or to renew one that the store did not answer for, in
/// parts of its life.
const TRIES: u32 = 10;

/// What an owner asked for, and from whom.
#[derive(Clone)]
pub(super) struct Claim {
    pub(super) store: Arc<dyn LockStore>,
    pub(super) clock: Clock,
    pub(super) name: Arc<str>,
    pub(super) owner: u128,
    pub(super) ttl: Duration,
}

impl Claim {
    /// Gives back what may have been taken: a server that hung may go on any time. For as long as it
    /// could last.
    async fn give_back(self) {
        let end = self.clock.now() + self.ttl;
        while self.store.release(&self.name, self.owner).await.is_err_and(|e| e.is_retryable())
            && self.clock.now() < end
        {
            self.clock.sleep(self.ttl / TRIES).await;
        }
    }
}

/// A claim of which nobody knows how it stands; given back unless that settles.
pub(super) struct Asked(Option<Claim>);

impl Asked {
    pub(super) fn new(claim: Claim) -> Self {
        Self(Some(claim))
    }

    pub(super) fn settled(mut self) {
        self.0 = None;
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(claim) = self.0.take() {
            // Outside of a runtime it is left to end by itself.
            let _ = runtime::spawn(claim.give_back());
        }
    }
}

/// Until when a lock may be relied on.
#[derive(Clone, Copy)]
struct Until {
    moment: Moment,
    /// The same by the wall clock, which goes on while the machine sleeps; a monotonic one may not.
    wall: SystemTime,
}

impl Until {
    fn new(clock: &Clock, asked: Moment, ttl: Duration) -> Self {
        let moment = reliable_until(asked, ttl);
        Self { moment, wall: SystemTime::now() + (moment - clock.now()) }
    }

    fn is_over(self, clock: &Clock) -> bool {
        clock.now() >= self.moment || SystemTime::now() > self.wall
    }
}

/// A lock that was taken; made by [`Locks`](super::Locks).
///
/// When dropped, it is released behind the caller, as well as that goes: tell it to
/// [`release`](Self::release) to know.
#[must_use = "a lock is released when it is dropped"]
pub struct Lock {
    /// `None` once it was released.
    unsure: Option<Asked>,
    claim: Claim,
    fence: u64,
    /// `None` when it is known to be lost.
    until: watch::Receiver<Option<Until>>,
    /// Without renewal it has no sender elsewhere.
    _known: Arc<watch::Sender<Option<Until>>>,
    renewal: Option<AbortHandle>,
}

impl Lock {
    /// The lock that was asked for at `asked`; `None` if it is over already.
    pub(super) fn begin(
        unsure: Asked,
        asked: Moment,
        fence: u64,
        longest: Option<Duration>,
    ) -> Option<Self> {
        let claim = unsure.0.clone()?;
        let until = Until::new(&claim.clock, asked, claim.ttl);
        if until.is_over(&claim.clock) {
            return None;
        }
        let (known, until) = watch::channel(Some(until));
        let known = Arc::new(known);
        let renewal = longest.and_then(|longest| {
            let renew = renew(claim.clone(), Arc::clone(&known), asked + longest);
            runtime::spawn(renew).ok().map(|task| task.abort_handle())
        });
        Some(Self { unsure: Some(unsure), claim, fence, until, _known: known, renewal })
    }

    /// The fencing token: larger than that of each earlier owner of this name. Hand it to whatever is
    /// written to, and have that refuse tokens smaller than it has seen.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// Whether the lock may be relied on now. It may be over the moment after.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.until.borrow().is_some_and(|until| !until.is_over(&self.claim.clock))
    }

    /// How long the lock may be relied on as things stand; zero if it is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        let until = *self.until.borrow();
        until.map_or(Duration::ZERO, |until| until.moment - self.claim.clock.now())
    }

    /// Ends when the lock may no longer be relied on: its time is over, its renewal ended, or the
    /// store says that it is somebody else's. Needs a runtime with time.
    ///
    /// # Cancellation
    /// Dropping it leaves nothing behind.
    pub async fn lost(&self) {
        let mut changes = self.until.clone();
        loop {
            let Some(until) = *changes.borrow_and_update() else { return };
            if until.is_over(&self.claim.clock) {
                return;
            }
            let over = self.claim.clock.sleep(until.moment - self.claim.clock.now());
            select(pin!(over), pin!(changes.changed())).await;
        }
    }

    /// Releases the lock; whether it was still held, as far as the store knows.
    ///
    /// # Errors
    /// By what the store meets. It is then tried again behind the caller until the lock is over.
    ///
    /// # Cancellation
    /// As when it is dropped.
    pub async fn release(mut self) -> Result<bool> {
        self.end_renewal();
        let was_held = self.claim.store.release(&self.claim.name, self.claim.owner).await?;
        if let Some(unsure) = self.unsure.take() {
            unsure.settled();
        }
        Ok(was_held)
    }

    fn end_renewal(&mut self) {
        if let Some(renewal) = self.renewal.take() {
            renewal.abort();
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.end_renewal();
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Lock");
        debug.field("fence", &self.fence).field("remaining", &self.remaining());
        debug.finish_non_exhaustive()
    }
}

/// Extends a lock every third of its life, never beyond `end`.
async fn renew(claim: Claim, known: Arc<watch::Sender<Option<Until>>>, end: Moment) {
    let mut pause = claim.ttl / 3;
    loop {
        claim.clock.sleep(pause).await;
        let Some(until) = *known.borrow() else { return };
        let asked = claim.clock.now();
        let ttl = claim.ttl.min(end - asked);
        // Over, or as long as it may get.
        if until.is_over(&claim.clock) || reliable_until(asked, ttl) <= until.moment {
            return;
        }
        pause = match claim.store.extend(&claim.name, claim.owner, ttl).await {
            Ok(true) => {
                known.send_replace(Some(Until::new(&claim.clock, asked, ttl)));
                claim.ttl / 3
            }
            Ok(false) => {
                known.send_replace(None);
                return;
            }
            Err(_) => claim.ttl / TRIES,
        };
    }
}
