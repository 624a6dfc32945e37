use super::one_per_key;
use crate::flight::panicked;
use crate::{Fetcher, Key, Result, Value};
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use std::fmt;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;

/// How many calls of a one-key function run at once for a `fetch_many`.
const MANY_AT_ONCE: usize = 16;

/// Makes a fetcher of an async function of one (owned) key.
///
/// `fetch_many` calls the function for each key, at most 16 calls at once. Where the source can
/// answer many keys in one round trip, use [`fetch_many_fn`]. `close` does nothing.
///
/// ```
/// use headwater::{fetch_fn, Error, Fetcher};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let lengths = fetch_fn(async |word: String| match word.len() {
///     0 => Err(Error::not_found()),
///     length => Ok(length),
/// });
/// assert_eq!(lengths.fetch("river").await?, 5);
/// assert!(lengths.fetch("").await.unwrap_err().is_not_found());
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
pub fn fetch_fn<K, V, F, R>(function: F) -> FetchFn<K, F>
where
    K: ?Sized + Key,
    V: Value,
    F: Fn(K::Owned) -> R + Send + Sync + 'static,
    R: Future<Output = Result<V>> + Send,
{
    FetchFn { function, key: PhantomData }
}

/// Makes a fetcher of an async function of many (owned) keys, which returns one outcome per key in
/// their order.
///
/// `fetch` asks for a batch of one. A function that returns another number of outcomes fails every
/// key of that call with [`ErrorKind::Unexpected`](crate::ErrorKind::Unexpected) when it is the
/// source of a chain. `close` does nothing.
///
/// ```
/// use headwater::{fetch_many_fn, Error, Fetcher};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let doubles = fetch_many_fn(async |keys: Vec<u32>| {
///     keys.into_iter().map(|key| key.checked_mul(2).ok_or(Error::not_found())).collect()
/// });
/// let outcomes = doubles.fetch_many(&[&1, &u32::MAX, &3]).await;
/// assert!(matches!(outcomes[0], Ok(2)));
/// assert!(outcomes[1].as_ref().unwrap_err().is_not_found());
/// # });
/// ```
pub fn fetch_many_fn<K, V, F, R>(function: F) -> FetchManyFn<K, F>
where
    K: ?Sized + Key,
    V: Value,
    F: Fn(Vec<K::Owned>) -> R + Send + Sync + 'static,
    R: Future<Output = Vec<Result<V>>> + Send,
{
    FetchManyFn { function, key: PhantomData }
}

/// A call among others, whose panic must not be theirs.
async fn one_of_many<V>(call: impl Future<Output = Result<V>>) -> Result<V> {
    let outcome = AssertUnwindSafe(call).catch_unwind().await;
    outcome.unwrap_or_else(|panic| Err(panicked(panic)))
}

/// A function of one key as a [`Fetcher`]; made by [`fetch_fn`].
pub struct FetchFn<K: ?Sized, F> {
    function: F,
    key: PhantomData<fn(&K)>,
}

/// A function of many keys as a [`Fetcher`]; made by [`fetch_many_fn`].
pub struct FetchManyFn<K: ?Sized, F> {
    function: F,
    key: PhantomData<fn(&K)>,
}

impl<K, V, F, R> Fetcher for FetchFn<K, F>
where
    K: ?Sized + Key,
    V: Value,
    F: Fn(K::Owned) -> R + Send + Sync + 'static,
    R: Future<Output = Result<V>> + Send,
{
    type Key = K;
    type Value = V;

    async fn fetch(&self, key: &K) -> Result<V> {
        (self.function)(key.to_owned()).await
    }

    async fn fetch_many(&self, keys: &[&K]) -> Vec<Result<V>> {
        let mut running = FuturesOrdered::new();
        let mut outcomes = Vec::with_capacity(keys.len());
        for key in keys {
            if running.len() == MANY_AT_ONCE {
                outcomes.extend(running.next().await);
            }
            running.push_back(one_of_many((self.function)((*key).to_owned())));
        }
        while let Some(outcome) = running.next().await {
            outcomes.push(outcome);
        }
        outcomes
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

impl<K, V, F, R> Fetcher for FetchManyFn<K, F>
where
    K: ?Sized + Key,
    V: Value,
    F: Fn(Vec<K::Owned>) -> R + Send + Sync + 'static,
    R: Future<Output = Vec<Result<V>>> + Send,
{
    type Key = K;
    type Value = V;

    async fn fetch(&self, key: &K) -> Result<V> {
        let outcomes = (self.function)(vec![key.to_owned()]).await;
        one_per_key(1, outcomes).remove(0)
    }

    async fn fetch_many(&self, keys: &[&K]) -> Vec<Result<V>> {
        if keys.is_empty() {
            return Vec::new();
        }
        let owned = keys.iter().map(|key| (*key).to_owned()).collect();
        one_per_key(keys.len(), (self.function)(owned).await)
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

impl<K: ?Sized, F> fmt::Debug for FetchFn<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchFn").finish_non_exhaustive()
    }
}

impl<K: ?Sized, F> fmt::Debug for FetchManyFn<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchManyFn").finish_non_exhaustive()
    }
}
