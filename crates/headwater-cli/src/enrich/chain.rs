//! The chain that a run looks keys up in, from its options.

use crate::args::EnrichArgs;
use crate::firestore::{Collection, Watching};
use crate::json::Json;
use crate::progress::grouped;
use crate::redis;
use crate::source::{self, Opened, Wanted, url};
use crate::timed::{Latency, Timed};
use anyhow::{Context, Result};
use headwater::{BoxCache, Cache, Clock, Fetcher, Headwater, LruCache, Stats};
use std::time::Duration;

/// A chain with what the library does not count.
pub(super) struct Chain {
    pub(super) cache: BoxCache<str, Json>,
    /// One per tier, the fastest first.
    pub(super) latencies: Vec<Latency>,
    pub(super) redis: Option<redis::Tier>,
    /// The source, if it is a collection of Firestore.
    pub(super) collection: Option<Collection>,
    /// What keeps the tiers up with it, if that is asked for.
    pub(super) watching: Option<Watching>,
    pub(super) source_duplicates: u64,
    pub(super) source_no_key: u64,
}

impl Chain {
    /// Opens the source and puts tiers before it, on the present runtime; also returns what there
    /// is to say about it.
    pub(super) async fn open(args: &EnrichArgs) -> Result<(Self, Vec<String>)> {
        let wanted = Wanted {
            place: &args.source,
            key: args.source_key.as_deref().unwrap_or(&args.key),
            max_line: args.max_line,
            go: args.redis.go_compatible,
        };
        let Opened { fetcher, duplicates, no_key, mut notes, collection } =
            source::open(&wanted).await?;
        let left_out = [
            (duplicates, "rows with a key that came before (the last row of each key counts)"),
            (no_key, "rows without a key (not used)"),
        ];
        for (count, what) in left_out.into_iter().filter(|(count, _)| *count > 0) {
            notes.push(format!("{}: {what}: {}", url::shown(&args.source), grouped(count)));
        }
        let source = Headwater::source(fetcher).limit(args.concurrency.get());
        let (mut latencies, mut redis) = (Vec::new(), None);
        let mut cache = match &args.redis.url {
            None => BoxCache::new(source.build()),
            Some(url) => {
                let (tier, said) = redis::Tier::open(url, args).await?;
                notes.extend(said);
                let latency = Latency::new()?;
                latencies.push(latency.clone());
                redis.insert(tier).before(source, latency)
            }
        };
        if args.memory > 0 {
            let latency = Latency::new()?;
            latencies.insert(0, latency.clone());
            let memory = Timed::new(memory(args)?, latency);
            cache = BoxCache::new(Headwater::over(cache, Clock::system()).through(memory).build());
        }
        if let Some(tier) = &redis {
            tier.ready().await;
        }
        let (source_duplicates, source_no_key) = (duplicates, no_key);
        let watching = match collection.as_ref().filter(|_| args.watch) {
            Some(collection) => Some(collection.watch(&cache, redis.as_ref())?),
            None => None,
        };
        let chain = Self {
            cache,
            latencies,
            redis,
            collection,
            watching,
            source_duplicates,
            source_no_key,
        };
        Ok((chain, notes))
    }

    pub(super) fn stats(&self) -> Stats {
        self.cache.stats()
    }

    /// Ends it; there is nothing left to lose by then, so an error is of no interest.
    pub(super) async fn close(&self) {
        let _ = self.cache.close().await;
    }
}

fn memory(args: &EnrichArgs) -> Result<LruCache<str, Json>> {
    let absent_ttl = match args.no_absent {
        true => Duration::ZERO,
        // What the source lacks now it will lack for the whole run, unless it is said otherwise.
        false => args.absent_ttl.unwrap_or(Duration::MAX),
    };
    let mut builder =
        LruCache::builder(args.memory).absent_capacity(args.memory).absent_ttl(absent_ttl);
    if let Some(ttl) = args.ttl {
        builder = builder.time_to_live(ttl);
    }
    builder.build().context("--memory, --ttl")
}
