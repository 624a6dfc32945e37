use super::connection::{Connection, Going, Held};
use super::pulse::Pulse;
use super::store::{Members, Owned};
use super::{Bell, ConnectionId, Counts, Cursor, Page, RosterStore, Seat};
use crate::presence::watch::{Topics, Watch};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};
use crate::{Clock, Error, ErrorKind, Result};
use futures_util::stream::{self, StreamExt};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The most members on a page.
const PAGE: usize = 1_000;
/// Leaves under way at once when a roster is closed.
const LEAVES: usize = 1_024;

/// Who is there: topics, keys, and the connections of each key, in a store that processes share.
///
/// A key (a user, say) is there for as long as one of its connections is (P3). A connection is there
/// from its [`join`](Self::join) until it leaves, or until a TTL after its last heartbeat: the
/// roster sends the heartbeats of all of its connections itself, in batches, and has them join again
/// if the store has lost them. Readers never see what has expired (P2). [`watch`](Self::watch) tells
/// what changes (P4).
///
/// Clones share everything. It needs a tokio runtime with time.
///
/// ```
/// use headwater::presence::{MemoryRoster, Roster};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let roster = Roster::new(MemoryRoster::<str, String>::new());
/// let phone = roster.join("room 1", "ada", "phone".to_owned()).await?;
/// let laptop = roster.join("room 1", "ada", "laptop".to_owned()).await?;
/// assert!(phone.joined().is_first());
///
/// let counts = roster.count("room 1").await?;
/// assert_eq!((counts.keys, counts.connections), (1, 2));
///
/// phone.leave().await?;
/// assert_eq!(roster.get("room 1", "ada").await?.len(), 1);
/// # drop(laptop);
/// # roster.close().await
/// # }).unwrap();
/// ```
pub struct Roster<S: RosterStore>(pub(super) Arc<Inner<S>>);

/// How a [`Roster`] works.
///
/// ```
/// use headwater::presence::{MemoryRoster, Roster};
/// use std::time::Duration;
///
/// let roster = Roster::builder(MemoryRoster::<str, String>::new())
///     .ttl(Duration::from_secs(30))
///     .linger(Duration::from_secs(5))
///     .build()?;
/// # Ok::<(), headwater::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct RosterBuilder<S> {
    store: S,
    settings: Settings,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) ttl: Duration,
    pub(crate) linger: Duration,
    pub(crate) buffer: usize,
    pub(crate) close_within: Duration,
}

pub(crate) struct Inner<S: RosterStore> {
    pub(crate) store: S,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(super) seats: Mutex<HashMap<ConnectionId, Arc<Held<S>>>>,
    pub(super) going: Mutex<HashMap<ConnectionId, Going<S>>>,
    pub(super) pulse: Pulse,
    pub(crate) topics: Topics<S>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) is_closed: AtomicBool,
    pub(super) counts: Counters,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) heartbeats: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) rejoins: AtomicU64,
}

/// What a [`Roster`] of this process has counted.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RosterStats {
    /// Connections that it holds now.
    pub connections: u64,
    /// Heartbeats that the store confirmed.
    pub heartbeats: u64,
    /// Heartbeats that failed; they are sent again after a twelfth of the TTL.
    pub failures: u64,
    /// Connections that the store had lost, or let expire, and that joined again.
    pub rejoins: u64,
}

impl<S: RosterStore> RosterBuilder<S> {
    /// How long a connection stays after its last heartbeat; heartbeats are sent every third of it.
    /// Give all processes the same. Default: 60 s.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.ttl = ttl;
        self
    }

    /// How long a connection stays when it leaves or is dropped, so that one that comes back at once
    /// (a page that is loaded again) does not make its key go and come; not if it
    /// [leaves for good](Connection::leave_now), or the roster is closed. Default: zero.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.settings.linger = linger;
        self
    }

    /// Events that wait for a slow watcher; beyond, it gets a snapshot instead. Default: 1,024.
    pub fn watch_buffer(mut self, events: usize) -> Self {
        self.settings.buffer = events;
        self
    }

    /// How long [`close`](Roster::close) may take. Default: 5 s.
    pub fn close_within(mut self, limit: Duration) -> Self {
        self.settings.close_within = limit;
        self
    }

    /// The roster. Nothing is sent before it is used.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if the TTL is shorter than 30 ms or longer than 30 days, or the
    /// buffer is empty.
    pub fn build(self) -> Result<Roster<S>> {
        let Settings { ttl, buffer, .. } = self.settings;
        let fault =
            if !(Duration::from_millis(30)..=Duration::from_secs(30 * 86_400)).contains(&ttl) {
                "ttl must be from 30 ms to 30 days"
            } else if buffer == 0 {
                "watch_buffer must hold at least one event"
            } else {
                return Ok(self.made());
            };
        Err(Error::new(ErrorKind::InvalidConfig, fault))
    }

    fn made(self) -> Roster<S> {
        let bell = Arc::new(Bell::default());
        self.store.listen(&bell);
        let clock = self.store.clock();
        Roster(Arc::new(Inner {
            store: self.store,
            settings: self.settings,
            clock,
            seats: Mutex::default(),
            going: Mutex::default(),
            pulse: Pulse::default(),
            topics: Topics::default(),
            bell,
            is_closed: AtomicBool::new(false),
            counts: Counters::default(),
        }))
    }
}

