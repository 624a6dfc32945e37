use super::Bell;
use crate::{Clock, Key, Result, Value};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One connection's name, unique among all processes; no secret.
///
/// ```
/// use headwater::presence::ConnectionId;
/// let id = ConnectionId::random();
/// assert_eq!(id.to_string().len(), 32);
/// assert_eq!(ConnectionId::parse(&id.to_string()), Some(id));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u128);

impl ConnectionId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(crate::token::unique())
    }

    /// The connection of which `text` is the `Display` form; `None` if it is of none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(Self)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::token::written(self.0))
    }
}

/// A place in a roster: a key's connection to a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seat<K> {
    /// Where it is: a room, a document, a service.
    pub topic: Arc<str>,
    /// Who is there: a user, a machine.
    pub key: K,
    /// By which connection: a key may have many.
    pub connection: ConnectionId,
}

/// A connection as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<K, V> {
    /// Who is there.
    pub key: K,
    /// By which connection.
    pub connection: ConnectionId,
    /// What it says about itself.
    pub value: V,
}

/// What a join found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// How many connections the key has now, this one included.
    pub connections: u64,
}

impl Joined {
    /// Whether the key was not there before.
    #[must_use]
    pub fn is_first(self) -> bool {
        self.connections == 1
    }
}

/// How many are there, counted from who is there and not kept as numbers that could drift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys with at least one connection.
    pub keys: u64,
    /// Connections of all keys.
    pub connections: u64,
}

/// Where a listing goes on; opaque, and good for as long as the topic exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Vec<u8>);

impl Cursor {
    /// From what [`as_bytes`](Self::as_bytes) gave, or a store of your own made.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// To hand it out.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A part of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<K, V> {
    /// In an order that does not change. May be empty although more follow.
    pub members: Vec<Member<K, V>>,
    /// Where the next page begins; `None` if this is the last.
    pub next: Option<Cursor>,
}

/// One log of changes: a topic has as many as its store has [shards](RosterStore::shards).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Log {
    /// Of which topic.
    pub topic: Arc<str>,
    /// Which of its logs.
    pub shard: u32,
}

/// Why a connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It left.
    Left,
    /// Its heartbeats ceased.
    Expired,
}

/// What a log says.
#[derive(Clone, Debug)]
pub enum Change<K, V> {
    /// A connection joined, or its value was replaced.
    Set(Member<K, V>),
    /// A connection is gone.
    Gone(K, ConnectionId, Gone),
    /// Something that cannot be read.
    Unreadable(crate::Error),
}

/// What was read from a log.
#[derive(Clone, Debug)]
pub enum Read<K, V, P> {
    /// What happened, in order; where the reader is now; and whether there is more already.
    Changes(Vec<Change<K, V>>, P, bool),
    /// The log does not reach back to the reader's position (any more).
    Lost,
}

