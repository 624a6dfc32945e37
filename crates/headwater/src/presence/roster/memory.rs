use super::store::{Members, Owned, Reading, Snapshot};
use super::{
    Bell, Change, ConnectionId, Counts, Cursor, Gone, Joined, Log, Member, Page, Read, RosterStore,
    Seat,
};
use crate::sync::{Arc, Mutex};
use crate::{Clock, Error, ErrorKind, Key, Moment, Result, Value};
use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::sync::Weak;
use std::time::Duration;

/// Changes that a topic's log keeps for slow readers.
const LOG: usize = 10_000;

/// A roster's store in this process's memory. Clones share it, as processes share a server.
///
/// ```
/// use headwater::presence::{MemoryRoster, Roster};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let roster = Roster::new(MemoryRoster::<str, String>::new());
/// let phone = roster.join("room 1", "ada", "phone".to_owned()).await?;
/// assert_eq!(roster.count("room 1").await?.connections, 1);
/// phone.leave().await?;
/// # roster.close().await
/// # }).unwrap();
/// ```
pub struct MemoryRoster<K: ?Sized + Key, V>(Arc<Shared<K, V>>);

struct Shared<K: ?Sized + Key, V> {
    clock: Clock,
    world: Mutex<World<K, V>>,
}

struct World<K: ?Sized + Key, V> {
    topics: HashMap<Arc<str>, Topic<K, V>>,
    bells: Vec<Weak<Bell>>,
    /// The generation of the next topic: a topic that is made anew is another.
    next: u64,
}

struct Topic<K: ?Sized + Key, V> {
    generation: u64,
    /// In order of joining.
    members: BTreeMap<u64, Kept<K::Owned, V>>,
    places: HashMap<ConnectionId, u64>,
    keys: HashMap<K::Owned, Vec<u64>>,
    ends: BTreeSet<(Moment, u64)>,
    joins: u64,
    log: VecDeque<Change<K::Owned, V>>,
    /// How many changes were made before the first of `log`.
    trimmed: u64,
}

struct Kept<K, V> {
    member: Member<K, V>,
    end: Moment,
    is_lingering: bool,
}

impl<K: ?Sized + Key, V: Value> MemoryRoster<K, V> {
    /// An empty one, by the system's monotonic clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    /// An empty one, by a clock of yours.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        let world = World { topics: HashMap::new(), bells: Vec::new(), next: 0 };
        Self(Arc::new(Shared { clock, world: Mutex::new(world) }))
    }

    /// Forgets everything, as a server that is restarted without its data does: connections that are
    /// still held join again.
    pub fn forget_all(&self) {
        let topics = {
            let mut world = self.0.world.lock();
            world.bells().iter().for_each(|bell| bell.ring_all());
            std::mem::take(&mut world.topics)
        };
        drop(topics);
    }

    /// Runs `work` on a topic, if it exists, and rings for what it logged.
    fn with<R>(&self, topic: &str, work: impl FnOnce(&mut Topic<K, V>, Moment) -> R) -> Option<R> {
        let now = self.0.clock.now();
        let mut world = self.0.world.lock();
        let own = world.topics.get_mut(topic)?;
        let before = own.written();
        let done = work(own, now);
        let (is_empty, is_grown) = (own.members.is_empty(), own.written() != before);
        let bells = world.bells();
        let is_unused = is_empty && !bells.iter().any(|bell| bell.is_watched(topic));
        let unused = if is_unused { world.topics.remove(topic) } else { None };
        drop(world);
        drop(unused);
        if is_grown {
            bells.iter().for_each(|bell| bell.ring(topic, 0));
        }
        Some(done)
    }

    fn found(&self, topic: &Arc<str>) {
        let mut world = self.0.world.lock();
        if !world.topics.contains_key(topic) {
            world.next += 1;
            let made = Topic::new(world.next);
            world.topics.insert(Arc::clone(topic), made);
        }
    }
}

impl<K: ?Sized + Key, V> World<K, V> {
    fn bells(&mut self) -> Vec<Arc<Bell>> {
        self.bells.retain(|bell| bell.strong_count() > 0);
        self.bells.iter().filter_map(Weak::upgrade).collect()
    }
}

impl<K: ?Sized + Key, V: Value> Topic<K, V> {
    fn new(generation: u64) -> Self {
        Self {
            generation,
            members: BTreeMap::new(),
            places: HashMap::new(),
            keys: HashMap::new(),
            ends: BTreeSet::new(),
            joins: 0,
            log: VecDeque::new(),
            trimmed: 0,
        }
    }

    fn written(&self) -> u64 {
        self.trimmed + self.log.len() as u64
    }

    fn write(&mut self, change: Change<K::Owned, V>) {
        if self.log.len() == LOG {
            self.log.pop_front();
            self.trimmed += 1;
        }
        self.log.push_back(change);
    }