impl<S: RosterStore> Roster<S> {
    /// A roster with default settings.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self::builder(store).made()
    }

    /// A roster with settings of yours.
    pub fn builder(store: S) -> RosterBuilder<S> {
        let settings = Settings {
            ttl: Duration::from_secs(60),
            linger: Duration::ZERO,
            buffer: 1_024,
            close_within: Duration::from_secs(5),
        };
        RosterBuilder { store, settings }
    }

    /// Adds a connection of `key` to a topic, and keeps it there for as long as what it returns is
    /// neither dropped nor told to leave.
    ///
    /// # Errors
    /// What the store answers, [`ErrorKind::Closed`] after a close, [`ErrorKind::Unexpected`]
    /// outside of a tokio runtime.
    ///
    /// # Cancellation
    /// If it is dropped or fails after it was sent, the connection is made to leave again; if that
    /// fails too it is gone after the TTL.
    pub async fn join(&self, topic: &str, key: &S::Key, value: S::Value) -> Result<Connection<S>> {
        self.0.check_open()?;
        let connection = ConnectionId::random();
        let seat = Seat { topic: Arc::from(topic), key: key.to_owned(), connection };
        Connection::join(&self.0, seat, value).await
    }

    /// The live connections of a key; none if it is not there.
    ///
    /// # Errors
    /// What the store answers, and [`ErrorKind::Closed`] after a close.
    ///
    /// # Cancellation
    /// Dropping it leaves nothing behind.
    pub async fn get(&self, topic: &str, key: &S::Key) -> Result<Members<S>> {
        self.get_many(topic, &[key]).await.pop().unwrap_or_else(|| Ok(Vec::new()))
    }

    /// The live connections of many keys: one outcome each, in order (R8).
    ///
    /// # Cancellation
    /// Dropping it leaves nothing behind.
    pub async fn get_many(&self, topic: &str, keys: &[&S::Key]) -> Vec<Result<Members<S>>> {
        if keys.is_empty() {
            return Vec::new();
        }
        match self.0.check_open() {
            Ok(()) => self.0.store.get_many(topic, keys).await,
            Err(error) => keys.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// How many keys and connections are there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// # Cancellation
    /// Dropping it leaves nothing behind.
    pub async fn count(&self, topic: &str) -> Result<Counts> {
        self.0.check_open()?;
        self.0.store.count(topic).await
    }

    /// A page of the connections of a topic, of at most `limit` (1 to 1,000, and taken as the
    /// nearest of these) from where a page before it ended. Who stays from the first page to the last
    /// is listed exactly once, whoever comes and goes meanwhile.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`ErrorKind::Codec`] if the cursor is no cursor of this store.
    ///
    /// # Cancellation
    /// Dropping it leaves nothing behind.
    pub async fn list(
        &self,
        topic: &str,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<Owned<S>, S::Value>> {
        self.0.check_open()?;
        self.0.store.list(topic, after, limit.clamp(1, PAGE)).await
    }

    /// Watches a topic: a snapshot of who is there, and then what changes.
    ///
    /// Dropping the stream ends it. What all watchers of a topic share is a copy of its connections
    /// in this process.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] after a close, [`ErrorKind::Unexpected`] outside of a tokio runtime.
    pub fn watch(&self, topic: &str) -> Result<Watch<S>> {
        self.0.check_open()?;
        let watch = Watch::begin(&self.0, topic)?;
        self.0.pulse.expect(&watch.topic(), self.0.clock.now());
        Pulse::start(&self.0)?;
        Ok(watch)
    }

    /// What it has counted so far.
    #[must_use]
    pub fn stats(&self) -> RosterStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { heartbeats, failures, rejoins } = &self.0.counts;
        RosterStats {
            connections: self.0.seats.lock().len() as u64,
            heartbeats: get(heartbeats),
            failures: get(failures),
            rejoins: get(rejoins),
        }
    }

    /// Has all connections of this roster leave, without lingering, those too that linger already or are
    /// leaving in the background: others are told at once. And ends its heartbeats, its streams and its
    /// store, within [`close_within`](RosterBuilder::close_within). Idempotent.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] if not all left in time: the others expire.
    ///
    /// # Cancellation
    /// The roster is closed as soon as this was polled; connections that have not left yet expire.
    pub async fn close(&self) -> Result<()> {
        let inner = &self.0;
        if inner.is_closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        inner.pulse.wake();
        inner.topics.close();
        inner.bell.wake();
        let mut held = std::mem::take(&mut *inner.seats.lock());
        let going = std::mem::take(&mut *inner.going.lock());
        held.extend(going.into_iter().map(|(connection, going)| (connection, going.held)));
        let leaves = stream::iter(held.into_values())
            .map(async |held| held.leave(inner, Duration::ZERO).await.is_err());
        let leaves = leaves.buffer_unordered(LEAVES).filter(|failed| std::future::ready(*failed));
        let failed = tokio::time::timeout(inner.settings.close_within, leaves.count()).await;
        inner.store.close().await?;
        match failed {
            Ok(0) => Ok(()),
            Ok(count) => {
                let message = format!("{count} connections could not leave, and expire");
                Err(Error::new(ErrorKind::Unavailable, message))
            }
            Err(_) => {
                let message = "not all connections left in time; the others expire";
                Err(Error::new(ErrorKind::Timeout, message))
            }
        }
    }
}

impl<S: RosterStore> Inner<S> {
    fn check_open(&self) -> Result<()> {
        if self.is_closed() { Err(Error::new(ErrorKind::Closed, "the roster")) } else { Ok(()) }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }
}

impl<S: RosterStore> Clone for Roster<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: RosterStore> fmt::Debug for Roster<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roster").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
