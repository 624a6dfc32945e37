use super::pulse::Pulse;
use super::roster::Inner;
use super::store::Owned;
use super::{ConnectionId, Joined, RosterStore, Seat};
use crate::sync::{Arc, Mutex, Ordering};
use crate::{Error, ErrorKind, Moment, Result, runtime};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// A connection that this process holds in a [`Roster`](super::Roster), and that is kept alive until
/// it [leaves](Self::leave).
///
/// Dropped, it leaves too, in the background and without a word if that fails: it then expires.
#[must_use = "a connection leaves when it is dropped"]
pub struct Connection<S: RosterStore> {
    roster: Arc<Inner<S>>,
    held: Arc<Held<S>>,
    joined: Joined,
    /// How long it stays when it leaves.
    linger: Duration,
    /// Whether it has left, as far as this process can say.
    is_done: bool,
}

/// A connection that is leaving or lingers: a close does not wait for its time to come.
pub(super) struct Going<S: RosterStore> {
    pub(super) held: Arc<Held<S>>,
    /// When it is gone by itself, once that is known.
    until: Moment,
}

/// A connection of this process, as its heartbeats know it.
pub(super) struct Held<S: RosterStore> {
    pub(super) seat: Seat<Owned<S>>,
    value: Mutex<S::Value>,
    /// Held while the store is asked to change it, so that these requests do not overtake each other.
    turn: tokio::sync::Mutex<()>,
    has_left: AtomicBool,
}

impl<S: RosterStore> Held<S> {
    /// Joins again what the store does not know any more; whether it did.
    pub(super) async fn join_again(&self, roster: &Inner<S>) -> Result<bool> {
        let _turn = self.turn.lock().await;
        if self.has_left.load(Ordering::SeqCst) {
            return Ok(false);
        }
        self.join(roster).await.map(|_| true)
    }

    async fn join(&self, roster: &Inner<S>) -> Result<Joined> {
        let value = self.value.lock().clone();
        roster.store.join(&self.seat, &value, roster.settings.ttl).await
    }

    /// From here on a close has it leave too.
    fn goes(self: &Arc<Self>, roster: &Inner<S>, until: Moment) {
        let going = Going { held: Arc::clone(self), until };
        roster.going.lock().insert(self.seat.connection, going);
    }

    /// Leaves, at once if the roster is closed: nobody here sees to it any more that it goes later.
    pub(super) async fn leave(
        self: &Arc<Self>,
        roster: &Inner<S>,
        linger: Duration,
    ) -> Result<bool> {
        self.has_left.store(true, Ordering::SeqCst);
        if !roster.is_closed() {
            self.goes(roster, Moment::END);
        }
        let _turn = self.turn.lock().await;
        let linger = if roster.is_closed() { Duration::ZERO } else { linger };
        let left = roster.store.leave(&self.seat, linger).await;
        let now = roster.clock.now();
        match left {
            Ok(_) if linger.is_zero() => drop(roster.going.lock().remove(&self.seat.connection)),
            Ok(_) => self.goes(roster, now + linger),
            // It expires, unless a close comes first.
            Err(_) => self.goes(roster, now + roster.settings.ttl),
        }
        if left.is_ok() {
            roster.pulse.expect(&self.seat.topic, now + linger);
        }
        left
    }
}

impl<S: RosterStore> Inner<S> {
    /// Forgets those that have gone by themselves.
    pub(super) fn forget_gone(&self) {
        let now = self.clock.now();
        let mut gone = Vec::new();
        let mut going = self.going.lock();
        gone.extend(going.extract_if(|_, going| going.until <= now));
        drop(going);
        drop(gone);
    }
}

