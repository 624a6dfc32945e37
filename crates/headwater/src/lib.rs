//! Read-through cache chains and presence for data pipelines and services.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod chain;
mod clock;
mod entry;
mod error;
mod fetcher;
mod flight;
mod key;
mod memory;
mod observe;
mod read_through;
mod source;
mod sync;
#[cfg(feature = "testkit")]
pub mod testkit;
mod tier;

pub use chain::{ChainBuilder, Headwater};
pub use clock::{Clock, Moment, Sleep, TimeSource};
pub use entry::{Entry, Version};
pub use error::{Error, ErrorKind, Result};
pub use fetcher::{
    BoxCache, BoxFetcher, Cache, FetchFn, FetchManyFn, FetchOptions, Fetcher, fetch_fn,
    fetch_many_fn,
};
pub use key::{Key, Value};
pub use memory::{LruCache, MemoryBuilder, MemoryCache, MemoryStats};
pub use observe::{SourceStats, Stats, TierStats};
pub use read_through::{Orphans, ReadThrough};
pub use source::{Batching, Source};
pub use tier::{
    Above, Cause, Lease, Leased, Prepared, RemovalListener, Removals, Resident, Shared, Tier,
    TierExt,
};
