use super::config::{RedisConfig, Settings};
use super::dial::Dialer;
use super::envelope::Fault;
use super::go::Check;
use super::key::{Layout, MAX_KEY, RedisKey};
use super::link::Link;
use super::news::{Coherence, Hub};
use super::stats::{Counters, RedisStats};
use crate::codec::Json;
use crate::{Clock, Error, ErrorKind, Key, Result, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// A tier in Redis (or Valkey): shared by processes and machines, with the lives that the server
/// keeps. The [module](super) tells what it does when the server does not.
///
/// Clones share connections, counters and settings. It needs a tokio runtime with time and I/O.
///
/// ```no_run
/// use headwater::redis::RedisCache;
/// use headwater::{fetch_fn, Fetcher, Headwater, LruCache};
/// use std::time::Duration;
///
/// # async fn example() -> headwater::Result<()> {
/// let redis = RedisCache::connect("redis://localhost:6379").await?.ttl(Duration::from_secs(3_600));
/// let users = Headwater::source(fetch_fn(async |id: String| Ok(format!("user {id}"))))
///     .through(redis)
///     .through(LruCache::new(10_000)?)
///     .build();
/// let user = users.fetch("123").await?;
/// # Ok(()) }
/// ```
pub struct RedisCache<K: ?Sized, V, C = Json> {
    pub(super) link: Link,
    /// For long values, which would hold up everybody else's.
    pub(super) bulk: Link,
    pub(super) layout: Layout,
    pub(super) settings: Settings,
    pub(super) codec: C,
    /// Finds what Go could not read, if Go is to read it.
    pub(super) check: Option<Check<V>>,
    pub(super) counters: Arc<Counters>,
    /// Where news of others' changes arrive.
    pub(super) hub: Arc<Hub>,
    key: PhantomData<fn(&K)>,
}

impl<K, V> RedisCache<K, V>
where
    K: ?Sized + Key + RedisKey,
    V: Value + Serialize + DeserializeOwned,
{
    /// Connects to one server by its URL, with default settings, and has it answer a ping.
    ///
    /// For a cluster, sentinels, a user, a namespace and more, see [`RedisConfig`].
    ///
    /// # Errors
    /// As [`RedisConfig::new`] and [`RedisConfig::connect`].
    ///
    /// # Cancellation
    /// Dropping it drops the connection.
    ///
    /// ```no_run
    /// # async fn example() -> headwater::Result<()> {
    /// use headwater::redis::RedisCache;
    /// let planes: RedisCache<str, String> = RedisCache::connect("redis://localhost:6379/0").await?;
    /// # Ok(()) }
    /// ```
    pub async fn connect(url: &str) -> Result<Self> {
        RedisConfig::new(url)?.connect().await
    }

    /// As [`connect`](Self::connect), but connects on first use, and so starts though Redis is down.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if the URL makes no sense.
    ///
    /// ```
    /// use headwater::redis::RedisCache;
    /// let planes: RedisCache<str, String> = RedisCache::connect_lazy("redis://localhost:6379/0")?;
    /// # Ok::<(), headwater::Error>(())
    /// ```
    pub fn connect_lazy(url: &str) -> Result<Self> {
        RedisConfig::new(url)?.connect_lazy()
    }
}

impl<K: ?Sized, V, C> RedisCache<K, V, C> {
    pub(super) fn new(
        dialer: Dialer,
        layout: Layout,
        settings: Settings,
        codec: C,
        check: Option<Check<V>>,
    ) -> Self {
        let dialer = Arc::new(dialer);
        let is_wanted = settings.is_leasing && settings.is_coherent;
        let hub = Hub::new(Arc::clone(&dialer), layout.clone(), settings.max_staleness, is_wanted);
        Self {
            link: Link::new(Arc::clone(&dialer)),
            bulk: Link::new(dialer),
            layout,
            settings,
            codec,
            check,
            counters: Arc::default(),
            hub: Arc::new(hub),
            key: PhantomData,
        }
    }

    /// How long a found entry lives, from the put; its own end, if earlier, stays. At least 1 ms;
    /// [`Duration::MAX`] sets no end. Default: 1 hour.
    #[must_use]
    pub fn time_to_live(mut self, ttl: Duration) -> Self {
        self.settings.set_time_to_live(ttl);
        self
    }

    /// Short for [`time_to_live`](Self::time_to_live).
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        self.time_to_live(ttl)
    }

    /// The clock that entries' moments are of: the chain's. Default: the system's monotonic clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.settings.clock = clock;
        self
    }

    /// The tier's name in counters and errors. Default: `"redis"`.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// What it has counted so far, and how the breaker stands.
    #[must_use]
    pub fn stats(&self) -> RedisStats {
        self.counters.snapshot([&self.link, &self.bulk], &self.hub)
    }

    /// How it hears now of what others change.
    #[must_use]
    pub fn coherence(&self) -> Coherence {
        self.hub.state()
    }

    /// Whether the server answers within the read timeout, past the breaker.
    ///
    /// # Errors
    /// As [`RedisConfig::connect`], and [`ErrorKind::Closed`] after a close.
    ///
    /// # Cancellation
    /// Dropping it leaves nothing behind.
    pub async fn ping(&self) -> Result<()> {
        let within = self.settings.read_timeout;
        self.link.ping(within).await.map_err(|error| self.named(error))
    }

    pub(super) async fn connect_now(&self) -> Result<()> {
        self.link.connect().await.map_err(|error| self.named(error))
    }

    /// An error that names this tier.
    pub(super) fn named(&self, error: Error) -> Error {
        error.with_tier(self.settings.name.clone())
    }

    /// Counts bytes that are no entry.
    pub(super) fn count(&self, fault: Fault) {
        Counters::add(match fault {
            Fault::Corrupt => &self.counters.corrupt,
            Fault::OtherSchema => &self.counters.other_schema,
        });
    }
}

impl<K: ?Sized + RedisKey, V, C> RedisCache<K, V, C> {
    /// The Redis key of a key's entry.
    pub(super) fn entry_name(&self, key: &K) -> Result<Vec<u8>> {
        self.layout.entry(key).ok_or_else(|| {
            let message = format!("a key is longer than {MAX_KEY} bytes");
            self.named(Error::new(ErrorKind::Codec, message))
        })
    }
}

impl<K: ?Sized, V, C: Clone> Clone for RedisCache<K, V, C> {
    fn clone(&self) -> Self {
        Self {
            link: self.link.clone(),
            bulk: self.bulk.clone(),
            layout: self.layout.clone(),
            settings: self.settings.clone(),
            codec: self.codec.clone(),
            check: self.check,
            counters: Arc::clone(&self.counters),
            hub: Arc::clone(&self.hub),
            key: PhantomData,
        }
    }
}

impl<K: ?Sized, V, C> fmt::Debug for RedisCache<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCache")
            .field("name", &self.settings.name)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
