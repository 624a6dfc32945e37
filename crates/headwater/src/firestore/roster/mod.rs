//! [`FirestoreRoster`]: rosters that processes share, with one heartbeat per process.
//!
//! # Documents
//! A connection is a document of the collection: its `topic`, its `place` (topic and key), `key`,
//! `value`, the `node` that holds it, and its own life. A node is one as well: a process, or what it is
//! since the last time that it or the server lost something. It has a lease, whose end a [heartbeat](node)
//! moves, in one write for all of its connections.
//!
//! A connection lives as long as its own life (a TTL from when it joined or was updated) or its node's
//! lease, whichever is longer; one that lingers for the time that it has left. All of that is counted by
//! the server's clock. So nobody has to read a node's document while one that was read before says that
//! it is alive, and readers agree on who is there.
//!
//! # Many at once
//! [Joins](join) that come while others are on their way are one write and one question, who has their
//! keys, as of that write; [leaves](leave) are one read and one write. So a process whose connections all
//! come (again) or go is done after a few hundred calls.
//!
//! # Death
//! A node whose lease is over never comes back: it has lost its connections, which join again under
//! another. Whoever is left [removes](reap) what it had.
//!
//! # News
//! A process that watches has the server tell it of changes of the topic's documents, keeps the
//! [log](topic) that the server does not, and looks at the nodes' leases when they end by what it knows.

mod connection;
mod ear;
mod join;
mod leave;
mod listen;
mod node;
mod reap;
mod store;
mod topic;

use super::key::{Collection, DocumentKey};
use super::listen::Route;
use super::store::FirestoreStore;
use crate::batch::Batcher;
use crate::presence::Bell;
use crate::sync::Mutex;
use crate::{Key, Result, Value};
use ear::Ear;
use join::Joins;
use leave::Leaves;
use node::Nodes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};

/// A store of rosters in Firestore: documents of one collection, which is its own.
///
/// # Cost
/// Heartbeats are one billed write per process and beat, however many connections it has: with a TTL of
/// 60 s some 4,300 per day. A join is a write and as many reads as its key has connections, a leave and
/// an update are a write (or delete) and one or two reads; joins and leaves that come while others are
/// on their way are sent together, up to 30 and 100 in a call, and billed as they are one by one.
/// [`count`](crate::presence::Roster::count) and [`list`](crate::presence::Roster::list) are a read per
/// connection. Who watches a topic is billed a read per connection when it begins and after each lost
/// link, and per change; and a read per process that is there and TTL. See [`FirestoreStore::stats`].
///
/// # What is different here
/// - Firestore tells states, not steps: a connection that came and went between two of its messages is
///   not told of to watchers, and what happened between them is told joins first. Of a sequence that
///   is slower each step is told.
/// - A server that falls silent without closing the connection is noticed by watchers within 20 s, or a
///   call's time limit if that is longer; others by theirs. For that, a stream that is silent is probed
///   after 10 s, which is billed as a read.
/// - A leave that failed is tried again with each heartbeat.
/// - It needs no index but the automatic ones, and no TTL policy.
///
/// ```no_run
/// use headwater::firestore::{self, FirestoreRoster, FirestoreStore};
/// use headwater::presence::Roster;
///
/// # async fn example() -> headwater::Result<()> {
/// let store = FirestoreStore::new(firestore::connect("my-project").await?);
/// let roster = Roster::new(FirestoreRoster::<str, String>::new(&store, "rooms")?);
/// let phone = roster.join("room 1", "ada", "phone".to_owned()).await?;
/// # Ok(()) }
/// ```
pub struct FirestoreRoster<K: ?Sized, V> {
    rooms: Arc<Rooms>,
    joins: Arc<Batcher<Joins>>,
    leaves: Arc<Batcher<Leaves>>,
    types: PhantomData<fn(&K) -> V>,
}

/// What a roster's store is, whatever its keys and values are.
struct Rooms {
    store: FirestoreStore,
    collection: Collection,
    route: Arc<Route>,
    nodes: Nodes,
    ear: Mutex<Ear>,
    /// Wakes the listener, when it has something else to do.
    wanted: Arc<tokio::sync::Notify>,
    /// Changes when something is known of a topic that was not.
    known: tokio::sync::watch::Sender<()>,
    bells: Mutex<Vec<Weak<Bell>>>,
}

impl<K, V> FirestoreRoster<K, V>
where
    K: ?Sized + Key + DocumentKey,
    V: Value + Serialize + DeserializeOwned,
{
    /// Rosters in the collection at `path`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`](crate::ErrorKind::InvalidConfig) if `path` is no collection's; the
    /// message names it.
    pub fn new(store: &FirestoreStore, path: impl AsRef<str>) -> Result<Self> {
        let collection = store.collection(path.as_ref())?;
        let rooms = Rooms {
            store: store.clone(),
            route: Route::to(&collection),
            collection,
            nodes: Nodes::default(),
            ear: Mutex::default(),
            wanted: Arc::default(),
            known: tokio::sync::watch::Sender::new(()),
            bells: Mutex::default(),
        };
        let rooms = Arc::new(rooms);
        Ok(Self { joins: Joins::of(&rooms), leaves: Leaves::of(&rooms), rooms, types: PhantomData })
    }
}

impl Rooms {
    fn ring(&self, topic: &str) {
        self.bells().iter().for_each(|bell| bell.ring(topic, 0));
    }

    fn ring_all(&self) {
        self.bells().iter().for_each(|bell| bell.ring_all());
    }

    fn is_watched(&self, topic: &str) -> bool {
        self.bells().iter().any(|bell| bell.is_watched(topic))
    }

    fn bells(&self) -> Vec<Arc<Bell>> {
        let mut bells = self.bells.lock();
        bells.retain(|bell| bell.strong_count() > 0);
        bells.iter().filter_map(Weak::upgrade).collect()
    }
}

impl<K: ?Sized, V> fmt::Debug for FirestoreRoster<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirestoreRoster").field("store", &self.rooms.store).finish_non_exhaustive()
    }
}
