//! Read-through cache chains for data pipelines and services.
//!
//! A service asks for data by key. A chain answers from the fastest tier that has it, falls through
//! to slower ones and at last to the source of truth, and fills every faster tier on the way back:
//!
//! ```text
//! service -> memory (LRU) -> a store that other processes share -> source of truth
//! ```
//!
//! # A chain
//! ```
//! use headwater::{Cache, Error, Fetcher, Headwater, LruCache, fetch_fn};
//! use std::time::Duration;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! // The source of truth: any async function of a key, or a `Fetcher` of your own.
//! let planes = fetch_fn(async |tail: String| match tail.as_str() {
//!     "N14228" => Ok("Boeing 737-824".to_owned()),
//!     _ => Err(Error::not_found()),
//! });
//!
//! // Chains are built from the source towards the service.
//! let planes = Headwater::source(planes)
//!     .limit(64) // calls at once
//!     .through(LruCache::builder(10_000).time_to_live(Duration::from_secs(3_600)).build()?)
//!     .build();
//!
//! assert_eq!(planes.fetch("N14228").await?, "Boeing 737-824"); // asks the source
//! assert_eq!(planes.fetch("N14228").await?, "Boeing 737-824"); // from memory
//! assert!(planes.fetch("N00000").await.unwrap_err().is_not_found());
//!
//! let outcomes = planes.fetch_many(&["N14228", "N00000"]).await; // one per key, in order
//! assert_eq!(outcomes.len(), 2);
//!
//! planes.invalidate("N14228").await?; // from every tier; the next fetch asks the source
//! planes.close().await?;
//! # Ok::<(), Error>(())
//! # }).unwrap();
//! ```
//!
//! The nested form reads as well: `LruCache::new(10_000)?.over(Source::new(planes))`
//! ([`TierExt::over`]).
//!
//! # What it promises
//! The promises are numbered, stand in the docs of [`Fetcher`], [`Cache`] and [`Tier`], and are what
//! the conformance suites of feature `testkit` check:
//!
//! - **R1** the tiers are asked fastest first, and every one that missed is filled;
//! - **R2** concurrent fetches of a missing key cause one load, whose outcome all of them share;
//! - **R3** dropping a future at any point strands nobody, and a panic poisons nothing;
//! - **R4** after `invalidate` returned, nothing loaded before it is seen again;
//! - **R5** an entry lives no longer in a faster tier than in the one it came from;
//! - **R6** a tier that fails counts as a miss;
//! - **R7** "absent" is an answer: cached, bounded, told apart from failure;
//! - **R8** many keys are one round trip per tier, with one outcome per key;
//! - **R10** a hit in the first tier allocates nothing, spawns nothing and waits for nothing;
//! - **R11** `close` is final, drains what is under way, and says what it dropped.
//!
//! # Words
//! | word | means |
//! |---|---|
//! | tier (L1, L2, ...) | one store in a chain, fastest first |
//! | source | the fetcher that is asked after all tiers missed: the source of truth |
//! | hit, miss | a live entry was found, or not, in *this* tier |
//! | absent | the source says that the key does not exist |
//! | fetch; get, put, remove | read through the chain; look in one tier, store in it, drop from it |
//! | fill, write-back | storing a fetched value in a faster tier on the way out |
//! | invalidate | remove from every tier |
//! | evict, expire | removed for capacity, for age |
//! | TTL, TTI | life counted from the write, from the last use |
//! | flight | one load that several callers share (also: coalescing, single flight) |
//! | lease | the right, given by a shared tier, to load a key for a while |
//!
//! # Features
//! None is on by default, and what is off is not compiled.
//! - `redis`: `RedisCache`, a tier that processes share, on one server; values as JSON.
//!   `redis-cluster`, `redis-sentinel` and `redis-tls` add what they say.
//! - `firestore`: `FirestoreSource`, documents of a Firestore collection as the source of truth; and
//!   presence, locks, sessions and rosters in Firestore.
//! - `sessions`: `presence::Sessions`, in memory, in Redis and in Firestore; `tower-sessions` keeps those of the crate of that name in any presence.
//! - `messagepack`, `postcard`, `compression`, `encryption`: other ways to turn values into bytes.
//! - `snapshot`: the caches in memory save their entries in a file, and load them.
//! - `testkit`: conformance suites and the parts to build tests of your own.
//!
//! # Runtime
//! Futures need tokio only where something outlives its caller (fills of tiers that are not in
//! memory, batches, [`Orphans::Finish`]) or takes time (`close` while something is under way, which
//! needs the runtime's time enabled). A chain of memory tiers over a plain source runs on any
//! executor. What outlives a call runs on the runtime of that call: a chain that several runtimes
//! share needs all of them to be driven.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod chain;
mod clock;
#[cfg(feature = "redis")]
pub mod codec;
mod entry;
mod error;
mod fetcher;
#[cfg(feature = "firestore")]
pub mod firestore;
mod flight;
mod hashed;
mod key;
mod memory;
mod observe;
pub mod presence;
mod read_through;
#[cfg(feature = "redis")]
pub mod redis;
mod runtime;
mod source;
mod sync;
#[cfg(feature = "testkit")]
pub mod testkit;
mod tier;
mod token;

pub use batch::Batching;
pub use chain::{ChainBuilder, Headwater};
pub use clock::{Clock, Moment, Sleep, TimeSource};
pub use entry::{Entry, Version};
pub use error::{Error, ErrorKind, Result};
pub use fetcher::{
    BoxCache, BoxFetcher, Cache, FetchFn, FetchManyFn, FetchOptions, Fetcher, fetch_fn,
    fetch_many_fn,
};
pub use hashed::Hashed;
pub use key::{Key, Value};
pub use memory::{
    CurvePoint, LruCache, MemoryBuilder, MemoryCache, MemoryStats, MissRatioCurve, MissRatioSampler,
};
pub use observe::{SourceStats, Stats, TierStats};
pub use read_through::{Orphans, ReadThrough};
pub use source::Source;
pub use tier::{
    Above, Cause, Lease, Leased, Prepared, RemovalListener, Removals, Resident, Shared, Tier,
    TierExt,
};

/// Runs the examples of the repository's front page.
#[cfg(all(doctest, feature = "firestore", feature = "redis"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
