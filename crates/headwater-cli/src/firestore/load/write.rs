//! One batch: what of it is sent, how often, and what the server refuses of it.

use super::super::node::{Fields, Node};
use super::super::{Source, in_words};
use crate::source::url::Documents;
use anyhow::{Result, anyhow};
use headwater::Fetcher;
use headwater::firestore::client::FirestoreDb;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::{
    BatchWriteRequest, Document, Write, write::Operation,
};
use headwater::firestore::client::gcloud_sdk::tonic::{Code, Status};
use headwater::firestore::explain;
use std::collections::HashSet;
use std::error::Error as _;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(20);
/// A batch is not begun again after so many attempts or such a time.
const ATTEMPTS: u32 = 8;
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest pause after a first failure, and what none exceeds.
const SOON: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
const LATE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A row that is to be a document.
pub(super) struct Pending {
    pub(super) line: u64,
    pub(super) key: String,
    /// As it came.
    pub(super) text: Vec<u8>,
    pub(super) name: String,
    pub(super) fields: Fields,
}

impl Pending {
    /// About as many as are sent for it.
    pub(super) fn bytes(&self) -> usize {
        self.name.len() + self.text.len()
    }

    fn write(&self) -> Write {
        let fields = self.fields.clone().into_iter();
        let document = Document {
            name: self.name.clone(),
            fields: fields.map(|(name, node)| (name, node.into_value())).collect(),
            ..Document::default()
        };
        Write { operation: Some(Operation::Update(document)), ..Write::default() }
    }
}

/// What became of a batch.
pub(super) struct Written {
    /// All that were in it.
    pub(super) keys: HashSet<String>,
    /// Rows that the collection had as they are.
    pub(super) unchanged: u64,
    /// Rows that it does not take, and why.
    pub(super) refused: Vec<(Pending, String)>,
}

/// What writes batches.
pub(super) struct Writer {
    pub(super) db: FirestoreDb,
    pub(super) source: Source,
    pub(super) documents: Documents,
    /// The file's name, for errors.
    pub(super) file: String,
    /// Whether to look first what is there already.
    pub(super) resumes: bool,
}

impl Writer {
    /// The name of a key's document; the error is why there can be none.
    pub(super) fn name_of(&self, key: &str) -> Result<String, String> {
        self.source.document(key).map_err(|error| error.to_string())
    }

    /// Writes rows, each key once among them.
    pub(super) async fn write(&self, rows: Vec<Pending>) -> Result<Written> {
        let keys: HashSet<String> = rows.iter().map(|row| row.key.clone()).collect();
        let rows = if self.resumes { self.differing(rows).await? } else { rows };
        let unchanged = (keys.len() - rows.len()) as u64;
        Ok(Written { keys, unchanged, refused: self.put(rows).await? })
    }

    /// Those of the rows that the collection has not, or otherwise.
    async fn differing(&self, rows: Vec<Pending>) -> Result<Vec<Pending>> {
        let keys: Vec<&str> = rows.iter().map(|row| &*row.key).collect();
        let there = self.source.fetch_many(&keys).await;
        let mut differing = Vec::new();
        for (row, there) in rows.into_iter().zip(there) {
            match there {
                Ok(Node::Map(fields)) if fields == row.fields => {}
                Err(error) if error.is_retryable() => return Err(self.failure(&row, &error)),
                _ => differing.push(row),
            }
        }
        Ok(differing)
    }

