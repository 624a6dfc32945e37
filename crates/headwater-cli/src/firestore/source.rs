//! A collection as the source of truth.

use super::node::Node;
use super::watch::Watching;
use super::{Source, connect, source};
use crate::enrich::FirestoreSummary;
use crate::json::Json;
use crate::redis;
use crate::source::Opened;
use crate::source::url::Documents;
use anyhow::Result;
use headwater::firestore::client::FirestoreDb;
use headwater::{BoxCache, BoxFetcher, Entry, Error, ErrorKind, FetchOptions, Fetcher};

/// Connects, on the present runtime.
pub(crate) async fn open_source(documents: &Documents) -> Result<Opened> {
    let db = connect(documents).await?;
    let source: Source = source(db.clone(), documents)?;
    let collection = Collection { source: source.clone(), db, documents: documents.clone() };
    let fetcher = BoxFetcher::new(Records(source));
    let collection = Some(collection);
    Ok(Opened { fetcher, duplicates: 0, no_key: 0, notes: Vec::new(), collection })
}

/// A collection beside the chain that reads it.
pub(crate) struct Collection {
    source: Source,
    db: FirestoreDb,
    documents: Documents,
}

impl Collection {
    /// Has a chain over it follow its changes, on the present runtime; with Redis one process does for
    /// all that share it.
    pub(crate) fn watch(
        &self,
        chain: &BoxCache<str, Json>,
        redis: Option<&redis::Tier>,
    ) -> Result<Watching> {
        Watching::start(self.db.clone(), &self.documents, chain, redis)
    }

    /// What the source has counted so far.
    pub(crate) fn summary(&self) -> FirestoreSummary {
        let stats = self.source.stats();
        FirestoreSummary {
            reads: stats.reads,
            missing: stats.missing,
            calls: stats.calls,
            retries: stats.retries,
            no_ids: stats.bad_keys,
        }
    }
}

/// Documents as the program's values.
struct Records(Source);

impl Records {
    /// A key that no document can have is one that no document has.
    fn answer(
        &self,
        key: &str,
        entry: headwater::Result<Entry<Node>>,
    ) -> headwater::Result<Entry<Json>> {
        match entry {
            Err(error) if error.kind() == ErrorKind::Codec && self.0.document(key).is_err() => {
                Ok(Entry::absent())
            }
            entry => entry.map(|entry| entry.map(|node| Json::from(node.json()))),
        }
    }
}

impl Fetcher for Records {
    type Key = str;
    type Value = Json;

    async fn fetch(&self, key: &str) -> headwater::Result<Json> {
        self.fetch_entry(key, &FetchOptions::new()).await?.into_outcome()
    }

    async fn fetch_many(&self, keys: &[&str]) -> Vec<headwater::Result<Json>> {
        let entries = self.fetch_entries(keys, &FetchOptions::new()).await;
        entries.into_iter().map(|entry| entry.and_then(Entry::into_outcome)).collect()
    }

    async fn close(&self) -> headwater::Result<()> {
        self.0.close().await
    }

    async fn fetch_entry(
        &self,
        key: &str,
        options: &FetchOptions,
    ) -> headwater::Result<Entry<Json>> {
        self.fetch_entries(&[key], options).await.pop().unwrap_or(Err(Error::not_found()))
    }

    async fn fetch_entries(
        &self,
        keys: &[&str],
        options: &FetchOptions,
    ) -> Vec<headwater::Result<Entry<Json>>> {
        let entries = self.0.fetch_entries(keys, options).await;
        keys.iter().zip(entries).map(|(key, entry)| self.answer(key, entry)).collect()
    }
}
