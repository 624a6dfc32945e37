use super::connection::{LINGERS, PLACE, TOPIC, VALUE, place};
use super::ear::Raw;
use super::join::Joining;
use super::leave::Leaving;
use super::node::{Held, State};
use super::{FirestoreRoster, Rooms};
use crate::firestore::key::{DocumentKey, id_of};
use crate::firestore::query::{MOST_IN, Query};
use crate::firestore::time::Stamp;
use crate::firestore::write::{Condition, Fields, patch};
use crate::firestore::{field, life};
use crate::presence::{
    Bell, Change, Counts, Cursor, Joined, Log, Members, Owned, Page, Read, Reading, RosterStore,
    Seat, Snapshot,
};
use crate::{Clock, Error, ErrorKind, Key, Result, Value};
use ::firestore::gcloud_sdk::google::firestore::v1::{Document, Write};
use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Queries under way at once for one `get_many`.
const LANES: usize = 4;
/// What a count needs to know of a connection.
pub(super) const COUNTED: &[&str] = &[PLACE, super::connection::NODE, LINGERS, life::AFTER];

impl Rooms {
    /// Writes to a connection that is alive, unless somebody changes it meanwhile, when it is looked at
    /// again; when that was, or `None` if there is no such connection.
    pub(super) async fn alter(
        &self,
        name: &str,
        write: impl Fn(Condition) -> Write,
    ) -> Result<Option<Stamp>> {
        let end = self.store.clock().now() + self.store.caller().timeout;
        loop {
            let seen = self.store.read_one(name).await?;
            let found: Vec<Document> = seen.document.into_iter().collect();
            let Some(document) = self.living(found, seen.at).await?.pop() else { return Ok(None) };
            let written = self.store.commit(vec![write(Condition::Unchanged(document))]).await?;
            if written.is_some() {
                return Ok(written);
            }
            if self.store.clock().now() >= end {
                let message = "too many change one connection at once";
                return Err(self.store.named(Error::new(ErrorKind::Unavailable, message)));
            }
        }
    }

    /// The live connections of places, which are at most [`MOST_IN`].
    async fn at_places(&self, places: Vec<String>) -> Result<Vec<Document>> {
        let values = places.into_iter().map(field::text).collect();
        let (found, at) = self.store.query(&Query::any_of(&self.collection, PLACE, values)).await?;
        self.living(found, at).await
    }
}

impl<K, V> FirestoreRoster<K, V>
where
    K: ?Sized + Key + DocumentKey,
    V: Value + Serialize + DeserializeOwned,
{
    fn change(&self, raw: Raw) -> Option<Change<K::Owned, V>> {
        match raw {
            Raw::Set(document) => Some(match self.rooms.member::<K, V>(document) {
                Ok(member) => Change::Set(member),
                Err(error) => Change::Unreadable(error),
            }),
            // What could not be read when it came is nobody's loss now.
            Raw::Gone(document, why) => self
                .rooms
                .who::<K>(&document)
                .map(|(key, connection)| Change::Gone(key, connection, why)),
        }
    }
}

