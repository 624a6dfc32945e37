//! What is known of the watched topics, by whom the listener and the readers of logs meet.

use super::Rooms;
use super::topic::{News, Stage, Topic};
use crate::firestore::time::Stamp;
use crate::presence::{Cursor, Gone, Log};
use crate::{Error, ErrorKind, Result};
use ::firestore::gcloud_sdk::google::firestore::v1::Document;
use futures_util::future::{Either, select};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

/// A change of a connection's document.
#[derive(Clone)]
pub(super) enum Raw {
    Set(Document),
    /// It as it was before.
    Gone(Document, Gone),
}

pub(super) struct Ear {
    pub(super) topics: HashMap<Arc<str>, Topic>,
    /// Topics that were watched, which the server is to be told.
    pub(super) added: Vec<Arc<str>>,
    /// Whether the listener runs.
    pub(super) is_listening: bool,
    is_closed: bool,
    /// The first time, at the earliest, at which a connection's life is over.
    pub(super) due: Stamp,
    last_target: i32,
    /// Counts logs, so that no two are taken for each other.
    begun: u64,
}

impl Default for Ear {
    fn default() -> Self {
        Self {
            topics: HashMap::new(),
            added: Vec::new(),
            is_listening: false,
            is_closed: false,
            due: Stamp::START,
            last_target: 0,
            begun: 0,
        }
    }
}

impl Ear {
    /// Has a topic listened to.
    fn want(&mut self, topic: &Arc<str>) {
        if !self.topics.contains_key(topic) {
            self.last_target += 1;
            let mut made = Topic::new(self.last_target);
            // Another log than that of an earlier watch.
            self.begun += 1 << 32;
            made.generation = self.begun;
            self.topics.insert(Arc::clone(topic), made);
            self.added.push(Arc::clone(topic));
        }
    }

    pub(super) fn of_target(&mut self, target: i32) -> Option<&mut Topic> {
        self.topics.values_mut().find(|topic| topic.target == target)
    }

    /// The link is lost: what is known is not to be trusted, and is told anew.
    pub(super) fn broken(&mut self, error: &Error) {
        for topic in self.topics.values_mut() {
            topic.generation += 1;
            topic.stage = Stage::Broken(error.clone());
            topic.news = News::whole();
        }
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.topics.clear();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(super) fn read(
        &self,
        topic: &str,
        from: (u64, u64),
        limit: usize,
    ) -> Result<Option<Logged>> {
        match self.topics.get(topic) {
            Some(Topic { stage: Stage::Broken(error), .. }) => Err(error.clone()),
            Some(topic) => Ok(topic.read(from, limit)),
            None => Ok(None),
        }
    }

    /// A page of a topic, if it is known.
    fn page(&self, topic: &str, after: Option<&str>, limit: usize) -> Option<Result<Paged>> {
        let topic = self.topics.get(topic)?;
        match &topic.stage {
            Stage::Waiting => None,
            Stage::Broken(error) => Some(Err(error.clone())),
            Stage::Known => {
                let (page, next) = topic.page(after, limit);
                let next = next.map(|id| Cursor::from_bytes(id.into_bytes()));
                Some(Ok((page, next, topic.position())))
            }
        }
    }
}

/// Changes, the position after the last, and whether there are more.
pub(super) type Logged = (Vec<Raw>, (u64, u64), bool);
/// Documents, where the next page begins, and a position in the log.
type Paged = (Vec<Document>, Option<Cursor>, (u64, u64));

impl Rooms {
    /// A page of a topic as its log tells it, once that is known.
    pub(super) async fn page(
        rooms: &Arc<Self>,
        log: &Log,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Paged> {
        let after = after.map(|after| std::str::from_utf8(after.as_bytes()));
        let after = after.transpose().map_err(|_| rooms.unreadable("a cursor of another store"))?;
        let mut changes = rooms.known.subscribe();
        let known = async {
            loop {
                changes.mark_unchanged();
                {
                    let mut ear = rooms.ear.lock();
                    ear.want(&log.topic);
                    if let Some(page) = ear.page(&log.topic, after, limit) {
                        return page;
                    }
                }
                rooms.hear()?;
                // It is never closed, as `rooms` holds it.
                let _ = changes.changed().await;
            }
        };
        let limit = rooms.store.caller().timeout;
        match select(pin!(known), pin!(rooms.store.clock().sleep(limit))).await {
            Either::Left((page, _)) => page,
            Either::Right(_) => {
                let message = "the server does not tell who is there";
                Err(rooms.store.error(ErrorKind::Timeout, message))
            }
        }
    }
}
