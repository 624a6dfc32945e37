//! Where values are looked up: a file held in memory, or a store.

mod file;
pub(crate) mod url;

use crate::firestore::Collection;
use crate::json::Json;
use anyhow::Result;
use headwater::BoxFetcher;
use std::path::PathBuf;
use url::Place;

/// A source that is ready, and what there is to say about it.
pub(crate) struct Opened {
    pub(crate) fetcher: BoxFetcher<str, Json>,
    /// Keys that it has more than once (the last row wins).
    pub(crate) duplicates: u64,
    /// Rows that have no key.
    pub(crate) no_key: u64,
    /// Anything else that its user should know.
    pub(crate) notes: Vec<String>,
    /// The collection, if it is one of Firestore.
    pub(crate) collection: Option<Collection>,
}

/// What is asked of a source.
pub(crate) struct Wanted<'a> {
    /// `--source`, as given.
    pub(crate) place: &'a str,
    /// The key column, unless a URL names its own.
    pub(crate) key: &'a str,
    /// The longest line of a file.
    pub(crate) max_line: usize,
    /// Whether values in Redis are those of the Go package.
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "only a Redis asks"))]
    pub(crate) go: bool,
}

/// Opens a source, on the present runtime, so far that no later call can fail for a wrong name.
pub(crate) async fn open(wanted: &Wanted<'_>) -> Result<Opened> {
    match url::parse(wanted.place)? {
        Place::File(path) => file::open(&path, wanted),
        Place::Sqlite(table) => crate::sqlite::open_source(&table, wanted),
        Place::Redis(server) => crate::redis::open_source(&server, wanted).await,
        Place::Firestore(documents) => crate::firestore::open_source(&documents).await,
    }
}

/// The file that a source is read from, if there is one.
pub(crate) fn file_of(place: &str) -> Option<PathBuf> {
    match url::parse(place) {
        Ok(Place::File(path)) => Some(path),
        Ok(Place::Sqlite(table)) => Some(table.path),
        _ => None,
    }
}
