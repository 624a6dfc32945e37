//! Storing entries.
//!
//! A life is counted by the server from the arrival of the write, which is later than the moment at
//! which it was worked out. So each write has an allowance for its way: it is taken off the life that
//! the entry brings and added to its age, and a write that took longer is undone (R5).

use super::cache::RedisCache;
use super::config::Settings;
use super::key::RedisKey;
use super::lease::{LEASE, STORE, Terms, token};
use super::link::Again;
use super::remove;
use super::script::{self, Step};
use super::stats::Counters;
use super::value::Sealing;
use crate::codec::Codec;
use crate::{Entry, Error, Key, Moment, Result, Value};
use ::redis::{Cmd, Value as Reply};
use std::time::{Duration, Instant};

/// Entries per round trip ...
pub(super) const CHUNK: usize = 500;
/// ... and bytes, give or take the last entry.
const CHUNK_BYTES: usize = 1 << 20;
/// From so many bytes on a value has the second connection.
const LONG: usize = 64 * 1024;
/// What is added to a write's time limit for each so many bytes.
const BYTES_PER_SECOND: usize = 8 << 20;
/// For the way of a write; a tenth of the entry's own life if that is shorter.
const ON_THE_WAY: Duration = Duration::from_millis(250);

/// What is to be done with one entry.
enum Write {
    Store {
        bytes: Vec<u8>,
        millis: u64,
        is_versioned: bool,
        allowance: Duration,
    },
    /// It has no life, or is not kept: what is there must not outlive it.
    Drop,
    /// It cannot be written: the same, and the caller is told.
    Refuse(Error),
}

