//! [`Sessions`]: what a service keeps about a client for as long as the client keeps coming.

#[cfg(feature = "firestore")]
mod firestore;
mod id;
mod memory;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "tower-sessions")]
mod tower;

pub use id::SessionId;
#[cfg(feature = "tower-sessions")]
pub use tower::TowerSessions;

#[cfg(feature = "firestore")]
use crate::firestore::FirestoreStore;
#[cfg(feature = "redis")]
use crate::redis::RedisStore;
use crate::{Clock, Error, ErrorKind, Result};
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// How long a session lasts without being used if nothing is said.
const TIME_TO_LIVE: Duration = Duration::from_secs(30 * 60);
const LEAST: Duration = Duration::from_millis(1);
/// So much longer than a session does the mark last that ends all of a user: a session that outlives
/// it without being used does not exist.
const MARK: u32 = 2;

/// A session as it is stored.
#[derive(Clone)]
struct Record {
    revision: u64,
    /// The mark of its user when it began.
    mark: u64,
    user: Option<Box<str>>,
    data: Vec<u8>,
}

/// Where sessions are kept. With another secret than the session has now, it is not there.
trait SessionStore: Send + Sync {
    /// Whether there was none of that name.
    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        record: Record,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool>>;

    /// The session, which lasts for `ttl` from now on.
    fn open<'a>(
        &'a self,
        id: &'a SessionId,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Option<Record>>>;

    /// Replaces the data if the session is of that revision, which becomes one more.
    fn save<'a>(
        &'a self,
        id: &'a SessionId,
        revision: u64,
        data: Vec<u8>,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Saved>>;

    /// Replaces the secret; whether the session was there.
    fn rotate<'a>(
        &'a self,
        id: &'a SessionId,
        to: &'a SessionId,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool>>;

    fn end<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<bool>>;

    /// A user's mark; 0 if there is none.
    fn mark<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<u64>>;

    /// Gives a user a mark that is larger than any before.
    fn raise_mark<'a>(&'a self, user: &'a str, ttl: Duration) -> BoxFuture<'a, Result<()>>;
}

/// What became of a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is stored.
    Stored,
    /// Somebody else saved the session since it was fetched: fetch it again, and decide.
    Conflict,
    /// The session ended, or has another id by now.
    Gone,
}

/// A session that was begun or fetched.
#[derive(Clone, Debug)]
pub struct Session<V> {
    id: SessionId,
    user: Option<Box<str>>,
    revision: u64,
    /// What the service keeps; [`save`](Sessions::save) stores it.
    pub data: V,
}

impl<V> Session<V> {
    /// What the client shows to have it.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// Whose it is, if anybody's.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }
}

/// Sessions by random ids, in memory, in Redis or in Firestore. Clones share them. Feature `sessions`.
///
/// - A session lasts for its time to live from its last use on: each fetch, save and rotation begins
///   it anew.
/// - [`rotate`](Self::rotate), as at a log-in, gives a session another id; from the same moment on the
///   old one opens nothing.
/// - A save is refused if the session was saved since it was fetched, so that no update is lost.
/// - [`end_all`](Self::end_all) ends all sessions of a user that have begun, wherever, at once: each
///   user has a mark, a session has the mark of when it began, and one of an older mark is not
///   answered.
/// - Ids hold 128 random bits of the operating system.
///
/// A store in trouble is an error, never an absent session: nobody is logged out by an outage.
///
/// In Redis the session of handle `h` and namespace `shop` is the hash `shop%session:h`, the mark of
/// user `u` the string `shop%session-user:u`. A session of a user takes two round trips to fetch.
/// Time is the server's. By a failover Redis may forget what it confirmed last (it replicates
/// asynchronously): a session, a save, or that sessions were ended.
///
/// In Firestore they are the documents `session:h` and `user:u` of the collection that it is given. A
/// fetch, a save and a rotation are a billed read and a write each, a fetch of a user's session one
/// read more; and one session cannot be used more often than about once per second for long. A TTL
/// policy on `expires_at` may collect what is over. Time is the server's.
///
/// ```
/// use headwater::presence::{Saved, SessionId, Sessions};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let sessions = Sessions::<Vec<u32>>::memory();
/// let cookie = sessions.begin(Some("ada"), vec![]).await?.id().as_str().to_owned();
///
/// let id = SessionId::parse(&cookie).expect("of ours");
/// let mut cart = sessions.fetch(&id).await?.expect("it has just begun");
/// cart.data.push(7);
/// assert_eq!(sessions.save(&mut cart).await?, Saved::Stored);
/// sessions.end_all("ada").await?;
/// assert!(sessions.fetch(&id).await?.is_none());
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
pub struct Sessions<V> {
    store: Arc<dyn SessionStore>,
    ttl: Duration,
    data: PhantomData<fn() -> V>,
}

