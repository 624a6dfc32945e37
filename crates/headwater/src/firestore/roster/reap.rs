//! What is over is removed: what this process left behind, and what dead nodes did.

use super::Rooms;
use super::connection::{NODE, own_end};
use super::node::{State, UNTIL};
use crate::Result;
use crate::firestore::query::Query;
use crate::firestore::time::Stamp;
use crate::firestore::value::of;
use crate::firestore::write::{Condition, delete};
use crate::firestore::{field, life};
use ::firestore::gcloud_sdk::google::firestore::v1::Document;
use ::firestore::gcloud_sdk::google::firestore::v1::value::ValueType;
use std::time::Duration;

/// Documents that are removed at once, and dead nodes that are looked at.
const PART: usize = 400;
const NODES: usize = 20;
/// How often to look for dead nodes where nothing is said.
const EVERY: Duration = Duration::from_secs(20);

impl Rooms {
    /// Removes a part of what is over; when to come again, `None` if this process has nobody in the
    /// topic.
    pub(super) async fn reap(&self, topic: &str) -> Result<Option<Duration>> {
        self.remove_own().await?;
        let left = self.sweep().await?;
        let now = self.store.time().earliest(self.store.clock()).unwrap_or(Stamp::START);
        let held = self.nodes.held.lock();
        let own = held.values().filter(|held| &*held.topic == topic);
        let next = own.map(|held| match &held.state {
            // A little later than it is over by any count.
            State::Lingers(end) => end.since(now) + Duration::from_millis(1),
            State::Joined(_) | State::Leaving(_) => left,
        });
        Ok(next.min().map(|next| next.min(left)))
    }

    /// Removes what lingered for long enough, and what could not be removed when it left.
    async fn remove_own(&self) -> Result<()> {
        let now = self.store.time().earliest(self.store.clock()).unwrap_or(Stamp::START);
        let (moment, limit) = (self.store.clock().now(), self.store.caller().timeout);
        let over: Vec<(String, State)> = {
            let held = self.nodes.held.lock();
            let over = held.iter().filter(|(_, held)| match held.state {
                State::Lingers(end) => end <= now,
                State::Leaving(until) => moment + limit >= until,
                State::Joined(_) => false,
            });
            over.take(PART).map(|(name, held)| (name.clone(), held.state.clone())).collect()
        };
        if over.is_empty() {
            return Ok(());
        }
        let deletes = over.iter().map(|(name, _)| delete(name, Condition::Present)).collect();
        let done = self.store.write_each(deletes).await?;
        let mut held = self.nodes.held.lock();
        for ((name, state), removed) in over.into_iter().zip(done) {
            let is_settled = match state {
                State::Leaving(until) => removed.is_some() || moment >= until,
                State::Lingers(_) | State::Joined(_) => true,
            };
            if is_settled && held.get(&name).is_some_and(|held| held.state == state) {
                held.remove(&name);
            }
        }
        Ok(())
    }

    /// Looks for dead nodes if it is time to; when it is the next time, zero if there is more.
    async fn sweep(&self) -> Result<Duration> {
        let now = self.store.clock().now();
        {
            let mut sweep = self.nodes.sweep.lock();
            let (due, every) = sweep.get_or_insert((now, EVERY));
            if *due > now {
                return Ok(*due - now);
            }
            *due = now + *every;
        }
        let swept = self.remove_dead().await;
        let mut sweep = self.nodes.sweep.lock();
        let (due, every) = sweep.get_or_insert((now, EVERY));
        match &swept {
            Ok(true) => *due = now,
            Ok(false) => {}
            Err(_) => *due = now + *every / 4,
        }
        swept.map(|has_more| if has_more { Duration::ZERO } else { *every })
    }

    /// Removes a part of what dead nodes have left; whether there is more.
    async fn remove_dead(&self) -> Result<bool> {
        let name = self.node_name("")?;
        let now = self.store.now(&name).await?;
        let until = of(ValueType::TimestampValue(now.timestamp()));
        let query = Query::up_to(&self.collection, UNTIL, until).limit(NODES);
        let (nodes, at) = self.store.query(&query).await?;
        self.nodes.forget_before(at);
        let mut has_more = nodes.len() == NODES;
        for node in nodes.iter().filter(|node| life::end(node).is_none_or(|end| end <= at)) {
            has_more |= self.remove_node(node).await?;
        }
        Ok(has_more)
    }

    /// Removes a part of what a dead node has left, and it itself after the last; whether there is
    /// more that is over.
    async fn remove_node(&self, dead: &Document) -> Result<bool> {
        let id = super::connection::id(dead).trim_start_matches("node-");
        let query = Query::equal(&self.collection, NODE, field::text(id)).limit(PART);
        let (connections, at) = self.store.query(&query).await?;
        let over = connections.iter().filter(|document| own_end(document) <= at);
        let mut deletes: Vec<_> = over
            .map(|document| delete(&document.name, Condition::Unchanged(document.clone())))
            .collect();
        let are_all = deletes.len() == connections.len() && connections.len() < PART;
        if are_all && deletes.is_empty() {
            deletes.push(delete(&dead.name, Condition::Unchanged(dead.clone())));
            self.forget(id);
        }
        if deletes.is_empty() {
            return Ok(false);
        }
        let had_connections = !connections.is_empty();
        self.store.write_each(deletes).await?;
        Ok(had_connections)
    }
}
