//! A database of one's own, documents in it, and sources over it.

use crate::emulator::{Emulator, Make};
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::value::ValueType;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::{
    ArrayValue, CommitRequest, Document, GetDocumentRequest, MapValue, Value, Write,
    write::Operation,
};
use headwater::firestore::client::gcloud_sdk::google_cloud_auth::credentials::anonymous;
use headwater::firestore::client::{FirestoreDb, FirestoreDbOptions};
use headwater::firestore::{FirestoreBuilder, FirestoreSource};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What most tests have in their documents.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Plane {
    pub(crate) model: String,
}

pub(crate) fn plane(model: &str) -> Plane {
    Plane { model: model.to_owned() }
}

pub(crate) type Planes = FirestoreSource<str, Plane>;

/// A project that no other test has, on an emulator.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) db: FirestoreDb,
}

impl World {
    /// On an emulator that tests share.
    pub(crate) async fn on(make: Make) -> Self {
        Self::at(&make.shared()).await
    }

    /// On the emulator at `host`.
    pub(crate) async fn at(host: &str) -> Self {
        Self { db: client(host, &project(), "(default)").await }
    }

    /// On an emulator of its own, which has answered: a cold one takes its time.
    pub(crate) async fn warm(emulator: &Emulator) -> Self {
        let world = Self::at(&emulator.host()).await;
        world.set("warm/a", vec![]).await;
        world
    }

    /// The settings of a source of the collection `planes`.
    pub(crate) fn builder(&self) -> FirestoreBuilder<str, Plane> {
        Planes::builder(self.db.clone(), "planes")
    }

    pub(crate) fn planes(&self) -> Planes {
        self.builder().build().expect("valid settings")
    }

    /// Writes documents into `planes`, each with its id as its model.
    pub(crate) async fn have(&self, ids: &[&str]) {
        for chunk in ids.chunks(400) {
            let document = |id: &&str| (format!("planes/{id}"), vec![("model", text(id))]);
            write(&self.db, chunk.iter().map(document)).await;
        }
    }

    /// Writes one document.
    pub(crate) async fn set(&self, path: &str, fields: Vec<(&str, Value)>) {
        write(&self.db, [(path.to_owned(), fields)]).await;
    }

    /// What types the fields of a document have.
    pub(crate) async fn fields(&self, path: &str) -> HashMap<String, &'static str> {
        let name = format!("{}/{path}", self.db.get_documents_path());
        let request = GetDocumentRequest { name, ..GetDocumentRequest::default() };
        let document = self.db.client().get().get_document(request).await.expect("it is there");
        let fields = document.into_inner().fields.into_iter();
        fields.map(|(name, value)| (name, kind(&value))).collect()
    }

    /// Deletes one document.
    pub(crate) async fn delete(&self, path: &str) {
        let name = format!("{}/{path}", self.db.get_documents_path());
        commit(&self.db, vec![Operation::Delete(name)]).await;
    }
}

/// A project's name that no other test has.
pub(crate) fn project() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

/// A client of a database of the server at `host`, without credentials.
pub(crate) async fn client(host: &str, project: &str, database: &str) -> FirestoreDb {
    let options = FirestoreDbOptions::new(project.to_owned())
        .with_database_id(database.to_owned())
        .with_firebase_api_url(format!("http://{host}"));
    let nobody = anonymous::Builder::new().build();
    FirestoreDb::with_options_auth(options, nobody).await.expect("the server is there")
}

/// Writes documents by the protocol itself, as any client in any language does.
pub(crate) async fn write(
    db: &FirestoreDb,
    documents: impl IntoIterator<Item = (String, Vec<(&str, Value)>)>,
) {
    let update = |(path, fields)| {
        let name = format!("{}/{path}", db.get_documents_path());
        Operation::Update(Document { name, fields: named(fields), ..Document::default() })
    };
    commit(db, documents.into_iter().map(update).collect()).await;
}

async fn commit(db: &FirestoreDb, operations: Vec<Operation>) {
    let write = |operation| Write { operation: Some(operation), ..Write::default() };
    let request = CommitRequest {
        database: db.get_database_path().clone(),
        writes: operations.into_iter().map(write).collect(),
        ..CommitRequest::default()
    };
    db.client().get().commit(request).await.expect("the write is accepted");
}

fn named(fields: Vec<(&str, Value)>) -> HashMap<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn kind(value: &Value) -> &'static str {
    match value.value_type.as_ref().expect("a value") {
        ValueType::NullValue(_) => "null",
        ValueType::BooleanValue(_) => "boolean",
        ValueType::IntegerValue(_) => "integer",
        ValueType::DoubleValue(_) => "double",
        ValueType::TimestampValue(_) => "timestamp",
        ValueType::StringValue(_) => "string",
        ValueType::BytesValue(_) => "bytes",
        ValueType::ReferenceValue(_) => "reference",
        ValueType::GeoPointValue(_) => "point",
        ValueType::ArrayValue(_) => "array",
        ValueType::MapValue(_) => "map",
        other => panic!("{other:?} is no value of a document"),
    }
}

pub(crate) fn value(value: ValueType) -> Value {
    Value { value_type: Some(value) }
}

pub(crate) fn text(text: &str) -> Value {
    value(ValueType::StringValue(text.to_owned()))
}

pub(crate) fn integer(number: i64) -> Value {
    value(ValueType::IntegerValue(number))
}

pub(crate) fn double(number: f64) -> Value {
    value(ValueType::DoubleValue(number))
}

pub(crate) fn null() -> Value {
    value(ValueType::NullValue(0))
}

pub(crate) fn array(values: Vec<Value>) -> Value {
    value(ValueType::ArrayValue(ArrayValue { values }))
}

pub(crate) fn map(fields: Vec<(&str, Value)>) -> Value {
    value(ValueType::MapValue(MapValue { fields: named(fields) }))
}
