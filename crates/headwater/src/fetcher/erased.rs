//! Fetchers and caches without type parameters for how they answer. The one place that boxes.

use super::{Cache, FetchOptions, Fetcher};
use crate::{Above, Entry, Hashed, Key, Result, Stats, Value};
use futures_util::future::BoxFuture;
use std::fmt;
use std::sync::{Arc, Weak};

/// [`Fetcher`] as an object: each method returns a boxed future.
trait DynFetcher<K: ?Sized + Key, V: Value>: Send + Sync {
    fn fetch_dyn<'a>(&'a self, key: &'a K) -> BoxFuture<'a, Result<V>>;
    fn fetch_many_dyn<'a>(&'a self, keys: &'a [&'a K]) -> BoxFuture<'a, Vec<Result<V>>>;
    fn close_dyn(&self) -> BoxFuture<'_, Result<()>>;
    fn fetch_entry_dyn<'a>(
        &'a self,
        key: &'a K,
        options: &'a FetchOptions,
    ) -> BoxFuture<'a, Result<Entry<V>>>;
    fn fetch_entries_dyn<'a>(
        &'a self,
        keys: &'a [&'a K],
        options: &'a FetchOptions,
    ) -> BoxFuture<'a, Vec<Result<Entry<V>>>>;
}

/// [`Cache`] as an object.
trait DynCache<K: ?Sized + Key, V: Value>: DynFetcher<K, V> {
    fn invalidate_dyn<'a>(&'a self, key: &'a K) -> BoxFuture<'a, Result<()>>;
    fn invalidate_many_dyn<'a>(&'a self, keys: &'a [&'a K]) -> BoxFuture<'a, Result<()>>;
    fn insert_through_dyn<'a>(
        &'a self,
        key: Hashed<&'a K>,
        entry: Entry<V>,
    ) -> BoxFuture<'a, Result<Entry<V>>>;
    fn fetch_through_dyn<'a>(
        &'a self,
        key: Hashed<&'a K>,
        options: &'a FetchOptions,
    ) -> BoxFuture<'a, Result<Entry<V>>>;
    fn fetch_many_through_dyn<'a>(
        &'a self,
        keys: &'a [Hashed<&'a K>],
        options: &'a FetchOptions,
    ) -> BoxFuture<'a, Vec<Result<Entry<V>>>>;
    fn invalidate_through_dyn<'a>(&'a self, keys: &'a [Hashed<&'a K>])
    -> BoxFuture<'a, Result<()>>;
    fn clear_dyn(&self) -> BoxFuture<'_, Result<()>>;
    fn stats_dyn(&self) -> Stats;
    fn keeps_nothing_dyn(&self) -> bool;
    fn attach_dyn(&self, above: Weak<dyn Above<K>>);
}

impl<F: Fetcher> DynFetcher<F::Key, F::Value> for F {
    fn fetch_dyn<'a>(&'a self, key: &'a F::Key) -> BoxFuture<'a, Result<F::Value>> {
        Box::pin(self.fetch(key))
    }

    fn fetch_many_dyn<'a>(
        &'a self,
        keys: &'a [&'a F::Key],
    ) -> BoxFuture<'a, Vec<Result<F::Value>>> {
        Box::pin(self.fetch_many(keys))
    }

    fn close_dyn(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.close())
    }

    fn fetch_entry_dyn<'a>(
        &'a self,
        key: &'a F::Key,
        options: &'a FetchOptions,
    ) -> BoxFuture<'a, Result<Entry<F::Value>>> {
        Box::pin(self.fetch_entry(key, options))
    }

    fn fetch_entries_dyn<'a>(
        &'a self,
        keys: &'a [&'a F::Key],
        options: &'a FetchOptions,
    ) -> BoxFuture<'a, Vec<Result<Entry<F::Value>>>> {
        Box::pin(self.fetch_entries(keys, options))
    }
}

impl<C: Cache> DynCache<C::Key, C::Value> for C {
    fn invalidate_dyn<'a>(&'a self, key: &'a C::Key) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.invalidate(key))
    }

    fn invalidate_many_dyn<'a>(&'a self, keys: &'a [&'a C::Key]) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.invalidate_many(keys))
    }

    fn insert_through_dyn<'a>(
        &'a self,
        key: Hashed<&'a C::Key>,
        entry: Entry<C::Value>,
    ) -> BoxFuture<'a, Result<Entry<C::Value>>> {
        Box::pin(self.insert_through(key, entry))
    }

    fn fetch_through_dyn<'a>(
        &'a self,
        key: Hashed<&'a C::Key>,
        options: &'a FetchOptions,
    ) -> BoxFuture<'a, Result<Entry<C::Value>>> {
        Box::pin(self.fetch_through(key, options))
    }

    fn fetch_many_through_dyn<'a>(
        &'a self,
        keys: &'a [Hashed<&'a C::Key>],
        options: &'a FetchOptions,
    ) -> BoxFuture<'a, Vec<Result<Entry<C::Value>>>> {
        Box::pin(self.fetch_many_through(keys, options))
    }

    fn invalidate_through_dyn<'a>(
        &'a self,
        keys: &'a [Hashed<&'a C::Key>],
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.invalidate_through(keys))
    }

    fn clear_dyn(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.clear())
    }

    fn stats_dyn(&self) -> Stats {
        self.stats()
    }

    fn keeps_nothing_dyn(&self) -> bool {
        self.keeps_nothing()
    }

    fn attach_dyn(&self, above: Weak<dyn Above<C::Key>>) {
        self.attach(above);
    }
}

