//! Loading a file into a part of a Redis, batch by batch.

use super::{Cache, config, in_words};
use crate::args::LoadArgs;
use crate::json::Json;
use crate::load::{Loaded, Progressed};
use crate::rows::Rows;
use crate::source::url::Server;
use anyhow::{Context, Result, anyhow, bail};
use headwater::{Entry, Tier};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Rows per round trip ...
const BATCH: usize = 500;
/// ... and bytes, give or take the last row.
const BATCH_BYTES: usize = 1 << 20;
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that rows can be put into.
pub(crate) struct Loader {
    cache: Cache,
    server: Server,
    runtime: Runtime,
}

impl Loader {
    /// Connects.
    pub(crate) fn open(server: &Server, args: &LoadArgs) -> Result<Self> {
        if server.key.is_none() {
            bail!("{server}: which column is the key? Give redis://HOST/DB?namespace=NS&key=K");
        }
        let namespace = match (&server.namespace, args.go_compatible) {
            (Some(_), true) => bail!("{server}: no namespace with --go-compatible"),
            (None, false) => bail!(
                "{server}: which namespace? Give redis://HOST/DB?namespace=NS&key=K, \
                 or --go-compatible for plain keys"
            ),
            (namespace, _) => namespace.as_deref(),
        };
        let config = config(server, namespace)?
            .time_to_live(args.ttl.unwrap_or(Duration::MAX))
            .write_timeout(WRITE_TIMEOUT)
            // A row that was put there is to stay there.
            .write_allowance(Duration::MAX);
        let runtime = Runtime::new().context("starting threads")?;
        let cache = runtime.block_on(config.connect()).map_err(|error| in_words(server, &error))?;
        Ok(Self { cache, server: server.clone(), runtime })
    }

    /// Puts all rows there.
    pub(crate) fn load(
        &self,
        rows: &mut Rows,
        name: &str,
        progress: &Progressed,
    ) -> Result<Loaded> {
        let (mut loaded, mut seen) = (Loaded::default(), HashSet::new());
        let (mut batch, hasher) = (Batch::default(), RandomState::new());
        while let Some(row) = rows.next()? {
            loaded.rows += 1;
            loaded.duplicates += u64::from(!seen.insert(hasher.hash_one(&row.key)));
            batch.add(row.line, row.key, row.json);
            progress.rows.fetch_add(1, Ordering::Relaxed);
            if batch.is_full() {
                self.put(&mut batch, name)?;
            }
        }
        self.put(&mut batch, name)?;
        Ok(loaded)
    }

    fn put(&self, batch: &mut Batch, name: &str) -> Result<()> {
        let batch = std::mem::take(batch);
        let entries = batch.rows.iter().map(|row| (&*row.key, &row.entry));
        let entries: Vec<_> = entries.collect();
        let outcomes = self.runtime.block_on(self.cache.put_many(&entries));
        let failed = batch.rows.iter().zip(outcomes).find_map(|(row, outcome)| {
            outcome
                .err()
                .map(|error| anyhow!("{name}:{}: {}", row.line, in_words(&self.server, &error)))
        });
        failed.map_or(Ok(()), Err)
    }
}

/// Rows on their way, each key once.
#[derive(Default)]
struct Batch {
    rows: Vec<Loading>,
    places: HashMap<String, usize>,
    bytes: usize,
}

struct Loading {
    line: u64,
    key: String,
    entry: Entry<Json>,
}

impl Batch {
    /// The last row of a key is the one that counts.
    fn add(&mut self, line: u64, key: String, json: &str) {
        self.bytes += key.len() + json.len();
        let entry = Entry::found(Json::from(json));
        match self.places.get(&key) {
            Some(place) => self.rows[*place] = Loading { line, key, entry },
            None => {
                self.places.insert(key.clone(), self.rows.len());
                self.rows.push(Loading { line, key, entry });
            }
        }
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= BATCH || self.bytes >= BATCH_BYTES
    }
}
