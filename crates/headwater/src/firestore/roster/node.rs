//! Nodes: this process's own, whose lease holds all of its connections, and what is known of others.

use super::Rooms;
use super::connection::{is_lingering, node, own_end};
use crate::firestore::time::Stamp;
use crate::firestore::value::of;
use crate::firestore::write::{Condition, Fields, patch, set};
use crate::firestore::{field, life};
use crate::sync::Mutex;
use crate::{Moment, Result, token};
use ::firestore::gcloud_sdk::google::firestore::v1::Document;
use ::firestore::gcloud_sdk::google::firestore::v1::value::ValueType;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// About when a lease ends, as a time: for those who look for what is over.
pub(super) const UNTIL: &str = "until";
/// So long after its end a lease is still known.
const KEPT: Duration = Duration::from_secs(3_600);
const LEASE: &[&str] = &[life::AFTER, UNTIL];

#[derive(Default)]
pub(super) struct Nodes {
    /// Held while the lease is begun or renewed.
    own: tokio::sync::Mutex<Option<Own>>,
    /// Until when nodes are alive, as far as is known; never too late.
    ends: Mutex<HashMap<String, Stamp>>,
    /// The documents of connections that this process holds, or is to remove.
    pub(super) held: Mutex<HashMap<String, Held>>,
    /// When to look for what others left behind, and how often.
    pub(super) sweep: Mutex<Option<(Moment, Duration)>>,
}

/// This process, until it or the server loses something.
struct Own {
    id: String,
    end: Stamp,
}

#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) topic: Arc<str>,
    pub(super) state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is there, under this node.
    Joined(String),
    /// It leaves at that time.
    Lingers(Stamp),
    /// It is to be removed, which is tried again in the last time limit before
    /// then if it failed, was given up, or came too early.
    Leaving(Moment),
}

impl Nodes {
    /// Forgets the leases that were over long before `now`.
    pub(super) fn forget_before(&self, now: Stamp) {
        self.ends.lock().retain(|_, end| *end + KEPT > now);
    }
}

fn lease(now: Stamp, ttl: Duration) -> Fields {
    Fields::from([
        (life::AFTER.to_owned(), field::number(life::whole_millis(ttl))),
        (UNTIL.to_owned(), of(ValueType::TimestampValue((now + ttl).timestamp()))),
    ])
}

impl Rooms {
    pub(super) fn node_name(&self, id: &str) -> Result<String> {
        self.collection.document(format!("node-{id}").as_str())
    }

    /// The id of this process's node, which has a lease.
    pub(super) async fn node(&self, ttl: Duration) -> Result<String> {
        let mut own = self.nodes.own.lock().await;
        if let Some(own) = &*own {
            return Ok(own.id.clone());
        }
        let id = token::written(token::unique());
        let name = self.node_name(&id)?;
        let fields = lease(self.store.now(&name).await?, ttl);
        let begun = self.store.commit(vec![set(&name, fields, Condition::Any)]).await?;
        let end = begun.ok_or_else(|| self.store.strange())? + ttl;
        self.learn(&id, end);
        *own = Some(Own { id: id.clone(), end });
        Ok(id)
    }

    /// Renews the lease: the node that is alive, or `None` if there is none any more.
    pub(super) async fn beat(&self, ttl: Duration) -> Result<Option<String>> {
        self.nodes.sweep.lock().get_or_insert((Moment::START, ttl / 3)).1 = ttl / 3;
        let mut slot = self.nodes.own.lock().await;
        let Some(own) = &mut *slot else { return Ok(None) };
        let name = self.node_name(&own.id)?;
        let now = self.store.now(&name).await?;
        // Where time is over, others have seen it end: it must not come back.
        let renewed = if now < own.end {
            let fields = lease(now, ttl);
            self.store.commit_at_once(vec![patch(&name, fields, LEASE, Condition::Present)]).await?
        } else {
            None
        };
        match renewed.filter(|at| *at < own.end) {
            Some(at) => {
                own.end = at + ttl;
                self.learn(&own.id, own.end);
                Ok(Some(own.id.clone()))
            }
            None => {
                *slot = None;
                Ok(None)
            }
        }
    }

    /// Ends the lease, if nothing hangs on it any more.
    pub(super) async fn end_node(&self) -> Result<()> {
        let Some(own) = self.nodes.own.lock().await.take() else { return Ok(()) };
        if self.nodes.held.lock().is_empty() {
            let name = self.node_name(&own.id)?;
            self.store.commit(vec![crate::firestore::write::delete(&name, Condition::Any)]).await?;
        }
        Ok(())
    }

    pub(super) fn learn(&self, node: &str, end: Stamp) {
        let mut ends = self.nodes.ends.lock();
        let known = ends.entry(node.to_owned()).or_insert(end);
        *known = (*known).max(end);
    }

    pub(super) fn forget(&self, node: &str) {
        self.nodes.ends.lock().remove(node);
    }

    /// Until when a connection lives, as far as is known.
    pub(super) fn known_end(&self, document: &Document) -> Stamp {
        let own = own_end(document);
        if is_lingering(document) {
            return own;
        }
        self.nodes.ends.lock().get(node(document)).map_or(own, |end| own.max(*end))
    }

    /// Looks at the nodes of those of `documents` that are dead at `at` by what is known.
    pub(super) async fn look<'d>(
        &self,
        documents: impl IntoIterator<Item = &'d Document>,
        at: Stamp,
    ) -> Result<()> {
        let dead = documents
            .into_iter()
            .filter(|document| !is_lingering(document) && self.known_end(document) <= at);
        let nodes: HashSet<&str> = dead.map(node).filter(|node| !node.is_empty()).collect();
        if nodes.is_empty() {
            return Ok(());
        }
        let names = nodes.iter().map(|node| Ok((self.node_name(node)?, *node)));
        let names: HashMap<String, &str> = names.collect::<Result<_>>()?;
        for (name, seen) in self.store.read(names.keys().cloned().collect()).await {
            let Some(node) = names.get(&name) else { continue };
            match seen?.document.as_ref().and_then(life::end) {
                Some(end) => self.learn(node, end),
                None => self.forget(node),
            }
        }
        Ok(())
    }

    /// Those of `documents`, read at `at`, that are alive.
    pub(super) async fn living(
        &self,
        documents: Vec<Document>,
        at: Stamp,
    ) -> Result<Vec<Document>> {
        self.look(&documents, at).await?;
        Ok(documents.into_iter().filter(|document| self.known_end(document) > at).collect())
    }
}
