//! The task that has the server tell of the watched topics, and that sees connections end.

use super::Rooms;
use super::connection::{TOPIC, id, own_end};
use super::topic::{News, Stage};
use crate::firestore::error::from_status;
use crate::firestore::field;
use crate::firestore::key::id_of;
use crate::firestore::query::Query;
use crate::firestore::time::Stamp;
use crate::presence::Gone;
use crate::{Clock, Error, ErrorKind, Result, runtime};
use ::firestore::gcloud_sdk::google::firestore::v1::listen_request::TargetChange as Ask;
use ::firestore::gcloud_sdk::google::firestore::v1::listen_response::ResponseType;
use ::firestore::gcloud_sdk::google::firestore::v1::target::query_target::QueryType;
use ::firestore::gcloud_sdk::google::firestore::v1::target::{QueryTarget, TargetType};
use ::firestore::gcloud_sdk::google::firestore::v1::target_change::TargetChangeType;
use ::firestore::gcloud_sdk::google::firestore::v1::{
    Document, ListenRequest, ListenResponse, Target, TargetChange,
};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tonic::{Code, Status, Streaming};

/// A stream that is silent for so long is looked after.
const SILENCE: Duration = Duration::from_secs(15);
/// Topics that nobody watches any more are noticed that often.
const TEND: Duration = Duration::from_secs(1);
/// The longest pauses before the server is asked again, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// The task's hold on its roster: should the task be dropped with its runtime, another may start.
struct Listening {
    rooms: Weak<Rooms>,
    has_ended: bool,
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
        runtime::spawn(listen(Listening { rooms: Arc::downgrade(self), has_ended: false }))
            .map(drop)
    }

    /// Whether there is nobody to listen for any more: then another task may start.
    fn has_ended(&self) -> bool {
        let mut ear = self.ear.lock();
        let has_ended = ear.topics.is_empty() || ear.is_closed();
        ear.is_listening = !has_ended;
        has_ended
    }

    fn failed(&self, status: Status) -> Error {
        self.store.named(from_status(status, self.store.caller().is_emulator))
    }
}

async fn listen(mut hold: Listening) {
    let mut longest = PAUSES.0;
    loop {
        let Some(rooms) = hold.rooms.upgrade() else { return };
        if rooms.has_ended() {
            hold.has_ended = true;
            return;
        }
        let clock = rooms.store.clock().clone();
        drop(rooms);
        let mut session = Session { rooms: Weak::clone(&hold.rooms), was_known: false };
        let Err(error) = session.run(&clock).await else { continue };
        let Some(rooms) = hold.rooms.upgrade() else { return };
        rooms.ear.lock().broken(&error);
        rooms.known.send_replace(());
        rooms.ring_all();
        drop(rooms);
        longest = if session.was_known { PAUSES.0 } else { (longest * 2).min(PAUSES.1) };
        clock.sleep(longest.mul_f64(fastrand::f64())).await;
    }
}

/// One stream, until it breaks or is not needed any more.
struct Session {
    rooms: Weak<Rooms>,
    /// Whether the server has told of anything.
    was_known: bool,
}

impl Session {
    async fn run(&mut self, clock: &Clock) -> Result<()> {
        let Some((mut stream, sender, wanted)) = self.open().await? else { return Ok(()) };
        let mut heard = clock.now();
        loop {
            let Some(rooms) = self.rooms.upgrade() else { return Ok(()) };
            rooms.tend(&sender)?;
            if rooms.has_no_topics() {
                return Ok(());
            }
            let wait = rooms.until_due();
            drop(rooms);
            let (sleep, woken) = (pin!(clock.sleep(wait)), pin!(wanted.notified()));
            let message = match select(stream.next(), select(sleep, woken)).await {
                Either::Left((message, _)) => Some(message),
                Either::Right(_) => None,
            };
            let Some(rooms) = self.rooms.upgrade() else { return Ok(()) };
            match message {
                Some(Some(Ok(message))) => {
                    heard = clock.now();
                    self.was_known |= rooms.take(message).await?;
                }
                Some(Some(Err(status))) => return Err(rooms.failed(status)),
                Some(None) => return Err(rooms.failed(Status::unavailable("the stream ended"))),
                None if clock.now() - heard >= SILENCE => {
                    rooms.store.read_one(&rooms.node_name("")?).await?;
                    heard = clock.now();
                }
                None => {}
            }
            rooms.end_what_is_over().await?;
        }
    }

