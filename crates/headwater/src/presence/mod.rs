//! Presence: who is there now.
//!
//! A [`Roster`] says which connections of which keys are there, on a store that processes share, and
//! [`Roster::watch`] tells what changes.

mod roster;
mod watch;

pub use roster::{
    Bell, Change, Connection, ConnectionId, Counts, Cursor, Gone, Joined, Log, Member, Members,
    MemoryRoster, Owned, Page, Read, Reading, Roster, RosterBuilder, RosterStats, RosterStore,
    Seat, Snapshot,
};
pub use watch::{Event, Reason, Watch};
