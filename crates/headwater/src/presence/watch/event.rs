use crate::presence::{ConnectionId, Member};

/// What a watcher is told.
///
/// After an `Err` whose kind is not [`Codec`](crate::ErrorKind::Codec), what follows is behind until
/// the next snapshot, which comes by itself. An `Err` of kind `Codec` is about one connection whose
/// value cannot be read: it is left out.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<K, V> {
    /// Everybody who is there; forget what was before. The first event is one.
    Snapshot {
        /// In no order.
        members: Vec<Member<K, V>>,
        /// Why it comes.
        reason: Reason,
    },
    /// The key was not there; its join follows.
    Online(K),
    /// A connection is there.
    Join(Member<K, V>),
    /// A connection says something else about itself.
    Update(Member<K, V>),
    /// A connection left.
    Leave(K, ConnectionId),
    /// A connection's heartbeats ceased.
    Expire(K, ConnectionId),
    /// The last of the key's connections is gone.
    Offline(K),
}

/// Why a snapshot comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The watch begins.
    Begin,
    /// The link was lost, or the store or the log lost what had not been read yet.
    Resync,
    /// The watcher was slow: at least so many events were dropped.
    Lagged(u64),
}