    fn alive(&mut self, connection: ConnectionId, now: Moment) -> Option<&mut Kept<K::Owned, V>> {
        let place = self.places.get(&connection)?;
        self.members.get_mut(place).filter(|kept| kept.end > now)
    }

    fn join(&mut self, member: Member<K::Owned, V>, now: Moment, ttl: Duration) -> Joined {
        let (connection, key) = (member.connection, member.key.clone());
        if self.alive(connection, now).is_none() {
            self.remove(connection, Gone::Expired);
        }
        let place = self.places.get(&connection).copied().unwrap_or_else(|| {
            self.joins += 1;
            self.places.insert(connection, self.joins);
            self.keys.entry(key.clone()).or_default().push(self.joins);
            self.joins
        });
        self.write(Change::Set(member.clone()));
        let end = now + ttl;
        if let Some(before) = self.members.insert(place, Kept { member, end, is_lingering: false })
        {
            self.ends.remove(&(before.end, place));
        }
        self.ends.insert((end, place));
        Joined { connections: self.of(key.borrow(), now).count() as u64 }
    }

    fn of(&self, key: &K, now: Moment) -> impl Iterator<Item = &Member<K::Owned, V>> {
        let places = self.keys.get(key).into_iter().flatten();
        let kept = places.filter_map(|place| self.members.get(place));
        kept.filter(move |kept| kept.end > now).map(|kept| &kept.member)
    }

    fn until(&mut self, connection: ConnectionId, end: Moment, is_lingering: bool) {
        let Some(place) = self.places.get(&connection) else { return };
        let Some(kept) = self.members.get_mut(place) else { return };
        self.ends.remove(&(kept.end, *place));
        self.ends.insert((end, *place));
        kept.end = end;
        kept.is_lingering |= is_lingering;
    }

    fn remove(&mut self, connection: ConnectionId, why: Gone) {
        let Some(place) = self.places.remove(&connection) else { return };
        let Some(kept) = self.members.remove(&place) else { return };
        self.ends.remove(&(kept.end, place));
        let key: &K = kept.member.key.borrow();
        if let Some(places) = self.keys.get_mut(key) {
            places.retain(|other| *other != place);
            if places.is_empty() {
                self.keys.remove(key);
            }
        }
        let why = if kept.is_lingering { Gone::Left } else { why };
        self.write(Change::Gone(kept.member.key, connection, why));
    }

    fn reap(&mut self, now: Moment) -> Option<Duration> {
        while let Some((end, place)) = self.ends.first().copied() {
            if end > now {
                return Some(end - now);
            }
            let connection = self.members.get(&place).map(|kept| kept.member.connection)?;
            self.remove(connection, Gone::Expired);
        }
        None
    }

    fn page(
        &self,
        after: Option<&Cursor>,
    ) -> Result<impl Iterator<Item = (&u64, &Kept<K::Owned, V>)>> {
        let after = match after {
            None => Bound::Unbounded,
            Some(cursor) => Bound::Excluded(place(cursor)?),
        };
        Ok(self.members.range((after, Bound::Unbounded)))
    }
}

fn place(cursor: &Cursor) -> Result<u64> {
    let bytes = cursor.as_bytes().try_into().map_err(|_| {
        Error::new(ErrorKind::Codec, "a cursor that this store has not given").with_tier("memory")
    })?;
    Ok(u64::from_be_bytes(bytes))
}

fn cursor(place: Option<u64>) -> Option<Cursor> {
    place.map(|place| Cursor::from_bytes(place.to_be_bytes().to_vec()))
}

/// A generation of a topic, and how many of its changes were read.
type Position = (u64, u64);

impl<K: ?Sized + Key, V: Value> RosterStore for MemoryRoster<K, V> {
    type Key = K;
    type Value = V;
    type Position = Position;

    fn clock(&self) -> Clock {
        self.0.clock.clone()
    }

    fn shards(&self) -> u32 {
        1
    }

    async fn join(&self, seat: &Seat<K::Owned>, value: &V, ttl: Duration) -> Result<Joined> {
        let Seat { topic, key, connection } = seat;
        let member = Member { key: key.clone(), connection: *connection, value: value.clone() };
        let (now, mut world) = (self.0.clock.now(), self.0.world.lock());
        let World { topics, next, .. } = &mut *world;
        let own = topics.entry(Arc::clone(topic)).or_insert_with(|| {
            *next += 1;
            Topic::new(*next)
        });
        let joined = own.join(member, now, ttl);
        let bells = world.bells();
        drop(world);
        bells.iter().for_each(|bell| bell.ring(topic, 0));
        Ok(joined)
    }

