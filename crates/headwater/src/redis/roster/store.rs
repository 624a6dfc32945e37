use super::scripts::{COUNT, GET, JOIN, LEAVE, PAGE, REAP, TOUCH, UPDATE};
use super::{RedisRoster, names};
use crate::codec::{Codec, Json};
use crate::presence::{
    Bell, Change, Counts, Cursor, Gone, Joined, Log, Member, Members, Owned, Page, Read, Reading,
    RosterStore, Seat, Snapshot,
};
use crate::redis::error::from_redis;
use crate::redis::key::RedisKey;
use crate::redis::link::{Again, Call};
use crate::redis::script::{self, Script, Step};
use crate::{Above, Clock, Error, ErrorKind, Key, Result, Value};
use ::redis::{Pipeline, Value as Reply};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Members that are reaped at once; the server does nothing else meanwhile.
const REAPED: &[u8] = b"100";

/// Heartbeats in one request.
const TOUCHED: usize = 500;

/// A script's keys, and its arguments.
type Parts = (Vec<Vec<u8>>, Vec<Vec<u8>>);
/// A member, if it can be read.
type Decoded<S> = Result<Member<Owned<S>, <S as RosterStore>::Value>>;

impl<K, V> RedisRoster<K, V>
where
    K: ?Sized + Key + RedisKey,
    V: Value + Serialize + DeserializeOwned,
{
    fn keys(&self, topic: &str, shard: u32) -> Result<Vec<Vec<u8>>> {
        let keys = names::shard(&self.layout, topic, shard);
        keys.ok_or_else(|| self.unfit("a topic's name is too long"))
    }

    fn unfit(&self, what: &'static str) -> Error {
        self.named(Error::new(ErrorKind::Codec, what))
    }

    /// The shard of a key, and the key as it is written.
    fn place(&self, key: &K) -> Result<(u32, Vec<u8>)> {
        let key = names::key(key);
        if key.len() > crate::redis::MAX_KEY {
            return Err(self.unfit("a key is too long"));
        }
        Ok((names::shard_of(&key, self.shards), key))
    }

    fn encode(&self, value: &V) -> Result<Vec<u8>> {
        let bytes = Json.encode(value).map_err(|error| self.named(error))?;
        if bytes.len() > self.settings.max_value {
            return Err(self.unfit("a connection's value is longer than `max_value`"));
        }
        Ok(bytes)
    }

    /// Runs one script for each shard's keys, in one round trip to each server concerned.
    async fn run(
        &self,
        script: &'static Script,
        calls: Vec<Parts>,
        within: Duration,
    ) -> Vec<Result<Reply>> {
        let count = calls.len();
        // It is never closed.
        let _place = self.places.acquire().await;
        let names: Vec<Vec<u8>> = calls.iter().map(|(keys, _)| keys[0].clone()).collect();
        let steps =
            calls.into_iter().map(|(keys, args)| Step::Script(script, keys, args)).collect();
        match script::take(&self.link, &names, steps, within, Again::Never).await {
            Ok(replies) => {
                replies.into_iter().map(|reply| reply.map_err(|error| self.named(error))).collect()
            }
            Err(error) => (0..count).map(|_| Err(self.named(error.clone()))).collect(),
        }
    }

    /// Runs a script for one shard, and reads a number.
    async fn ask(
        &self,
        script: &'static Script,
        topic: &str,
        shard: u32,
        args: Vec<Vec<u8>>,
    ) -> Result<i64> {
        let keys = self.keys(topic, shard)?;
        let within = self.settings.write_timeout;
        match self.run(script, vec![(keys, args)], within).await.pop() {
            Some(Ok(Reply::Int(number))) => Ok(number),
            Some(Err(error)) => Err(error),
            _ => Err(self.strange()),
        }
    }

    async fn touch_part(&self, seats: &[&Seat<Owned<Self>>], ttl: Duration) -> Vec<Result<bool>> {
        let mut outcomes: Vec<Result<bool>> = seats.iter().map(|_| Ok(false)).collect();
        let mut shards: HashMap<_, Vec<(usize, Vec<u8>)>> = HashMap::new();
        for (at, seat) in seats.iter().enumerate() {
            if let Ok((shard, key)) = self.place(seat.key.borrow()) {
                let member = names::member(&key, seat.connection);
                shards.entry((&*seat.topic, shard)).or_default().push((at, member));
            }
        }
        let (mut calls, mut places) = (Vec::new(), Vec::new());
        for ((topic, shard), members) in shards {
            let Ok(keys) = self.keys(topic, shard) else { continue };
            let (own, members): (Vec<usize>, Vec<Vec<u8>>) = members.into_iter().unzip();
            calls.push((keys, std::iter::once(millis(ttl)).chain(members).collect()));
            places.push(own);
        }
        let replies = self.run(&TOUCH, calls, self.settings.write_timeout).await;
        for (places, reply) in places.into_iter().zip(replies) {
            for (number, at) in places.into_iter().enumerate() {
                outcomes[at] = match &reply {
                    Ok(Reply::BulkString(found)) => Ok(found.get(number) == Some(&b'1')),
                    Ok(_) => Err(self.strange()),
                    Err(error) => Err(error.clone()),
                };
            }
        }
        outcomes
    }

    fn strange(&self) -> Error {
        self.named(Error::new(ErrorKind::Unexpected, "a reply of another form than expected"))
    }

    fn member(&self, name: &[u8], value: &[u8]) -> Result<Member<Owned<Self>, V>> {
        let (key, connection) = names::read::<K>(name)
            .ok_or_else(|| self.unfit("a connection's key cannot be read"))?;
        let value = Json.decode(value).map_err(|error| self.named(error))?;
        Ok(Member { key, connection, value })
    }

    /// Names and values, in turn.
    fn members(&self, pairs: &[Reply]) -> Result<Vec<Decoded<Self>>> {
        let (pairs, []) = pairs.as_chunks::<2>() else { return Err(self.strange()) };
        let read = pairs.iter().map(|pair| match pair {
            [Reply::BulkString(name), Reply::BulkString(value)] => Ok(self.member(name, value)),
            _ => Err(self.strange()),
        });
        read.collect()
    }

    /// A page of a shard: its members, the last name if there may be more, the place in the log.
    async fn page(
        &self,
        topic: &str,
        shard: u32,
        after: &[u8],
        limit: usize,
        alive: bool,
    ) -> Result<(Vec<Decoded<Self>>, Vec<u8>, Vec<u8>)> {
        let alive = if alive { b"1".to_vec() } else { Vec::new() };
        let args = vec![after.to_vec(), limit.to_string().into_bytes(), alive];
        let call = vec![(self.keys(topic, shard)?, args)];
        let reply = self.run(&PAGE, call, self.settings.write_timeout).await.pop();
        let Some(Reply::Array(page)) = reply.transpose()? else { return Err(self.strange()) };
        let [Reply::BulkString(last), Reply::BulkString(place), pairs @ ..] = &page[..] else {
            return Err(self.strange());
        };
        Ok((self.members(pairs)?, last.clone(), place.clone()))
    }

    /// One entry of a log; `None` for what marks its beginning.
    fn change(&self, fields: &[Reply]) -> Result<Option<Change<Owned<Self>, V>>> {
        let [Reply::BulkString(what), Reply::BulkString(name), _, Reply::BulkString(value)] =
            fields
        else {
            return Err(self.strange());
        };
        let why = match what.as_slice() {
            b"s" => {
                return Ok(Some(match self.member(name, value) {
                    Ok(member) => Change::Set(member),
                    Err(error) => Change::Unreadable(error),
                }));
            }
            b"l" => Gone::Left,
            b"x" => Gone::Expired,
            _ => return Ok(None),
        };
        // What could not be read when it came is nobody's loss now.
        Ok(names::read::<K>(name).map(|(key, connection)| Change::Gone(key, connection, why)))
    }

    /// What `XRANGE` gives from a place on, that place included.
    fn reading(&self, reply: &Reply, from: &[u8], limit: usize) -> Result<Reading<Self>> {
        let Reply::Array(entries) = reply else { return Err(self.strange()) };
        let mut at = from.to_vec();
        let mut changes = Vec::with_capacity(entries.len());
        for (number, entry) in entries.iter().enumerate() {
            let Reply::Array(entry) = entry else { return Err(self.strange()) };
            let [Reply::BulkString(place), Reply::Array(fields)] = &entry[..] else {
                return Err(self.strange());
            };
            if number > 0 {
                changes.extend(self.change(fields)?);
            } else if place != from {
                return Ok(Read::Lost);
            }
            at.clone_from(place);
        }
        if entries.is_empty() {
            return Ok(Read::Lost);
        }
        Ok(Read::Changes(changes, at, entries.len() > limit))
    }
}

