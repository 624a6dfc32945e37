//! A CSV or NDJSON file as a source, read into memory when the program starts.

use super::{Json, Opened, Wanted};
use crate::input::{self, Format, Header, Records, Row, list};
use crate::record;
use anyhow::{Context, Result, anyhow, bail};
use headwater::{BoxFetcher, Error, Fetcher};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Reads the whole file.
pub(super) fn open(path: &Path, wanted: &Wanted<'_>) -> Result<Opened> {
    if path.as_os_str() == "-" {
        bail!("--source: stdin cannot be a source; give a file");
    }
    let input = input::open(path, None)?;
    let name = input.name.clone();
    let records = Records::new(input, wanted.max_line)?;
    let rows = read_rows(records, wanted.key, &name)?;
    let mut notes = Vec::new();
    if rows.by_key.is_empty() {
        notes.push(format!("{name} has no rows: every key will be absent"));
    }
    let Rows { by_key, duplicates, no_key } = rows;
    Ok(Opened { fetcher: BoxFetcher::new(FileSource { by_key }), duplicates, no_key, notes })
}

#[derive(Default)]
struct Rows {
    by_key: HashMap<Box<str>, Json>,
    duplicates: u64,
    no_key: u64,
}

impl Rows {
    fn add(&mut self, key: &str, json: &str) {
        if self.by_key.insert(key.into(), json.into()).is_some() {
            self.duplicates += 1;
        }
    }
}

/// Makes the object of one row from its text.
enum Shape {
    Csv { header: Arc<Header>, key: usize, row: Row, json: Vec<u8> },
    Ndjson,
}

fn read_rows(mut records: Records, key: &str, name: &str) -> Result<Rows> {
    let mut shape = shape_of(&records, key).with_context(|| name.to_owned())?;
    let (mut rows, mut text) = (Rows::default(), Vec::new());
    let mut first_fields = None;
    while let Some(span) = records.next(&mut text).with_context(|| name.to_owned())? {
        let added = match &span.fault {
            Some(fault) => Err(fault.clone()),
            None => add_row(&mut rows, &mut shape, &text[span.range], key),
        };
        added.map_err(|reason| anyhow!("{name}:{}: {reason}", span.line))?;
        if first_fields.is_none() && rows.no_key > 0 {
            first_fields = Some(field_names(&text));
        }
        text.clear();
    }
    match first_fields {
        Some(fields) if rows.by_key.is_empty() => {
            bail!(
                "{name}: no row has a field `{key}`; the first row's fields are {}",
                list(&fields)
            )
        }
        None if rows.by_key.is_empty() && records.format() == Format::Ndjson => {
            bail!("{name}: is empty")
        }
        _ => Ok(rows),
    }
}

fn shape_of(records: &Records, key: &str) -> Result<Shape> {
    match (records.format(), records.header()) {
        (Format::Ndjson, _) => Ok(Shape::Ndjson),
        (Format::Csv, None) => bail!("is empty; a CSV needs a header at least"),
        (Format::Csv, Some(header)) => {
            let column = header.require(key)?;
            let header = Arc::clone(header);
            Ok(Shape::Csv { header, key: column, row: Row::default(), json: Vec::new() })
        }
    }
}

fn add_row(rows: &mut Rows, shape: &mut Shape, text: &[u8], key: &str) -> Result<(), String> {
    match shape {
        Shape::Csv { header, key, row, json } => {
            json.clear();
            let key = header.write_json(text, *key, row, json)?;
            rows.add(&key, &String::from_utf8_lossy(json));
        }
        Shape::Ndjson => match record::scan(text, key, None)? {
            Some(key) => rows.add(&key, &String::from_utf8_lossy(text.trim_ascii())),
            None => rows.no_key += 1,
        },
    }
    Ok(())
}

fn field_names(object: &[u8]) -> Vec<String> {
    let object: serde_json::Map<_, _> = serde_json::from_slice(object).unwrap_or_default();
    object.into_iter().map(|(name, _)| name).collect()
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
