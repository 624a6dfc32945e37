//! [`Fetcher`], what a service depends on, and [`Cache`], which adds the verbs that change it.

mod cache;
mod erased;
mod function;
mod options;

pub use cache::Cache;
pub use erased::{BoxCache, BoxFetcher};
pub use function::{FetchFn, FetchManyFn, fetch_fn, fetch_many_fn};
pub use options::FetchOptions;
pub(crate) use options::is_young;

use crate::{Entry, Error, ErrorKind, Key, Result, Value};

/// Anything that answers a key: a function, a chain of caches, a database collection.
///
/// A service depends on this trait and not on how the answer is found. Three methods are required;
/// the two provided ones are for fetchers that know more about an answer than its value.
///
/// # Semantics
/// - A key that does not exist is [`ErrorKind::NotFound`](crate::ErrorKind::NotFound), told apart
///   from every failure (R7).
/// - `fetch_many` gives one outcome per key, in the order of the keys, duplicates allowed; one bad
///   key never fails its neighbours (R8).
/// - Dropping a returned future cancels this call and nobody else's (R3).
/// - `close` is idempotent; afterwards every call answers
///   [`ErrorKind::Closed`](crate::ErrorKind::Closed) (R11). It closes what the fetcher owns and
///   nothing that was injected into it.
///
/// # Example: a fetcher of your own
/// ```
/// use headwater::{Error, Fetcher, Result};
///
/// struct Squares;
/// impl Fetcher for Squares {
///     type Key = u32;
///     type Value = u64;
///     async fn fetch(&self, key: &u32) -> Result<u64> {
///         if *key > 1_000 { return Err(Error::not_found()) }
///         Ok(u64::from(*key).pow(2))
///     }
///     async fn fetch_many(&self, keys: &[&u32]) -> Vec<Result<u64>> {
///         let mut outcomes = Vec::new();
///         for key in keys { outcomes.push(self.fetch(key).await) }
///         outcomes
///     }
///     async fn close(&self) -> Result<()> { Ok(()) }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert_eq!(Squares.fetch(&12).await?, 144);
/// assert!(Squares.fetch(&5_000).await.unwrap_err().is_not_found());
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
pub trait Fetcher: Send + Sync + 'static {
    /// What is asked by; `str` for string keys.
    type Key: ?Sized + Key;
    /// What is answered.
    type Value: Value;

    /// Answers one key.
    fn fetch(&self, key: &Self::Key) -> impl Future<Output = Result<Self::Value>> + Send;

    /// Answers many keys at once, one outcome per key and in their order.
    fn fetch_many(
        &self,
        keys: &[&Self::Key],
    ) -> impl Future<Output = Vec<Result<Self::Value>>> + Send;

    /// Ends the fetcher. Later calls answer [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    fn close(&self) -> impl Future<Output = Result<()>> + Send;

    /// Answers one key with all that is known: found or absent, life, load time, version.
    ///
    /// The provided method asks [`fetch`](Self::fetch), and knows no more than the value.
    fn fetch_entry(
        &self,
        key: &Self::Key,
        options: &FetchOptions,
    ) -> impl Future<Output = Result<Entry<Self::Value>>> + Send {
        let _ = options;
        async move { Entry::from_outcome(self.fetch(key).await) }
    }

    /// Answers many keys with all that is known, one outcome per key and in their order.
    ///
    /// The provided method asks [`fetch_many`](Self::fetch_many), and knows no more than the values.
    fn fetch_entries(
        &self,
        keys: &[&Self::Key],
        options: &FetchOptions,
    ) -> impl Future<Output = Vec<Result<Entry<Self::Value>>>> + Send {
        let _ = options;
        async move { self.fetch_many(keys).await.into_iter().map(Entry::from_outcome).collect() }
    }
}

/// Holds a batch to its contract of one outcome per key: if it broke it, no outcome can be told to
/// belong to its key, and all of them fail.
pub(crate) fn one_per_key<T>(keys: usize, outcomes: Vec<Result<T>>) -> Vec<Result<T>> {
    if outcomes.len() == keys {
        return outcomes;
    }
    let error = Error::new(
        ErrorKind::Unexpected,
        format!("a batch of {keys} keys was answered by {} outcomes", outcomes.len()),
    );
    (0..keys).map(|_| Err(error.clone())).collect()
}
