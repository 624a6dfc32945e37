//! Presence: state that has no source of truth, lives for a while, and is shared by whoever uses the
//! same store.
//!
//! [`PresenceCache`] is what a service depends on; [`Presence`] adds lives to it. Both are kept by
//! [`MemoryPresence`] and, with the features of these names, by `RedisPresence` and
//! `FirestorePresence`.
//!
//! [`Locks`] are leases on names, with fencing tokens. With feature `sessions` there are `Sessions`.
//!
//! A [`Roster`] says which connections of which keys are there, on a store that processes share, and
//! [`Roster::watch`] tells what changes.
//!
//! What is absent is `None`. A store that is down is an error, because nothing stands behind it.

mod cache;
mod lock;
mod roster;
#[cfg(feature = "sessions")]
mod session;
mod watch;

#[cfg(feature = "firestore")]
pub use cache::FirestorePresence;
#[cfg(feature = "redis")]
pub use cache::RedisPresence;
pub use cache::{BoxPresence, MemoryPresence, Presence, PresenceCache};
pub use lock::{Lock, Locks};
pub use roster::{
    Bell, Change, Connection, ConnectionId, Counts, Cursor, Gone, Joined, Log, Member, Members,
    MemoryRoster, Owned, Page, Read, Reading, Roster, RosterBuilder, RosterStats, RosterStore,
    Seat, Snapshot,
};
#[cfg(feature = "tower-sessions")]
pub use session::TowerSessions;
#[cfg(feature = "sessions")]
pub use session::{Saved, Session, SessionId, Sessions};
pub use watch::{Event, Reason, Watch};
