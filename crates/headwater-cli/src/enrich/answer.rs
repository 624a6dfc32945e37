//! One batch: find each record's key, look all of them up, and say what becomes of each record.

use crate::input::{Batch, Header, Row, Span};
use crate::json::Json;
use crate::record::{self, Splice};
use headwater::{BoxCache, Fetcher};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// What is done to every record.
pub(super) struct Plan {
    /// The field to look up.
    pub(super) key: String,
    /// The field to add.
    pub(super) new_field: String,
    /// Adds it.
    pub(super) splice: Splice,
    /// For CSV: the columns, and which of them is the key.
    pub(super) csv: Option<(Arc<Header>, usize)>,
}

/// A batch with an outcome for each of its records.
pub(super) struct Answered {
    batch: Batch,
    /// For CSV: the records as JSON.
    json: Vec<u8>,
    pub(super) records: Vec<Record>,
}

/// One record and what is known about it.
pub(super) struct Record {
    pub(super) span: Span,
    /// Where its JSON is, in the batch's text or in [`Answered::json`].
    body: Range<usize>,
    pub(super) outcome: Outcome,
}

/// What becomes of a record.
pub(super) enum Outcome {
    Found(Json),
    Absent,
    NoKey,
    /// It is no usable record, for this reason.
    Rejected(String),
    /// The source failed for its key.
    Failed(headwater::Error),
}

impl Answered {
    /// A record as JSON, to be written.
    pub(super) fn body(&self, record: &Record) -> &[u8] {
        // Only a CSV's records are made, and then none of them is empty.
        let text = if self.json.is_empty() { &self.batch.text } else { &self.json };
        &text[record.body.clone()]
    }

    /// A record as it came, to be reported.
    pub(super) fn raw(&self, record: &Record) -> &[u8] {
        self.batch.text_of(&record.span)
    }
}

/// Looks a batch up.
pub(super) async fn answer(
    mut batch: Batch,
    plan: Arc<Plan>,
    chain: BoxCache<str, Json>,
) -> Answered {
    let spans = std::mem::take(&mut batch.spans);
    let Scanned { mut records, json, keys } = plan.scan(&batch, spans);
    let texts: Vec<&str> = keys.iter().map(|(_, key)| &**key).collect();
    let found = chain.fetch_many(&texts).await;
    for ((place, _), found) in keys.iter().zip(found) {
        records[*place].outcome = match found {
            Ok(value) => Outcome::Found(value),
            Err(error) if error.is_not_found() => Outcome::Absent,
            Err(error) => Outcome::Failed(error),
        };
    }
    Answered { batch, json, records }
}

/// A batch whose keys are known.
struct Scanned<'b> {
    records: Vec<Record>,
    json: Vec<u8>,
    /// The record that each key belongs to, and the key.
    keys: Vec<(usize, Cow<'b, str>)>,
}

impl Plan {
    /// Records with a key count as absent until it is looked up.
    fn scan<'b>(&self, batch: &'b Batch, spans: Vec<Span>) -> Scanned<'b> {
        let mut json = Vec::new();
        let mut row = Row::default();
        let mut keys = Vec::with_capacity(spans.len());
        let mut records = Vec::with_capacity(spans.len());
        for (place, span) in spans.into_iter().enumerate() {
            let start = json.len();
            let (body, outcome) = match self.key_of(batch, &span, &mut row, &mut json) {
                Ok(key) => {
                    let outcome = if key.is_some() { Outcome::Absent } else { Outcome::NoKey };
                    keys.extend(key.map(|key| (place, key)));
                    let csv = self.csv.is_some();
                    let body = if csv { start..json.len() } else { span.range.clone() };
                    (body, outcome)
                }
                Err(reason) => {
                    json.truncate(start);
                    (0..0, Outcome::Rejected(reason))
                }
            };
            records.push(Record { span, body, outcome });
        }
        Scanned { records, json, keys }
    }

    /// The key of one record, which for CSV is also appended to `json`.
    fn key_of<'b>(
        &self,
        batch: &'b Batch,
        span: &Span,
        row: &mut Row,
        json: &mut Vec<u8>,
    ) -> Result<Option<Cow<'b, str>>, String> {
        if let Some(fault) = &span.fault {
            return Err(fault.clone());
        }
        let text = batch.text_of(span);
        let Some((header, column)) = &self.csv else {
            return record::scan(text, &self.key, Some(&self.new_field));
        };
        header.write_json(text, *column, row, json).map(|key| Some(Cow::Owned(key)))
    }
}
