//! Queries of a collection's documents.

use super::error::pace;
use super::key::Collection;
use super::store::FirestoreStore;
use super::time::Stamp;
use crate::Result;
use ::firestore::gcloud_sdk::google::firestore::v1::structured_query::field_filter::Operator;
use ::firestore::gcloud_sdk::google::firestore::v1::structured_query::filter::FilterType;
use ::firestore::gcloud_sdk::google::firestore::v1::structured_query::{
    CollectionSelector, Direction, FieldFilter, FieldReference, Filter, Order, Projection,
};
use ::firestore::gcloud_sdk::google::firestore::v1::value::ValueType;
use ::firestore::gcloud_sdk::google::firestore::v1::{
    ArrayValue, Cursor, Document, RunQueryRequest, StructuredQuery, Value, run_query_request,
};
use ::firestore::gcloud_sdk::prost_types::Timestamp;
use tonic::Status;

/// The most values that one condition may offer.
pub(crate) const MOST_IN: usize = 30;

/// Documents of a collection, of which one field is so. No index but those that Firestore makes by
/// itself is needed.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// The document under which the collection is, or the database's root.
    pub(super) parent: String,
    pub(super) query: StructuredQuery,
    at: Option<Timestamp>,
}

impl Query {
    fn new(collection: &Collection, field: &str, operator: Operator, value: Value) -> Self {
        let (parent, collection_id) = collection.parent();
        let filter =
            FieldFilter { field: Some(reference(field)), op: operator.into(), value: Some(value) };
        let from =
            CollectionSelector { collection_id: collection_id.to_owned(), all_descendants: false };
        let query = StructuredQuery {
            from: vec![from],
            r#where: Some(Filter { filter_type: Some(FilterType::FieldFilter(filter)) }),
            ..StructuredQuery::default()
        };
        Self { parent: parent.to_owned(), query, at: None }
    }

    pub(crate) fn equal(collection: &Collection, field: &str, value: Value) -> Self {
        Self::new(collection, field, Operator::Equal, value)
    }

    pub(crate) fn up_to(collection: &Collection, field: &str, value: Value) -> Self {
        Self::new(collection, field, Operator::LessThanOrEqual, value)
    }

    /// Of at most [`MOST_IN`] values.
    pub(crate) fn any_of(collection: &Collection, field: &str, values: Vec<Value>) -> Self {
        let values = ValueType::ArrayValue(ArrayValue { values });
        Self::new(collection, field, Operator::In, super::value::of(values))
    }

    /// In the order of their names, after the document called `after`.
    pub(crate) fn by_name(mut self, after: Option<String>) -> Self {
        let direction = Direction::Ascending.into();
        self.query.order_by = vec![Order { field: Some(reference("__name__")), direction }];
        self.query.start_at = after.map(|name| {
            let values = vec![super::value::of(ValueType::ReferenceValue(name))];
            Cursor { values, before: false }
        });
        self
    }

    pub(crate) fn limit(mut self, most: usize) -> Self {
        self.query.limit = Some(i32::try_from(most).unwrap_or(i32::MAX));
        self
    }

    /// Only these fields of theirs.
    pub(crate) fn fields(mut self, names: &[&str]) -> Self {
        let fields = names.iter().map(|name| reference(name)).collect();
        self.query.select = Some(Projection { fields });
        self
    }

    /// As they were at that time.
    pub(crate) fn at(mut self, time: Stamp) -> Self {
        self.at = Some(time.timestamp());
        self
    }
}

fn reference(path: &str) -> FieldReference {
    FieldReference { field_path: path.to_owned() }
}

impl FirestoreStore {
    /// The documents that a query finds, and when that was so.
    pub(crate) async fn query(&self, query: &Query) -> Result<(Vec<Document>, Stamp)> {
        let _place = self.place().await;
        self.query_at_once(query).await
    }

    /// As [`query`](Self::query), for who has a place.
    pub(super) async fn query_at_once(&self, query: &Query) -> Result<(Vec<Document>, Stamp)> {
        let outcome = self.caller().call_again(pace, || self.queried(query)).await;
        outcome.map_err(|error| self.named(error))
    }

    async fn queried(&self, query: &Query) -> Result<(Vec<Document>, Stamp), Status> {
        let request = RunQueryRequest {
            parent: query.parent.clone(),
            query_type: Some(run_query_request::QueryType::StructuredQuery(query.query.clone())),
            consistency_selector: query.at.map(run_query_request::ConsistencySelector::ReadTime),
            ..RunQueryRequest::default()
        };
        let asked = self.asking();
        let mut stream = self.db().client().get().run_query(request).await?.into_inner();
        let (mut documents, mut at) = (Vec::new(), None);
        while let Some(response) = stream.message().await? {
            at = response.read_time.as_ref().map(Stamp::from).or(at);
            documents.extend(response.document);
        }
        self.counters().reads.add(documents.len().max(1) as u64);
        let at = at.ok_or_else(|| Status::internal("a query's answer without a time"))?;
        if query.at.is_none() {
            self.observe(at, asked);
        }
        Ok((documents, at))
    }
}
