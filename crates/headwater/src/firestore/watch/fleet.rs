//! One listener for all processes: who it is, and where it had got to.

use super::status::{Board, WatchState};
use crate::presence::{BoxPresence, Lock, Locks, Presence, PresenceCache};
use crate::{Clock, Moment, Result};
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
        Self { locks, notes, name, takeover }
    }

    /// How long it may take until somebody else listens.
    pub(super) fn takeover(&self) -> Duration {
        self.takeover
    }

    /// The lease, if nobody else has it.
    pub(super) async fn elect(&self) -> Result<Option<Lock>> {
        self.locks.try_acquire(&self.name).await
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
    /// A token that has not been noted yet.
    token: Option<Vec<u8>>,
    saved: Option<Moment>,
    told: Option<Moment>,
}

impl<'f> Notes<'f> {
    pub(super) fn new(fleet: &'f Fleet) -> Self {
        Self { fleet, token: None, saved: None, told: None }
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
        self.token = token.or(self.token.take());
        let now = board.clock.now();
        let is_due = |last: Option<Moment>, between| last.is_none_or(|last| now - last >= between);
        if board.state() == WatchState::Live && is_due(self.told, self.between()) {
            self.told = self.fleet.is_well().await.is_ok().then_some(now);
        }
        if let Some(token) = self.token.take_if(|_| is_due(self.saved, BETWEEN_TOKENS)) {
            match self.fleet.save(&token).await {
                Ok(()) => self.saved = Some(now),
                Err(_) => self.token = Some(token),
            }
        }
    }
}