fn millis(span: Duration) -> Vec<u8> {
    span.as_millis().to_string().into_bytes()
}

impl<K, V> RosterStore for RedisRoster<K, V>
where
    K: ?Sized + Key + RedisKey,
    V: Value + Serialize + DeserializeOwned,
{
    type Key = K;
    type Value = V;
    /// The id of a stream's entry.
    type Position = Vec<u8>;

    fn clock(&self) -> Clock {
        Clock::system()
    }

    fn shards(&self) -> u32 {
        self.shards
    }

    async fn join(&self, seat: &Seat<Owned<Self>>, value: &V, ttl: Duration) -> Result<Joined> {
        let (shard, key) = self.place(seat.key.borrow())?;
        let member = names::member(&key, seat.connection);
        let args = vec![member, key, millis(ttl), self.encode(value)?];
        let connections = self.ask(&JOIN, &seat.topic, shard, args).await?;
        Ok(Joined { connections: connections.unsigned_abs() })
    }

    async fn update(&self, seat: &Seat<Owned<Self>>, value: &V) -> Result<bool> {
        let (shard, key) = self.place(seat.key.borrow())?;
        let args = vec![names::member(&key, seat.connection), self.encode(value)?];
        self.ask(&UPDATE, &seat.topic, shard, args).await.map(|done| done == 1)
    }

    async fn leave(&self, seat: &Seat<Owned<Self>>, linger: Duration) -> Result<bool> {
        let (shard, key) = self.place(seat.key.borrow())?;
        let args = vec![names::member(&key, seat.connection), key, millis(linger)];
        self.ask(&LEAVE, &seat.topic, shard, args).await.map(|done| done == 1)
    }

    async fn touch(&self, seats: &[&Seat<Owned<Self>>], ttl: Duration) -> Vec<Result<bool>> {
        let mut outcomes = Vec::with_capacity(seats.len());
        for part in seats.chunks(TOUCHED) {
            outcomes.extend(self.touch_part(part, ttl).await);
        }
        outcomes
    }

    async fn reap(&self, topic: &str) -> Result<Option<Duration>> {
        let mut next = None;
        for shard in 0..self.shards {
            let left = self.ask(&REAP, topic, shard, vec![REAPED.to_vec()]).await?;
            let left = u64::try_from(left).ok().map(Duration::from_millis);
            next = next.into_iter().chain(left).min();
        }
        Ok(next)
    }

    async fn get_many(&self, topic: &str, keys: &[&K]) -> Vec<Result<Members<Self>>> {
        let (mut calls, mut asked) = (Vec::new(), Vec::new());
        let mut outcomes: Vec<Result<Members<Self>>> = Vec::with_capacity(keys.len());
        for (at, key) in keys.iter().enumerate() {
            outcomes.push(Ok(Vec::new()));
            let place = self.place(key);
            match place.and_then(|(shard, key)| Ok((self.keys(topic, shard)?, vec![key]))) {
                Ok(call) => {
                    calls.push(call);
                    asked.push(at);
                }
                Err(error) => outcomes[at] = Err(error),
            }
        }
        let replies = self.run(&GET, calls, self.settings.read_timeout).await;
        for (at, reply) in asked.into_iter().zip(replies) {
            outcomes[at] = reply.and_then(|reply| match &reply {
                Reply::Array(pairs) => self.members(pairs)?.into_iter().collect(),
                _ => Err(self.strange()),
            });
        }
        outcomes
    }

    async fn count(&self, topic: &str) -> Result<Counts> {
        let calls = (0..self.shards).map(|shard| Ok((self.keys(topic, shard)?, Vec::new())));
        let replies = self.run(&COUNT, calls.collect::<Result<_>>()?, self.settings.read_timeout);
        replies.await.into_iter().try_fold(Counts::default(), |counts, reply| match &reply? {
            Reply::Array(own) => match &own[..] {
                [Reply::Int(keys), Reply::Int(connections)] => Ok(Counts {
                    keys: counts.keys + keys.unsigned_abs(),
                    connections: counts.connections + connections.unsigned_abs(),
                }),
                _ => Err(self.strange()),
            },
            _ => Err(self.strange()),
        })
    }

    async fn list(
        &self,
        topic: &str,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<Owned<Self>, V>> {
        let (shard, after) = match after.map(Cursor::as_bytes) {
            None => (0, [].as_slice()),
            Some(bytes) => match bytes.split_first_chunk() {
                Some((shard, after)) => (u32::from_be_bytes(*shard), after),
                None => return Err(self.unfit("a cursor that this store has not given")),
            },
        };
        let (members, last, _) = self.page(topic, shard, after, limit, true).await?;
        let next = match last.as_slice() {
            [] if shard + 1 < self.shards => Some((shard + 1, [].as_slice())),
            [] => None,
            last => Some((shard, last)),
        };
        let next =
            next.map(|(shard, last)| Cursor::from_bytes([&shard.to_be_bytes(), last].concat()));
        Ok(Page { members: members.into_iter().collect::<Result<_>>()?, next })
    }

    async fn snapshot(
        &self,
        log: &Log,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Snapshot<Self>> {
        self.hub.start();
        let after = after.map(Cursor::as_bytes).unwrap_or_default();
        let (members, last, place) = self.page(&log.topic, log.shard, after, limit, false).await?;
        let sets = members.into_iter().map(|member| match member {
            Ok(member) => Change::Set(member),
            Err(error) => Change::Unreadable(error),
        });
        let next = (!last.is_empty()).then(|| Cursor::from_bytes(last));
        Ok((sets.collect(), next, place))
    }

    async fn read(&self, logs: &[(Log, Vec<u8>)], limit: usize) -> Vec<Result<Reading<Self>>> {
        let mut pipeline = Pipeline::with_capacity(logs.len());
        let mut streams = Vec::with_capacity(logs.len());
        for (log, from) in logs {
            // A log is read only after a snapshot under the same name.
            let keys = self.keys(&log.topic, log.shard).unwrap_or_default();
            let stream = keys.into_iter().next().unwrap_or_default();
            let from = from.as_slice();
            pipeline.cmd("XRANGE").arg(&stream).arg(from).arg("+").arg("COUNT").arg(limit + 1);
            streams.push(stream);
        }
        let (call, within) = (Call::Spread(&streams, 1, &pipeline), self.settings.write_timeout);
        match self.link.call(call, within, Again::Once).await {
            Ok(replies) => replies
                .into_iter()
                .zip(logs)
                .map(|(reply, (_, from))| {
                    let reply = reply.extract_error().map_err(from_redis);
                    self.reading(&reply.map_err(|error| self.named(error))?, from, limit)
                })
                .collect(),
            Err(error) => logs.iter().map(|_| Err(self.named(error.clone()))).collect(),
        }
    }

    fn listen(&self, bell: &Arc<Bell>) {
        let above: Weak<dyn Above<[u8]>> =
            Arc::downgrade(&(Arc::clone(bell) as Arc<dyn Above<[u8]>>));
        self.hub.attach::<[u8]>(above);
    }

    async fn close(&self) -> Result<()> {
        self.hub.close();
        self.link.close();
        Ok(())
    }
}
