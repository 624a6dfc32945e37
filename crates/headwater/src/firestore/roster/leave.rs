//! Leaves: those that come while others are on their way go together, in one read and one write.

use super::Rooms;
use super::connection::LINGERS;
use crate::batch::{Ask, Batcher, Batching, WhenIdle};
use crate::firestore::time::Stamp;
use crate::firestore::write::{Condition, Fields, delete, patch};
use crate::firestore::{Seen, field, life};
use crate::{Error, Result};
use ::firestore::gcloud_sdk::google::firestore::v1::{Document, Write};
use futures_util::future::join_all;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Leaves in a call, as one read takes, and calls under way at once.
const TOGETHER: usize = 100;
const LANES: usize = 8;

/// A connection that leaves, at once or after so long.
#[derive(Clone)]
pub(super) struct Leaving {
    /// Of its document.
    pub(super) name: String,
    pub(super) linger: Duration,
}

impl Leaving {
    fn write(&self, condition: Condition) -> Write {
        if self.linger.is_zero() {
            return delete(&self.name, condition);
        }
        let millis = life::whole_millis(self.linger);
        let fields = Fields::from([
            (LINGERS.to_owned(), field::number(millis)),
            (life::AFTER.to_owned(), field::number(millis)),
        ]);
        patch(&self.name, fields, &[LINGERS, life::AFTER], condition)
    }
}

/// Answers leaves with when that was, or `None` for a connection that is not there.
pub(super) struct Leaves(Arc<Rooms>);

impl Leaves {
    pub(super) fn of(rooms: &Arc<Rooms>) -> Arc<Batcher<Self>> {
        let batching = Batching::new().max_keys(TOGETHER).max_concurrent(LANES);
        Arc::new(Batcher::new(Self(Arc::clone(rooms)), batching, WhenIdle::Go))
    }
}

impl Ask for Leaves {
    type Key = Leaving;
    type Answer = Option<Stamp>;

    async fn ask(&self, leaving: &[&Leaving]) -> Vec<Result<Option<Stamp>>> {
        let rooms = &self.0;
        let alive = match rooms.alive(leaving).await {
            Ok(alive) => alive,
            Err(error) => return leaving.iter().map(|_| Err(error.clone())).collect(),
        };
        let writes = alive.iter().zip(leaving).filter_map(|(document, one)| {
            document.clone().map(|document| one.write(Condition::Unchanged(document)))
        });
        let mut written = match rooms.store.write_each(writes.collect()).await {
            Ok(written) => written.into_iter().map(Ok).collect(),
            Err(error) => vec![Err::<Option<Stamp>, Error>(error); leaving.len()],
        }
        .into_iter();
        let outcomes = alive.into_iter().zip(leaving).map(|(document, one)| {
            let written = document.and_then(|_| written.next());
            async move {
                match written {
                    None => Ok(None),
                    // Somebody changed it meanwhile.
                    Some(Ok(None)) => {
                        rooms.alter(&one.name, |condition| one.write(condition)).await
                    }
                    Some(written) => written,
                }
            }
        });
        join_all(outcomes.collect::<Vec<_>>()).await
    }
}

impl Rooms {
    /// The documents of those that are there, in order.
    async fn alive(&self, leaving: &[&Leaving]) -> Result<Vec<Option<Document>>> {
        let names: HashSet<&String> = leaving.iter().map(|one| &one.name).collect();
        let known = self.store.read(names.into_iter().cloned().collect()).await;
        let seen = leaving.iter().map(|one| match known.get(&one.name) {
            Some(seen) => seen.clone(),
            None => Err(self.store.strange()),
        });
        let seen: Vec<Seen> = seen.collect::<Result<_>>()?;
        let latest = seen.iter().map(|seen| seen.at).max().unwrap_or(Stamp::START);
        self.look(seen.iter().filter_map(|seen| seen.document.as_ref()), latest).await?;
        let alive = seen
            .into_iter()
            .map(|Seen { document, at }| document.filter(|document| self.known_end(document) > at));
        Ok(alive.collect())
    }
}
