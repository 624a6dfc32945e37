//! The task that has the server tell of the watched topics, and that sees connections end.

use super::Rooms;
use super::connection::{TOPIC, id, own_end};
use super::topic::{News, Stage};
use crate::firestore::error::Pace;
use crate::firestore::field;
use crate::firestore::key::id_of;
use crate::firestore::listen::{End, Line, Listener, Next, Patience, listen};
use crate::firestore::query::Query;
use crate::firestore::time::Stamp;
use crate::presence::Gone;
use crate::{Clock, Result, runtime};
use ::firestore::gcloud_sdk::google::firestore::v1::listen_request::TargetChange as Ask;
use ::firestore::gcloud_sdk::google::firestore::v1::listen_response::ResponseType;
use ::firestore::gcloud_sdk::google::firestore::v1::target::query_target::QueryType;
use ::firestore::gcloud_sdk::google::firestore::v1::target::{QueryTarget, TargetType};
use ::firestore::gcloud_sdk::google::firestore::v1::target_change::TargetChangeType;
use ::firestore::gcloud_sdk::google::firestore::v1::{
    Document, ListenResponse, Target, TargetChange,
};
use futures_util::future::{Either, select};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tonic::{Code, Status};

/// A stream may be silent for so long, and is probed after half of it.
const SILENCE: Duration = Duration::from_secs(20);
/// Topics that nobody watches any more are noticed that often.
const TEND: Duration = Duration::from_secs(1);

/// The task's hold on its roster: should the task be dropped with its runtime, another may start.
struct Listening {
    rooms: Weak<Rooms>,
    has_ended: bool,
    /// Whether the server has told of anything on the stream.
    is_current: bool,
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(rooms) = self.rooms.upgrade().filter(|_| !self.has_ended) {
            rooms.ear.lock().is_listening = false;
        }
    }
}

impl Rooms {
    /// Has the listener run, and look at what is wanted.
    pub(super) fn hear(self: &Arc<Self>) -> Result<()> {
        self.wanted.notify_one();
        if std::mem::replace(&mut self.ear.lock().is_listening, true) {
            return Ok(());
        }
        let (rooms, clock) = (Arc::downgrade(self), self.store.clock().clone());
        let mut listening = Listening { rooms, has_ended: false, is_current: false };
        runtime::spawn(async move { listen(&mut listening, &clock).await }).map(drop)
    }

    /// Whether there is nobody to listen for any more: then another task may start.
    fn has_ended(&self) -> bool {
        let mut ear = self.ear.lock();
        let has_ended = ear.topics.is_empty() || ear.is_closed();
        ear.is_listening = !has_ended;
        has_ended
    }
}

impl Listener for Listening {
    type Over = ();

    async fn stream(&mut self) -> Result<(), End> {
        while let Some(rooms) = self.rooms.upgrade() {
            self.is_current = false;
            if rooms.has_ended() {
                self.has_ended = true;
                break;
            }
            let line = rooms.open().await?;
            let (clock, wanted) = (rooms.store.clock().clone(), Arc::clone(&rooms.wanted));
            let first = rooms.store.caller().timeout.max(SILENCE);
            drop(rooms);
            self.read(line, Patience { first, later: SILENCE }, &clock, &wanted).await?;
        }
        Ok(())
    }

    fn is_current(&self) -> bool {
        self.is_current
    }

    fn ended(&mut self, end: End) -> Pace {
        let Some(rooms) = self.rooms.upgrade() else { return Pace::Soon };
        let (error, pace) = end.told(rooms.store.caller().is_emulator);
        rooms.ear.lock().broken(&rooms.store.named(error));
        rooms.known.send_replace(());
        rooms.ring_all();
        pace
    }
}

impl Listening {
    /// Reads a stream until it breaks, or is not needed any more.
    async fn read(
        &mut self,
        mut line: Line,
        patience: Patience,
        clock: &Clock,
        wanted: &tokio::sync::Notify,
    ) -> Result<(), End> {
        loop {
            let Some(rooms) = self.rooms.upgrade() else { return Ok(()) };
            rooms.tend(&line);
            if rooms.has_no_topics() {
                return Ok(());
            }
            let wait = rooms.until_due();
            drop(rooms);
            let (sleep, woken) = (pin!(clock.sleep(wait)), pin!(wanted.notified()));
            let next = pin!(line.next(clock, patience, self.is_current));
            let next = match select(next, select(sleep, woken)).await {
                Either::Left((next, _)) => Some(next?),
                Either::Right(_) => None,
            };
            let Some(rooms) = self.rooms.upgrade() else { return Ok(()) };
            match next {
                Some(Next::Said(message)) => self.is_current |= rooms.take(message).await?,
                Some(Next::Probed) => rooms.store.counters().reads.add(1),
                None => {}
            }
            rooms.end_what_is_over().await?;
        }
    }
}

