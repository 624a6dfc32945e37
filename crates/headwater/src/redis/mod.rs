//! [`RedisCache`], a tier in Redis or Valkey that is shared by processes and machines, and never in
//! the way. Feature `redis`.
//!
//! Made for Redis 6.2 to 8 and Valkey, tested on Redis 7.0: one server, sentinels (feature
//! `redis-sentinel`) or a cluster (feature `redis-cluster`), over TLS with feature `redis-tls`.
//!
//! # When the server is in trouble
//! The tier's trouble is a miss, and the chain goes on to its source (R6). No call takes longer than
//! [`read_timeout`](RedisConfig::read_timeout) or [`write_timeout`](RedisConfig::write_timeout).
//! After five failures in a row, or when half of at least five calls within 10 s failed, a breaker
//! opens: calls fail at once, while one task pings the server every 250 ms and makes new connections;
//! the first answer closes the breaker. A connection on which nothing came back for a second is
//! replaced. [`RedisCache::stats`] tells about all of it.
//!
//! Values that cannot be decoded, that have another schema id, codec or type, or were tampered with
//! are misses too; the next fill overwrites them.
//!
//! # Lives
//! The server counts lives; they are read with the value, in the same round trip, and count from
//! before the request was sent. To be on the safe side an entry that brings an end of its own gives
//! up a tenth of its life when it is stored, but at most 250 ms, for the way of the write; one whose
//! write took longer is dropped again. By the same rule an entry looks up to 250 ms older than it is.
//!
//! # Several processes
//! A chain over this tier loads a key once among all processes that share the server (R2): a miss
//! takes a lease, and the others wait for the one that has it. A load is stored only if nobody
//! changed the key meanwhile, and what one process changes, the memory of all others forgets (R4):
//! within milliseconds while the server's news flow, and within
//! [`max_staleness`](RedisConfig::max_staleness) (1 s) after an `invalidate` has returned even if
//! they are lost. [`RedisCache::coherence`] says how it stands. Each cache in a chain has one more
//! connection for that, on which the server names every key of the namespace that is written; own
//! ones too, so that what was just loaded leaves the memory in front once more. Change the source
//! first, then invalidate. What a master had confirmed and lost in a failover, an invalidation
//! among it, is lost for us too.
//!
//! # Keys and values in Redis
//! Namespace `planes` and key `N14228` make `planes:N14228`; `%`, `{` and `}` are percent-escaped in
//! both and `:` in the namespace, so that no two pairs collide and no key chooses its cluster slot.
//! Keys may be up to [`MAX_KEY`] bytes. What else is kept about an entry is called
//! `{planes:N14228}:...` or `!{planes:N14228}`, in the same slot: users with patterns of keys need
//! `~planes:*`, `~{planes:*` and `~!{planes:*`. A value is 44 bytes of head (layout, flags, codec,
//! schema id, version, age, life, end) and the encoded value.
//!
//! Lives are the server's: it drops what is over, and says what is left. Where many keys are read at
//! once, that is worked out from the end noted in each entry and the server's time. A life that
//! somebody *changes* afterwards (`EXPIRE`, `PERSIST`) is seen by reads of one key only; shortened, it
//! is a change of which caches in front hear as of any other.
//!
//! [`clear`](crate::Tier::clear) walks over the database with `SCAN` and unlinks the namespace's
//! keys, on every master of a cluster. It needs no `KEYS` and blocks nobody, but takes time in
//! proportion to *all* keys of the database: give it
//! [`clear_timeout`](RedisConfig::clear_timeout), or a database of its own.
//!
//! # Sharing with the Go package
//! [`RedisConfig::go_compatible`] reads and writes exactly what the Go ancestor's `RedisCache` does:
//! - The Redis key is the key as Go's `%v` prints it: strings, integers and `bool` as they are. No
//!   namespace, nothing escaped.
//! - The value is plain JSON. Absent entries are not stored (a put of one removes the key), versions
//!   are not compared, and how old an entry is is not known, so that calls with a
//!   [`max_age`](crate::FetchOptions::max_age) are not answered from here.
//! - Values that Go could not read are refused with [`ErrorKind::Codec`](crate::ErrorKind::Codec) and
//!   counted: NaN and infinities, integers beyond 64 bits, a `null` at the top, std's `Duration` and
//!   `SystemTime`. What depends on the Go type cannot be seen from here: that `[]byte` is base64 text,
//!   that a nil slice is `null`, that names without a tag are the Go field names; use serde
//!   attributes for those.
//! - A schema id, compression, encryption or another codec is an error when connecting, and `clear`
//!   is one when called, because nothing tells the cache's keys from others.
//!
//! # Security
//! With feature `encryption`, values are encrypted and authenticated together with their key and
//! head: whoever can write to Redis can neither read nor forge them, nor pass one key's value off as
//! another's; but can delete them, and put back an older value of the same key.

mod breaker;
mod cache;
#[cfg(feature = "redis-cluster")]
mod cluster;
mod config;
mod dial;
mod envelope;
mod error;
mod go;
mod kept;
mod key;
mod lease;
mod link;
mod news;
mod read;
mod remove;
mod roster;
mod script;
#[cfg(feature = "redis-sentinel")]
mod sentinel;
mod stats;
mod store;
mod tier;
#[cfg(feature = "redis-tls")]
mod tls;
mod value;
mod write;

pub use breaker::BreakerState;
pub use cache::RedisCache;
pub use config::RedisConfig;
pub use key::{MAX_KEY, RedisKey};
pub use news::Coherence;
pub use roster::RedisRoster;
pub use stats::RedisStats;
pub use store::RedisStore;

pub(crate) use go::{Check, check as check_go};
pub(crate) use key::Layout;
pub(crate) use link::Again;
pub(crate) use script::{Script, Step};

/// The client crate, of which [`RedisConfig::from_client`] takes a type.
pub use ::redis as client;
