//! Entries that live for a while: the traits, and one store of them per file.

mod erased;
#[cfg(feature = "firestore")]
mod firestore;
mod memory;
#[cfg(feature = "redis")]
mod redis;

pub use erased::BoxPresence;
#[cfg(feature = "firestore")]
pub use firestore::FirestorePresence;
pub use memory::MemoryPresence;
#[cfg(feature = "redis")]
pub use redis::RedisPresence;

use crate::{Key, Result, Value};
use std::time::Duration;

/// How long an entry lives if nothing is said.
const TIME_TO_LIVE: Duration = Duration::from_secs(60);
/// The shortest life: stores count milliseconds.
const LEAST: Duration = Duration::from_millis(1);

/// Ephemeral state by key: what was set is there until it is deleted or its life is over.
///
/// # Semantics
/// - **P1** What was set is fetched, on every instance that shares the store, until it is deleted or
///   dies; the later of two sets wins. Absent is `None`; an error says nothing about the entry.
/// - **P2** An entry is gone from the moment on at which its life ends, whether or not the store has
///   got round to dropping it. The store's clock decides, never a client's.
/// - `close` is idempotent; later calls fail with [`ErrorKind::Closed`](crate::ErrorKind::Closed).
///
/// # Cancellation
/// A call that is dropped may have been carried out or not; it leaves nothing half done.
///
/// ```
/// use headwater::presence::{MemoryPresence, PresenceCache};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let online = MemoryPresence::<str, String>::new();
/// online.set("ada", &"reading".to_owned()).await?;
/// assert_eq!(online.fetch("ada").await?.as_deref(), Some("reading"));
/// assert!(online.delete("ada").await?);
/// assert_eq!(online.fetch("ada").await?, None);
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
pub trait PresenceCache: Send + Sync + 'static {
    /// What entries are found by.
    type Key: ?Sized + Key;
    /// What entries hold.
    type Value: Value;

    /// Stores a value for as long as the store gives.
    ///
    /// # Errors
    /// By what the store meets; it may have been stored all the same, unless it could not be encoded.
    fn set(&self, key: &Self::Key, value: &Self::Value) -> impl Future<Output = Result<()>> + Send;

    /// The value, if it is there and lives.
    ///
    /// # Errors
    /// By what the store meets; never because the key is absent.
    fn fetch(&self, key: &Self::Key) -> impl Future<Output = Result<Option<Self::Value>>> + Send;

    /// Deletes an entry; whether there was one.
    ///
    /// # Errors
    /// By what the store meets; it may have been deleted all the same.
    fn delete(&self, key: &Self::Key) -> impl Future<Output = Result<bool>> + Send;

    /// Ends the store for all its clones.
    ///
    /// # Errors
    /// By what the store meets.
    fn close(&self) -> impl Future<Output = Result<()>> + Send;
}

/// A [`PresenceCache`] whose entries' lives can be seen and changed.
///
/// Lives are at least 1 ms; [`Duration::MAX`] is without end. `None` stands for the store's own, which
/// is 60 seconds unless it was given another.
///
/// # Errors
/// As the methods of [`PresenceCache`].
///
/// ```
/// use headwater::presence::{MemoryPresence, Presence, PresenceCache};
/// use std::time::Duration;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let online = MemoryPresence::<str, u32>::new();
/// assert!(online.set_if_absent("ada", &1, Some(Duration::from_secs(5))).await?);
/// assert!(!online.set_if_absent("ada", &2, None).await?);
/// assert!(online.remaining("ada").await? <= Some(Duration::from_secs(5)));
/// assert_eq!(online.touch_many(&["ada", "bob"], None).await?, ["bob"]); // who must set again
/// assert!(!online.delete_if("ada", &|connection| *connection == 2).await?);
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
pub trait Presence: PresenceCache {
    /// Stores a value for `ttl`.
    fn set_for(
        &self,
        key: &Self::Key,
        value: &Self::Value,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Stores a value unless there is one; whether it did. Of all that try at once, one does.
    fn set_if_absent(
        &self,
        key: &Self::Key,
        value: &Self::Value,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// The values that live, one outcome per key, in order; duplicates are allowed.
    fn fetch_many(
        &self,
        keys: &[&Self::Key],
    ) -> impl Future<Output = Vec<Result<Option<Self::Value>>>> + Send;

    /// What is left of an entry's life; [`Duration::MAX`] if it has no end.
    fn remaining(&self, key: &Self::Key) -> impl Future<Output = Result<Option<Duration>>> + Send;

    /// Lets an entry live for `ttl` from now on, as a heartbeat does; whether there was one. It never
    /// brings back what has died.
    fn touch(
        &self,
        key: &Self::Key,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Touches many entries at once; the keys that have none, in order.
    fn touch_many<'k>(
        &self,
        keys: &[&'k Self::Key],
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<Vec<&'k Self::Key>>> + Send;

    /// Deletes an entry if `is_it` says so of its value; whether it did. What another one sets in
    /// between is not deleted: then `is_it` is asked again.
    fn delete_if(
        &self,
        key: &Self::Key,
        is_it: &(dyn Fn(&Self::Value) -> bool + Send + Sync),
    ) -> impl Future<Output = Result<bool>> + Send;
}
