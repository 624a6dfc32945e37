//! The log: requested keys, from lines, from a field of records, or from numbers.

use crate::args::SimulateArgs;
use crate::input::{self, BytesRead, Format, Header, Input, Records, Row, plain_words};
use crate::record;
use anyhow::{Context, Error, Result, anyhow};
use headwater_replay::{Requests, Trace};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A log that can be read.
pub(super) struct Log {
    /// As it is called in messages.
    pub(super) name: String,
    pub(super) bytes: BytesRead,
    keys: Keys,
}

enum Keys {
    Numbers(Box<dyn Read + Send>),
    Lines(Records),
    /// Of NDJSON, by the field's name.
    Fields(Records, String),
    /// Of a CSV, by the column's place.
    Columns(Records, Arc<Header>, usize),
}

/// Opens the log.
pub(super) fn open(args: &SimulateArgs) -> Result<Log> {
    let format = if args.key.is_some() { args.format } else { Some(Format::Ndjson) };
    let input = input::open(&args.input, format)?;
    let (name, bytes) = (input.name.clone(), input.progress.clone());
    let keys = match &args.key {
        Some(key) => records(input, key, args.max_line).with_context(|| name.clone())?,
        None if is_numbers(&args.input) => Keys::Numbers(input.reader),
        None => Keys::Lines(Records::new(input, args.max_line)?),
    };
    Ok(Log { name, bytes, keys })
}

fn records(input: Input, key: &str, max_line: usize) -> Result<Keys> {
    let records = Records::new(input, max_line)?;
    match records.header().cloned() {
        None => Ok(Keys::Fields(records, key.to_owned())),
        Some(header) => {
            let column = header.require(key)?;
            Ok(Keys::Columns(records, header, column))
        }
    }
}

/// Whether a name says that the file is numbers.
fn is_numbers(path: &Path) -> bool {
    let name = path.to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".zst").or(name.strip_suffix(".gz")).unwrap_or(&name);
    Path::new(name).extension().is_some_and(|extension| extension == "u64")
}

impl Log {
    /// Reads up to `most` requests, and counts them.
    ///
    /// The error names the log, and the line where there is one.
    pub(super) fn read(self, most: u64, count: &AtomicU64) -> Result<Trace> {
        let name = self.name;
        match self.keys {
            Keys::Numbers(reader) => numbers(reader, most).with_context(|| name),
            Keys::Lines(records) => gather(&name, records, most, count, |line, requests| {
                requests.push(line).then_some(true).ok_or_else(too_many)
            }),
            Keys::Fields(records, key) => gather(&name, records, most, count, |line, requests| {
                match record::scan(line, &key, None).map_err(Error::msg)? {
                    None => Ok(false),
                    Some(text) => {
                        requests.push(text.as_bytes()).then_some(true).ok_or_else(too_many)
                    }
                }
            }),
            Keys::Columns(records, header, column) => {
                let mut row = Row::default();
                gather(&name, records, most, count, |line, requests| {
                    header.read(line, &mut row).map_err(Error::msg)?;
                    let key = row.field(column).as_bytes();
                    requests.push(key).then_some(true).ok_or_else(too_many)
                })
            }
        }
    }
}

fn too_many() -> Error {
    anyhow!("there are more than 4,294,967,294 different keys")
}

fn numbers(mut reader: Box<dyn Read + Send>, most: u64) -> Result<Trace> {
    let mut bytes = Vec::new();
    let most = most.saturating_mul(size_of::<u64>() as u64);
    reader.by_ref().take(most).read_to_end(&mut bytes).map_err(plain_words)?;
    Ok(Trace::from_le_bytes(&bytes)?)
}

/// Has `take` find each record's key; it says whether there was one.
fn gather(
    name: &str,
    mut records: Records,
    most: u64,
    count: &AtomicU64,
    mut take: impl FnMut(&[u8], &mut Requests<Vec<u8>>) -> Result<bool>,
) -> Result<Trace> {
    let mut requests = Requests::default();
    let mut text = Vec::new();
    while count.load(Ordering::Relaxed) < most {
        text.clear();
        let span = records.next(&mut text).map_err(plain_words);
        let Some(span) = span.with_context(|| name.to_owned())? else { break };
        let place = || format!("{name}:{}", span.line);
        if let Some(fault) = &span.fault {
            return Err(anyhow!("{fault}").context(place()));
        }
        if take(&text[span.range.clone()], &mut requests).with_context(place)? {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(requests.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_numbers_from_lines() {
        for name in ["a.u64", "a/b.U64.zst", "x.u64.gz"] {
            assert!(is_numbers(Path::new(name)), "{name}");
        }
        for name in ["-", "u64", "a.txt", "a.u64.txt", "keys.zst"] {
            assert!(!is_numbers(Path::new(name)), "{name}");
        }
    }
}