/// Where rosters live: implement it for a store of your own.
///
/// # Semantics
/// - A connection lives for a TTL from its join or last touch (a store may count an update as one), by
///   one clock that all processes share
///   (the store's), and is not seen by any reader after it, whether or not it was reaped.
/// - Each join, update, leave and reaping is one step, and appends to the log of the key's shard in
///   that step. What expired is logged once, by whoever removes it.
/// - A store that lost anything does not know the positions it had given (it reads as `Lost`).
/// - Every future may be dropped at any point; what was asked for may be done all the same.
pub trait RosterStore: Send + Sync + 'static {
    /// Who is there.
    type Key: ?Sized + Key;
    /// What connections say about themselves.
    type Value: Value;
    /// A place in a log.
    type Position: Clone + Send + Sync + 'static;

    /// The clock by which heartbeats go.
    fn clock(&self) -> Clock;

    /// How many logs a topic has; at least 1. All that concerns a key is in one.
    fn shards(&self) -> u32;

    /// Adds a connection, or replaces it.
    ///
    /// # Errors
    /// If the store does not answer, or the value or key cannot be written.
    fn join(
        &self,
        seat: &Seat<Owned<Self>>,
        value: &Self::Value,
        ttl: Duration,
    ) -> impl Future<Output = Result<Joined>> + Send;

    /// Replaces a live connection's value; false if there is no such connection.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    fn update(
        &self,
        seat: &Seat<Owned<Self>>,
        value: &Self::Value,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Removes a connection, at once (one that lingers, too) or, with `linger`, after so long; false if it
    /// is not there.
    ///
    /// # Errors
    /// If the store does not answer.
    fn leave(
        &self,
        seat: &Seat<Owned<Self>>,
        linger: Duration,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Has connections live for `ttl` from now on; one outcome each, in order, false for what is not
    /// there, expired or lingering. They are all that this process holds, and at least one: a store
    /// that takes no so many at once sends them in parts, and one that knows whose they are may send one
    /// heartbeat for all.
    fn touch(
        &self,
        seats: &[&Seat<Owned<Self>>],
        ttl: Duration,
    ) -> impl Future<Output = Vec<Result<bool>>> + Send;

    /// Removes and logs what has expired, a bounded part of it at a time. When to come again: zero
    /// if more has expired, `None` if nobody is there.
    ///
    /// # Errors
    /// If the store does not answer.
    fn reap(&self, topic: &str) -> impl Future<Output = Result<Option<Duration>>> + Send;

    /// The live connections of each key, in order.
    fn get_many(
        &self,
        topic: &str,
        keys: &[&Self::Key],
    ) -> impl Future<Output = Vec<Result<Members<Self>>>> + Send;

    /// How many are alive.
    ///
    /// # Errors
    /// If the store does not answer.
    fn count(&self, topic: &str) -> impl Future<Output = Result<Counts>> + Send;

    /// At most `limit` live connections, in a stable order.
    ///
    /// # Errors
    /// If the store does not answer, or the cursor or a value cannot be read.
    fn list(
        &self,
        topic: &str,
        after: Option<&Cursor>,
        limit: usize,
    ) -> impl Future<Output = Result<Page<Owned<Self>, Self::Value>>> + Send;

    /// A page of a log's shard as the log tells it (what has expired and was not reaped is still
    /// there), with the position in the log at which it holds.
    ///
    /// # Errors
    /// If the store does not answer.
    fn snapshot(
        &self,
        log: &Log,
        after: Option<&Cursor>,
        limit: usize,
    ) -> impl Future<Output = Result<Snapshot<Self>>> + Send;

    /// What happened in each log after a position, at most `limit` changes each.
    fn read(
        &self,
        logs: &[(Log, Self::Position)],
        limit: usize,
    ) -> impl Future<Output = Vec<Result<Reading<Self>>>> + Send;

    /// Rings the bell, from now on, for each log that grows, as soon as it is known. The bell may
    /// also ring for nothing. A store that does not know rings never: logs are read once per second
    /// all the same.
    fn listen(&self, bell: &Arc<Bell>);

    /// Ends what the store owns.
    ///
    /// # Errors
    /// If something was left undone.
    fn close(&self) -> impl Future<Output = Result<()>> + Send;
}

/// A store's keys as they are kept.
pub type Owned<S> = <<S as RosterStore>::Key as ToOwned>::Owned;
/// A store's members.
pub type Members<S> = Vec<Member<Owned<S>, <S as RosterStore>::Value>>;
/// What a store reads from a log.
pub type Reading<S> = Read<Owned<S>, <S as RosterStore>::Value, <S as RosterStore>::Position>;
/// A page for a replica: sets (what cannot be read among them), where the next page begins, and the
/// position in the log at which it holds.
pub type Snapshot<S> = (
    Vec<Change<Owned<S>, <S as RosterStore>::Value>>,
    Option<Cursor>,
    <S as RosterStore>::Position,
);