impl<V: Serialize + DeserializeOwned> Sessions<V> {
    /// Sessions within this process, of those that share the value.
    #[must_use]
    pub fn memory() -> Self {
        Self::memory_by(Clock::system())
    }

    /// As [`memory`](Self::memory), by another clock than the system's monotonic one.
    #[must_use]
    pub fn memory_by(clock: Clock) -> Self {
        Self::on(memory::MemorySessions::new(clock))
    }

    /// Sessions of all that use the same Redis and namespace.
    #[cfg(feature = "redis")]
    #[must_use]
    pub fn redis(store: &RedisStore) -> Self {
        Self::on(redis::RedisSessions::new(store))
    }

    /// Sessions of all that use the same collection of the same Firestore database.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if `path` is no collection's; the message names it.
    #[cfg(feature = "firestore")]
    pub fn firestore(store: &FirestoreStore, path: impl AsRef<str>) -> Result<Self> {
        Ok(Self::on(firestore::FirestoreSessions::new(store, path.as_ref())?))
    }

    fn on(store: impl SessionStore + 'static) -> Self {
        Self { store: Arc::new(store), ttl: TIME_TO_LIVE, data: PhantomData }
    }

    /// How long a session lasts from its last use on: at least 1 ms, at most ten years. Give the same
    /// to all that share the sessions. Default: 30 minutes.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl.clamp(LEAST, Duration::from_secs(10 * 365 * 24 * 3_600));
        self
    }

    /// Begins a session.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the data cannot be written as JSON, and by what the store meets.
    ///
    /// # Cancellation
    /// A session that nobody knows may be left; it ends by itself.
    pub async fn begin(&self, user: Option<&str>, data: V) -> Result<Session<V>> {
        let mark = match user {
            Some(user) => self.store.mark(user).await?,
            None => 0,
        };
        let (id, user) = (SessionId::new()?, user.map(Box::from));
        let record = Record { revision: 0, mark, user: user.clone(), data: written(&data)? };
        if !self.store.create(&id, record, self.ttl).await? {
            return Err(Error::new(ErrorKind::Unexpected, "two random numbers were the same"));
        }
        Ok(Session { id, user, revision: 0, data })
    }

    /// The session of an id, which lasts for its time to live from now on; `None` if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if its data are no `V`, and by what the store meets.
    ///
    /// # Cancellation
    /// Dropping it leaves nothing behind.
    pub async fn fetch(&self, id: &SessionId) -> Result<Option<Session<V>>> {
        let Some(record) = self.store.open(id, self.ttl).await? else { return Ok(None) };
        if let Some(user) = &record.user
            && self.store.mark(user).await? > record.mark
        {
            self.store.end(id).await?;
            return Ok(None);
        }
        let data = serde_json::from_slice(&record.data).map_err(|error| {
            Error::new(ErrorKind::Codec, "the data of a session").with_source(error)
        })?;
        Ok(Some(Session { id: id.clone(), user: record.user, revision: record.revision, data }))
    }

    /// Stores a session's data, unless somebody else did since it was fetched.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the data cannot be written as JSON, and by what the store meets: then
    /// nobody knows whether it was stored, and the next save may find a conflict with this one.
    ///
    /// # Cancellation
    /// As with an error.
    pub async fn save(&self, session: &mut Session<V>) -> Result<Saved> {
        let data = written(&session.data)?;
        let saved = self.store.save(&session.id, session.revision, data, self.ttl).await?;
        if saved == Saved::Stored {
            session.revision += 1;
        }
        Ok(saved)
    }

    /// Gives a session another id, and voids the old one at the same moment; whether it was there.
    ///
    /// # Errors
    /// By what the store meets; nobody knows then which id opens the session, and it is best ended.
    ///
    /// # Cancellation
    /// As with an error.
    pub async fn rotate(&self, session: &mut Session<V>) -> Result<bool> {
        let to = session.id.rotated()?;
        let is_there = self.store.rotate(&session.id, &to, self.ttl).await?;
        if is_there {
            session.id = to;
        }
        Ok(is_there)
    }

    /// Ends a session; whether there was one.
    ///
    /// # Errors
    /// By what the store meets; it may have ended all the same.
    pub async fn end(&self, id: &SessionId) -> Result<bool> {
        self.store.end(id).await
    }

    /// Ends all sessions of a user that have begun: none of them is fetched from now on.
    ///
    /// # Errors
    /// By what the store meets; they may have ended all the same.
    pub async fn end_all(&self, user: &str) -> Result<()> {
        self.store.raise_mark(user, self.ttl * MARK).await
    }
}

fn written<V: Serialize>(data: &V) -> Result<Vec<u8>> {
    serde_json::to_vec(data)
        .map_err(|error| Error::new(ErrorKind::Codec, "the data of a session").with_source(error))
}

impl<V> Clone for Sessions<V> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), ttl: self.ttl, data: PhantomData }
    }
}

impl<V> fmt::Debug for Sessions<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}
