use super::cache::RedisCache;
use super::dial::{Dialer, Topology, tcp_settings};
use super::error::from_redis;
use super::go::{self, Check};
use super::key::{Layout, RedisKey};
use super::store::RedisStore;
#[cfg(feature = "redis-tls")]
use super::tls::Tls;
use super::value::Form;
#[cfg(feature = "encryption")]
use crate::codec::encrypt::EncryptionKeys;
use crate::codec::{Codec, Json};
use crate::{Clock, Error, ErrorKind, Key, Result, Value};
use ::redis::{ConnectionInfo, IntoConnectionInfo};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// What a stored value may be longer than the value itself: its head, and what codecs add.
const OVERHEAD: usize = 64 * 1024;
/// Longer than Redis stores anything.
const LONGEST: usize = 1 << 40;

/// How a [`RedisCache`] finds its servers and what it does with entries.
///
/// Nothing is connected or checked before [`connect`](Self::connect) or
/// [`connect_lazy`](Self::connect_lazy). `Debug` shows no password and no key.
///
/// ```no_run
/// use headwater::redis::{RedisCache, RedisConfig};
/// use std::time::Duration;
///
/// # async fn example() -> headwater::Result<()> {
/// let planes: RedisCache<str, String> = RedisConfig::new("redis://cache.internal:6379/2")?
///     .user("planes")
///     .password("secret")
///     .namespace("planes")
///     .time_to_live(Duration::from_secs(3_600))
///     .schema(4)
///     .connect()
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "a configuration does nothing until it connects"]
pub struct RedisConfig {
    topology: Topology,
    user: Option<String>,
    password: Option<String>,
    database: Option<i64>,
    #[cfg(feature = "redis-tls")]
    tls: Tls,
    connect_timeout: Duration,
    namespace: Option<String>,
    is_go: bool,
    coherence: Option<bool>,
    pub(super) settings: Settings,
}

/// What a [`RedisCache`] does with entries.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) name: Cow<'static, str>,
    pub(super) clock: Clock,
    pub(super) time_to_live: Option<Duration>,
    pub(super) absent_ttl: Duration,
    pub(super) jitter: f64,
    pub(super) read_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) clear_timeout: Duration,
    pub(super) max_value: usize,
    pub(super) form: Form,
    pub(super) is_leasing: bool,
    pub(super) lease_time: Duration,
    pub(super) is_coherent: bool,
    pub(super) max_staleness: Duration,
}

impl RedisConfig {
    /// One server: `redis://[user[:password]@]host[:port][/database]`, `rediss://` for TLS (feature
    /// `redis-tls`), `unix:///path` for a local socket.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if the URL makes no sense.
    ///
    /// ```
    /// use headwater::redis::RedisConfig;
    /// assert!(RedisConfig::new("redis://localhost:6379/0").is_ok());
    /// assert!(RedisConfig::new("http://localhost").is_err());
    /// ```
    pub fn new(url: &str) -> Result<Self> {
        Ok(Self::of(Topology::Standalone(parse(url)?)))
    }

    /// A cluster, by the URLs of some of its nodes; the others are found. Feature `redis-cluster`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if there is no URL, or one makes no sense.
    ///
    /// ```
    /// use headwater::redis::RedisConfig;
    /// assert!(RedisConfig::cluster(["redis://node-1:6379", "redis://node-2:6379"]).is_ok());
    /// ```
    #[cfg(feature = "redis-cluster")]
    pub fn cluster<U: AsRef<str>>(urls: impl IntoIterator<Item = U>) -> Result<Self> {
        Ok(Self::of(Topology::Cluster(parse_all(urls)?)))
    }

    /// The master that sentinels name, by the sentinels' URLs (their users and passwords, if they
    /// have any, stand in these). Feature `redis-sentinel`.
    ///
    /// [`user`](Self::user), [`password`](Self::password) and [`database`](Self::database) are for
    /// the master. It is spoken to over TLS if the first sentinel's URL is `rediss://`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if there is no URL, or one makes no sense.
    ///
    /// ```
    /// use headwater::redis::RedisConfig;
    /// assert!(RedisConfig::sentinel("mymaster", ["redis://s1:26379", "redis://s2:26379"]).is_ok());
    /// ```
    #[cfg(feature = "redis-sentinel")]
    pub fn sentinel<U: AsRef<str>>(
        master: impl Into<String>,
        urls: impl IntoIterator<Item = U>,
    ) -> Result<Self> {
        let (sentinels, node) = (parse_all(urls)?, ::redis::RedisConnectionInfo::default());
        Ok(Self::of(Topology::Sentinel { master: master.into(), sentinels, node }))
    }