impl<S: RosterStore> Connection<S> {
    pub(super) async fn join(
        roster: &Arc<Inner<S>>,
        seat: Seat<Owned<S>>,
        value: S::Value,
    ) -> Result<Self> {
        Pulse::start(roster)?;
        let held = Arc::new(Held {
            seat,
            value: Mutex::new(value),
            turn: tokio::sync::Mutex::default(),
            has_left: AtomicBool::new(false),
        });
        // From here on it leaves when it is dropped, also if the join fails or is given up.
        let mut connection = Self {
            roster: Arc::clone(roster),
            held,
            joined: Joined { connections: 0 },
            linger: roster.settings.linger,
            is_done: false,
        };
        connection.joined = connection.held.join(roster).await?;
        roster.seats.lock().insert(connection.id(), Arc::clone(&connection.held));
        if roster.is_closed() {
            // The close may have come too early to see it.
            let _ = connection.held.leave(roster, Duration::ZERO).await;
            return Err(Error::new(ErrorKind::Closed, "the roster"));
        }
        let ttl = roster.settings.ttl;
        roster.pulse.expect(&connection.held.seat.topic, roster.clock.now() + ttl);
        Ok(connection)
    }

    /// What the join found.
    #[must_use]
    pub fn joined(&self) -> Joined {
        self.joined
    }

    /// Its name, unique among all processes.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.held.seat.connection
    }

    /// Replaces what it says about itself; if the store had lost it, it joins again.
    ///
    /// # Errors
    /// What the store answers, [`ErrorKind::Closed`] after a close.
    ///
    /// # Cancellation
    /// Dropped or failed, the value may have been replaced or not; if the connection ever has to
    /// join again, it does so with the new one.
    pub async fn update(&self, value: S::Value) -> Result<()> {
        let Self { roster, held, .. } = self;
        let _turn = held.turn.lock().await;
        if held.has_left.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Closed, "the roster"));
        }
        drop(std::mem::replace(&mut *held.value.lock(), value.clone()));
        if !roster.store.update(&held.seat, &value).await? {
            held.join(roster).await?;
        }
        Ok(())
    }

    /// Leaves, or lingers if the roster is built so. False if the store did not know it any more.
    ///
    /// # Errors
    /// What the store answers; the connection then expires.
    ///
    /// # Cancellation
    /// Dropped, it leaves in the background.
    pub async fn leave(mut self) -> Result<bool> {
        let left = self.held.leave(&self.roster, self.linger).await;
        self.is_done = true;
        left
    }

    /// Leaves at once, also where the roster is built so that who leaves lingers: for who will not
    /// come back, as when this process ends. Others are told at once. False if the store did not know
    /// it any more.
    ///
    /// # Errors
    /// As [`leave`](Self::leave).
    ///
    /// # Cancellation
    /// Dropped, it leaves in the background, and does not linger.
    ///
    /// ```
    /// use headwater::presence::{MemoryRoster, Roster};
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let store = MemoryRoster::<str, String>::new();
    /// let roster = Roster::builder(store).linger(Duration::from_secs(60)).build()?;
    /// let phone = roster.join("room 1", "ada", "phone".to_owned()).await?;
    /// phone.leave_now().await?;
    /// assert!(roster.get("room 1", "ada").await?.is_empty());
    /// # roster.close().await
    /// # }).unwrap();
    /// ```
    pub async fn leave_now(mut self) -> Result<bool> {
        self.linger = Duration::ZERO;
        self.leave().await
    }
}

impl<S: RosterStore> Drop for Connection<S> {
    fn drop(&mut self) {
        let is_over = self.is_done || self.roster.is_closed();
        if !is_over {
            self.held.has_left.store(true, Ordering::SeqCst);
            // A close finds it here or there.
            self.held.goes(&self.roster, Moment::END);
        }
        self.roster.seats.lock().remove(&self.id());
        if is_over {
            return;
        }
        let (roster, held, linger) =
            (Arc::clone(&self.roster), Arc::clone(&self.held), self.linger);
        let leave = async move { drop(held.leave(&roster, linger).await) };
        if runtime::spawn(leave).is_err() {
            // Outside of a runtime it expires, unless a close comes first.
            let end = self.roster.clock.now() + self.roster.settings.ttl;
            self.held.goes(&self.roster, end);
        }
    }
}

impl<S: RosterStore> fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("id", &self.id()).finish_non_exhaustive()
    }
}
