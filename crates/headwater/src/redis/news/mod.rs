//! News of what others change: the server tells, and what is kept in front forgets.
//!
//! One connection listens for pushes, with `CLIENT TRACKING ON BCAST` for everything that is under
//! the cache's prefix; on a cluster, one to each master. [`Hub`] spreads what it hears, [`listen`] is
//! the task that keeps the connection.
//!
//! # What is promised (R4)
//! - While news flow, a change is forgotten by everybody within milliseconds.
//! - A link that is lost or silent is noticed within `max_staleness`: every half of it the server is
//!   asked, on that connection and with half of it to answer, whether tracking is still on. From then
//!   until news flow again the memory in front is emptied once per `max_staleness`, and loads under
//!   way are not shared with newcomers for longer. When tracking is on again it is emptied once more.
//! - So no read that begins later than `max_staleness` after a change has been confirmed sees what was
//!   before, except in a process that was itself stopped for that time.
//!
//! # Own writes come back
//! The server tells this process of its own writes too, and an entry that was just loaded leaves the
//! memory in front once and is read from Redis again when it is next wanted. `NOLOOP` would not
//! help: the server does not apply it to scripts (seen on 7.0.15), which fills have to be. To tell
//! an echo from another's change is not possible either, because the server merges all changes of a
//! key between two pushes into one.
//!
//! # Without tracking
//! A server that refuses `CLIENT TRACKING` (some hosted ones do, and users without the permission)
//! is subscribed to instead: caches that have no tracking publish the names of what they change.
//! Then changes by anybody else, evictions and `FLUSHALL` are not heard of.

mod hub;
mod listen;

pub use hub::Coherence;
pub(super) use hub::Hub;
