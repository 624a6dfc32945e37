use headwater::firestore::FirestoreSource;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::value::ValueType;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::write::Operation;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::{
    CommitRequest, Document, Value, Write,
};
use headwater::firestore::client::gcloud_sdk::google_cloud_auth::credentials::anonymous;
use headwater::firestore::client::{FirestoreDb, FirestoreDbOptions};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

const COLLECTION: &str = "numbers";

/// What is in a document.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Numbered {
    pub(crate) number: u64,
}

/// Documents of an emulator, each with a number, changed by the bare client.
#[derive(Clone)]
pub(crate) struct Documents {
    db: FirestoreDb,
}

/// A client of the emulator at `host`, over a connection of its own.
pub(crate) async fn client(host: &str) -> FirestoreDb {
    let options =
        FirestoreDbOptions::new("bench".to_owned()).with_firebase_api_url(format!("http://{host}"));
    let nobody = anonymous::Builder::new().build();
    FirestoreDb::with_options_auth(options, nobody).await.expect("the emulator is there")
}

impl Documents {
    /// Those of the emulator at `host`, over a connection of one's own.
    pub(crate) async fn at(host: &str) -> Self {
        Self { db: client(host).await }
    }

    pub(crate) fn source(&self) -> FirestoreSource<str, Numbered> {
        FirestoreSource::new(self.db.clone(), COLLECTION).expect("a collection's path")
    }

    /// Gives a document a number; whether the server has confirmed it.
    pub(crate) async fn write(&self, id: &str, number: u64) -> bool {
        let name = format!("{}/{COLLECTION}/{id}", self.db.get_documents_path());
        let number = i64::try_from(number).expect("a small number");
        let value = Value { value_type: Some(ValueType::IntegerValue(number)) };
        let fields = HashMap::from([("number".to_owned(), value)]);
        let update = Operation::Update(Document { name, fields, ..Document::default() });
        let request = CommitRequest {
            database: self.db.get_database_path().clone(),
            writes: vec![Write { operation: Some(update), ..Write::default() }],
            ..CommitRequest::default()
        };
        self.db.client().get().commit(request).await.is_ok()
    }
}
