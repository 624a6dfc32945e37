//! A CSV or NDJSON file as a source, read into memory when the program starts.

use super::{Opened, Wanted};
use crate::input::{self, Records};
use crate::json::Json;
use crate::rows::Rows;
use anyhow::{Result, bail};
use headwater::{BoxFetcher, Error, Fetcher};
use std::collections::HashMap;
use std::path::Path;

/// Reads the whole file.
pub(super) fn open(path: &Path, wanted: &Wanted<'_>) -> Result<Opened> {
    if path.as_os_str() == "-" {
        bail!("--source: stdin cannot be a source; give a file");
    }
    let input = input::open(path, None)?;
    let name = input.name.clone();
    let mut rows = Rows::new(Records::new(input, wanted.max_line)?, wanted.key, &name)?;
    let (mut by_key, mut duplicates) = (HashMap::new(), 0);
    while let Some(row) = rows.next()? {
        let old = by_key.insert(row.key.into_boxed_str(), Json::from(row.json));
        duplicates += u64::from(old.is_some());
    }
    let mut notes = Vec::new();
    if by_key.is_empty() {
        notes.push(format!("{name} has no rows: every key will be absent"));
    }
    let fetcher = BoxFetcher::new(FileSource { by_key });
    Ok(Opened { fetcher, duplicates, no_key: rows.no_key(), notes, collection: None })
}

/// Rows by key.
struct FileSource {
    by_key: HashMap<Box<str>, Json>,
}

impl FileSource {
    fn row(&self, key: &str) -> headwater::Result<Json> {
        self.by_key.get(key).cloned().ok_or(Error::not_found())
    }
}

impl Fetcher for FileSource {
    type Key = str;
    type Value = Json;

    async fn fetch(&self, key: &str) -> headwater::Result<Json> {
        self.row(key)
    }

    async fn fetch_many(&self, keys: &[&str]) -> Vec<headwater::Result<Json>> {
        keys.iter().map(|key| self.row(key)).collect()
    }

    async fn close(&self) -> headwater::Result<()> {
        Ok(())
    }
}
