//! One Listen stream: what is asked on it, and whether it is alive.

use super::builder::Equal;
use super::view::TARGET;
use crate::firestore::key::Collection;
use crate::{Clock, Moment};
use ::firestore::gcloud_sdk::google::firestore::v1::listen_request::TargetChange as Ask;
use ::firestore::gcloud_sdk::google::firestore::v1::listen_response::ResponseType;
use ::firestore::gcloud_sdk::google::firestore::v1::structured_query::{
    CollectionSelector, CompositeFilter, FieldFilter, FieldReference, Filter, composite_filter,
    field_filter, filter::FilterType,
};
use ::firestore::gcloud_sdk::google::firestore::v1::target::{
    DocumentsTarget, QueryTarget, ResumeType, TargetType, query_target::QueryType,
};
use ::firestore::gcloud_sdk::google::firestore::v1::target_change::TargetChangeType;
use ::firestore::gcloud_sdk::google::firestore::v1::{
    ListenRequest, ListenResponse, StructuredQuery, Target, TargetChange,
};
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tonic::{Status, Streaming};

/// What probes ask for; it need not exist.
const PROBED: &str = "headwater-probe";

/// What is watched: the documents of a collection, or some of them.
#[derive(Debug)]
pub(super) struct Aim {
    database: String,
    /// The collection's parent, and what it is called there.
    parent: String,
    collection: String,
    equal: Vec<Equal>,
}

impl Aim {
    pub(super) fn new(collection: &Collection, equal: Vec<Equal>) -> Self {
        let (parent, id) = collection.parent();
        Self {
            database: collection.database().to_owned(),
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
    pub(super) fn request(&self, token: Option<Vec<u8>>) -> ListenRequest {
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
        self.asking(Ask::AddTarget(Target {
            target_id: TARGET,
            target_type: Some(TargetType::Query(query)),
            resume_type: token.map(ResumeType::ResumeToken),
            ..Target::default()
        }))
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

    fn probe(&self, id: i32) -> ListenRequest {
        let document = format!("{}/{}/{PROBED}", self.parent, self.collection);
        let documents = DocumentsTarget { documents: vec![document] };
        self.asking(Ask::AddTarget(Target {
            target_id: id,
            target_type: Some(TargetType::Documents(documents)),
            ..Target::default()
        }))
    }

    fn asking(&self, what: Ask) -> ListenRequest {
        ListenRequest {
            database: self.database.clone(),
            target_change: Some(what),
            ..ListenRequest::default()
        }
    }
}

/// How long a stream may be silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until it has said all that was before it.
    pub(super) first: Duration,
    /// From then on, with a probe after half of it.
    pub(super) later: Duration,
}

/// What happens next on a line.
pub(super) enum Next {
    Said(ListenResponse),
    Ended(Status),
    /// Nothing was said for too long.
    Silent(Duration),
    /// It is quiet; a probe was sent.
    Probed,
}

/// An open stream.
pub(super) struct Line<'a> {
    pub(super) aim: &'a Aim,
    pub(super) requests: UnboundedSender<ListenRequest>,
    pub(super) responses: Streaming<ListenResponse>,
    /// When something was said last.
    pub(super) heard: Moment,
    /// The number of the last probe's target, and whether its end has not been said yet.
    pub(super) probe: i32,
    pub(super) is_probing: bool,
}

impl Line<'_> {
    /// # Cancellation
    /// Dropping it loses nothing.
    pub(super) async fn next(
        &mut self,
        clock: &Clock,
        patience: Patience,
        is_current: bool,
    ) -> Next {
        let limit = if is_current { patience.later } else { patience.first };
        let may_probe = is_current && !self.is_probing;
        let until = self.heard + if may_probe { limit / 2 } else { limit };
        let (message, sleep) = (self.responses.message(), clock.sleep(until - clock.now()));
        let said = match select(pin!(message), pin!(sleep)).await {
            Either::Left((said, _)) => said,
            Either::Right(_) if !may_probe => return Next::Silent(limit),
            Either::Right(_) => {
                self.is_probing = true;
                self.probe += 1;
                // If nobody takes it any more, the stream says so.
                let _ = self.requests.send(self.aim.probe(self.probe));
                return Next::Probed;
            }
        };
        self.heard = clock.now();
        match said {
            Ok(Some(response)) => {
                self.follow_probe(&response);
                Next::Said(response)
            }
            Ok(None) => Next::Ended(Status::unavailable("the server ended the stream")),
            Err(status) => Next::Ended(status),
        }
    }

    /// Takes a probe's target away once it is answered.
    fn follow_probe(&mut self, response: &ListenResponse) {
        let Some(ResponseType::TargetChange(change)) = &response.response_type else { return };
        if !self.is_probing || !change.target_ids.contains(&self.probe) {
            return;
        }
        match TargetChange::target_change_type(change) {
            TargetChangeType::Current => {
                let _ = self.requests.send(self.aim.asking(Ask::RemoveTarget(self.probe)));
            }
            TargetChangeType::Remove => self.is_probing = false,
            _ => {}
        }
    }
}