    async fn update(&self, seat: &Seat<K::Owned>, value: &V) -> Result<bool> {
        let updated = self.with(&seat.topic, |topic, now| {
            let Some(kept) = topic.alive(seat.connection, now) else { return false };
            kept.member.value = value.clone();
            let member = kept.member.clone();
            topic.write(Change::Set(member));
            true
        });
        Ok(updated.unwrap_or(false))
    }

    async fn leave(&self, seat: &Seat<K::Owned>, linger: Duration) -> Result<bool> {
        let left = self.with(&seat.topic, |topic, now| {
            let connection = seat.connection;
            if topic.alive(connection, now).is_none() {
                return false;
            }
            if linger.is_zero() {
                topic.remove(connection, Gone::Left);
            } else {
                topic.until(connection, now + linger, true);
            }
            true
        });
        Ok(left.unwrap_or(false))
    }

    async fn touch(&self, seats: &[&Seat<K::Owned>], ttl: Duration) -> Vec<Result<bool>> {
        let touched = seats.iter().map(|seat| {
            let touched = self.with(&seat.topic, |topic, now| {
                let kept = topic.alive(seat.connection, now);
                let is_there = kept.is_some_and(|kept| !kept.is_lingering);
                if is_there {
                    topic.until(seat.connection, now + ttl, false);
                }
                is_there
            });
            Ok(touched.unwrap_or(false))
        });
        touched.collect()
    }

    async fn reap(&self, topic: &str) -> Result<Option<Duration>> {
        Ok(self.with(topic, Topic::reap).flatten())
    }

    async fn get_many(&self, topic: &str, keys: &[&K]) -> Vec<Result<Members<Self>>> {
        let found = self.with(topic, |topic, now| {
            keys.iter().map(|key| Ok(topic.of(*key, now).cloned().collect())).collect()
        });
        found.unwrap_or_else(|| keys.iter().map(|_| Ok(Vec::new())).collect())
    }

    async fn count(&self, topic: &str) -> Result<Counts> {
        let counts = self.with(topic, |topic, now| {
            let is_alive =
                |place: &u64| topic.members.get(place).is_some_and(|kept| kept.end > now);
            let alive =
                topic.keys.values().map(|places| places.iter().filter(|at| is_alive(at)).count());
            alive.filter(|count| *count > 0).fold(Counts::default(), |counts, count| Counts {
                keys: counts.keys + 1,
                connections: counts.connections + count as u64,
            })
        });
        Ok(counts.unwrap_or_default())
    }

    async fn list(
        &self,
        topic: &str,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<Owned<Self>, V>> {
        let page = self.with(topic, |topic, now| {
            let mut alive = topic.page(after)?.filter(|(_, kept)| kept.end > now);
            let taken: Vec<_> = alive.by_ref().take(limit).collect();
            let last = alive.next().and(taken.last()).map(|(place, _)| **place);
            let members = taken.into_iter().map(|(_, kept)| kept.member.clone()).collect();
            Ok(Page { members, next: cursor(last) })
        });
        page.unwrap_or(Ok(Page { members: Vec::new(), next: None }))
    }

    async fn snapshot(
        &self,
        log: &Log,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Snapshot<Self>> {
        self.found(&log.topic);
        let snapshot = self.with(&log.topic, |topic, _| {
            let mut all = topic.page(after)?;
            let taken: Vec<_> = all.by_ref().take(limit).collect();
            let last = all.next().and(taken.last()).map(|(place, _)| **place);
            let sets = taken.into_iter().map(|(_, kept)| Change::Set(kept.member.clone()));
            Ok((sets.collect(), cursor(last), (topic.generation, topic.written())))
        });
        snapshot.unwrap_or(Ok((Vec::new(), None, (0, 0))))
    }

    async fn read(&self, logs: &[(Log, Position)], limit: usize) -> Vec<Result<Reading<Self>>> {
        let read = logs.iter().map(|(log, (generation, from))| {
            let read = self.with(&log.topic, |topic, _| {
                if topic.generation != *generation || *from < topic.trimmed {
                    return Read::Lost;
                }
                let skipped = usize::try_from(from - topic.trimmed).unwrap_or(usize::MAX);
                let changes: Vec<_> = topic.log.iter().skip(skipped).take(limit).cloned().collect();
                let at = from + changes.len() as u64;
                Read::Changes(changes, (topic.generation, at), at < topic.written())
            });
            Ok(read.unwrap_or(Read::Lost))
        });
        read.collect()
    }

    fn listen(&self, bell: &Arc<Bell>) {
        self.0.world.lock().bells.push(Arc::downgrade(bell));
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

impl<K: ?Sized + Key, V> Clone for MemoryRoster<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: ?Sized + Key, V: Value> Default for MemoryRoster<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: ?Sized + Key, V> fmt::Debug for MemoryRoster<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topics = self.0.world.lock().topics.len();
        f.debug_struct("MemoryRoster").field("topics", &topics).finish_non_exhaustive()
    }
}
