//! Writes: commits that are atomic, under conditions, and changes that lose nobody's.

use super::error::{is_conflict, of_write, pace, pace_unless_done};
use super::store::{FirestoreStore, Seen};
use super::time::Stamp;
use crate::{Error, ErrorKind, Result};
use ::firestore::gcloud_sdk::google::firestore::v1::precondition::ConditionType;
use ::firestore::gcloud_sdk::google::firestore::v1::write::Operation;
use ::firestore::gcloud_sdk::google::firestore::v1::{
    CommitRequest, Document, DocumentMask, Precondition, Value, Write,
};
use std::collections::HashMap;
use std::time::Duration;
use tonic::Status;

/// The longest pause after another one was faster, give or take.
const PAUSES: std::ops::Range<u64> = 1..40;

/// What must be so for a document to be written.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Any,
    Absent,
    Present,
    /// Nobody changed it since it was read as this.
    Unchanged(Document),
}

impl Condition {
    /// That a document is as it was seen.
    pub(crate) fn as_seen(seen: &Seen) -> Self {
        seen.document.clone().map_or(Self::Absent, Self::Unchanged)
    }

    fn precondition(self) -> Option<Precondition> {
        let condition = match self {
            Self::Any => return None,
            Self::Absent => ConditionType::Exists(false),
            Self::Present => ConditionType::Exists(true),
            Self::Unchanged(document) => match document.update_time {
                Some(time) => ConditionType::UpdateTime(time),
                None => ConditionType::Exists(true),
            },
        };
        Some(Precondition { condition_type: Some(condition) })
    }
}

/// The fields of a document.
pub(crate) type Fields = HashMap<String, Value>;

/// Writes a whole document.
pub(crate) fn set(name: &str, fields: Fields, condition: Condition) -> Write {
    let document = Document { name: name.to_owned(), fields, ..Document::default() };
    Write {
        operation: Some(Operation::Update(document)),
        current_document: condition.precondition(),
        ..Write::default()
    }
}

/// Writes some fields of a document; those of `mask` that are not among `fields` are deleted.
pub(crate) fn patch(name: &str, fields: Fields, mask: &[&str], condition: Condition) -> Write {
    let field_paths = mask.iter().map(|field| (*field).to_owned()).collect();
    Write { update_mask: Some(DocumentMask { field_paths }), ..set(name, fields, condition) }
}

pub(crate) fn delete(name: &str, condition: Condition) -> Write {
    Write {
        operation: Some(Operation::Delete(name.to_owned())),
        current_document: condition.precondition(),
        ..Write::default()
    }
}

/// What becomes of a document.
pub(crate) enum Fate {
    Keep,
    Set(Fields),
    /// Of these fields only, as [`patch`] does.
    Patch(Fields, &'static [&'static str]),
    Delete,
}

impl FirestoreStore {
    /// Writes all or nothing; when that was, or `None` if a condition did not hold. Without conditions
    /// it is sent again where that may help; with them only if it is sure that nothing was written.
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<Option<Stamp>> {
        let _place = self.place().await;
        self.commit_at_once(writes).await
    }

    /// As [`commit`](Self::commit), past all that wait for a place: for who has one, and for what must
    /// not be late.
    pub(super) async fn commit_at_once(&self, writes: Vec<Write>) -> Result<Option<Stamp>> {
        self.check_open()?;
        let may_repeat = writes.iter().all(|write| write.current_document.is_none());
        let pace = if may_repeat { pace } else { pace_unless_done };
        let outcome = self.caller().call_again(pace, || self.committed(writes.clone())).await;
        outcome.map_err(|error| self.named(of_write(error)))
    }

    async fn committed(&self, writes: Vec<Write>) -> Result<Option<Stamp>, Status> {
        let deletes = writes.iter().filter(|write| is_delete(write)).count() as u64;
        let sets = writes.len() as u64 - deletes;
        let database = self.db().get_database_path().clone();
        let request = CommitRequest { database, writes, ..CommitRequest::default() };
        let asked = self.asking();
        let response = match self.db().client().get().commit(request).await {
            Ok(response) => response.into_inner(),
            Err(status) if is_conflict(&status) => return Ok(None),
            Err(status) => return Err(status),
        };
        self.counters().writes.add(sets);
        self.counters().deletes.add(deletes);
        let time = response.commit_time.as_ref().map(Stamp::from);
        let time = time.ok_or_else(|| Status::internal("a commit without a time"))?;
        self.observe(time, asked);
        Ok(Some(time))
    }

    /// Writes each whose condition holds, in order, at most 400; when that was, or `None` if it did not
    /// hold. They go together for as long as all conditions hold, and in ever smaller parts around one
    /// that does not.
    pub(crate) async fn write_each(&self, writes: Vec<Write>) -> Result<Vec<Option<Stamp>>> {
        let mut done = Vec::with_capacity(writes.len());
        let mut parts = vec![writes];
        while let Some(mut part) = parts.pop().filter(|part| !part.is_empty()) {
            match self.commit(part.clone()).await? {
                None if part.len() > 1 => {
                    parts.push(part.split_off(part.len() / 2));
                    parts.push(part);
                }
                written => done.extend(part.iter().map(|_| written)),
            }
        }
        Ok(done)
    }

    /// Reads a document and has `decide` say what becomes of it, which happens only if nobody changed
    /// it meanwhile: else all over again, for as long as a call may take. So each change is one step
    /// (Firestore serialises what is written under a condition), and loses nobody else's.
    ///
    /// # Errors
    /// By what the server meets and what `decide` says. If the connection breaks while it is written,
    /// nobody knows whether it was.
    pub(crate) async fn change<T>(
        &self,
        name: &str,
        mut decide: impl FnMut(&Seen) -> Result<(Fate, T)>,
    ) -> Result<T> {
        self.check_open()?;
        let end = self.clock().now() + self.caller().timeout;
        loop {
            let seen = self.read_one(name).await?;
            let (fate, outcome) = decide(&seen)?;
            let condition = Condition::as_seen(&seen);
            let write = match fate {
                Fate::Keep => return Ok(outcome),
                Fate::Set(fields) => set(name, fields, condition),
                Fate::Patch(fields, mask) => patch(name, fields, mask, condition),
                Fate::Delete => delete(name, condition),
            };
            if self.commit(vec![write]).await?.is_some() {
                return Ok(outcome);
            }
            if self.clock().now() >= end {
                let message = "too many change one document at once";
                return Err(self.named(Error::new(ErrorKind::Unavailable, message)));
            }
            self.clock().sleep(Duration::from_millis(fastrand::u64(PAUSES))).await;
        }
    }
}

fn is_delete(write: &Write) -> bool {
    matches!(write.operation, Some(Operation::Delete(_)))
}
