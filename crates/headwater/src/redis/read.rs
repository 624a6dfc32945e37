//! Looking entries up: one round trip, with the lives that the server keeps.
//!
//! `PTTL` is asked *before* the value, in the same pipeline: should the key be written in between, the
//! new value gets the old one's shorter life, and never the other way round. A life counts from before
//! the request was sent, and the envelope's own limit binds too (R5). Of many entries at once no life
//! is asked, only the server's time: when an entry was stored, the server noted in it when it will end.

use super::cache::RedisCache;
use super::envelope::Fault;
use super::error::from_redis;
use super::key::RedisKey;
use super::link::{Again, Call};
use super::stats::Counters;
use super::value::Opened;
use crate::codec::Codec;
use crate::{Entry, Error, ErrorKind, Key, Moment, Result, Value};
use ::redis::{Cmd, Pipeline, Value as Reply, from_redis_value};
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
        commands.add_command(of_name("PTTL", &name)).add_command(self.get(&name));
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

    /// All values in one command, a third less work for the server than one for each. Entries know when
    /// they end by the server's clock, so they need only its time; plain values do not, and are
    /// preceded by their lives.
    async fn ask_server(&self, names: &[Vec<u8>]) -> Result<Found<V>> {
        let is_plain = self.settings.form.is_plain;
        let mut commands = Pipeline::with_capacity(if is_plain { names.len() + 1 } else { 2 });
        if is_plain {
            for name in names {
                commands.add_command(of_name("PTTL", name));
            }
        } else {
            commands.add_command(::redis::cmd("TIME"));
        }
        commands.add_command(of_names(MGET, names));
        let sent = self.settings.clock.now();
        let mut lives = self.ask(Call::Many(&commands)).await?;
        let values = match lives.pop() {
            Some(Reply::Array(values)) if values.len() == names.len() => values,
            Some(Reply::ServerError(error)) => return Err(from_redis(error.into())),
            _ => return Err(Error::new(ErrorKind::Unexpected, "MGET had no array of values")),
        };
        let found = names.iter().zip(values);
        if is_plain {
            let found = found.zip(&lives);
            return Ok(found
                .map(|((name, value), life)| self.entry(name, sent, life, value))
                .collect());
        }
        let time = lives
            .pop()
            .and_then(millis)
            .ok_or_else(|| self.named(Error::new(ErrorKind::Unexpected, "TIME had no time")))?;
        Ok(found.map(|(name, value)| self.value(name, sent, Told::Time(time), value)).collect())
    }

    /// Pairs of life and value, because an `MGET` across slots is refused.
    async fn ask_nodes(&self, names: &[Vec<u8>]) -> Result<Found<V>> {
        let mut commands = Pipeline::with_capacity(names.len() * 2);
        for name in names {
            commands.add_command(of_name("PTTL", name)).add_command(self.get(name));
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

    /// What reads the value of a name.
    fn get(&self, name: &[u8]) -> Cmd {
        let mut command = Cmd::with_capacity(4, GETRANGE.len() + name.len() + 16);
        command.arg(GETRANGE).arg(name).arg(0).arg(self.settings.longest());
        command
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
        match life {
            Reply::Int(left) => self.value(name, sent, Told::Left(*left), value),
            Reply::ServerError(error) => Err(self.named(from_redis(error.clone().into()))),
            _ => Err(self.named(Error::new(ErrorKind::Unexpected, "PTTL had no number"))),
        }
    }

    fn value(
        &self,
        name: &[u8],
        sent: Moment,
        told: Told,
        value: Reply,
    ) -> Result<Option<Entry<V>>> {
        match value {
            // An empty one is GETRANGE's way to say that there is no such key.
            Reply::BulkString(bytes) if bytes.is_empty() => Ok(None),
            Reply::BulkString(bytes) => Ok(self.open(name, sent, told, &bytes)),
            Reply::Nil => {
                // MGET's way to say that a key is no string; but one may also have died in between.
                if matches!(told, Told::Left(left) if left == ENDLESS || left > 1_000) {
                    Counters::add(&self.counters.wrong_type);
                }
                Ok(None)
            }
            Reply::ServerError(error) if error.code() == "WRONGTYPE" => {
                Counters::add(&self.counters.wrong_type);
                Ok(None)
            }
            Reply::ServerError(error) => Err(self.named(from_redis(error.into()))),
            _ => Err(self.named(Error::new(ErrorKind::Unexpected, "a value had no bytes"))),
        }
    }

    fn open(&self, name: &[u8], sent: Moment, told: Told, bytes: &[u8]) -> Option<Entry<V>> {
        let form = &self.settings.form;
        if form.is_plain && told == Told::Left(GONE) {
            // Written in between, with a life that nobody told us.
            return None;
        }
        if bytes.len() > self.settings.longest() {
            self.count(Fault::Corrupt);
            return None;
        }
        let opened = match form.open(&self.codec, name, bytes, self.settings.max_value) {
            Ok(opened) => opened,
            Err(fault) => {
                self.count(fault);
                return None;
            }
        };
        let left = told.left(&opened);
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

/// What the server said of the life of a value that it returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// What `PTTL` says is left.
    Left(i64),
    /// What time it is, in ms: the entry knows its end.
    Time(u64),
}

impl Told {
    /// How long an entry has to live, if it has an end. The server rounds to milliseconds.
    fn left<V>(self, entry: &Opened<V>) -> Option<Duration> {
        let left = match self {
            Self::Left(left) => u64::try_from(left).ok()?,
            // One whose end should be noted, but is not, is not trusted.
            Self::Time(now) => entry.end.or(entry.life.map(|_| 0))?.saturating_sub(now),
        };
        Some(Duration::from_millis(left.saturating_sub(1)))
    }
}

/// A reply to `TIME`, in ms.
fn millis(time: Reply) -> Option<u64> {
    let [seconds, micros] = from_redis_value::<[u64; 2]>(time).ok()?;
    Some(seconds * 1_000 + micros / 1_000)
}

fn of_names(verb: &str, names: &[Vec<u8>]) -> Cmd {
    let bytes = names.iter().map(Vec::len).sum::<usize>();
    let mut command = Cmd::with_capacity(1 + names.len(), verb.len() + bytes);
    command.arg(verb).arg(names);
    command
}

/// A command with a name as its only argument, in as little memory as it takes.
fn of_name(verb: &str, name: &[u8]) -> Cmd {
    let mut command = Cmd::with_capacity(2, verb.len() + name.len());
    command.arg(verb).arg(name);
    command
}

const MGET: &str = "MGET";
const GETRANGE: &str = "GETRANGE";
/// `PTTL` of a key that does not exist.
const GONE: i64 = -2;
/// `PTTL` of a key that has no end.
const ENDLESS: i64 = -1;