impl Rooms {
    /// A stream that is told of all topics.
    async fn open(&self) -> Result<Line, End> {
        self.store.now(&self.node_name("")?).await?;
        let asked: Vec<Ask> = {
            let mut ear = self.ear.lock();
            ear.added.clear();
            let topics = ear.topics.iter_mut();
            topics
                .map(|(name, topic)| {
                    topic.news = News::whole();
                    self.asking(name, topic.target)
                })
                .collect()
        };
        let (clock, limit) = (self.store.clock(), self.store.caller().timeout);
        self.route.open(self.store.db(), clock, limit, asked).await
    }

    /// The request to tell of a topic.
    fn asking(&self, topic: &str, target: i32) -> Ask {
        let query = Query::equal(&self.collection, TOPIC, field::text(id_of(topic)));
        let query_type = Some(QueryType::StructuredQuery(query.query));
        let query = QueryTarget { parent: query.parent, query_type };
        Ask::AddTarget(Target {
            target_id: target,
            target_type: Some(TargetType::Query(query)),
            ..Target::default()
        })
    }

    /// Tells the server which topics are watched by now, and which are not any more.
    fn tend(&self, line: &Line) {
        let names: Vec<Arc<str>> = self.ear.lock().topics.keys().cloned().collect();
        let unwatched: Vec<_> = names.into_iter().filter(|name| !self.is_watched(name)).collect();
        let mut ear = self.ear.lock();
        for name in std::mem::take(&mut ear.added) {
            if let Some(topic) = ear.topics.get(&name) {
                line.ask(self.asking(&name, topic.target));
            }
        }
        for name in unwatched {
            // Somebody may watch it since.
            let target = ear.topics.get(&name).filter(|_| !self.is_watched(&name));
            let target = target.map(|topic| topic.target);
            if let Some(target) = target {
                ear.topics.remove(&name);
                line.ask(Ask::RemoveTarget(target));
            }
        }
    }

    fn has_no_topics(&self) -> bool {
        self.ear.lock().topics.is_empty()
    }

    /// How long until a connection's life may be over, and no longer than until things are tended.
    fn until_due(&self) -> Duration {
        let now = self.store.time().earliest(self.store.clock()).unwrap_or(Stamp::START);
        let left = self.ear.lock().due.since(now) + Duration::from_millis(1);
        left.min(TEND)
    }

    /// Takes what the server tells; whether all is consistent after it.
    async fn take(&self, message: ListenResponse) -> Result<bool, End> {
        match message.response_type {
            Some(ResponseType::TargetChange(change)) => self.target_changed(change).await,
            Some(ResponseType::DocumentChange(change)) => {
                self.store.counters().reads.add(1);
                let Some(document) = change.document else { return Ok(false) };
                let mut ear = self.ear.lock();
                for target in change.removed_target_ids {
                    if let Some(topic) = ear.of_target(target) {
                        topic.news.gone(id(&document));
                    }
                }
                for target in change.target_ids {
                    if let Some(topic) = ear.of_target(target) {
                        topic.news.set(document.clone());
                    }
                }
                Ok(false)
            }
            Some(ResponseType::DocumentDelete(delete)) => {
                self.gone(&delete.document, &delete.removed_target_ids);
                Ok(false)
            }
            Some(ResponseType::DocumentRemove(remove)) => {
                self.gone(&remove.document, &remove.removed_target_ids);
                Ok(false)
            }
            Some(ResponseType::Filter(filter)) => {
                let mut ear = self.ear.lock();
                let topic = ear.of_target(filter.target_id);
                let expected = topic.map(|topic| topic.expected());
                match expected {
                    Some(expected) if usize::try_from(filter.count) != Ok(expected) => {
                        Err(End::Mismatch)
                    }
                    _ => Ok(false),
                }
            }
            None => Ok(false),
        }
    }

