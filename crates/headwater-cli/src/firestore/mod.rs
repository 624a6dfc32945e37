//! Firestore: a collection as a source that may be watched, and as a target of `load`.

mod load;
mod node;
mod source;
mod watch;

pub(crate) use load::Loader;
pub(crate) use source::{Collection, open_source};
pub(crate) use watch::Watching;

use crate::source::url::Documents;
use anyhow::{Result, anyhow};
use headwater::Value;
use headwater::firestore::client::gcloud_sdk::tonic::Status;
use headwater::firestore::client::{FirestoreDb, FirestoreDbOptions};
use headwater::firestore::{FirestoreBuilder, FirestoreSource, connect_with};
use node::Node;
use serde::de::DeserializeOwned;
use std::error::Error as _;

/// Reads the program's values.
type Source = FirestoreSource<str, Node>;

/// Connects, on the present runtime.
async fn connect(documents: &Documents) -> Result<FirestoreDb> {
    let mut options = FirestoreDbOptions::new(documents.project.clone());
    if let Some(database) = &documents.database {
        options = options.with_database_id(database.clone());
    }
    connect_with(options).await.map_err(|error| in_words(documents, &error))
}

/// The collection, as it is to be read.
fn source<V>(db: FirestoreDb, documents: &Documents) -> Result<FirestoreSource<str, V>>
where
    V: Value + DeserializeOwned,
{
    let builder: FirestoreBuilder<str, V> = FirestoreSource::builder(db, &documents.path);
    let builder = if documents.escape { builder.escape_keys() } else { builder };
    builder.build().map_err(|error| in_words(documents, &error))
}

/// An error with the collection's name, and with the server's own words if they are from there.
fn in_words(documents: &Documents, error: &headwater::Error) -> anyhow::Error {
    let status = error.source().and_then(|cause| cause.downcast_ref::<Status>());
    match status.filter(|status| status.source().is_none() && !status.message().is_empty()) {
        Some(status) => anyhow!("{documents}: {error} ({})", status.message()),
        None => anyhow!("{documents}: {error}"),
    }
}
