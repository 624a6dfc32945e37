//! Many documents at once: calls of `BatchGetDocuments`, and the keys that their answers belong to.
//!
//! The server answers in any order and once per document. What came before a stream broke is kept,
//! and the rest is asked for again.

use super::call::Caller;
use super::key::DocumentKey;
use super::source::Inner;
use super::value::from_document;
use crate::sync::Mutex;
use crate::{Entry, Error, ErrorKind, Result, Value, Version};
use ::firestore::FirestoreDb;
use ::firestore::gcloud_sdk::google::firestore::v1::batch_get_documents_response::Result as Answer;
use ::firestore::gcloud_sdk::google::firestore::v1::{
    BatchGetDocumentsRequest, BatchGetDocumentsResponse, DocumentMask,
};
use ::firestore::gcloud_sdk::prost_types::Timestamp;
use futures_util::future::join_all;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use tonic::Status;

/// What is known of each document by its name.
pub(crate) type Known<T> = HashMap<String, Result<T>>;

/// Reads documents by their names, for whoever makes something of the answers.
pub(super) struct Reader<'r> {
    pub(super) db: &'r FirestoreDb,
    pub(super) caller: &'r Caller,
    /// Who reads, in errors.
    pub(super) name: &'r Cow<'static, str>,
    pub(super) mask: Option<&'r DocumentMask>,
    /// The most documents in a call.
    pub(super) batch: usize,
    /// The most calls at once.
    pub(super) lanes: usize,
}

impl Reader<'_> {
    /// Reads chunks of distinct names in a few lanes at once. When one got no answer in time, what
    /// has not been asked for yet fails with it: the server is silent, and waiting once is enough.
    pub(super) async fn read<T, F>(&self, names: Vec<String>, take: F) -> Known<T>
    where
        F: Fn(BatchGetDocumentsResponse) -> Option<(String, Result<T>)>,
    {
        let silence: Mutex<Option<Error>> = Mutex::new(None);
        let chunks = Mutex::new(names.chunks(self.batch));
        let known = Mutex::new(Known::with_capacity(names.len()));
        let lane = async || {
            loop {
                let Some(chunk) = chunks.lock().next() else { return };
                let earlier = silence.lock().clone();
                let outcome = match earlier {
                    Some(error) => Err(error),
                    None => self.read_chunk(chunk, &known, &take).await,
                };
                let Err(error) = outcome else { continue };
                let mut known = known.lock();
                for name in chunk {
                    known.entry(name.clone()).or_insert_with(|| Err(error.clone()));
                }
                if error.kind() == ErrorKind::Timeout {
                    *silence.lock() = Some(error);
                }
            }
        };
        let lanes = self.lanes.min(names.len().div_ceil(self.batch));
        join_all((0..lanes).map(|_| lane())).await;
        std::mem::take(&mut *known.lock())
    }

    /// One call. What it learns is in `known`, also if it fails in the end.
    async fn read_chunk<T, F>(
        &self,
        names: &[String],
        known: &Mutex<Known<T>>,
        take: &F,
    ) -> Result<()>
    where
        F: Fn(BatchGetDocumentsResponse) -> Option<(String, Result<T>)>,
    {
        let call = self.caller.call(|| self.attempt(names, known, take));
        call.await.map_err(|error| error.with_tier(self.name.clone()))
    }

    /// Asks for those of `names` that nothing is known of yet.
    async fn attempt<T, F>(
        &self,
        names: &[String],
        known: &Mutex<Known<T>>,
        take: &F,
    ) -> Result<(), Status>
    where
        F: Fn(BatchGetDocumentsResponse) -> Option<(String, Result<T>)>,
    {
        let documents = unknown(names, &known.lock());
        if documents.is_empty() {
            return Ok(());
        }
        let request = BatchGetDocumentsRequest {
            database: self.db.get_database_path().clone(),
            documents,
            mask: self.mask.cloned(),
            ..BatchGetDocumentsRequest::default()
        };
        let mut client = self.db.client().get();
        let mut stream = client.batch_get_documents(request).await?.into_inner();
        while let Some(response) = stream.message().await? {
            if let Some(answer) = &response.result {
                self.caller.counters.reads.add(1);
                let is_missing = matches!(answer, Answer::Missing(_));
                self.caller.counters.missing.add(u64::from(is_missing));
            }
            let taken = take(response);
            known.lock().extend(taken);
        }
        Ok(())
    }
}

impl Inner {
    /// One outcome per key, in their order.
    pub(super) async fn read<K, V>(&self, keys: &[&K]) -> Vec<Result<Entry<V>>>
    where
        K: ?Sized + DocumentKey,
        V: Value + DeserializeOwned,
    {
        let names: Vec<Result<String>> = keys.iter().map(|key| self.name_of(*key)).collect();
        let mut seen = HashSet::new();
        let distinct: Vec<String> =
            names.iter().flatten().filter(|name| seen.insert(name.as_str())).cloned().collect();
        let known = self.reader().read(distinct, |response| self.entry(response)).await;
        let answer = |name: Result<String>| match known.get(&name?) {
            Some(outcome) => outcome.clone(),
            None => Err(self.error(ErrorKind::Unexpected, "the server left a document out")),
        };
        names.into_iter().map(answer).collect()
    }

    fn reader(&self) -> Reader<'_> {
        Reader {
            db: &self.db,
            caller: &self.caller,
            name: &self.name,
            mask: self.mask.as_ref(),
            batch: self.batch,
            lanes: self.lanes,
        }
    }

    fn name_of<K: ?Sized + DocumentKey>(&self, key: &K) -> Result<String> {
        self.collection.document(key).map_err(|error| {
            self.caller.counters.bad_keys.add(1);
            self.named(error)
        })
    }

    /// The document's name, and what the server says about it.
    fn entry<V: DeserializeOwned>(
        &self,
        response: BatchGetDocumentsResponse,
    ) -> Option<(String, Result<Entry<V>>)> {
        match response.result? {
            Answer::Missing(name) => {
                Some((name, Ok(versioned(Entry::absent(), response.read_time))))
            }
            Answer::Found(document) => {
                let (name, time) = (document.name.clone(), document.update_time);
                let entry =
                    from_document(document).map(|value| versioned(Entry::found(value), time));
                let entry = entry.map_err(|misfit| {
                    self.caller.counters.undecodable.add(1);
                    self.error(ErrorKind::Codec, "a document does not fit the type of values")
                        .with_source(misfit)
                });
                Some((name, entry))
            }
        }
    }
}

fn unknown<T>(names: &[String], known: &Known<T>) -> Vec<String> {
    names.iter().filter(|name| !known.contains_key(*name)).cloned().collect()
}

/// The entry with the time of its change as its version: nanoseconds since 1970.
pub(super) fn versioned<V>(entry: Entry<V>, time: Option<Timestamp>) -> Entry<V> {
    match time.and_then(nanos) {
        Some(nanos) => entry.with_version(Version::new(nanos)),
        None => entry,
    }
}

/// Nanoseconds since 1970; `None` before that, and beyond the year 2554.
pub(super) fn nanos(time: Timestamp) -> Option<u64> {
    let seconds = u64::try_from(time.seconds).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(u64::try_from(time.nanos).ok()?)
}