    /// The server of a client of the `redis` crate, with its certificates, user and all: for what
    /// this configuration has no setting for.
    ///
    /// The cache makes connections of its own; closing it does not touch the client.
    ///
    /// ```
    /// let client = headwater::redis::client::Client::open("redis://localhost").unwrap();
    /// let config = headwater::redis::RedisConfig::from_client(&client);
    /// # let _ = config;
    /// ```
    pub fn from_client(client: &::redis::Client) -> Self {
        Self::of(Topology::Standalone(client.get_connection_info().clone()))
    }

    fn of(topology: Topology) -> Self {
        Self {
            topology,
            user: None,
            password: None,
            database: None,
            #[cfg(feature = "redis-tls")]
            tls: Tls::default(),
            connect_timeout: Duration::from_millis(500),
            namespace: None,
            is_go: false,
            coherence: None,
            settings: Settings {
                name: Cow::Borrowed("redis"),
                clock: Clock::system(),
                time_to_live: Some(Duration::from_secs(3_600)),
                absent_ttl: Duration::from_secs(60),
                jitter: 0.0,
                read_timeout: Duration::from_millis(250),
                write_timeout: Duration::from_secs(1),
                clear_timeout: Duration::from_secs(30),
                max_value: 8 << 20,
                form: Form::default(),
                is_leasing: true,
                lease_time: Duration::from_secs(10),
                is_coherent: true,
                max_staleness: Duration::from_secs(1),
            },
        }
    }

    /// The user, over that of the URL. Default: the URL's, or Redis' own default user.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The password, over that of the URL. Default: the URL's, or none.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// The number of the database, over that of the URL. A cluster has only 0. Default: the URL's,
    /// or 0.
    pub fn database(mut self, number: u32) -> Self {
        self.database = Some(i64::from(number));
        self
    }

