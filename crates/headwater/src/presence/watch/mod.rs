//! Watching a roster's topic: a snapshot, and then what changes, once each and in order per key (P4).
//!
//! # The scheme
//! The store keeps a log of each topic's changes. A process that watches a topic keeps a [`replica`]
//! of it: read in pages, then brought to the position at which the last page was read, and from then
//! on changed by what the log says. What that changes is what watchers are told, so nobody is told
//! that somebody joined who was there, or left who was not. One task per roster, the [`feed`], reads
//! the logs: those for which the bell rings at once, all of them once per second.
//!
//! A log whose reader's position is unknown (trimmed, or the store lost data) has the replica read
//! anew. A watcher that is too slow loses what waits for it and gets a snapshot of the replica when it
//! asks next. So memory is bounded by the topic and the watchers' buffers.

mod event;
mod feed;
mod replica;
mod stream;
mod topic;

pub use event::{Event, Reason};
pub use stream::Watch;
pub(super) use topic::Topics;
