//! [`RedisRoster`]: rosters that processes share.
//!
//! # Keys
//! A topic is divided into shards by its keys; each has five Redis keys in one slot of a cluster:
//! - `ns%roster:topic/shard`, the log: a stream of what happened, trimmed to about 10,000 changes;
//! - `{ns%roster:topic/shard}:ends`: members by the end of their life, in the server's milliseconds;
//! - `{ns%roster:topic/shard}:names`: members in the order of their names, so that all connections of a key
//!   stand together, and listings go on where they ended;
//! - `{ns%roster:topic/shard}:values`: what members say of themselves, as JSON;
//! - `{ns%roster:topic/shard}:keys`: keys by the latest end of their connections.
//!
//! A member's name is its key (with `%` and 0x1f as `%25` and `%1F`), 0x1f, and the connection. All
//! counts are of members; nothing is counted up and down. What nobody touches goes within two TTLs and
//! a minute, the log within a day or two TTLs.
//!
//! # News
//! Only the log stands under the prefix that the server is asked to tell changes of, so watchers hear
//! of each change at once, and of no heartbeat. A log is read from the last change that was read,
//! which must still be there: after a `FLUSHALL`, a restart or a failover that lost it, it is not.

mod names;
mod scripts;
mod store;

use super::config::{RedisConfig, Settings};
use super::key::{Layout, RedisKey};
use super::link::Link;
use super::news::Hub;
use crate::{Error, ErrorKind, Key, Result, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Calls under way at once: the others wait here, where no time limit runs yet.
const UNDER_WAY: usize = 256;

/// A store of rosters in Redis or Valkey, 6.2 or later: one server, sentinels or a cluster. Values as
/// JSON. The server's clock says what has expired.
///
/// A server that does not answer is an error for its callers, within the configuration's time limits,
/// and at once while the breaker is open.
///
/// ```no_run
/// use headwater::presence::Roster;
/// use headwater::redis::{RedisConfig, RedisRoster};
///
/// # async fn example() -> headwater::Result<()> {
/// let config = RedisConfig::new("redis://localhost:6379")?.namespace("rooms");
/// let roster = Roster::new(RedisRoster::<str, String>::connect(config).await?);
/// let phone = roster.join("room 1", "ada", "phone".to_owned()).await?;
/// # Ok(()) }
/// ```
pub struct RedisRoster<K: ?Sized, V> {
    link: Link,
    layout: Layout,
    settings: Settings,
    hub: Arc<Hub>,
    shards: u32,
    places: Semaphore,
    types: PhantomData<fn(&K) -> V>,
}

impl<K, V> RedisRoster<K, V>
where
    K: ?Sized + Key + RedisKey,
    V: Value + Serialize + DeserializeOwned,
{
    /// Connects, and has the server answer a ping. Of the configuration it uses what is about
    /// connections, the time limits, the namespace, the name and the maximal value.
    ///
    /// # Errors
    /// As [`RedisConfig::connect`].
    ///
    /// # Cancellation
    /// Dropping it drops the connection.
    pub async fn connect(config: RedisConfig) -> Result<Self> {
        let roster = Self::connect_lazy(config)?;
        roster.link.connect().await.map_err(|error| roster.named(error))?;
        Ok(roster)
    }

    /// As [`connect`](Self::connect), but connects on first use.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if a setting makes no sense, or it is to be compatible with the
    /// Go package, which has no rosters.
    pub fn connect_lazy(config: RedisConfig) -> Result<Self> {
        let (dialer, layout, settings) = config.checked()?;
        if layout.prefix().is_none() {
            let message = "go_compatible: the Go package has no rosters";
            return Err(Error::new(ErrorKind::InvalidConfig, message));
        }
        let layout = layout.room("roster");
        let dialer = Arc::new(dialer);
        let hub = Hub::new(Arc::clone(&dialer), layout.clone(), settings.max_staleness, true);
        Ok(Self {
            link: Link::new(dialer),
            layout,
            settings,
            hub: Arc::new(hub),
            shards: 1,
            places: Semaphore::new(UNDER_WAY),
            types: PhantomData,
        })
    }
}

impl<K: ?Sized, V> RedisRoster<K, V> {
    /// Into how many parts each topic is divided: more than one spreads a large topic over a cluster.
    /// All processes must have the same. Zero is taken for one. Default: 1.
    #[must_use]
    pub fn with_shards(mut self, shards: u32) -> Self {
        self.shards = shards.max(1);
        self
    }

    fn named(&self, error: Error) -> Error {
        error.with_tier(self.settings.name.clone())
    }
}

impl<K: ?Sized, V> fmt::Debug for RedisRoster<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRoster").field("name", &self.settings.name).finish_non_exhaustive()
    }
}
