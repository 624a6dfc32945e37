//! Joins: those that come while others are on their way go together, in one write and one query.

use super::Rooms;
use super::connection::PLACE;
use super::store::COUNTED;
use crate::Result;
use crate::batch::{Ask, Batcher, Batching, WhenIdle};
use crate::firestore::field;
use crate::firestore::query::{MOST_IN, Query};
use crate::firestore::write::{Condition, Fields, set};
use ::firestore::gcloud_sdk::google::firestore::v1::Document;
use futures_util::future::join_all;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Calls with joins that are under way at once. They take no place among the store's other calls, with
/// which they fit a connection: who gave a join up may rely on it that it is done, or never is, within
/// two calls' time.
const LANES: usize = 8;

/// A connection that joins.
#[derive(Clone)]
pub(super) struct Joining {
    /// Of its document.
    pub(super) name: String,
    pub(super) place: String,
    pub(super) fields: Fields,
}

/// Answers joins with how many connections their keys have by then.
pub(super) struct Joins(Arc<Rooms>);

impl Joins {
    pub(super) fn of(rooms: &Arc<Rooms>) -> Arc<Batcher<Self>> {
        // One condition is to offer all of their places.
        let batching = Batching::new().max_keys(MOST_IN).max_concurrent(LANES);
        Arc::new(Batcher::new(Self(Arc::clone(rooms)), batching, WhenIdle::Go))
    }
}

impl Ask for Joins {
    type Key = Joining;
    type Answer = u64;

    async fn ask(&self, joining: &[&Joining]) -> Vec<Result<u64>> {
        match self.0.join_together(joining).await {
            Ok(counts) => counts.into_iter().map(Ok).collect(),
            // What one of them is refused for is not the others'.
            Err(error) if joining.len() > 1 && !error.is_retryable() => {
                let alone = joining.iter().map(async |one| {
                    let joined = self.0.join_together(&[one]).await;
                    joined.map(|counts| counts.into_iter().sum())
                });
                join_all(alone).await
            }
            Err(error) => joining.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}

impl Rooms {
    async fn join_together(&self, joining: &[&Joining]) -> Result<Vec<u64>> {
        let write = |one: &&Joining| set(&one.name, one.fields.clone(), Condition::Any);
        let written = self.store.commit_at_once(joining.iter().map(write).collect()).await?;
        let at = written.ok_or_else(|| self.store.strange())?;
        let places: HashSet<&str> = joining.iter().map(|one| one.place.as_str()).collect();
        let places = places.into_iter().map(field::text).collect();
        let query = Query::any_of(&self.collection, PLACE, places).fields(COUNTED).at(at);
        let (found, at) = self.store.query_at_once(&query).await?;
        Ok(counts(joining, &self.living(found, at).await?))
    }
}

/// How many connections the key of each has, itself among them and those that joined before it: of
/// those that joined together, the first did so first.
fn counts(joining: &[&Joining], living: &[Document]) -> Vec<u64> {
    let mut there: HashMap<&str, u64> = HashMap::new();
    for place in living.iter().filter_map(|document| field::as_text(document, PLACE)) {
        *there.entry(place).or_default() += 1;
    }
    let last_to_first = joining.iter().rev().map(|one| {
        let there = there.entry(&one.place).or_default();
        let seen = (*there).max(1);
        *there = seen - 1;
        seen
    });
    let mut counts: Vec<u64> = last_to_first.collect();
    counts.reverse();
    counts
}
