//! [`RedisStore`]: what presence, locks and sessions share of a Redis server. They have no source to
//! fall back on, so here the server's trouble is the caller's error.

use super::cache::RedisCache;
use super::config::Settings;
use super::dial::Dialer;
use super::key::{Layout, MAX_KEY, RedisKey};
use super::link::{Again, Link};
use super::script::{self, Step};
use super::value::Sealing;
use crate::codec::Codec;
use crate::{Error, ErrorKind, Result};
use ::redis::{Cmd, Value as Reply};
use futures_util::future::join_all;
use std::fmt;
use std::sync::Arc;

/// Names per round trip.
const CHUNK: usize = 500;

/// A Redis server, sentinels or a cluster, for presence, locks and sessions; made by
/// [`RedisConfig::connect_store`]. Clones share its connection and its breaker.
///
/// Each kind of thing has a room of its own within the namespace, apart from a
/// [`RedisCache`]'s entries: names begin with `namespace%presence:`, `{namespace%lock:` and so on.
///
/// A call takes at most the write timeout of the configuration, a call that only reads the read
/// timeout; with the breaker open, calls fail at once.
///
/// ```no_run
/// use headwater::redis::RedisConfig;
///
/// # async fn example() -> headwater::Result<()> {
/// let config = RedisConfig::new("redis://localhost:6379")?.namespace("chat");
/// let store = config.connect_store().await?;
/// store.ping().await?;
/// # Ok(()) }
/// ```
///
/// [`RedisConfig::connect_store`]: super::RedisConfig::connect_store
#[derive(Clone)]
pub struct RedisStore {
    link: Link,
    layout: Layout,
    settings: Settings,
}

impl RedisStore {
    pub(super) fn new(dialer: Dialer, layout: Layout, settings: Settings) -> Self {
        let dialer = Arc::new(dialer);
        Self { link: Link::new(dialer), layout, settings }
    }

    /// Whether the server answers within the read timeout, past the breaker.
    ///
    /// # Errors
    /// As [`RedisConfig::connect`](super::RedisConfig::connect), and [`ErrorKind::Closed`] after a
    /// close.
    ///
    /// # Cancellation
    /// Dropping it leaves nothing behind.
    pub async fn ping(&self) -> Result<()> {
        let within = self.settings.read_timeout;
        self.link.ping(within).await.map_err(|error| self.named(error))
    }

    /// Ends the connection that all clones share; later calls fail with [`ErrorKind::Closed`].
    pub fn close(&self) {
        self.link.close();
    }

    pub(super) async fn connect_now(&self) -> Result<()> {
        self.link.connect().await.map_err(|error| self.named(error))
    }

    /// How the names of one kind of thing are made; as they are, if the Go package shares them.
    pub(crate) fn room(&self, what: &str) -> Layout {
        self.layout.room(what)
    }

    /// The name of `key` in a room.
    pub(crate) fn name<K: ?Sized + RedisKey>(&self, room: &Layout, key: &K) -> Result<Vec<u8>> {
        room.entry(key).ok_or_else(|| {
            let message = format!("a key is longer than {MAX_KEY} bytes");
            self.named(Error::new(ErrorKind::Codec, message))
        })
    }

    /// Whether the Go package shares what is stored: keys as they are, values as plain JSON.
    pub(crate) fn is_go(&self) -> bool {
        self.settings.form.is_plain
    }

    /// The bytes of a value that is stored under `name`.
    pub(crate) fn seal<V, C: Codec<V>>(
        &self,
        codec: &C,
        name: &[u8],
        value: &V,
    ) -> Result<Vec<u8>> {
        let Settings { form, max_value, .. } = &self.settings;
        let sealing = Sealing { value: Some(value), version: None, age: None, life: None };
        form.seal(codec, name, &sealing, *max_value).map_err(|error| self.named(error))
    }

    /// The value of bytes found under `name`.
    pub(crate) fn open<V, C: Codec<V>>(&self, codec: &C, name: &[u8], bytes: &[u8]) -> Result<V> {
        let Settings { form, max_value, .. } = &self.settings;
        let opened = form.open(codec, name, bytes, *max_value).ok();
        opened.and_then(|opened| opened.value).ok_or_else(|| {
            let message = "what is stored is of another schema, codec or type, or is damaged";
            self.named(Error::new(ErrorKind::Codec, message))
        })
    }

    /// The reply of a command that only reads.
    pub(crate) async fn read(&self, command: &Cmd) -> Result<Reply> {
        let reply = self.link.one(command, self.settings.read_timeout, Again::Once).await;
        reply.and_then(refused).map_err(|error| self.named(error))
    }

    /// The reply of a command or a script.
    pub(crate) async fn run(&self, step: &Step) -> Result<Reply> {
        let reply = step.run(&self.link, self.settings.write_timeout).await;
        reply.and_then(refused).map_err(|error| self.named(error))
    }

    /// The replies to one step for each name, in one round trip per 500 names and server, all at
    /// once. What fails as a whole fails for each of its names.
    pub(crate) async fn run_many(
        &self,
        names: &[Vec<u8>],
        steps: Vec<Step>,
        again: Again,
    ) -> Vec<Result<Reply>> {
        let mut steps = steps.into_iter();
        let chunks = names.chunks(CHUNK).map(|names| {
            let steps = steps.by_ref().take(names.len()).collect();
            self.run_chunk(names, steps, again)
        });
        let chunks: Vec<_> = chunks.collect();
        join_all(chunks).await.into_iter().flatten().collect()
    }

    async fn run_chunk(
        &self,
        names: &[Vec<u8>],
        steps: Vec<Step>,
        again: Again,
    ) -> Vec<Result<Reply>> {
        let within = self.settings.write_timeout;
        match script::take(&self.link, names, steps, within, again).await {
            Ok(replies) => {
                replies.into_iter().map(|reply| reply.map_err(|error| self.named(error))).collect()
            }
            Err(error) => {
                let error = self.named(error);
                names.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }

    /// An error that names this store.
    pub(crate) fn named(&self, error: Error) -> Error {
        error.with_tier(self.settings.name.clone())
    }

    /// The error of a reply that is none of those that were asked for.
    pub(crate) fn strange(&self) -> Error {
        self.named(Error::new(ErrorKind::Unexpected, "a reply of another type than was asked for"))
    }
}

/// A refusal as an error.
fn refused(reply: Reply) -> Result<Reply> {
    reply.extract_error().map_err(super::error::from_redis)
}

impl<K: ?Sized, V, C> RedisCache<K, V, C> {
    /// A store on the same servers and with the same settings, with a connection of its own.
    ///
    /// ```
    /// use headwater::redis::RedisCache;
    /// let planes: RedisCache<str, String> = RedisCache::connect_lazy("redis://localhost:6379")?;
    /// let store = planes.store();
    /// # let _ = store;
    /// # Ok::<(), headwater::Error>(())
    /// ```
    #[must_use]
    pub fn store(&self) -> RedisStore {
        let dialer = self.link.dialer();
        let (layout, settings) = (self.layout.clone(), self.settings.clone());
        RedisStore { link: Link::new(dialer), layout, settings }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, breaker) = (&self.settings.name, self.link.breaker().state());
        f.debug_struct("RedisStore").field("name", name).field("breaker", &breaker).finish()
    }
}
