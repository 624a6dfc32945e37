//! Presence in Redis: one string per entry, whose life the server counts.

use super::{LEAST, Presence, PresenceCache, TIME_TO_LIVE};
use crate::codec::{Codec, Json};
use crate::redis::{Again, Check, Layout, RedisKey, RedisStore, Script, Step, check_go};
use crate::{Error, ErrorKind, Key, Result, Value};
use ::redis::{Cmd, Value as Reply};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::sync::LazyLock;
use std::time::Duration;

/// Deletes KEYS[1] if its bytes are ARGV[1].
static DELETE_IF: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0",
    )
});

/// A [`Presence`] that every process shares that uses the same server and namespace.
///
/// Key `ada` of namespace `chat` is the string `chat%presence:ada`, escaped as a
/// [`RedisCache`](crate::redis::RedisCache)'s, in the same form as a value there. With
/// [`go_compatible`](crate::redis::RedisConfig::go_compatible) it is what the Go package's
/// `RedisPresenceCache` has: the key as it is, the value as plain JSON.
///
/// The server counts lives and drops the dead; a read never returns one. Redis that is down, slow or
/// full is an error, within the store's time limits. What cannot be decoded is
/// [`ErrorKind::Codec`], another type than a string [`ErrorKind::Unavailable`]: neither is absent, and
/// a set overwrites both.
///
/// Clones share the connection. [`close`](PresenceCache::close) ends the [`RedisStore`] that it was
/// made of, for everybody who shares that.
///
/// ```no_run
/// use headwater::presence::{PresenceCache, RedisPresence};
/// use headwater::redis::RedisConfig;
/// use std::time::Duration;
///
/// # async fn example() -> headwater::Result<()> {
/// let config = RedisConfig::new("redis://localhost:6379")?.namespace("chat");
/// let store = config.connect_store().await?;
/// let online = RedisPresence::<str, String>::new(&store).ttl(Duration::from_secs(30));
/// online.set("ada", &"reading".to_owned()).await?;
/// # Ok(()) }
/// ```
pub struct RedisPresence<K: ?Sized, V, C = Json> {
    store: RedisStore,
    layout: Layout,
    codec: C,
    /// Finds what Go could not read, if Go is to read it.
    check: Option<Check<V>>,
    ttl: Duration,
    key: PhantomData<fn(&K)>,
}

impl<K, V> RedisPresence<K, V>
where
    K: ?Sized + Key + RedisKey,
    V: Value + Serialize + DeserializeOwned,
{
    /// Presence on a store; its entries live for 60 seconds.
    #[must_use]
    pub fn new(store: &RedisStore) -> Self {
        let check: Option<Check<V>> = store.is_go().then_some(check_go);
        Self::of(store, Json, check)
    }
}

impl<K: ?Sized, V, C> RedisPresence<K, V, C> {
    fn of(store: &RedisStore, codec: C, check: Option<Check<V>>) -> Self {
        let layout = store.room("presence");
        let (store, ttl) = (store.clone(), TIME_TO_LIVE);
        Self { store, layout, codec, check, ttl, key: PhantomData }
    }

    /// As [`new`](RedisPresence::new), with another codec than JSON.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if the store is to be shared with the Go package, which reads
    /// JSON only.
    pub fn with_codec(store: &RedisStore, codec: C) -> Result<Self> {
        if store.is_go() {
            let message = "go_compatible: the Go package reads JSON only, so no other codec";
            return Err(Error::new(ErrorKind::InvalidConfig, message));
        }
        Ok(Self::of(store, codec, None))
    }

    /// How long entries live if nothing else is said; at least 1 ms, [`Duration::MAX`] is without
    /// end. Default: 60 seconds.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// In milliseconds; `None` is without end, which longer lives than Redis can count are too.
    fn millis(&self, ttl: Option<Duration>) -> Option<u64> {
        let millis = ttl.unwrap_or(self.ttl).max(LEAST).as_millis();
        u64::try_from(millis).ok().filter(|millis| *millis < 1 << 52)
    }
}

impl<K, V, C> RedisPresence<K, V, C>
where
    K: ?Sized + Key + RedisKey,
    V: Value,
    C: Codec<V>,
{
    fn name(&self, key: &K) -> Result<Vec<u8>> {
        self.store.name(&self.layout, key)
    }

    async fn write(&self, key: &K, value: &V, ttl: Option<Duration>, absent: bool) -> Result<bool> {
        let name = self.name(key)?;
        let mut command = ::redis::cmd("SET");
        command.arg(&name).arg(self.seal(&name, value)?);
        if let Some(millis) = self.millis(ttl) {
            command.arg("PX").arg(millis);
        }
        if absent {
            command.arg("NX");
        }
        match self.store.run(&Step::Plain(command)).await? {
            Reply::Okay => Ok(true),
            Reply::Nil => Ok(false),
            _ => Err(self.store.strange()),
        }
    }

    fn seal(&self, name: &[u8], value: &V) -> Result<Vec<u8>> {
        if let Some(check) = self.check {
            check(value).map_err(|error| self.store.named(error))?;
        }
        self.store.seal(&self.codec, name, value)
    }

    fn open(&self, name: &[u8], reply: &Reply) -> Result<Option<V>> {
        match reply {
            Reply::Nil => Ok(None),
            Reply::BulkString(bytes) => self.store.open(&self.codec, name, bytes).map(Some),
            _ => Err(self.store.strange()),
        }
    }

    fn touching(&self, name: &[u8], ttl: Option<Duration>) -> Cmd {
        match self.millis(ttl) {
            Some(millis) => command("PEXPIRE", name).arg(millis).to_owned(),
            // `PERSIST` says 0 of what has no end yet, and `GETEX` would send the value.
            None => command("PEXPIREAT", name).arg(FOREVER).to_owned(),
        }
    }

    fn is_one(&self, reply: &Reply) -> Result<bool> {
        match reply {
            Reply::Int(count) => Ok(*count == 1),
            _ => Err(self.store.strange()),
        }
    }
}

