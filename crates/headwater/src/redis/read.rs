//! Looking entries up: one round trip, with the lives that the server keeps.
//!
//! `PTTL` is asked *before* `GET`, in the same pipeline: should the key be written in between, the new
//! value gets the old one's shorter life, and never the other way round. A life counts from before
//! the request was sent, and the envelope's own limit binds too (R5).

use super::cache::RedisCache;
use super::error::from_redis;
use super::key::RedisKey;
use super::link::{Again, Call};
use super::stats::Counters;
use crate::codec::Codec;
use crate::{Entry, Error, ErrorKind, Key, Moment, Result, Value};
use ::redis::{Cmd, Pipeline, Value as Reply};
use futures_util::future::join_all;
use std::time::Duration;

/// Keys per round trip.
const CHUNK: usize = 500;

/// What was found under each key.
type Found<V> = Vec<Result<Option<Entry<V>>>>;

impl<K, V, C> RedisCache<K, V, C>
where
    K: ?Sized + Key + RedisKey,
    V: Value,
    C: Codec<V>,
{
    pub(super) async fn read(&self, key: &K) -> Result<Option<Entry<V>>> {
        self.hub.start();
        let name = self.entry_name(key)?;
        let mut commands = Pipeline::with_capacity(2);
        commands.add_command(of_name("PTTL", &name)).add_command(of_name("GET", &name));
        let sent = self.settings.clock.now();
        let mut replies = self.ask(Call::Many(&commands)).await?.into_iter();
        let (life, value) = (replies.next(), replies.next());
        self.entry(&name, sent, &life.unwrap_or(Reply::Nil), value.unwrap_or(Reply::Nil))
    }

    pub(super) async fn read_many(&self, keys: &[&K]) -> Found<V> {
        self.hub.start();
        let (mut names, mut refused) = (Vec::with_capacity(keys.len()), Vec::new());
        for (at, key) in keys.iter().enumerate() {
            match self.entry_name(key) {
                Ok(name) => names.push(name),
                Err(error) => refused.push((at, error)),
            }
        }
        let chunks = join_all(names.chunks(CHUNK).map(|names| self.read_chunk(names))).await;
        let mut found: Found<V> = chunks.into_iter().flatten().collect();
        // In the order of the keys, so that each place is right when its turn comes.
        refused.into_iter().for_each(|(at, error)| found.insert(at, Err(error)));
        found
    }

    async fn read_chunk(&self, names: &[Vec<u8>]) -> Found<V> {
        let asked = if self.link.is_cluster() {
            self.ask_nodes(names).await
        } else {
            self.ask_server(names).await
        };
        match asked {
            Ok(found) => found,
            Err(error) => names.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// Lives, then all values in one command: a third less work for the server than pairs.
    async fn ask_server(&self, names: &[Vec<u8>]) -> Result<Found<V>> {
        let mut commands = Pipeline::with_capacity(names.len() + 1);
        for name in names {
            commands.add_command(of_name("PTTL", name));
        }
        let bytes = names.iter().map(Vec::len).sum::<usize>();
        let mut get = Cmd::with_capacity(1 + names.len(), MGET.len() + bytes);
        get.arg(MGET).arg(names);
        commands.add_command(get);
        let sent = self.settings.clock.now();
        let mut lives = self.ask(Call::Many(&commands)).await?;
        let values = match lives.pop() {
            Some(Reply::Array(values)) if values.len() == names.len() => values,
            Some(Reply::ServerError(error)) => return Err(from_redis(error.into())),
            _ => return Err(Error::new(ErrorKind::Unexpected, "MGET had no array of values")),
        };
        let found = names.iter().zip(lives.iter().zip(values));
        Ok(found.map(|(name, (life, value))| self.entry(name, sent, life, value)).collect())
    }

    /// Pairs of life and value, because an `MGET` across slots is refused.
    async fn ask_nodes(&self, names: &[Vec<u8>]) -> Result<Found<V>> {
        let mut commands = Pipeline::with_capacity(names.len() * 2);
        for name in names {
            commands.add_command(of_name("PTTL", name)).add_command(of_name("GET", name));
        }
        let sent = self.settings.clock.now();
        let replies = self.ask(Call::Spread(names, 2, &commands)).await?;
        let mut replies = replies.into_iter();
        let mut next = || replies.next().unwrap_or(Reply::Nil);
        let entry = |name: &Vec<u8>| {
            let (life, value) = (next(), next());
            self.entry(name, sent, &life, value)
        };
        Ok(names.iter().map(entry).collect())
    }

    async fn ask(&self, call: Call<'_>) -> Result<Vec<Reply>> {
        let within = self.settings.read_timeout;
        self.link.call(call, within, Again::Once).await.map_err(|error| self.named(error))
    }

    /// The entry of a pair of replies.
    pub(super) fn entry(
        &self,
        name: &[u8],
        sent: Moment,
        life: &Reply,
        value: Reply,
    ) -> Result<Option<Entry<V>>> {
        let left = match life {
            Reply::Int(millis) => *millis,
            Reply::ServerError(error) => return Err(self.named(from_redis(error.clone().into()))),
            _ => return Err(self.named(Error::new(ErrorKind::Unexpected, "PTTL had no number"))),
        };
        match value {
            Reply::BulkString(bytes) => Ok(self.open(name, sent, left, &bytes)),
            Reply::Nil => {
                // MGET's way to say that a key is no string; but one may also have died in between.
                if left == ENDLESS || left > 1_000 {
                    Counters::add(&self.counters.wrong_type);
                }
                Ok(None)
            }
            Reply::ServerError(error) if error.code() == "WRONGTYPE" => {
                Counters::add(&self.counters.wrong_type);
                Ok(None)
            }
            Reply::ServerError(error) => Err(self.named(from_redis(error.into()))),
            _ => Err(self.named(Error::new(ErrorKind::Unexpected, "GET had no bytes"))),
        }
    }

    fn open(&self, name: &[u8], sent: Moment, left: i64, bytes: &[u8]) -> Option<Entry<V>> {
        let form = &self.settings.form;
        if form.is_plain && left == GONE {
            // Written in between, with a life that nobody told us.
            return None;
        }
        let opened = match form.open(&self.codec, name, bytes, self.settings.max_value) {
            Ok(opened) => opened,
            Err(fault) => {
                self.count(fault);
                return None;
            }
        };
        // The server rounds to milliseconds.
        let left =
            u64::try_from(left).ok().map(|left| Duration::from_millis(left.saturating_sub(1)));
        let mut entry = opened.value.map_or(Entry::absent(), Entry::found);
        if let Some(left) = left.into_iter().chain(opened.life).min() {
            entry = entry.expires_at(sent + left);
        }
        if let (Some(age), Some(life), Some(left)) = (opened.age, opened.life, left) {
            let age = age.saturating_add(life.saturating_sub(left));
            let since_start = (sent - Moment::START).saturating_sub(age);
            entry = entry.loaded_at(Moment::START + since_start);
        }
        if let Some(version) = opened.version {
            entry = entry.with_version(version);
        }
        entry.is_live(sent).then_some(entry)
    }
}

/// A command with a name as its only argument, in as little memory as it takes.
fn of_name(verb: &str, name: &[u8]) -> Cmd {
    let mut command = Cmd::with_capacity(2, verb.len() + name.len());
    command.arg(verb).arg(name);
    command
}

const MGET: &str = "MGET";
/// `PTTL` of a key that does not exist.
const GONE: i64 = -2;
/// `PTTL` of a key that has no end.
const ENDLESS: i64 = -1;
