//! One listener for all processes: who it is, and where it had got to.

use super::status::{Board, WatchState};
use crate::presence::{BoxPresence, Lock, Locks, Presence, PresenceCache};
use crate::sync::Mutex;
use crate::{Clock, Moment, Result};
use std::sync::Arc;
use std::time::Duration;

/// How long a token is kept. The service itself forgets what it means long before.
const TOKEN_LIFE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Tokens are noted no more often than this: from an older one, more is told again.
const BETWEEN_TOKENS: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Fleet {
    locks: Locks,
    notes: BoxPresence<str, Vec<u8>>,
    /// What is watched.
    name: String,
    takeover: Duration,
    term: Mutex<Term>,
}

/// What is to be put in order when this process does not listen any more.
#[derive(Default)]
struct Term {
    lease: Option<Arc<Lock>>,
    /// A token that has not been noted yet.
    token: Option<Vec<u8>>,
}

impl Fleet {
    pub(super) fn new(
        locks: Locks,
        notes: BoxPresence<str, Vec<u8>>,
        name: String,
        takeover: Duration,
    ) -> Self {
        // What is left of the time is for those who wait to notice.
        let locks = locks.ttl(takeover * 3 / 4).renewed_for(Duration::MAX);
        Self { locks, notes, name, takeover, term: Mutex::default() }
    }

    /// How long it may take until somebody else listens.
    pub(super) fn takeover(&self) -> Duration {
        self.takeover
    }

    /// The lease, if nobody else has it; until a [`resign`](Self::resign).
    pub(super) async fn elect(&self) -> Result<Option<Arc<Lock>>> {
        let lease = self.locks.try_acquire(&self.name).await?.map(Arc::new);
        let term = Term { lease: lease.clone(), token: None };
        // Dropped outside of the lock.
        let before = std::mem::replace(&mut *self.term.lock(), term);
        drop(before);
        Ok(lease)
    }

    /// Gives back what an election gave, once nobody else has it in hand, and notes before that, as far
    /// as the store takes it, how far this process has got.
    pub(super) async fn resign(&self) {
        let Term { lease, token } = std::mem::take(&mut *self.term.lock());
        let Some(lease) = lease.and_then(Arc::into_inner) else { return };
        if let Some(token) = token.filter(|_| lease.is_held()) {
            // The next one goes on from an older one.
            let _ = self.save(&token).await;
        }
        // If it fails, it is tried again behind, or ends by itself.
        let _ = lease.release().await;
    }

    /// Between two attempts to be elected.
    pub(super) async fn pause(&self, clock: &Clock) {
        clock.sleep(self.takeover.mul_f64(0.1 + 0.1 * fastrand::f64())).await;
    }

    /// Where the last listener had got to, with everything before passed on.
    pub(super) async fn token(&self) -> Result<Option<Vec<u8>>> {
        self.notes.fetch(&self.name).await
    }

    async fn save(&self, token: &Vec<u8>) -> Result<()> {
        self.notes.set_for(&self.name, token, Some(TOKEN_LIFE)).await
    }

    /// Tells the others that the listener is live.
    async fn is_well(&self) -> Result<()> {
        self.notes.set_for(&self.pulse(), &Vec::new(), Some(self.takeover)).await
    }

    /// Whether there is a listener that was live within the time of a takeover.
    pub(super) async fn has_live(&self) -> Result<bool> {
        Ok(self.notes.fetch(&self.pulse()).await?.is_some())
    }

    fn pulse(&self) -> String {
        format!("{} live", self.name)
    }
}

/// What a listener notes for the others.
pub(super) struct Notes<'f> {
    fleet: &'f Fleet,
    saved: Option<Moment>,
    told: Option<Moment>,
}

impl<'f> Notes<'f> {
    pub(super) fn new(fleet: &'f Fleet) -> Self {
        Self { fleet, saved: None, told: None }
    }

    fn between(&self) -> Duration {
        self.fleet.takeover / 4
    }

    /// Until something may have to be noted again.
    pub(super) async fn beat(&self, clock: &Clock) {
        clock.sleep(self.between()).await;
    }

    /// Notes what is due, as far as the store takes it: later notes make up for those that it did not.
    pub(super) async fn keep(&mut self, token: Option<Vec<u8>>, board: &Board) {
        if token.is_some() {
            self.fleet.term.lock().token = token;
        }
        let now = board.clock.now();
        let is_due = |last: Option<Moment>, between| last.is_none_or(|last| now - last >= between);
        if board.state() == WatchState::Live && is_due(self.told, self.between()) {
            self.told = self.fleet.is_well().await.is_ok().then_some(now);
        }
        let unsaved = self.fleet.term.lock().token.clone();
        if let Some(token) = unsaved.filter(|_| is_due(self.saved, BETWEEN_TOKENS))
            && self.fleet.save(&token).await.is_ok()
        {
            self.saved = Some(now);
            self.fleet.term.lock().token = None;
        }
    }
}
