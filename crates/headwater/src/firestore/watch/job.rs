//! The work of a watch: being elected, listening, and passing on what is heard.

use super::aim::Aim;
use super::attached::Attached;
use super::debt::{Debt, Due};
use super::fleet::{Fleet, Notes};
use super::status::Board;
use crate::firestore::key::DocumentKey;
use crate::firestore::listen::Patience;
use crate::firestore::source::Inner;
use crate::presence::Lock;
use crate::{Cache, Error, ErrorKind, Result};
use futures_util::future::{Either, select};
use serde::de::DeserializeOwned;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Between two attempts to tell tiers that are in trouble: at first, and at most.
const TELL_AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What becomes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Invalidate,
    Fill,
}

/// See the module.
pub(super) struct Job<C> {
    pub(super) source: Arc<Inner>,
    pub(super) chain: Attached<C>,
    pub(super) aim: Aim,
    pub(super) mode: Mode,
    pub(super) patience: Patience,
    pub(super) board: Arc<Board>,
    pub(super) fleet: Option<Fleet>,
}

impl<C> Job<C>
where
    C: Cache<Key: DocumentKey, Value: DeserializeOwned>,
{
    /// Works until the chain is closed.
    pub(super) async fn run(&self) -> Error {
        let Some(fleet) = &self.fleet else { return self.term(None).await };
        loop {
            match fleet.elect().await {
                Ok(Some(lease)) => {
                    let over = self.lead(fleet, &lease).await;
                    drop(lease);
                    fleet.resign().await;
                    if let Some(closed) = over {
                        return closed;
                    }
                    // So that the others, who ask now and then, come first.
                    fleet.pause(&self.board.clock).await;
                }
                Ok(None) => self.follow(fleet).await,
                Err(error) => self.board.deaf(error),
            }
            fleet.pause(&self.board.clock).await;
        }
    }

    /// Puts in order what it leaves to the next one of a fleet, once it does not [`run`](Self::run) any
    /// more.
    pub(super) async fn resign(&self) {
        if let Some(fleet) = &self.fleet {
            fleet.resign().await;
        }
    }

    /// Somebody else listens.
    async fn follow(&self, fleet: &Fleet) {
        match fleet.has_live().await {
            Ok(true) => self.board.following(fleet.takeover() + self.patience.later),
            Ok(false) => {
                let message = "the fleet's listener is not live, or none has been elected yet";
                let error = Error::new(ErrorKind::Unavailable, message);
                self.board.deaf(self.source.named(error));
            }
            Err(error) => self.board.deaf(error),
        }
    }

    /// Listens for as long as the lease is held and that goes well; an error once the chain is closed.
    async fn lead(&self, fleet: &Fleet, lease: &Lock) -> Option<Error> {
        let term = pin!(async {
            // Not to know where to begin is not to know that there is no such place.
            match fleet.token().await {
                Ok(token) => Some(self.term(token).await),
                Err(error) => {
                    self.board.deaf(error);
                    None
                }
            }
        });
        let lost = pin!(async {
            lease.lost().await;
            let message = "the lease on listening was lost: another process takes over";
            let error = Error::new(ErrorKind::Unavailable, message);
            self.board.deaf(self.source.named(error));
        });
        // Another process may hear what this one does not, and reach what this one cannot.
        let deaf = pin!(self.board.is_down_for(fleet.takeover()));
        match select(term, select(lost, deaf)).await {
            Either::Left((over, _)) => over,
            Either::Right(_) => None,
        }
    }

    /// Listens, from a token on if there is one, and passes on, until the chain is closed.
    async fn term(&self, token: Option<Vec<u8>>) -> Error {
        let debt = Debt::new();
        let (listen, pay) = (pin!(self.hear(token, &debt)), pin!(self.pay(&debt)));
        match select(listen, pay).await {
            Either::Left((never, _)) => match never {},
            Either::Right((closed, _)) => closed,
        }
    }

    /// Passes on what is heard, and notes how far that has got.
    async fn pay(&self, debt: &Debt<C::Key, C::Value>) -> Error {
        let mut notes = self.fleet.as_ref().map(Notes::new);
        let mut failed = 0;
        loop {
            let due = match &notes {
                None => debt.take().await,
                Some(notes) => {
                    let beat = pin!(notes.beat(&self.board.clock));
                    match select(pin!(debt.take()), beat).await {
                        Either::Left((due, _)) => due,
                        Either::Right(_) => Due::nothing(),
                    }
                }
            };
            match self.pass_on(due, debt).await {
                Ok(token) => {
                    failed = 0;
                    if let Some(notes) = &mut notes {
                        notes.keep(token, &self.board).await;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Closed => return error,
                Err(error) => {
                    self.board.failed(error);
                    let (first, most) = TELL_AGAIN;
                    let longest = first.saturating_mul(1 << failed.min(16)).min(most);
                    self.board.clock.sleep(longest.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
                    failed += 1;
                }
            }
        }
    }

    /// A token with everything before it passed on, if there is one by now.
    async fn pass_on(
        &self,
        mut due: Due<C::Key, C::Value>,
        debt: &Debt<C::Key, C::Value>,
    ) -> Result<Option<Vec<u8>>> {
        if let Err(error) = self.chain.tell(&mut due).await {
            debt.put_back(due);
            return Err(error);
        }
        Ok(due.mark.map(|mark| {
            self.board.covered(mark.stream, mark.heard);
            mark.token
        }))
    }
}
