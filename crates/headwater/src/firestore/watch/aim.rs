//! What is asked for on a stream.

use super::builder::Equal;
use super::view::TARGET;
use crate::firestore::key::Collection;
use crate::firestore::listen::Route;
use ::firestore::gcloud_sdk::google::firestore::v1::listen_request::TargetChange as Ask;
use ::firestore::gcloud_sdk::google::firestore::v1::structured_query::{
    CollectionSelector, CompositeFilter, FieldFilter, FieldReference, Filter, composite_filter,
    field_filter, filter::FilterType,
};
use ::firestore::gcloud_sdk::google::firestore::v1::target::{
    QueryTarget, ResumeType, TargetType, query_target::QueryType,
};
use ::firestore::gcloud_sdk::google::firestore::v1::{StructuredQuery, Target};
use std::sync::Arc;

/// What is watched: the documents of a collection, or some of them.
#[derive(Debug)]
pub(super) struct Aim {
    pub(super) route: Arc<Route>,
    /// The collection's parent, and what it is called there.
    parent: String,
    collection: String,
    equal: Vec<Equal>,
}

impl Aim {
    pub(super) fn new(collection: &Collection, equal: Vec<Equal>) -> Self {
        let (parent, id) = collection.parent();
        Self {
            route: Route::to(collection),
            parent: parent.to_owned(),
            collection: id.to_owned(),
            equal,
        }
    }

    /// What tells it apart from others.
    pub(super) fn name(&self) -> String {
        let path = format!("{}/{}", self.parent, self.collection);
        self.equal.iter().fold(path, |name, equal| format!("{name} {equal:?}"))
    }

    /// Asks for all of it, or for what has changed since.
    pub(super) fn ask(&self, token: Option<Vec<u8>>) -> Ask {
        let from =
            CollectionSelector { collection_id: self.collection.clone(), all_descendants: false };
        let query = StructuredQuery {
            from: vec![from],
            r#where: self.filter(),
            ..StructuredQuery::default()
        };
        let query = QueryTarget {
            parent: self.parent.clone(),
            query_type: Some(QueryType::StructuredQuery(query)),
        };
        Ask::AddTarget(Target {
            target_id: TARGET,
            target_type: Some(TargetType::Query(query)),
            resume_type: token.map(ResumeType::ResumeToken),
            ..Target::default()
        })
    }

    fn filter(&self) -> Option<Filter> {
        let field = |equal: &Equal| Filter {
            filter_type: Some(FilterType::FieldFilter(FieldFilter {
                field: Some(FieldReference { field_path: equal.field.clone() }),
                op: field_filter::Operator::Equal as i32,
                value: Some(equal.operand.clone().into()),
            })),
        };
        let mut filters: Vec<Filter> = self.equal.iter().map(field).collect();
        if filters.len() < 2 {
            return filters.pop();
        }
        let all = CompositeFilter { op: composite_filter::Operator::And as i32, filters };
        Some(Filter { filter_type: Some(FilterType::CompositeFilter(all)) })
    }
}
