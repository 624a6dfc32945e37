//! Presence without a type parameter for where it is kept.

use super::{Presence, PresenceCache};
use crate::{Key, Result, Value};
use futures_util::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What tells an entry that is meant from others.
type Test<'t, V> = dyn Fn(&V) -> bool + Send + Sync + 't;

/// [`Presence`] as an object: each method returns a boxed future.
trait DynPresence<K: ?Sized + Key, V: Value>: Send + Sync {
    fn set_dyn<'a>(&'a self, key: &'a K, value: &'a V) -> BoxFuture<'a, Result<()>>;
    fn fetch_dyn<'a>(&'a self, key: &'a K) -> BoxFuture<'a, Result<Option<V>>>;
    fn delete_dyn<'a>(&'a self, key: &'a K) -> BoxFuture<'a, Result<bool>>;
    fn close_dyn(&self) -> BoxFuture<'_, Result<()>>;
    fn set_for_dyn<'a>(
        &'a self,
        key: &'a K,
        value: &'a V,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<()>>;
    fn set_if_absent_dyn<'a>(
        &'a self,
        key: &'a K,
        value: &'a V,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool>>;
    fn fetch_many_dyn<'a>(&'a self, keys: &'a [&'a K]) -> BoxFuture<'a, Vec<Result<Option<V>>>>;
    fn remaining_dyn<'a>(&'a self, key: &'a K) -> BoxFuture<'a, Result<Option<Duration>>>;
    fn touch_dyn<'a>(&'a self, key: &'a K, ttl: Option<Duration>) -> BoxFuture<'a, Result<bool>>;
    fn touch_many_dyn<'a, 'k: 'a>(
        &'a self,
        keys: &'a [&'k K],
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<Vec<&'k K>>>;
    fn delete_if_dyn<'a>(
        &'a self,
        key: &'a K,
        is_it: &'a Test<'a, V>,
    ) -> BoxFuture<'a, Result<bool>>;
}

impl<P: Presence> DynPresence<P::Key, P::Value> for P {
    fn set_dyn<'a>(&'a self, key: &'a P::Key, value: &'a P::Value) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.set(key, value))
    }

    fn fetch_dyn<'a>(&'a self, key: &'a P::Key) -> BoxFuture<'a, Result<Option<P::Value>>> {
        Box::pin(self.fetch(key))
    }

    fn delete_dyn<'a>(&'a self, key: &'a P::Key) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.delete(key))
    }

    fn close_dyn(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.close())
    }

    fn set_for_dyn<'a>(
        &'a self,
        key: &'a P::Key,
        value: &'a P::Value,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.set_for(key, value, ttl))
    }

    fn set_if_absent_dyn<'a>(
        &'a self,
        key: &'a P::Key,
        value: &'a P::Value,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.set_if_absent(key, value, ttl))
    }

    fn fetch_many_dyn<'a>(
        &'a self,
        keys: &'a [&'a P::Key],
    ) -> BoxFuture<'a, Vec<Result<Option<P::Value>>>> {
        Box::pin(self.fetch_many(keys))
    }

    fn remaining_dyn<'a>(&'a self, key: &'a P::Key) -> BoxFuture<'a, Result<Option<Duration>>> {
        Box::pin(self.remaining(key))
    }

    fn touch_dyn<'a>(
        &'a self,
        key: &'a P::Key,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.touch(key, ttl))
    }

    fn touch_many_dyn<'a, 'k: 'a>(
        &'a self,
        keys: &'a [&'k P::Key],
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<Vec<&'k P::Key>>> {
        Box::pin(self.touch_many(keys, ttl))
    }

    fn delete_if_dyn<'a>(
        &'a self,
        key: &'a P::Key,
        is_it: &'a Test<'a, P::Value>,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.delete_if(key, is_it))
    }
}

/// Any [`Presence`] of keys `K` and values `V`, behind one pointer; clones share it.
///
/// ```
/// use headwater::presence::{BoxPresence, MemoryPresence, PresenceCache};
///
/// struct Service {
///     online: BoxPresence<str, String>,
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let service = Service { online: BoxPresence::new(MemoryPresence::new()) };
/// assert_eq!(service.online.fetch("ada").await?, None);
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
pub struct BoxPresence<K: ?Sized, V>(Arc<dyn DynPresence<K, V>>);

impl<K: ?Sized + Key, V: Value> BoxPresence<K, V> {
    /// Erases the type of `presence`.
    pub fn new(presence: impl Presence<Key = K, Value = V>) -> Self {
        Self(Arc::new(presence))
    }
}

#[deny(clippy::missing_trait_methods)]
impl<K: ?Sized + Key, V: Value> PresenceCache for BoxPresence<K, V> {
    type Key = K;
    type Value = V;

    async fn set(&self, key: &K, value: &V) -> Result<()> {
        self.0.set_dyn(key, value).await
    }

    async fn fetch(&self, key: &K) -> Result<Option<V>> {
        self.0.fetch_dyn(key).await
    }

    async fn delete(&self, key: &K) -> Result<bool> {
        self.0.delete_dyn(key).await
    }

    async fn close(&self) -> Result<()> {
        self.0.close_dyn().await
    }
}

#[deny(clippy::missing_trait_methods)]
impl<K: ?Sized + Key, V: Value> Presence for BoxPresence<K, V> {
    async fn set_for(&self, key: &K, value: &V, ttl: Option<Duration>) -> Result<()> {
        self.0.set_for_dyn(key, value, ttl).await
    }

    async fn set_if_absent(&self, key: &K, value: &V, ttl: Option<Duration>) -> Result<bool> {
        self.0.set_if_absent_dyn(key, value, ttl).await
    }

    async fn fetch_many(&self, keys: &[&K]) -> Vec<Result<Option<V>>> {
        self.0.fetch_many_dyn(keys).await
    }

    async fn remaining(&self, key: &K) -> Result<Option<Duration>> {
        self.0.remaining_dyn(key).await
    }

    async fn touch(&self, key: &K, ttl: Option<Duration>) -> Result<bool> {
        self.0.touch_dyn(key, ttl).await
    }

    async fn touch_many<'k>(&self, keys: &[&'k K], ttl: Option<Duration>) -> Result<Vec<&'k K>> {
        self.0.touch_many_dyn(keys, ttl).await
    }

    async fn delete_if(&self, key: &K, is_it: &Test<'_, V>) -> Result<bool> {
        self.0.delete_if_dyn(key, is_it).await
    }
}

impl<K: ?Sized, V> Clone for BoxPresence<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: ?Sized, V> fmt::Debug for BoxPresence<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxPresence").finish_non_exhaustive()
    }
}