    fn gone(&self, name: &str, targets: &[i32]) {
        let id = name.rsplit('/').next().unwrap_or_default();
        let mut ear = self.ear.lock();
        for target in targets {
            if let Some(topic) = ear.of_target(*target) {
                topic.news.gone(id);
            }
        }
    }

    async fn target_changed(&self, change: TargetChange) -> Result<bool, End> {
        let kind = change.target_change_type();
        if let (TargetChangeType::Remove, Some(cause)) = (kind, change.cause) {
            return Err(End::Broken(Status::new(Code::from(cause.code), cause.message)));
        }
        {
            let mut ear = self.ear.lock();
            let is_meant =
                |target: i32| change.target_ids.is_empty() || change.target_ids.contains(&target);
            for topic in ear.topics.values_mut().filter(|topic| is_meant(topic.target)) {
                match kind {
                    TargetChangeType::Reset => topic.news = News::whole(),
                    TargetChangeType::Current => topic.news.is_current = true,
                    _ => {}
                }
            }
        }
        match change.read_time {
            Some(at) if change.target_ids.is_empty() => {
                self.settle(Stamp::from(&at)).await?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// All that was told is so, as of `at`.
    async fn settle(&self, at: Stamp) -> Result<()> {
        let ready: Vec<(Arc<str>, News, bool)> = {
            let mut ear = self.ear.lock();
            let ready = ear.topics.iter_mut().filter(|(_, topic)| topic.news.is_ready());
            ready
                .map(|(name, topic)| {
                    let is_known = matches!(topic.stage, Stage::Known);
                    (Arc::clone(name), std::mem::take(&mut topic.news), is_known)
                })
                .collect()
        };
        for (name, news, is_known) in ready {
            if is_known {
                self.continue_with(&name, &news, at).await?;
            } else {
                self.begin_with(&name, news, at).await?;
            }
            self.ring(&name);
        }
        self.known.send_replace(());
        Ok(())
    }

    async fn begin_with(&self, name: &str, news: News, at: Stamp) -> Result<()> {
        let living = self.living(news.documents(), at).await?;
        let mut ear = self.ear.lock();
        ear.due = Stamp::START;
        if let Some(topic) = ear.topics.get_mut(name) {
            topic.begin(living);
        }
        Ok(())
    }

    async fn continue_with(&self, name: &str, news: &News, at: Stamp) -> Result<()> {
        let Some((sets, gone)) = ({
            let ear = self.ear.lock();
            ear.topics.get(name).map(|topic| topic.differences(news))
        }) else {
            return Ok(());
        };
        // Who is removed while alive has left; who was dead was removed by somebody else.
        self.look(&gone, at).await?;
        let why = |document: &Document| {
            if self.known_end(document) > at { Gone::Left } else { Gone::Expired }
        };
        let gone: Vec<(&Document, Gone)> =
            gone.iter().map(|document| (document, why(document))).collect();
        let mut ear = self.ear.lock();
        let due = sets.iter().map(own_end).min();
        ear.due = due.map_or(ear.due, |due| due.min(ear.due));
        let Some(topic) = ear.topics.get_mut(name) else { return Ok(()) };
        sets.into_iter().for_each(|document| topic.set(document));
        gone.into_iter().for_each(|(document, why)| topic.remove(id(document), why));
        Ok(())
    }

    /// Logs the end of those whose life is over.
    async fn end_what_is_over(&self) -> Result<()> {
        let Some(now) = self.store.time().earliest(self.store.clock()) else { return Ok(()) };
        let over: Vec<(Arc<str>, Document)> = {
            let ear = self.ear.lock();
            if ear.due > now {
                return Ok(());
            }
            let all = ear
                .topics
                .iter()
                .flat_map(|(name, topic)| topic.documents().map(move |document| (name, document)));
            let over = all.filter(|(_, document)| self.known_end(document) <= now);
            over.map(|(name, document)| (Arc::clone(name), document.clone())).collect()
        };
        self.look(over.iter().map(|(_, document)| document), now).await?;
        let mut ear = self.ear.lock();
        for (name, document) in &over {
            if self.known_end(document) <= now
                && let Some(topic) = ear.topics.get_mut(name)
            {
                topic.remove(id(document), Gone::Expired);
            }
        }
        let all = ear.topics.values().flat_map(super::topic::Topic::documents);
        ear.due = all.map(|document| self.known_end(document)).min().unwrap_or(Stamp::END);
        drop(ear);
        over.iter().for_each(|(name, _)| self.ring(name));
        Ok(())
    }
}
