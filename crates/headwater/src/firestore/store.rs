//! [`FirestoreStore`]: what presence, locks, sessions and rosters share of a Firestore database. They
//! have no source to fall back on, so here the server's trouble is the caller's error.

use super::budget::RetryBudget;
use super::call::Caller;
use super::error::is_emulated;
use super::key::Collection;
use super::life;
use super::read::{Known, Reader};
use super::stats::{Counters, FirestoreStats};
use super::time::{ServerTime, Stamp};
use crate::{Clock, Error, ErrorKind, Moment, Result};
use ::firestore::FirestoreDb;
use ::firestore::gcloud_sdk::google::firestore::v1::batch_get_documents_response::Result as Answer;
use ::firestore::gcloud_sdk::google::firestore::v1::{BatchGetDocumentsResponse, Document};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Calls under way at once: the others wait here, where no time limit runs yet. A connection of
/// Google's has room for a hundred.
const UNDER_WAY: usize = 64;
/// Documents in a call, and calls at once of one read.
const BATCH: usize = 100;
const LANES: usize = 4;

/// A Firestore database, for presence, locks, sessions and rosters. Clones share its settings and
/// counters. The client stays the caller's; so do the collections, of which each kind of thing needs
/// one of its own.
///
/// # Lives
/// What is kept here has a life, and no reader returns it after that: the life of a document begins
/// when it was changed last, by the server's clock, and lasts for as many milliseconds as its field
/// `expires_after_ms` says. What a reader compares is the server's time of the change with the
/// server's time of the read, so no client's clock matters. Firestore itself drops nothing: let a TTL
/// policy on the field `expires_at` collect what is dead (typically within a day), for the collections
/// of presence, locks and sessions; no promise depends on it. That field is as exact as a call is
/// fast.
///
/// # Cost
/// Reads, writes and deletes are billed and counted: see [`stats`](Self::stats).
///
/// ```no_run
/// use headwater::firestore::{self, FirestoreStore};
/// use headwater::presence::FirestorePresence;
///
/// # async fn example() -> headwater::Result<()> {
/// let store = FirestoreStore::new(firestore::connect("my-project").await?);
/// let online = FirestorePresence::<str, String>::new(&store, "online")?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FirestoreStore(Arc<Shared>);

struct Shared {
    db: FirestoreDb,
    name: Cow<'static, str>,
    caller: Caller,
    time: ServerTime,
    places: Semaphore,
    is_closed: AtomicBool,
}

/// The settings of a [`FirestoreStore`].
///
/// ```no_run
/// use headwater::firestore::{self, FirestoreStore};
/// use std::time::Duration;
///
/// # async fn example() -> headwater::Result<()> {
/// let db = firestore::connect("my-project").await?;
/// let store = FirestoreStore::builder(db).timeout(Duration::from_secs(5)).build()?;
/// # Ok(()) }
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct FirestoreStoreBuilder {
    db: FirestoreDb,
    name: Cow<'static, str>,
    timeout: Duration,
    retries: u32,
}

impl FirestoreStoreBuilder {
    /// How long one call may take, retries included. An operation that reads and then writes makes
    /// two. Default: 10 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// How many attempts a call may make beyond its first, where another may help and can do no harm;
    /// see [`FirestoreBuilder::retries`](super::FirestoreBuilder::retries). Default: 4.
    pub fn retries(mut self, most: u32) -> Self {
        self.retries = most;
        self
    }

    /// The store's name in errors. Default: `"firestore"`.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Makes the store. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if the timeout is zero.
    pub fn build(self) -> Result<FirestoreStore> {
        if self.timeout.is_zero() {
            return Err(Error::new(ErrorKind::InvalidConfig, "timeout must be longer than zero"));
        }
        Ok(self.made())
    }

    fn made(self) -> FirestoreStore {
        let caller = Caller {
            clock: Clock::system(),
            timeout: self.timeout,
            retries: self.retries,
            is_emulator: is_emulated(self.db.get_options()),
            budget: RetryBudget::new(),
            counters: Counters::default(),
        };
        FirestoreStore(Arc::new(Shared {
            db: self.db,
            name: self.name,
            caller,
            time: ServerTime::default(),
            places: Semaphore::new(UNDER_WAY),
            is_closed: AtomicBool::new(false),
        }))
    }
}

impl fmt::Debug for FirestoreStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirestoreStoreBuilder")
            .field("database", self.db.get_database_path())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A document as it was at a time of the server's.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) document: Option<Document>,
    pub(crate) at: Stamp,
}

impl Seen {
    /// The document, if its life was not over when it was read.
    pub(crate) fn alive(&self) -> Option<&Document> {
        self.document
            .as_ref()
            .filter(|document| life::end(document).is_none_or(|end| end > self.at))
    }
}