/// An end that is none, in Unix milliseconds: some 140,000 years from now.
const FOREVER: u64 = 1 << 52;
/// What is longer than this in milliseconds is without end.
const LONG: i64 = 1 << 51;

fn command(verb: &str, name: &[u8]) -> Cmd {
    let mut command = ::redis::cmd(verb);
    command.arg(name);
    command
}

impl<K, V, C> PresenceCache for RedisPresence<K, V, C>
where
    K: ?Sized + Key + RedisKey,
    V: Value,
    C: Codec<V>,
{
    type Key = K;
    type Value = V;

    async fn set(&self, key: &K, value: &V) -> Result<()> {
        self.write(key, value, None, false).await.map(drop)
    }

    async fn fetch(&self, key: &K) -> Result<Option<V>> {
        let name = self.name(key)?;
        let reply = self.store.read(&command("GET", &name)).await?;
        self.open(&name, &reply)
    }

    async fn delete(&self, key: &K) -> Result<bool> {
        let step = Step::Plain(command("DEL", &self.name(key)?));
        self.is_one(&self.store.run(&step).await?)
    }

    async fn close(&self) -> Result<()> {
        self.store.close();
        Ok(())
    }
}

impl<K, V, C> Presence for RedisPresence<K, V, C>
where
    K: ?Sized + Key + RedisKey,
    V: Value,
    C: Codec<V>,
{
    async fn set_for(&self, key: &K, value: &V, ttl: Option<Duration>) -> Result<()> {
        self.write(key, value, ttl, false).await.map(drop)
    }

    async fn set_if_absent(&self, key: &K, value: &V, ttl: Option<Duration>) -> Result<bool> {
        self.write(key, value, ttl, true).await
    }

    async fn fetch_many(&self, keys: &[&K]) -> Vec<Result<Option<V>>> {
        let names: Vec<Result<Vec<u8>>> = keys.iter().map(|key| self.name(key)).collect();
        let known: Vec<Vec<u8>> = names.iter().flatten().cloned().collect();
        let steps = known.iter().map(|name| Step::Plain(command("GET", name))).collect();
        let mut replies = self.store.run_many(&known, steps, Again::Once).await.into_iter();
        let mut answer = |name: Vec<u8>| {
            let reply = replies.next().unwrap_or_else(|| Err(self.store.strange()))?;
            self.open(&name, &reply)
        };
        names.into_iter().map(|name| name.and_then(&mut answer)).collect()
    }

    async fn remaining(&self, key: &K) -> Result<Option<Duration>> {
        match self.store.read(&command("PTTL", &self.name(key)?)).await? {
            Reply::Int(-2) => Ok(None),
            Reply::Int(-1 | LONG..) => Ok(Some(Duration::MAX)),
            Reply::Int(millis) => {
                Ok(Some(Duration::from_millis(u64::try_from(millis).unwrap_or(0))))
            }
            _ => Err(self.store.strange()),
        }
    }

    async fn touch(&self, key: &K, ttl: Option<Duration>) -> Result<bool> {
        let step = Step::Plain(self.touching(&self.name(key)?, ttl));
        self.is_one(&self.store.run(&step).await?)
    }

    async fn touch_many<'k>(&self, keys: &[&'k K], ttl: Option<Duration>) -> Result<Vec<&'k K>> {
        let names = keys.iter().map(|key| self.name(key)).collect::<Result<Vec<_>>>()?;
        let steps = names.iter().map(|name| Step::Plain(self.touching(name, ttl))).collect();
        let replies = self.store.run_many(&names, steps, Again::Once).await;
        let mut missing = Vec::new();
        for (key, reply) in keys.iter().zip(replies) {
            if !self.is_one(&reply?)? {
                missing.push(*key);
            }
        }
        Ok(missing)
    }

    async fn delete_if(&self, key: &K, is_it: &(dyn Fn(&V) -> bool + Send + Sync)) -> Result<bool> {
        let name = self.name(key)?;
        loop {
            let reply = self.store.read(&command("GET", &name)).await?;
            if !self.open(&name, &reply)?.is_some_and(|value| is_it(&value)) {
                return Ok(false);
            }
            let Reply::BulkString(seen) = reply else { return Err(self.store.strange()) };
            let step = Step::Script(&DELETE_IF, vec![name.clone()], vec![seen]);
            if self.is_one(&self.store.run(&step).await?)? {
                return Ok(true);
            }
        }
    }
}

impl<K: ?Sized, V, C: Clone> Clone for RedisPresence<K, V, C> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            layout: self.layout.clone(),
            codec: self.codec.clone(),
            check: self.check,
            ttl: self.ttl,
            key: PhantomData,
        }
    }
}

impl<K: ?Sized, V, C> fmt::Debug for RedisPresence<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RedisPresence");
        debug.field("store", &self.store).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}