    /// Whose certificates are trusted, in PEM form: of one authority, or of several one after the
    /// other. For `rediss://` URLs, but not with sentinels. Default: those that the system trusts. Feature `redis-tls`.
    ///
    /// The certificate has to name the host of the URL. A server whose certificate is not trusted is
    /// refused with [`ErrorKind::Unavailable`].
    ///
    /// ```no_run
    /// use headwater::redis::RedisConfig;
    ///
    /// let authority = std::fs::read("ca.pem")?;
    /// let config = RedisConfig::new("rediss://cache.internal:6380")?.tls_ca(authority);
    /// # let _ = config;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "redis-tls")]
    pub fn tls_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls.set_authority(pem.into());
        self
    }

    /// This client's own certificate (with those that lead to its authority after it) and its
    /// private key, in PEM form, for servers that ask for one. For `rediss://` URLs. Default: none.
    /// Feature `redis-tls`.
    ///
    /// ```no_run
    /// use headwater::redis::RedisConfig;
    ///
    /// let (certificate, key) = (std::fs::read("client.pem")?, std::fs::read("client.key")?);
    /// let config =
    ///     RedisConfig::new("rediss://cache.internal:6380")?.tls_identity(certificate, key);
    /// # let _ = config;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "redis-tls")]
    pub fn tls_identity(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.tls.set_identity(certificate.into(), key.into());
        self
    }

    /// What keeps this cache's keys apart from all others in the same database: give each cache, and
    /// each kind of value, its own. Default: `"headwater"`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// How long a found entry lives, from the put; its own end, if earlier, stays. At least 1 ms;
    /// [`Duration::MAX`] sets no end. Default: 1 hour.
    pub fn time_to_live(mut self, ttl: Duration) -> Self {
        self.settings.set_time_to_live(ttl);
        self
    }

    /// How long an absent entry lives, from the put; its own end, if earlier, stays. Zero keeps
    /// none. Default: 60 seconds.
    pub fn absent_ttl(mut self, ttl: Duration) -> Self {
        self.settings.absent_ttl = ttl;
        self
    }

    /// Shortens each life that this cache sets by up to this fraction, from 0 to 1, so that what came
    /// together does not expire together. How much depends on the key alone, so that every process
    /// gives an entry the same end. Default: 0.
    pub fn ttl_jitter(mut self, fraction: f64) -> Self {
        self.settings.jitter = fraction;
        self
    }

    /// How long a caller waits for an answer at most, connecting included; after that it is this
    /// tier's miss. Default: 250 ms.
    pub fn read_timeout(mut self, limit: Duration) -> Self {
        self.settings.read_timeout = limit;
        self
    }

    /// How long a put or a remove may take, connecting included; a value of 64 KiB or more has a
    /// second more for each 8 MiB begun. Default: 1 s.
    pub fn write_timeout(mut self, limit: Duration) -> Self {
        self.settings.write_timeout = limit;
        self
    }

    /// How long a `clear` may take, which walks over all keys of the database. Default: 30 s.
    pub fn clear_timeout(mut self, limit: Duration) -> Self {
        self.settings.clear_timeout = limit;
        self
    }

    /// How long making a connection may take. Default: 500 ms.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// The longest value that is stored or read, in bytes: encoded, before compression. A longer one
    /// is refused with [`ErrorKind::Codec`], and counted. Default: 8 MiB.
    ///
    /// Values share connections: while a long one is on its way, others wait.
    pub fn max_value(mut self, bytes: usize) -> Self {
        self.settings.max_value = bytes;
        self
    }

    /// A number for the form of values. Entries that were written with another are misses, and are
    /// overwritten: give a new one when the type changes. Default: 0.
    pub fn schema(mut self, id: u32) -> Self {
        self.settings.form.schema = id;
        self
    }

    /// Compresses values (LZ4) whose encoded form is longer than so many bytes, where that makes
    /// them shorter. Default: never. Feature `compression`.
    #[cfg(feature = "compression")]
    pub fn compress_above(mut self, bytes: usize) -> Self {
        self.settings.form.compress_above = Some(bytes);
        self
    }

    /// Encrypts values; keys stay readable. Entries that are not encrypted are misses from then on.
    /// Default: no. Feature `encryption`.
    #[cfg(feature = "encryption")]
    pub fn encrypt(mut self, keys: EncryptionKeys) -> Self {
        self.settings.form.keys = Some(keys);
        self
    }

    /// Whether processes load a key once among them (R2), and store what they loaded only if nobody
    /// changed the key meanwhile (R4). Costs a round trip per miss. Without it there is no
    /// [`coherence`](Self::coherence) either: for a cache that one process alone uses, and for users
    /// who may not run scripts (`EVALSHA`, `EVAL`), because what has no lease is not stored. Default:
    /// yes.
    pub fn leases(mut self, on: bool) -> Self {
        self.settings.is_leasing = on;
        self
    }

    /// How long a process may take to load a key before another one may load it too. Default: 10 s.
    pub fn lease_time(mut self, limit: Duration) -> Self {
        self.settings.lease_time = limit;
        self
    }

    /// Whether the caches in front of this one forget what others change (R4). Takes a connection of
    /// its own, on which the server names each key of the namespace that is written. Default: yes,
    /// but no with [`go_compatible`](Self::go_compatible), where for want of a namespace it names
    /// each key of the whole server.
    pub fn coherence(mut self, on: bool) -> Self {
        self.coherence = Some(on);
        self
    }

    /// How long after a confirmed change it may at worst, with the server's news lost, be seen in
    /// another process what was before. Until news flow again, the caches in front are emptied that
    /// often. Default: 1 s.
    pub fn max_staleness(mut self, limit: Duration) -> Self {
        self.settings.max_staleness = limit;
        self
    }

    /// Shares keys and values with the Go package: see the [module](super)'s section on it.
    pub fn go_compatible(mut self) -> Self {
        self.is_go = true;
        self
    }

    /// The clock that entries' moments are of: the chain's. How long entries live is the server's
    /// to say all the same. Default: the system's monotonic clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.settings.clock = clock;
        self
    }

    /// The tier's name in counters and errors. Default: `"redis"`.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// Connects, and has the server answer a ping.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if a setting makes no sense, or TLS is asked for and not
    /// compiled in. [`ErrorKind::Unavailable`] if the server refuses the connection, the user or
    /// the password, or is no Redis. [`ErrorKind::Timeout`] if nobody answers.
    ///
    /// # Cancellation
    /// Dropping it drops the connection.
    pub async fn connect<K, V>(self) -> Result<RedisCache<K, V>>
    where
        K: ?Sized + Key + RedisKey,
        V: Value + Serialize + DeserializeOwned,
    {
        let cache = self.connect_lazy()?;
        cache.connect_now().await?;
        Ok(cache)
    }

    /// As [`connect`](Self::connect), with another codec than JSON.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with<K, V, C>(self, codec: C) -> Result<RedisCache<K, V, C>>
    where
        K: ?Sized + Key + RedisKey,
        V: Value,
        C: Codec<V>,
    {
        let cache = self.connect_lazy_with(codec)?;
        cache.connect_now().await?;
        Ok(cache)
    }

    /// Connects on first use, and so starts though Redis is down. Needs no runtime yet.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if a setting makes no sense.
    pub fn connect_lazy<K, V>(self) -> Result<RedisCache<K, V>>
    where
        K: ?Sized + Key + RedisKey,
        V: Value + Serialize + DeserializeOwned,
    {
        let check: Option<Check<V>> = self.is_go.then_some(go::check);
        self.build(Json, check)
    }

    /// As [`connect_lazy`](Self::connect_lazy), with another codec than JSON.
    ///
    /// # Errors
    /// As [`connect_lazy`](Self::connect_lazy).
    pub fn connect_lazy_with<K, V, C>(self, codec: C) -> Result<RedisCache<K, V, C>>
    where
        K: ?Sized + Key + RedisKey,
        V: Value,
        C: Codec<V>,
    {
        if self.is_go {
            let message = "go_compatible: the Go package reads JSON only, so no other codec";
            return Err(Error::new(ErrorKind::InvalidConfig, message));
        }
        self.build(codec, None)
    }

    /// Connects for presence, locks and sessions, and has the server answer a ping.
    ///
    /// What is said about entries alone (lives, leases, coherence) has no meaning there.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancellation
    /// Dropping it drops the connection.
    pub async fn connect_store(self) -> Result<RedisStore> {
        let store = self.connect_store_lazy()?;
        store.connect_now().await?;
        Ok(store)
    }

    /// As [`connect_store`](Self::connect_store), but connects on first use. Needs no runtime yet.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if a setting makes no sense.
    ///
    /// ```
    /// use headwater::redis::RedisConfig;
    /// let config = RedisConfig::new("redis://localhost:6379")?.namespace("chat");
    /// let store = config.connect_store_lazy()?;
    /// # let _ = store;
    /// # Ok::<(), headwater::Error>(())
    /// ```
    pub fn connect_store_lazy(self) -> Result<RedisStore> {
        let (dialer, layout, settings) = self.checked()?;
        Ok(RedisStore::new(dialer, layout, settings))
    }

    fn build<K, V, C>(self, codec: C, check: Option<Check<V>>) -> Result<RedisCache<K, V, C>>
    where
        K: ?Sized + Key + RedisKey,
        V: Value,
        C: Codec<V>,
    {
        let (dialer, layout, settings) = self.checked()?;
        Ok(RedisCache::new(dialer, layout, settings, codec, check))
    }

    /// What everything that connects by this configuration is made of, if it makes sense.
    pub(super) fn checked(mut self) -> Result<(Dialer, Layout, Settings)> {
        if let Some(fault) = self.fault() {
            return Err(Error::new(ErrorKind::InvalidConfig, fault));
        }
        let layout = match (&self.namespace, self.is_go) {
            (_, true) => Layout::plain(),
            (namespace, _) => Layout::namespaced(namespace.as_deref().unwrap_or("headwater")),
        };
        self.settings.form.is_plain = self.is_go;
        self.settings.is_coherent = self.coherence.unwrap_or(!self.is_go);
        let settings = self.settings.clone();
        Ok((self.dialer()?, layout, settings))
    }

    fn dialer(self) -> Result<Dialer> {
        let login = |info: &::redis::RedisConnectionInfo| {
            let mut info = info.clone();
            if let Some(user) = &self.user {
                info = info.set_username(user);
            }
            if let Some(password) = &self.password {
                info = info.set_password(password);
            }
            match self.database {
                Some(number) => info.set_db(number),
                None => info,
            }
        };
        let node = |info: ConnectionInfo| -> Result<ConnectionInfo> {
            let settings = login(info.redis_settings());
            let info = info.set_redis_settings(settings).set_tcp_settings(tcp_settings());
            #[cfg(feature = "redis-tls")]
            let info = self.tls.applied_to(info)?;
            Ok(info)
        };
        let topology = match self.topology.clone() {
            Topology::Standalone(info) => Topology::Standalone(node(info)?),
            #[cfg(feature = "redis-sentinel")]
            Topology::Sentinel { master, sentinels, node } => {
                #[cfg(feature = "redis-tls")]
                if self.tls.certificates().is_some() {
                    let message = "tls_ca and tls_identity: not with sentinels, where the system's \
                                   trust counts";
                    return Err(Error::new(ErrorKind::InvalidConfig, message));
                }
                Topology::Sentinel { master, sentinels, node: login(&node) }
            }
            #[cfg(feature = "redis-cluster")]
            Topology::Cluster(nodes) => {
                Topology::Cluster(nodes.into_iter().map(node).collect::<Result<_>>()?)
            }
        };
        Ok(Dialer {
            topology,
            timeout: self.connect_timeout,
            #[cfg(all(feature = "redis-cluster", feature = "redis-tls"))]
            tls: self.tls,
        })
    }

    fn fault(&self) -> Option<&'static str> {
        let Settings { jitter, read_timeout, write_timeout, form, .. } = &self.settings;
        if !(0.0..=1.0).contains(jitter) {
            Some("ttl_jitter must be from 0 to 1")
        } else if read_timeout.is_zero() || write_timeout.is_zero() {
            Some("read_timeout and write_timeout must be longer than zero")
        } else if self.connect_timeout.is_zero() {
            Some("connect_timeout must be longer than zero")
        } else if self.settings.lease_time.is_zero() || self.settings.max_staleness.is_zero() {
            Some("lease_time and max_staleness must be longer than zero")
        } else if self.coherence == Some(true) && !self.settings.is_leasing {
            Some("coherence needs leases")
        } else if self.is_go && form.is_special() {
            Some(
                "go_compatible: no schema, compression or encryption, which the Go package does not know",
            )
        } else if self.is_go && self.namespace.is_some() {
            Some("go_compatible: no namespace, which the Go package does not know")
        } else {
            None
        }
    }
}

