//! The rows of a file, each as a key and the text of a JSON object.

use crate::input::{Format, Header, Records, Row, list};
use crate::record;
use crate::rejects::Rejects;
use anyhow::{Context, Result, bail};
use std::sync::Arc;

/// Rows, read one after the other.
pub(crate) struct Rows {
    records: Records,
    shape: Shape,
    key: String,
    /// Of the file.
    name: String,
    text: Vec<u8>,
    json: Vec<u8>,
    keyed: u64,
    no_key: u64,
    /// The fields of the first row without a key.
    first_fields: Vec<String>,
    rejects: Option<Rejects>,
    rejected: u64,
}

/// One row that has a key.
pub(crate) struct Keyed<'a> {
    /// Where it is in the file.
    #[cfg_attr(
        not(any(feature = "redis", feature = "firestore")),
        expect(dead_code, reason = "loads into servers tell it")
    )]
    pub(crate) line: u64,
    pub(crate) key: String,
    pub(crate) json: &'a str,
    /// The row as it came.
    #[cfg_attr(
        not(feature = "firestore"),
        expect(dead_code, reason = "a load into Firestore may put it aside")
    )]
    pub(crate) text: &'a [u8],
}

/// How a record's text becomes an object.
enum Shape {
    Csv { header: Arc<Header>, key: usize, row: Row },
    Ndjson,
}

impl Rows {
    /// Checks that there is such a column, as far as that can be seen before the first row.
    pub(crate) fn new(records: Records, key: &str, name: &str) -> Result<Self> {
        let shape = shape_of(&records, key).with_context(|| name.to_owned())?;
        Ok(Self {
            records,
            shape,
            key: key.to_owned(),
            name: name.to_owned(),
            text: Vec::new(),
            json: Vec::new(),
            keyed: 0,
            no_key: 0,
            first_fields: Vec::new(),
            rejects: None,
            rejected: 0,
        })
    }

    /// Puts rows aside that cannot be used, instead of failing at the first one, if there is a
    /// place for them.
    pub(crate) fn rejecting(self, rejects: Option<Rejects>) -> Self {
        Self { rejects, ..self }
    }

    /// The next row that has a key; `None` at the end of a file that had one, or of a CSV without
    /// any rows.
    pub(crate) fn next(&mut self) -> Result<Option<Keyed<'_>>> {
        loop {
            self.text.clear();
            let next = self.records.next(&mut self.text);
            let Some(span) = next.with_context(|| self.name.clone())? else {
                return self.end().map(|()| None);
            };
            let key = match span.fault {
                Some(fault) => Err(fault),
                None => self.convert(span.range.clone()),
            };
            match key {
                Ok(Some(key)) => {
                    self.keyed += 1;
                    let json = std::str::from_utf8(&self.json)?;
                    let text = &self.text[span.range];
                    return Ok(Some(Keyed { line: span.line, key, json, text }));
                }
                Ok(None) => self.pass_over(),
                Err(reason) => {
                    let text = std::mem::take(&mut self.text);
                    self.reject(span.line, &reason, &text)?;
                    self.text = text;
                }
            }
        }
    }

    fn pass_over(&mut self) {
        self.no_key += 1;
        if self.no_key == 1 {
            self.first_fields = field_names(&self.json);
        }
    }

    /// Puts a row aside, or fails for it.
    pub(crate) fn reject(&mut self, line: u64, reason: &str, row: &[u8]) -> Result<()> {
        let Some(rejects) = &mut self.rejects else {
            bail!("{}:{line}: {reason}", self.name);
        };
        self.rejected += 1;
        rejects.add(line, reason, row)
    }

    /// Writes out what was put aside; how many rows that is.
    pub(crate) fn end_rejects(&mut self) -> Result<u64> {
        self.rejects.as_mut().map_or(Ok(()), Rejects::flush)?;
        Ok(self.rejected)
    }

    /// Rows so far that have no key.
    pub(crate) fn no_key(&self) -> u64 {
        self.no_key
    }

    /// Makes the object of the record in this part of the text; its key, if it has one.
    fn convert(&mut self, range: std::ops::Range<usize>) -> Result<Option<String>, String> {
        let text = &self.text[range];
        self.json.clear();
        match &mut self.shape {
            Shape::Csv { header, key, row } => {
                header.write_json(text, *key, row, &mut self.json).map(Some)
            }
            Shape::Ndjson => {
                let key = record::scan(text, &self.key, None)?;
                self.json.extend_from_slice(text.trim_ascii());
                Ok(key.map(Into::into))
            }
        }
    }

    fn end(&self) -> Result<()> {
        let (name, key) = (&self.name, &self.key);
        if self.keyed + self.rejected > 0 {
            return Ok(());
        }
        if self.no_key > 0 {
            let fields = list(&self.first_fields);
            bail!("{name}: no row has a field `{key}`; the first row's fields are {fields}");
        }
        match self.shape {
            Shape::Ndjson => bail!("{name}: is empty"),
            Shape::Csv { .. } => Ok(()),
        }
    }
}

fn shape_of(records: &Records, key: &str) -> Result<Shape> {
    match (records.format(), records.header()) {
        (Format::Ndjson, _) => Ok(Shape::Ndjson),
        (Format::Csv, None) => bail!("is empty; a CSV needs a header at least"),
        (Format::Csv, Some(header)) => {
            let key = header.require(key)?;
            Ok(Shape::Csv { header: Arc::clone(header), key, row: Row::default() })
        }
    }
}

fn field_names(object: &[u8]) -> Vec<String> {
    let object: serde_json::Map<_, _> = serde_json::from_slice(object).unwrap_or_default();
    object.into_iter().map(|(name, _)| name).collect()
}
