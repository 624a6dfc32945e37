//! Where records go that cannot be used: a file with a line of JSON for each.

use crate::input::REPORTED_BYTES;
use crate::output::{Output, WriteError};
use anyhow::{Result, anyhow};
use serde::Serialize;
use std::borrow::Cow;
use std::path::Path;

/// The file of `--rejects`.
pub(crate) struct Rejects(Output);

/// A line of it.
#[derive(Serialize)]
struct Reject<'a> {
    line: u64,
    reason: &'a str,
    record: &'a str,
    /// The record's length, if `record` is only its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
}

impl Rejects {
    /// Makes (or empties) the file.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        Output::create(path).map(Self)
    }

    /// Puts one record aside, as it came.
    pub(crate) fn add(&mut self, line: u64, reason: &str, record: &[u8]) -> Result<()> {
        let (shown, bytes) = shown(record);
        let reject = Reject { line, reason, record: &shown, bytes };
        // Writing to memory has no way to fail.
        let _ = serde_json::to_writer(self.0.line(), &reject);
        self.0.end_line().map_err(in_words)
    }

    /// Writes what was gathered.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.0.flush().map_err(in_words)
    }
}

/// `text` as far as a report shows it, cut between characters.
fn shown(text: &[u8]) -> (Cow<'_, str>, Option<usize>) {
    if text.len() <= REPORTED_BYTES {
        return (String::from_utf8_lossy(text), None);
    }
    let is_inside = |at: &usize| text[*at] & 0b1100_0000 == 0b1000_0000;
    let end = (0..=REPORTED_BYTES).rev().find(|at| !is_inside(at)).unwrap_or(0);
    (String::from_utf8_lossy(&text[..end]), Some(text.len()))
}

/// Unlike records, rejects that nobody wants are a mistake.
fn in_words(error: WriteError) -> anyhow::Error {
    match error {
        WriteError::Closed => anyhow!("--rejects: closed by its reader"),
        WriteError::Failed(error) => error,
    }
}
