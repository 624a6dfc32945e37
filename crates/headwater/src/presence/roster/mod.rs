//! Rosters: topic, key, connection; with heartbeats, expiry and re-joining written once for every
//! store. [`roster`] is what callers hold, [`connection`] one connection of this process, [`pulse`]
//! the task of the heartbeats, [`store`] the seam to the stores.

mod bell;
mod connection;
mod memory;
mod pulse;
#[allow(clippy::module_inception, reason = "the type is named as its room")]
mod roster;
mod store;

pub use bell::Bell;
pub use connection::Connection;
pub use memory::MemoryRoster;
pub(super) use roster::Inner;
pub use roster::{Roster, RosterBuilder, RosterStats};
pub use store::{
    Change, ConnectionId, Counts, Cursor, Gone, Joined, Log, Member, Members, Owned, Page, Read,
    Reading, RosterStore, Seat, Snapshot,
};