/// Any [`Fetcher`] of keys `K` and values `V`, behind one pointer; clones share it.
///
/// For a field without further type parameters, and for choosing a chain at run time. Each call
/// allocates one future.
///
/// ```
/// use headwater::{fetch_fn, BoxFetcher, Fetcher};
///
/// struct Service {
///     planes: BoxFetcher<str, String>,
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let service = Service { planes: BoxFetcher::new(fetch_fn(async |tail: String| Ok(tail))) };
/// assert_eq!(service.planes.fetch("N14228").await?, "N14228");
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
pub struct BoxFetcher<K: ?Sized, V>(Arc<dyn DynFetcher<K, V>>);

/// Any [`Cache`] of keys `K` and values `V`, behind one pointer; clones share it.
///
/// ```
/// use headwater::{fetch_fn, BoxCache, Cache, Headwater, LruCache};
///
/// # fn main() -> headwater::Result<()> {
/// let source = fetch_fn(async |key: u32| Ok(key));
/// let chain: BoxCache<u32, u32> =
///     BoxCache::new(Headwater::source(source).through(LruCache::new(10)?).build());
/// assert_eq!(chain.stats().tiers.len(), 1);
/// # Ok(()) }
/// ```
pub struct BoxCache<K: ?Sized, V>(Arc<dyn DynCache<K, V>>);

impl<K: ?Sized + Key, V: Value> BoxFetcher<K, V> {
    /// Erases the type of `fetcher`.
    pub fn new(fetcher: impl Fetcher<Key = K, Value = V>) -> Self {
        Self(Arc::new(fetcher))
    }
}

impl<K: ?Sized + Key, V: Value> BoxCache<K, V> {
    /// Erases the type of `cache`.
    pub fn new(cache: impl Cache<Key = K, Value = V>) -> Self {
        Self(Arc::new(cache))
    }
}

/// Both erased forms forward every method of [`Fetcher`] in the same way.
macro_rules! forward_fetcher {
    ($erased:ident) => {
        #[deny(clippy::missing_trait_methods)]
        impl<K: ?Sized + Key, V: Value> Fetcher for $erased<K, V> {
            type Key = K;
            type Value = V;

            async fn fetch(&self, key: &K) -> Result<V> {
                self.0.fetch_dyn(key).await
            }

            async fn fetch_many(&self, keys: &[&K]) -> Vec<Result<V>> {
                self.0.fetch_many_dyn(keys).await
            }

            async fn close(&self) -> Result<()> {
                self.0.close_dyn().await
            }

            async fn fetch_entry(&self, key: &K, options: &FetchOptions) -> Result<Entry<V>> {
                self.0.fetch_entry_dyn(key, options).await
            }

            async fn fetch_entries(
                &self,
                keys: &[&K],
                options: &FetchOptions,
            ) -> Vec<Result<Entry<V>>> {
                self.0.fetch_entries_dyn(keys, options).await
            }
        }

        impl<K: ?Sized, V> Clone for $erased<K, V> {
            fn clone(&self) -> Self {
                Self(Arc::clone(&self.0))
            }
        }

        impl<K: ?Sized, V> fmt::Debug for $erased<K, V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($erased)).finish_non_exhaustive()
            }
        }
    };
}

forward_fetcher!(BoxFetcher);
forward_fetcher!(BoxCache);

#[deny(clippy::missing_trait_methods)]
impl<K: ?Sized + Key, V: Value> Cache for BoxCache<K, V> {
    async fn invalidate(&self, key: &K) -> Result<()> {
        self.0.invalidate_dyn(key).await
    }

    async fn invalidate_many(&self, keys: &[&K]) -> Result<()> {
        self.0.invalidate_many_dyn(keys).await
    }

    async fn insert(&self, key: &K, entry: impl Into<Entry<V>> + Send) -> Result<()> {
        self.0.insert_through_dyn(Hashed::new(key), entry.into()).await.map(drop)
    }

    async fn insert_through(&self, key: Hashed<&K>, entry: Entry<V>) -> Result<Entry<V>> {
        self.0.insert_through_dyn(key, entry).await
    }

    async fn fetch_through(&self, key: Hashed<&K>, options: &FetchOptions) -> Result<Entry<V>> {
        self.0.fetch_through_dyn(key, options).await
    }

    async fn fetch_many_through(
        &self,
        keys: &[Hashed<&K>],
        options: &FetchOptions,
    ) -> Vec<Result<Entry<V>>> {
        self.0.fetch_many_through_dyn(keys, options).await
    }

    async fn invalidate_through(&self, keys: &[Hashed<&K>]) -> Result<()> {
        self.0.invalidate_through_dyn(keys).await
    }

    async fn clear(&self) -> Result<()> {
        self.0.clear_dyn().await
    }

    fn stats(&self) -> Stats {
        self.0.stats_dyn()
    }

    fn keeps_nothing(&self) -> bool {
        self.0.keeps_nothing_dyn()
    }

    fn attach(&self, above: Weak<dyn Above<K>>) {
        self.0.attach_dyn(above);
    }
}