    /// Sends rows until each is there or refused.
    async fn put(&self, rows: Vec<Pending>) -> Result<Vec<(Pending, String)>> {
        let (mut queue, mut refused) = (vec![rows], Vec::new());
        let mut trials = Trials::new();
        while let Some(mut rows) = queue.pop() {
            if rows.is_empty() {
                continue;
            }
            let outcomes = match self.call(&rows).await {
                Ok(outcomes) => outcomes,
                // Which row it is about is not told: halves of them will tell.
                Err(status) if rows.len() > 1 && Verdict::of(&status) == Verdict::Refused => {
                    queue.extend([rows.split_off(rows.len() / 2), rows]);
                    continue;
                }
                Err(status) => vec![status; rows.len()],
            };
            let (again, trouble) = self.sort(rows, outcomes, &mut refused)?;
            if let (Some(row), Some(status)) = (again.first(), trouble) {
                match trials.pause_after(&status) {
                    Some(pause) => sleep(pause).await,
                    None => return Err(self.failure(row, &explain(&self.db, status))),
                }
            }
            queue.push(again);
        }
        Ok(refused)
    }

    /// One call: a status for each row, or one for all of them.
    async fn call(&self, rows: &[Pending]) -> Result<Vec<Status>, Status> {
        let request = BatchWriteRequest {
            database: self.db.get_database_path().clone(),
            writes: rows.iter().map(Pending::write).collect(),
            ..BatchWriteRequest::default()
        };
        let mut client = self.db.client().get();
        let answer = match timeout(ATTEMPT, client.batch_write(request)).await {
            Ok(answer) => answer?.into_inner().status,
            Err(_) => return Err(Status::deadline_exceeded(format!("no answer in {ATTEMPT:?}"))),
        };
        if answer.len() != rows.len() {
            return Err(Status::data_loss("the server left a write out"));
        }
        Ok(answer
            .into_iter()
            .map(|status| Status::new(status.code.into(), status.message))
            .collect())
    }

    /// The rows that are to be sent again, and why.
    fn sort(
        &self,
        rows: Vec<Pending>,
        outcomes: Vec<Status>,
        refused: &mut Vec<(Pending, String)>,
    ) -> Result<(Vec<Pending>, Option<Status>)> {
        let (mut again, mut trouble) = (Vec::new(), None);
        for (row, status) in rows.into_iter().zip(outcomes) {
            match Verdict::of(&status) {
                Verdict::Done => {}
                Verdict::Refused => refused.push((row, status.message().to_owned())),
                Verdict::Failed => return Err(self.failure(&row, &explain(&self.db, status))),
                Verdict::Again => {
                    again.push(row);
                    trouble = Some(status);
                }
            }
        }
        Ok((again, trouble))
    }

    fn failure(&self, row: &Pending, error: &headwater::Error) -> anyhow::Error {
        anyhow!("{}:{}: {}", self.file, row.line, in_words(&self.documents, error))
    }
}

/// What a status says about a write. Writing a document once more does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    /// It will never be taken.
    Refused,
    /// It may be taken later.
    Again,
    /// Nor will any other.
    Failed,
}

impl Verdict {
    fn of(status: &Status) -> Self {
        match status.code() {
            Code::Ok => Self::Done,
            Code::InvalidArgument | Code::OutOfRange => Self::Refused,
            Code::Unavailable
            | Code::Aborted
            | Code::Internal
            | Code::DeadlineExceeded
            | Code::ResourceExhausted => Self::Again,
            // Of the transport, which has several codes for a broken connection.
            Code::Unknown | Code::Cancelled if status.source().is_some() => Self::Again,
            _ => Self::Failed,
        }
    }
}

/// How often a batch was begun, and since when.
struct Trials {
    made: u32,
    began: Instant,
}

impl Trials {
    fn new() -> Self {
        Self { made: 0, began: Instant::now() }
    }

    /// How long to wait before the next attempt; `None` if there is none. Any length up to the
    /// longest is as likely, so that loads that failed together do not come back together.
    fn pause_after(&mut self, status: &Status) -> Option<Duration> {
        self.made += 1;
        if self.made >= ATTEMPTS || self.began.elapsed() > PATIENCE {
            return None;
        }
        let (first, most) = match status.code() {
            Code::ResourceExhausted => LATE,
            _ => SOON,
        };
        let longest = first.saturating_mul(1 << (self.made - 1)).min(most);
        Some(longest.mul_f64(fastrand::f64()))
    }
}
