use super::builder::FirestoreBuilder;
use super::call::Caller;
use super::key::{Collection, DocumentKey};
use super::stats::FirestoreStats;
use super::watch::WatchBuilder;
use crate::{Entry, Error, ErrorKind, FetchOptions, Fetcher, Key, Result, Value};
use ::firestore::FirestoreDb;
use ::firestore::gcloud_sdk::google::firestore::v1::DocumentMask;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The documents of one collection, as a source of truth. The [module](super) tells about ids, types,
/// versions, and what happens when the server is in trouble.
///
/// Clones share the client, counters and settings. It needs a tokio runtime with time and I/O.
///
/// ```no_run
/// use headwater::firestore::{self, FirestoreSource};
/// use headwater::{Fetcher, Headwater, LruCache};
///
/// #[derive(Clone, serde::Deserialize)]
/// struct User { name: String, email: Option<String> }
///
/// # async fn example() -> headwater::Result<()> {
/// let db = firestore::connect("my-project").await?;
/// let users = Headwater::source(FirestoreSource::<str, User>::new(db, "users")?)
///     .through(LruCache::new(10_000)?)
///     .build();
/// let user = users.fetch("user-123").await?;
/// # Ok(()) }
/// ```
///
/// # Cancellation
/// Dropping a fetch ends its calls: the server is told to stop.
pub struct FirestoreSource<K: ?Sized, V> {
    inner: Arc<Inner>,
    answers: PhantomData<fn(&K) -> V>,
}

/// What a source is, whatever its keys and values are.
pub(super) struct Inner {
    pub(super) db: FirestoreDb,
    pub(super) collection: Collection,
    pub(super) mask: Option<DocumentMask>,
    pub(super) name: Cow<'static, str>,
    pub(super) caller: Caller,
    /// The most documents in a call.
    pub(super) batch: usize,
    /// The most calls at once for one fetch.
    pub(super) lanes: usize,
    pub(super) is_closed: AtomicBool,
}

impl Inner {
    /// An error that names this source.
    pub(super) fn named(&self, error: Error) -> Error {
        error.with_tier(self.name.clone())
    }

    pub(super) fn error(&self, kind: ErrorKind, message: &'static str) -> Error {
        self.named(Error::new(kind, message))
    }
}

impl<K, V> FirestoreSource<K, V>
where
    K: ?Sized + Key + DocumentKey,
    V: Value + DeserializeOwned,
{
    /// The collection at `path`, with default settings: `users`, or `users/123/orders` for one under
    /// a document. The client stays the caller's; which project and database is its affair.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if `path` is no collection's; the message names it.
    pub fn new(db: FirestoreDb, path: impl AsRef<str>) -> Result<Self> {
        Self::builder(db, path).build()
    }

    /// The settings of a source of the collection at `path`.
    pub fn builder(db: FirestoreDb, path: impl AsRef<str>) -> FirestoreBuilder<K, V> {
        FirestoreBuilder::new(db, path.as_ref().to_owned())
    }

    /// The settings of a [`Watch`](super::Watch), which keeps a chain over this source up with what
    /// anybody changes.
    pub fn watch(&self) -> WatchBuilder<K, V> {
        WatchBuilder::new(Arc::clone(&self.inner))
    }
}

impl<K: ?Sized + DocumentKey, V> FirestoreSource<K, V> {
    /// The full name of the document that a key stands for, as the client's calls take it:
    /// `projects/P/databases/D/documents/users/123`. So what writes documents need not know how keys
    /// are written.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if no document can have such a key; the message says why.
    pub fn document(&self, key: &K) -> Result<String> {
        self.inner.collection.document(key).map_err(|error| self.inner.named(error))
    }
}

impl<K: ?Sized, V> FirestoreSource<K, V> {
    pub(super) fn of(inner: Inner) -> Self {
        Self { inner: Arc::new(inner), answers: PhantomData }
    }

    /// What it has counted so far, billed reads among it. Clones count together.
    #[must_use]
    pub fn stats(&self) -> FirestoreStats {
        self.inner.caller.counters.snapshot()
    }
}

impl<K, V> FirestoreSource<K, V>
where
    K: ?Sized + Key + DocumentKey,
    V: Value + DeserializeOwned,
{
    async fn entries(&self, keys: &[&K]) -> Vec<Result<Entry<V>>> {
        if self.inner.is_closed.load(Relaxed) {
            let closed = self.inner.error(ErrorKind::Closed, "");
            return keys.iter().map(|_| Err(closed.clone())).collect();
        }
        self.inner.read(keys).await
    }
}

impl<K, V> Fetcher for FirestoreSource<K, V>
where
    K: ?Sized + Key + DocumentKey,
    V: Value + DeserializeOwned,
{
    type Key = K;
    type Value = V;

    async fn fetch(&self, key: &K) -> Result<V> {
        self.entries(&[key]).await.remove(0)?.into_outcome()
    }

    async fn fetch_many(&self, keys: &[&K]) -> Vec<Result<V>> {
        let entries = self.entries(keys).await;
        entries.into_iter().map(|outcome| outcome.and_then(Entry::into_outcome)).collect()
    }

    /// Ends this source and its clones; the client, which is the caller's, goes on.
    async fn close(&self) -> Result<()> {
        self.inner.is_closed.store(true, Relaxed);
        Ok(())
    }

    async fn fetch_entry(&self, key: &K, _: &FetchOptions) -> Result<Entry<V>> {
        self.entries(&[key]).await.remove(0)
    }

    async fn fetch_entries(&self, keys: &[&K], _: &FetchOptions) -> Vec<Result<Entry<V>>> {
        self.entries(keys).await
    }
}

impl<K: ?Sized, V> Clone for FirestoreSource<K, V> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), answers: PhantomData }
    }
}

impl<K: ?Sized, V> fmt::Debug for FirestoreSource<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirestoreSource")
            .field("name", &self.inner.name)
            .field("collection", &self.inner.collection)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
