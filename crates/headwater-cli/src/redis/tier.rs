//! The tier between memory and the source.

use super::{Cache, config, in_words, is_down, unreadable};
use crate::args::{EnrichArgs, RedisArgs};
use crate::enrich::RedisSummary;
use crate::json::Json;
use crate::outage::{self, Stands};
use crate::source::url::{self, Place, Server};
use crate::timed::{Latency, Timed};
use anyhow::{Result, bail};
#[cfg(feature = "firestore")]
use headwater::redis::RedisStore;
use headwater::redis::{BreakerState, Coherence};
use headwater::{BoxCache, ChainBuilder, Fetcher, Source, Tier as _, TierStats};
use std::path::Path;
use std::time::{Duration, Instant};

const TTL: Duration = Duration::from_secs(3_600);
const ABSENT_TTL: Duration = Duration::from_secs(60);
/// Fills that may wait for the server: a source may well be faster.
const PENDING_FILLS: usize = 1 << 16;
/// Nobody waits for a single record: rather a slow answer for a large batch than one from the source.
const READ_TIMEOUT: Duration = Duration::from_secs(1);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a server may take until it tells of changes.
const LISTENING: Duration = Duration::from_millis(500);

/// The tier as the run sees it; clones are the same one.
#[derive(Clone)]
pub(crate) struct Tier {
    cache: Cache,
    shown: String,
    namespace: Option<String>,
}

impl Tier {
    /// Connects to the server of `--redis`, on the present runtime; also returns what there is to
    /// say about it.
    pub(crate) async fn open(url: &str, args: &EnrichArgs) -> Result<(Self, Vec<String>)> {
        let server = url::parse_server(url)?;
        let namespace = namespace(&server, args)?;
        refuse_the_source(&server, namespace.as_deref(), args)?;
        let config = config(&server, namespace.as_deref())?
            .read_timeout(READ_TIMEOUT)
            .write_timeout(WRITE_TIMEOUT)
            .write_allowance(WRITE_TIMEOUT)
            .time_to_live(args.ttl.unwrap_or(TTL))
            .absent_ttl(match args.no_absent {
                true => Duration::ZERO,
                false => args.absent_ttl.unwrap_or(ABSENT_TTL),
            });
        let mut notes = Vec::new();
        let cache = match config.clone().connect().await {
            Ok(cache) => cache,
            Err(error) if args.redis.redis_optional && is_down(&error) => {
                let error = in_words(&server, &error);
                notes.push(format!("{error}; going on from the source until it is there"));
                config.connect_lazy().map_err(|error| in_words(&server, &error))?
            }
            Err(error) => return Err(in_words(&server, &error)),
        };
        Ok((Self { cache, shown: server.to_string(), namespace }, notes))
    }

    /// The chain of a source with this tier before it.
    pub(crate) fn before<F>(
        &self,
        source: ChainBuilder<Source<F>>,
        latency: Latency,
    ) -> BoxCache<str, Json>
    where
        F: Fetcher<Key = str, Value = Json>,
    {
        let tier = Timed::new(self.cache.clone(), latency);
        BoxCache::new(source.pending_fills(PENDING_FILLS).through(tier).build())
    }

    /// Waits until it hears of changes elsewhere, or for a short while: what is on its way when that
    /// begins is not stored.
    pub(crate) async fn ready(&self) {
        // No keys: a look-up, if only of nothing, has it begin to listen.
        let _ = self.cache.get_many(&[]).await;
        let began = Instant::now();
        while self.cache.coherence() == Coherence::Down && began.elapsed() < LISTENING {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Says when the server goes down and when it is back, for as long as it is polled.
    pub(crate) async fn watch(self, say: impl Fn(&str)) {
        let stands = || match self.cache.stats().breaker {
            BreakerState::Closed => Stands::Well,
            _ => Stands::Down(format!("{}: down; going on from the source", self.shown)),
        };
        outage::tell(stands, false, &format!("{}: back", self.shown), say).await;
    }

    /// What the processes that share this tier meet in.
    #[cfg(feature = "firestore")]
    pub(crate) fn store(&self) -> RedisStore {
        self.cache.store()
    }

    /// What it counted, and what the engine did.
    pub(crate) fn summary(&self, tier: &TierStats) -> RedisSummary {
        let stats = self.cache.stats();
        RedisSummary {
            namespace: self.namespace.clone(),
            timeouts: stats.timeouts,
            failures: stats.failures,
            refusals: stats.refusals,
            rejected: stats.rejected,
            down: stats.breaker_opens,
            unreadable: unreadable(&self.cache),
            dropped_fills: tier.dropped_fills,
        }
    }
}

/// What keeps this run's entries apart; `None` if the Go package is to know them.
fn namespace(server: &Server, args: &EnrichArgs) -> Result<Option<String>> {
    let RedisArgs { namespace, go_compatible, .. } = &args.redis;
    if server.key.is_some() {
        bail!("--redis {server}: has no `key`; that is for `load`");
    }
    match (namespace.as_ref().or(server.namespace.as_ref()), go_compatible) {
        (Some(_), true) => bail!("--redis {server}: no namespace with --go-compatible"),
        (None, true) => Ok(None),
        (Some(namespace), false) => Ok(Some(namespace.clone())),
        (None, false) => Ok(Some(default_namespace(args)?)),
    }
}

/// What the source's values are, and what they are called by: two sources share no key.
fn default_namespace(args: &EnrichArgs) -> Result<String> {
    let key = args.source_key.as_deref().unwrap_or(&args.key);
    Ok(match url::parse(&args.source)? {
        Place::File(path) => format!("{}/{key}", stem(&path)),
        Place::Sqlite(table) => {
            format!("{}/{}", table.table, table.key.as_deref().unwrap_or(key))
        }
        Place::Redis(server) => {
            format!("{}/{key}", server.namespace.as_deref().unwrap_or("headwater"))
        }
        Place::Firestore(documents) => {
            let database = documents.database.as_deref().unwrap_or("(default)");
            format!("{}/{database}/{}", documents.project, documents.path)
        }
    })
}

/// A file's name without what tells its form: `planes` of `data/planes.csv.gz`.
fn stem(path: &Path) -> String {
    let mut name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    for ending in [".gz", ".zst", ".csv", ".ndjson", ".jsonl", ".json"] {
        if let Some(rest) = name.strip_suffix(ending).filter(|rest| !rest.is_empty()) {
            name.truncate(rest.len());
        }
    }
    name
}

/// A tier that is the source too would never be filled, and its lives be cut short.
fn refuse_the_source(server: &Server, namespace: Option<&str>, args: &EnrichArgs) -> Result<()> {
    if let Ok(Place::Redis(source)) = url::parse(&args.source) {
        let own = if args.redis.go_compatible { None } else { source.namespace.as_deref() };
        if source.url == server.url && own == namespace {
            bail!("--redis {server}: is the source itself; give another --namespace");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_called_as_the_file_is() {
        let names = ["a/planes.csv.gz", "planes.jsonl.zst", "planes", ".csv", "a.b.json"];
        let stems = names.map(|name| stem(Path::new(name)));
        assert_eq!(stems, ["planes", "planes", "planes", ".csv", "a.b"]);
    }
}