impl<K, V> RosterStore for FirestoreRoster<K, V>
where
    K: ?Sized + Key + DocumentKey,
    V: Value + Serialize + DeserializeOwned,
{
    type Key = K;
    type Value = V;
    /// How often the log was begun, and how many of its changes were read.
    type Position = (u64, u64);

    fn clock(&self) -> Clock {
        self.rooms.store.clock().clone()
    }

    fn shards(&self) -> u32 {
        1
    }

    async fn join(&self, seat: &Seat<Owned<Self>>, value: &V, ttl: Duration) -> Result<Joined> {
        let rooms = &self.rooms;
        let name = rooms.name::<_, K>(seat)?;
        let place = place(&seat.topic, std::borrow::Borrow::<K>::borrow(&seat.key));
        let node = rooms.node(ttl).await?;
        let fields = rooms.joining::<_, K, V>(seat, value, &node, ttl)?;
        let joining = Joining { name, place, fields };
        let connections = self.joins.fetch(&joining).await?;
        let held = Held { topic: Arc::clone(&seat.topic), state: State::Joined(node) };
        rooms.nodes.held.lock().insert(joining.name, held);
        Ok(Joined { connections })
    }

    async fn update(&self, seat: &Seat<Owned<Self>>, value: &V) -> Result<bool> {
        let name = self.rooms.name::<_, K>(seat)?;
        let fields = Fields::from([(VALUE.to_owned(), self.rooms.encode(value)?)]);
        let write = |condition| patch(&name, fields.clone(), &[VALUE], condition);
        Ok(self.rooms.alter(&name, write).await?.is_some())
    }

    async fn leave(&self, seat: &Seat<Owned<Self>>, linger: Duration) -> Result<bool> {
        let nodes = &self.rooms.nodes;
        let name = self.rooms.name::<_, K>(seat)?;
        let (now, limit) = (self.rooms.store.clock().now(), self.rooms.store.caller().timeout);
        let leaving = |until| Held { topic: Arc::clone(&seat.topic), state: State::Leaving(until) };
        // Whatever becomes of this, it is not to live on with the node. No call goes on for longer.
        let was_joined = nodes.held.lock().insert(name.clone(), leaving(now + limit * 3)).is_some();
        let left = match self.leaves.fetch(&Leaving { name: name.clone(), linger }).await {
            Ok(left) => left,
            Err(error) => {
                let now = self.rooms.store.clock().now();
                nodes.held.lock().insert(name, leaving(now + limit));
                return Err(error);
            }
        };
        let mut held = nodes.held.lock();
        match left {
            Some(at) if !linger.is_zero() => {
                let state = State::Lingers(at + linger);
                held.insert(name, Held { topic: Arc::clone(&seat.topic), state });
            }
            // A join that was given up may still be on its way.
            None if !was_joined => {}
            _ => drop(held.remove(&name)),
        }
        Ok(left.is_some())
    }

    async fn touch(&self, seats: &[&Seat<Owned<Self>>], ttl: Duration) -> Vec<Result<bool>> {
        let node = match self.rooms.beat(ttl).await {
            Ok(node) => node,
            Err(error) => return seats.iter().map(|_| Err(error.clone())).collect(),
        };
        let state = node.map(State::Joined);
        let names: Vec<_> = seats.iter().map(|seat| self.rooms.name::<_, K>(seat)).collect();
        let held = self.rooms.nodes.held.lock();
        let is_there = |name: &String| held.get(name).map(|held| &held.state) == state.as_ref();
        names.iter().map(|name| Ok(state.is_some() && name.as_ref().is_ok_and(is_there))).collect()
    }

    async fn reap(&self, topic: &str) -> Result<Option<Duration>> {
        self.rooms.reap(topic).await
    }

    async fn get_many(&self, topic: &str, keys: &[&K]) -> Vec<Result<Members<Self>>> {
        let places: Vec<String> = keys.iter().map(|key| place(topic, *key)).collect();
        let mut distinct = HashSet::new();
        let asked: Vec<String> = places.iter().filter(|at| distinct.insert(*at)).cloned().collect();
        let found = stream::iter(asked.chunks(MOST_IN).map(<[String]>::to_vec))
            .map(async |places| (places.clone(), self.rooms.at_places(places).await))
            .buffer_unordered(LANES);
        let mut outcomes: HashMap<String, Result<Members<Self>>> = HashMap::new();
        let mut found = std::pin::pin!(found);
        while let Some((places, documents)) = found.next().await {
            let ready = documents.as_ref().map(|_| Vec::new()).map_err(Clone::clone);
            outcomes.extend(places.into_iter().map(|place| (place, ready.clone())));
            for document in documents.into_iter().flatten() {
                let at = field::as_text(&document, PLACE).unwrap_or_default().to_owned();
                let Some(outcome) = outcomes.get_mut(&at) else { continue };
                match (&mut *outcome, self.rooms.member::<K, V>(document)) {
                    (Ok(members), Ok(member)) => members.push(member),
                    (outcome, Err(error)) => *outcome = Err(error),
                    (Err(_), Ok(_)) => {}
                }
            }
        }
        let answer = |place| outcomes.get(&place).cloned().unwrap_or_else(|| Ok(Vec::new()));
        places.into_iter().map(answer).collect()
    }

    async fn count(&self, topic: &str) -> Result<Counts> {
        let rooms = &self.rooms;
        let query =
            Query::equal(&rooms.collection, TOPIC, field::text(id_of(topic))).fields(COUNTED);
        let (found, at) = rooms.store.query(&query).await?;
        let living = rooms.living(found, at).await?;
        let keys: HashSet<_> =
            living.iter().map(|document| field::as_text(document, PLACE)).collect();
        Ok(Counts { keys: keys.len() as u64, connections: living.len() as u64 })
    }

    async fn list(
        &self,
        topic: &str,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<Owned<Self>, V>> {
        let rooms = &self.rooms;
        let after = after.map(|after| {
            let id = std::str::from_utf8(after.as_bytes()).ok();
            let id =
                id.filter(|id| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let id =
                id.ok_or_else(|| rooms.unreadable("a cursor that this store has not given"))?;
            rooms.collection.document(id)
        });
        let query = Query::equal(&rooms.collection, TOPIC, field::text(id_of(topic)));
        let query = query.by_name(after.transpose()?).limit(limit);
        let (found, at) = rooms.store.query(&query).await?;
        let last = found.last().filter(|_| found.len() == limit);
        let next = last.map(|last| Cursor::from_bytes(super::connection::id(last).into()));
        let living = rooms.living(found, at).await?.into_iter();
        let members =
            living.map(|document| rooms.member::<K, V>(document)).collect::<Result<_>>()?;
        Ok(Page { members, next })
    }

    async fn snapshot(
        &self,
        log: &Log,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Snapshot<Self>> {
        let (page, next, position) = Rooms::page(&self.rooms, log, after, limit).await?;
        let sets = page.into_iter().filter_map(|document| self.change(Raw::Set(document)));
        Ok((sets.collect(), next, position))
    }

    async fn read(
        &self,
        logs: &[(Log, Self::Position)],
        limit: usize,
    ) -> Vec<Result<Reading<Self>>> {
        let read = logs.iter().map(|(log, from)| {
            let raw = self.rooms.ear.lock().read(&log.topic, *from, limit);
            let Some((raw, position, has_more)) = raw? else { return Ok(Read::Lost) };
            let changes = raw.into_iter().filter_map(|raw| self.change(raw)).collect();
            Ok(Read::Changes(changes, position, has_more))
        });
        read.collect()
    }

    fn listen(&self, bell: &Arc<Bell>) {
        self.rooms.bells.lock().push(Arc::downgrade(bell));
    }

    async fn close(&self) -> Result<()> {
        self.rooms.ear.lock().close();
        self.rooms.wanted.notify_one();
        self.rooms.end_node().await
    }
}
