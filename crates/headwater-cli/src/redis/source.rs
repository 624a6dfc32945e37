//! A part of a Redis as the source of truth.

use super::{Cache, config, in_words, unreadable};
use crate::json::Json;
use crate::source::url::Server;
use crate::source::{Opened, Wanted};
use anyhow::{Result, bail};
use headwater::{BoxFetcher, Entry, Error, ErrorKind, Fetcher, Tier};
use std::time::Duration;

/// A source is worth waiting for.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects, on the present runtime.
pub(crate) async fn open_source(server: &Server, wanted: &Wanted<'_>) -> Result<Opened> {
    let namespace = match (&server.namespace, wanted.go) {
        (Some(_), true) => bail!("--source {server}: no namespace with --go-compatible"),
        (None, false) => bail!(
            "--source {server}: which namespace? Give redis://HOST:PORT/DB?namespace=NS, \
             or --go-compatible for plain keys"
        ),
        (namespace, _) => namespace.as_deref(),
    };
    // Nothing is cached or filled here, so nobody has to be kept in step.
    let config = config(server, namespace)?.coherence(false).leases(false);
    let connected = config.read_timeout(READ_TIMEOUT).connect().await;
    let cache = connected.map_err(|error| in_words(server, &error))?;
    let fetcher = BoxFetcher::new(RedisSource { cache, is_go: wanted.go });
    Ok(Opened { fetcher, duplicates: 0, no_key: 0, notes: Vec::new(), collection: None })
}

struct RedisSource {
    cache: Cache,
    is_go: bool,
}

impl RedisSource {
    /// Of a value that is there and cannot be read. As a tier it would be a miss; here it is no
    /// answer.
    fn unreadable(&self) -> Error {
        Error::new(
            ErrorKind::Codec,
            match self.is_go {
                true => "a key holds something else than JSON",
                false => {
                    "a key holds something else than headwater writes; for plain JSON give \
                     --go-compatible"
                }
            },
        )
    }
}

impl Fetcher for RedisSource {
    type Key = str;
    type Value = Json;

    async fn fetch(&self, key: &str) -> headwater::Result<Json> {
        self.fetch_many(&[key]).await.pop().unwrap_or(Err(Error::not_found()))
    }

    async fn fetch_many(&self, keys: &[&str]) -> Vec<headwater::Result<Json>> {
        let before = unreadable(&self.cache);
        let found = self.cache.get_many(keys).await;
        // Which of the keys it was is not told, nor whether it was one of a neighbour's. One of
        // them fails the run, and that is what has to come of it.
        let is_whole = unreadable(&self.cache) == before;
        let answer = |entry: Option<Entry<Json>>| match entry {
            Some(entry) => entry.into_outcome(),
            None if is_whole => Err(Error::not_found()),
            None => Err(self.unreadable()),
        };
        found.into_iter().map(|outcome| outcome.and_then(answer)).collect()
    }

    async fn close(&self) -> headwater::Result<()> {
        self.cache.close().await
    }
}