impl<K, V, C> RedisCache<K, V, C>
where
    K: ?Sized + Key + RedisKey,
    V: Value,
    C: Codec<V>,
{
    pub(super) async fn write(&self, key: &K, entry: &Entry<V>) -> Result<()> {
        let name = self.entry_name(key)?;
        let write = self.plan(key, &name, entry);
        self.write_one(&name, write, self.terms()).await.map(drop)
    }

    pub(super) async fn write_many(&self, entries: &[(&K, &Entry<V>)]) -> Vec<Result<()>> {
        let terms = self.terms();
        let entries = entries.iter().map(|(key, entry)| (*key, *entry, terms));
        let outcomes = self.write_on_terms(entries).await;
        outcomes.into_iter().map(|outcome| outcome.map(drop)).collect()
    }

    /// Of a write that is no fill.
    fn terms(&self) -> Terms {
        if self.settings.is_leasing { Terms::Void } else { Terms::Unshared }
    }

    /// Writes entries, each if its terms allow; whether they were stored.
    pub(super) async fn write_on_terms<'a>(
        &self,
        entries: impl Iterator<Item = (&'a K, &'a Entry<V>, Terms)>,
    ) -> Vec<Result<bool>> {
        let mut outcomes: Vec<Result<bool>> = Vec::new();
        let (mut short, mut rest) = (Vec::new(), Vec::new());
        for (at, (key, entry, terms)) in entries.enumerate() {
            outcomes.push(Ok(false));
            match self.entry_name(key) {
                Err(error) => outcomes[at] = Err(error),
                Ok(name) => {
                    let write = self.plan(key, &name, entry);
                    let planned = Planned { at, name, write, terms };
                    if planned.write.is_short() { short.push(planned) } else { rest.push(planned) }
                }
            }
        }
        for chunk in chunks(short) {
            let (places, outcome) = self.write_chunk(chunk).await;
            places.into_iter().zip(outcome).for_each(|(at, outcome)| outcomes[at] = outcome);
        }
        for Planned { at, name, write, terms } in rest {
            outcomes[at] = self.write_one(&name, write, terms).await;
        }
        outcomes
    }

    /// Takes one step for each name.
    pub(super) async fn take(
        &self,
        names: &[Vec<u8>],
        steps: Vec<Step>,
        again: Again,
    ) -> Result<Vec<Result<Reply>>> {
        let within = self.settings.write_timeout;
        let replies = script::take(&self.link, names, steps, within, again).await;
        let replies = replies.map_err(|error| self.named(error))?.into_iter();
        Ok(replies.map(|reply| reply.map_err(|error| self.named(error))).collect())
    }

    /// How long an entry is to live from its arrival on, and how long it may be on its way.
    pub(super) fn lifetime(
        &self,
        key: &K,
        entry: &Entry<V>,
        now: Moment,
    ) -> (Option<Duration>, Duration) {
        let Settings { time_to_live, absent_ttl, jitter, form, .. } = &self.settings;
        let given = if entry.is_absent() { Some(*absent_ttl) } else { *time_to_live };
        let given = given.map(|ttl| ttl.mul_f64(1.0 - jitter * spread(key, *jitter)));
        let usual = if form.is_plain { Duration::MAX } else { ON_THE_WAY };
        let Some(left) = entry.remaining(now) else { return (given, usual) };
        let allowance = ON_THE_WAY.min(left / 10);
        let own = left - allowance;
        match given {
            Some(given) if given < own => (Some(given), ON_THE_WAY),
            _ => (Some(own), allowance),
        }
    }

    fn plan(&self, key: &K, name: &[u8], entry: &Entry<V>) -> Write {
        let settings = &self.settings;
        if entry.is_absent() && settings.form.is_plain {
            return Write::Drop;
        }
        let now = settings.clock.now();
        let (life, allowance) = self.lifetime(key, entry, now);
        let millis = life.map(|life| u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
        if millis == Some(0) {
            return Write::Drop;
        }
        let sealing = Sealing {
            value: entry.value(),
            version: entry.version(),
            age: entry.loaded().map(|loaded| (now - loaded).saturating_add(ON_THE_WAY)),
            life: millis.map(Duration::from_millis),
        };
        match self.seal(name, &sealing) {
            Ok(bytes) => {
                let is_versioned = entry.version().is_some() && !settings.form.is_plain;
                // Longer than Redis can count is for ever.
                let millis = millis.filter(|millis| *millis < 1 << 52).unwrap_or(0);
                Write::Store { bytes, millis, is_versioned, allowance }
            }
            Err(error) => {
                Counters::add(&self.counters.unwritable);
                Write::Refuse(self.named(error))
            }
        }
    }

    fn seal(&self, name: &[u8], entry: &Sealing<'_, V>) -> Result<Vec<u8>> {
        if let (Some(check), Some(value)) = (&self.check, entry.value) {
            check(value)?;
        }
        self.settings.form.seal(&self.codec, name, entry, self.settings.max_value)
    }

    /// Whether it was stored.
    async fn write_one(&self, name: &[u8], write: Write, terms: Terms) -> Result<bool> {
        let began = Instant::now();
        let step = self.step(name, &write, terms);
        let is_store = matches!(write, Write::Store { .. });
        let (length, allowance) = match write {
            Write::Store { bytes, allowance, .. } => (bytes.len(), allowance),
            Write::Drop => (0, Duration::MAX),
            Write::Refuse(error) => {
                let within = self.settings.write_timeout;
                step.run(&self.link, within).await.map_err(|error| self.named(error))?;
                return Err(error);
            }
        };
        let is_long = length >= LONG;
        let more = Duration::from_secs(length.div_ceil(BYTES_PER_SECOND) as u64);
        let within = self.settings.write_timeout;
        let within = if is_long { within + more } else { within };
        let link = if is_long { &self.bulk } else { &self.link };
        let reply = step.run(link, within).await;
        if is_long && reply.is_err() {
            // What has not left yet must not arrive after a later remove on the other connection.
            link.give_up();
        }
        let stored = self.stored(&reply.map_err(|error| self.named(error))?, is_store);
        if stored {
            self.undo_if_late(&[(name.to_vec(), allowance)], began).await?;
        }
        Ok(stored)
    }

    /// Writes short entries in one round trip; their places, and the outcome of each.
    async fn write_chunk(&self, chunk: Vec<Planned>) -> (Vec<usize>, Vec<Result<bool>>) {
        let began = Instant::now();
        let places = chunk.iter().map(|planned| planned.at).collect();
        let names: Vec<Vec<u8>> = chunk.iter().map(|planned| planned.name.clone()).collect();
        let steps =
            chunk.iter().map(|planned| self.step(&planned.name, &planned.write, planned.terms));
        let replies = match self.take(&names, steps.collect(), Again::Never).await {
            Ok(replies) => replies,
            Err(error) => return (places, chunk.iter().map(|_| Err(error.clone())).collect()),
        };
        let replies = replies.into_iter().zip(&chunk);
        let mut outcomes: Vec<Result<bool>> = replies
            .map(|(reply, planned)| reply.map(|reply| self.stored(&reply, planned.is_store())))
            .collect();
        let done = chunk.into_iter().zip(&outcomes);
        let stored: Vec<_> = done
            .filter(|(_, outcome)| matches!(outcome, Ok(true)))
            .map(|(planned, _)| planned.allowance())
            .collect();
        if let Err(error) = self.undo_if_late(&stored, began).await {
            outcomes.iter_mut().for_each(|outcome| *outcome = Err(error.clone()));
        }
        (places, outcomes)
    }

    /// How a write is asked of the server.
    fn step(&self, name: &[u8], write: &Write, terms: Terms) -> Step {
        let (bytes, millis, is_versioned) = match write {
            Write::Store { bytes, millis, is_versioned, .. } => (bytes, *millis, *is_versioned),
            Write::Drop | Write::Refuse(_) => {
                return match terms {
                    Terms::Unshared => Step::Plain(remove::unlink(name)),
                    Terms::Void => self.removal(name),
                    Terms::Under(lease) => self.releasing(name, lease),
                };
            }
        };
        let lease = || self.layout.side(name, LEASE);
        let is_stamped = millis != 0 && !self.settings.form.is_plain;
        let (keys, token) = match terms {
            Terms::Unshared if !is_versioned && !is_stamped => {
                return Step::Plain(set(name, bytes, millis));
            }
            Terms::Unshared => (vec![name.to_vec()], Vec::new()),
            Terms::Void => (vec![name.to_vec(), lease()], Vec::new()),
            Terms::Under(own) => (vec![name.to_vec(), lease()], token(own)),
        };
        let flag = |is_set: bool| if is_set { b"1".to_vec() } else { Vec::new() };
        let (versioned, stamped) = (flag(is_versioned), flag(is_stamped));
        let millis = millis.to_string().into_bytes();
        let args = vec![bytes.clone(), millis, versioned, token, self.hub.channel(), stamped];
        Step::Script(&STORE, keys, args)
    }

    /// Whether the reply to a write says that it was done.
    fn stored(&self, reply: &Reply, is_store: bool) -> bool {
        let is_declined = is_store && *reply == Reply::Int(0);
        if is_declined {
            Counters::add(&self.counters.declined);
        }
        !is_declined && *reply != Reply::Int(-1)
    }

    /// Drops what arrived so late that it could outlive its end, or look younger than it is.
    async fn undo_if_late(&self, stored: &[(Vec<u8>, Duration)], began: Instant) -> Result<()> {
        let took = began.elapsed();
        let late = stored.iter().filter(|(_, allowance)| took > *allowance);
        let late: Vec<Vec<u8>> = late.map(|(name, _)| name.clone()).collect();
        if late.is_empty() {
            return Ok(());
        }
        late.iter().for_each(|_| Counters::add(&self.counters.late));
        self.remove_names(&late).await
    }
}

