//! Where values are looked up: a file held in memory, or a store.

mod file;
pub(crate) mod url;

use anyhow::{Result, bail};
use headwater::BoxFetcher;
use std::path::PathBuf;
use std::sync::Arc;
use url::Place;

/// A value as it is spliced into records: the text of a JSON object.
pub(crate) type Json = Arc<str>;

/// A source that is ready, and what there is to say about it.
pub(crate) struct Opened {
    pub(crate) fetcher: BoxFetcher<str, Json>,
    /// Keys that it has more than once (the last row wins).
    pub(crate) duplicates: u64,
    /// Rows that have no key.
    pub(crate) no_key: u64,
    /// Anything else that its user should know.
    pub(crate) notes: Vec<String>,
}

/// What is asked of a source.
pub(crate) struct Wanted<'a> {
    /// `--source`, as given.
    pub(crate) place: &'a str,
    /// The key column, unless a URL names its own.
    pub(crate) key: &'a str,
    /// The longest line of a file.
    pub(crate) max_line: usize,
}

/// Opens a source, so far that no later call can fail for a wrong name.
pub(crate) fn open(wanted: &Wanted<'_>) -> Result<Opened> {
    match url::parse(wanted.place)? {
        Place::File(path) => file::open(&path, wanted),
        Place::Sqlite(table) => crate::sqlite::open_source(&table, wanted),
        Place::Unsupported(what) => bail!("{}: this build has no {what} support", wanted.place),
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