impl Settings {
    pub(super) fn set_time_to_live(&mut self, ttl: Duration) {
        let least = Duration::from_millis(1);
        self.time_to_live = (ttl != Duration::MAX).then_some(ttl.max(least));
    }

    /// The most bytes that a stored entry may have. What is longer is none of ours.
    pub(super) fn longest(&self) -> usize {
        self.max_value.saturating_add(OVERHEAD).min(LONGEST)
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.password.as_ref().map(|_| "***");
        f.debug_struct("RedisConfig")
            .field("servers", &addresses(&self.topology))
            .field("user", &self.user)
            .field("password", &secret)
            .field("database", &self.database)
            .field("connect_timeout", &self.connect_timeout)
            .field("namespace", &self.namespace)
            .field("go_compatible", &self.is_go)
            .field("settings", &self.settings)
            .finish()
    }
}

/// Where the servers are, without users and passwords.
fn addresses(topology: &Topology) -> Vec<String> {
    let shown = |info: &ConnectionInfo| info.addr().to_string();
    match topology {
        Topology::Standalone(info) => vec![shown(info)],
        #[cfg(feature = "redis-sentinel")]
        Topology::Sentinel { sentinels, .. } => sentinels.iter().map(shown).collect(),
        #[cfg(feature = "redis-cluster")]
        Topology::Cluster(nodes) => nodes.iter().map(shown).collect(),
    }
}

fn parse(url: &str) -> Result<ConnectionInfo> {
    url.into_connection_info().map_err(from_redis)
}

#[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
fn parse_all<U: AsRef<str>>(urls: impl IntoIterator<Item = U>) -> Result<Vec<ConnectionInfo>> {
    let parsed: Vec<_> = urls.into_iter().map(|url| parse(url.as_ref())).collect::<Result<_>>()?;
    if parsed.is_empty() {
        return Err(Error::new(ErrorKind::InvalidConfig, "at least one server's URL is needed"));
    }
    Ok(parsed)
}