impl Write {
    /// Whether it may share a round trip with others.
    fn is_short(&self) -> bool {
        match self {
            Self::Store { bytes, .. } => bytes.len() < LONG,
            Self::Drop => true,
            Self::Refuse(_) => false,
        }
    }
}

/// An entry of a batch: its place, its Redis key, and what to do.
struct Planned {
    at: usize,
    name: Vec<u8>,
    write: Write,
    terms: Terms,
}

impl Planned {
    fn is_store(&self) -> bool {
        matches!(self.write, Write::Store { .. })
    }

    /// How long it may be on its way.
    fn allowance(self) -> (Vec<u8>, Duration) {
        match self.write {
            Write::Store { allowance, .. } => (self.name, allowance),
            _ => (self.name, Duration::MAX),
        }
    }
}

/// Divides a batch into what goes in one round trip.
fn chunks(writes: Vec<Planned>) -> Vec<Vec<Planned>> {
    let mut chunks: Vec<Vec<Planned>> = Vec::new();
    let mut bytes = usize::MAX;
    for planned in writes {
        let is_full = chunks.last().is_none_or(|chunk| chunk.len() >= CHUNK);
        if is_full || bytes >= CHUNK_BYTES {
            chunks.push(Vec::new());
            bytes = 0;
        }
        bytes += match &planned.write {
            Write::Store { bytes, .. } => bytes.len(),
            _ => 0,
        };
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(planned);
        }
    }
    chunks
}

/// A number from 0 to 1 that is always the same for a key (FNV-1a): each process gives an entry the
/// same end, also before it is stored.
fn spread<K: ?Sized + RedisKey>(key: &K, jitter: f64) -> f64 {
    if jitter == 0.0 {
        return 0.0;
    }
    let mut bytes = Vec::with_capacity(64);
    key.write(&mut bytes);
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Similar keys differ in the low bits only: bring them up (MurmurHash3's last step).
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

fn set(name: &[u8], bytes: &[u8], millis: u64) -> Cmd {
    let mut command = ::redis::cmd("SET");
    command.arg(name).arg(bytes);
    if millis != 0 {
        command.arg("PX").arg(millis);
    }
    command
}