impl FirestoreStore {
    /// A store with default settings.
    #[must_use]
    pub fn new(db: FirestoreDb) -> Self {
        Self::builder(db).made()
    }

    /// The settings of a store.
    pub fn builder(db: FirestoreDb) -> FirestoreStoreBuilder {
        let name = Cow::Borrowed("firestore");
        FirestoreStoreBuilder { db, name, timeout: Duration::from_secs(10), retries: 4 }
    }

    /// What it has counted so far, billed reads, writes and deletes among it.
    #[must_use]
    pub fn stats(&self) -> FirestoreStats {
        self.0.caller.counters.snapshot()
    }

    /// Ends the store for all that share it; later calls fail with [`ErrorKind::Closed`]. The client,
    /// which is the caller's, goes on.
    pub fn close(&self) {
        self.0.is_closed.store(true, Relaxed);
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.0.is_closed.load(Relaxed) { Err(self.error(ErrorKind::Closed, "")) } else { Ok(()) }
    }

    /// An error that names this store.
    pub(crate) fn named(&self, error: Error) -> Error {
        error.with_tier(self.0.name.clone())
    }

    pub(crate) fn error(&self, kind: ErrorKind, message: &'static str) -> Error {
        self.named(Error::new(kind, message))
    }

    pub(crate) fn strange(&self) -> Error {
        self.error(ErrorKind::Unexpected, "the server answered in another form than expected")
    }

    /// The collection at `path`, whose documents any key names: see [`Collection::any_key`].
    pub(crate) fn collection(&self, path: &str) -> Result<Collection> {
        Ok(Collection::new(self.0.db.get_database_path(), path)?.any_key())
    }

    pub(crate) fn db(&self) -> &FirestoreDb {
        &self.0.db
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.0.caller
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.caller.counters
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.caller.clock
    }

    pub(crate) fn time(&self) -> &ServerTime {
        &self.0.time
    }

    /// A place among the calls under way; `None` never, as places are not closed.
    pub(super) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.0.places.acquire().await.ok()
    }

    /// The clocks, before a call that tells the server's time.
    pub(super) fn asking(&self) -> (Moment, SystemTime) {
        (self.clock().now(), SystemTime::now())
    }

    /// The server said that it is `stamp`.
    pub(super) fn observe(&self, stamp: Stamp, asked: (Moment, SystemTime)) {
        self.0.time.observe(stamp, asked, self.clock());
    }

    /// The server's time, or a little later; asks for `name` if nothing is known of it yet, or a
    /// clock was set meanwhile.
    pub(crate) async fn now(&self, name: &str) -> Result<Stamp> {
        match self.0.time.surely(self.clock()) {
            Some(now) => Ok(now),
            None => self.read_one(name).await.map(|seen| self.latest(seen.at)),
        }
    }

    /// The server's time, or a little later, once an answer told `at`.
    pub(crate) fn latest(&self, at: Stamp) -> Stamp {
        self.0.time.latest(self.clock()).map_or(at, |now| now.max(at))
    }

    /// Reads documents by their names, each of which is there once.
    pub(crate) async fn read(&self, names: Vec<String>) -> Known<Seen> {
        let reader = Reader {
            db: &self.0.db,
            caller: &self.0.caller,
            name: &self.0.name,
            mask: None,
            batch: BATCH,
            lanes: LANES,
        };
        let _place = self.place().await;
        let asked = self.asking();
        let known = reader.read(names, |response| self.seen(response)).await;
        // Only the last of many calls is as late as this; the first answer is the one to go by.
        if let Some(first) = known.values().flatten().map(|seen| seen.at).min() {
            self.observe(first, asked);
        }
        known
    }

    pub(crate) async fn read_one(&self, name: &str) -> Result<Seen> {
        let known = self.read(vec![name.to_owned()]).await;
        known.into_values().next().unwrap_or_else(|| Err(self.strange()))
    }

    fn seen(&self, response: BatchGetDocumentsResponse) -> Option<(String, Result<Seen>)> {
        let at = response.read_time.as_ref().map(Stamp::from);
        let (name, document) = match response.result? {
            Answer::Missing(name) => (name, None),
            Answer::Found(document) => (document.name.clone(), Some(document)),
        };
        let seen = at.map(|at| Seen { document, at }).ok_or_else(|| self.strange());
        Some((name, seen))
    }
}

impl fmt::Debug for FirestoreStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirestoreStore")
            .field("name", &self.0.name)
            .field("database", self.0.db.get_database_path())
            .finish_non_exhaustive()
    }
}