    /// A stream that is told of all topics; `None` if the roster is gone.
    async fn open(
        &self,
    ) -> Result<
        Option<(
            Streaming<ListenResponse>,
            UnboundedSender<ListenRequest>,
            Arc<tokio::sync::Notify>,
        )>,
    > {
        let Some(rooms) = self.rooms.upgrade() else { return Ok(None) };
        rooms.store.now(&rooms.node_name("")?).await?;
        let (sender, asked) = unbounded_channel();
        {
            let mut ear = rooms.ear.lock();
            ear.added.clear();
            for (name, topic) in &mut ear.topics {
                topic.news = News::whole();
                let _ = sender.send(rooms.asking(name, topic.target));
            }
        }
        let asked = stream::unfold(asked, async |mut asked| {
            asked.recv().await.map(|request: ListenRequest| (request, asked))
        });
        let mut client = rooms.store.db().client().get();
        let opened = client.listen(Box::pin(asked));
        let limit = rooms.store.clock().sleep(rooms.store.caller().timeout);
        match select(pin!(opened), pin!(limit)).await {
            Either::Left((Ok(response), _)) => {
                Ok(Some((response.into_inner(), sender, Arc::clone(&rooms.wanted))))
            }
            Either::Left((Err(status), _)) => Err(rooms.failed(status)),
            Either::Right(_) => {
                Err(rooms.store.error(ErrorKind::Timeout, "the server does not tell who is there"))
            }
        }
    }
}

impl Rooms {
    /// The request to tell of a topic.
    fn asking(&self, topic: &str, target: i32) -> ListenRequest {
        let query = Query::equal(&self.collection, TOPIC, field::text(id_of(topic)));
        let query_type = Some(QueryType::StructuredQuery(query.query));
        let query = QueryTarget { parent: query.parent, query_type };
        self.request(Ask::AddTarget(Target {
            target_id: target,
            target_type: Some(TargetType::Query(query)),
            ..Target::default()
        }))
    }

    fn request(&self, ask: Ask) -> ListenRequest {
        let database = self.store.db().get_database_path().clone();
        ListenRequest { database, target_change: Some(ask), ..ListenRequest::default() }
    }

    /// Tells the server which topics are watched by now, and which are not any more.
    fn tend(&self, sender: &UnboundedSender<ListenRequest>) -> Result<()> {
        let names: Vec<Arc<str>> = self.ear.lock().topics.keys().cloned().collect();
        let unwatched: Vec<_> = names.into_iter().filter(|name| !self.is_watched(name)).collect();
        let mut requests = Vec::new();
        let mut ear = self.ear.lock();
        for name in std::mem::take(&mut ear.added) {
            let target = ear.topics.get(&name).map(|topic| topic.target);
            requests.extend(target.map(|target| self.asking(&name, target)));
        }
        for name in unwatched {
            // Somebody may watch it since.
            let target = ear.topics.get(&name).filter(|_| !self.is_watched(&name));
            let target = target.map(|topic| topic.target);
            if let Some(target) = target {
                ear.topics.remove(&name);
                requests.push(self.request(Ask::RemoveTarget(target)));
            }
        }
        drop(ear);
        for request in requests {
            // The other end is dropped with the stream, which tells by itself that it broke.
            let _ = sender.send(request);
        }
        Ok(())
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
    async fn take(&self, message: ListenResponse) -> Result<bool> {
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
                        let message = "the server and this process do not agree on who is there";
                        Err(self.store.error(ErrorKind::Unavailable, message))
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

    async fn target_changed(&self, change: TargetChange) -> Result<bool> {
        let kind = change.target_change_type();
        if let (TargetChangeType::Remove, Some(cause)) = (kind, change.cause) {
            return Err(self.failed(Status::new(Code::from(cause.code), cause.message)));
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
