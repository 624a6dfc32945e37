//! The [`Shared`] face: one load per key across processes, and a fill only while nobody has changed
//! the key (R2, R4).
//!
//! # The scheme
//! Beside the entry `n:k` there is `{n:k}:lease` while somebody loads `k`, with a token of the holder,
//! for [`lease_time`](crate::redis::RedisConfig::lease_time). Four scripts, each atomic, each for keys
//! of one slot, so that batches are pipelines:
//! - `TAKE` returns the entry if it is there, else takes the lease if nobody has it.
//! - `STORE` stores an entry and ends the lease; a fill only if the lease is still its own.
//! - `RELEASE` ends a lease that is still its holder's, and wakes who waits without touching the entry.
//! - `REMOVE` drops the entry and the lease, whoever holds it. It touches the entry even if it is not
//!   there, because only then everybody hears of it: one who loads the key must forget what it gets.
//!
//! A miss costs one round trip more than without leases. A holder that is slower than its lease lasts
//! gets a second load beside it, and its fill is refused. One that dies is waited for until then.
//!
//! # Those who delete the entry only
//! Another program's `DEL` does not void a lease. While tracking is on, this process hears of it and
//! gives its own lease up, if the news come before the fill is sent. To be sure, and without tracking,
//! such a program should delete the lease too.

use super::cache::RedisCache;
use super::key::{Layout, RedisKey};
use super::link::{Again, Link};
use super::news::Hub;
use super::script::{self, Script, Step};
use crate::codec::Codec;
use crate::{Above, Entry, Error, ErrorKind, Key, Lease, Leased, Moment, Result, Shared, Value};
use ::redis::Value as Reply;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all, select_all};
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

/// What a lease's key is called beside its entry.
pub(super) const LEASE: &str = "lease";
/// Between two attempts to give a lease back.
const GIVE_BACK_EVERY: Duration = Duration::from_millis(250);
/// Keys per round trip.
const CHUNK: usize = 500;
/// Who waits for news asks again all the same after so long ...
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// ... and without news after a quarter of the time that the lease has been held, but not sooner ...
const POLL_FIRST: Duration = Duration::from_millis(5);
/// ... and not later than this.
const POLL_LAST: Duration = Duration::from_millis(100);

/// KEYS: entry, lease. ARGV: token, ms, `1` to look for the entry first, the longest that it may be:
/// what is longer is none of ours, and would hold up everybody. Who has the lease by this very token
/// is told so again: on a cluster a batch that meets a moving slot is sent again, all of it.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if ARGV[3] == '1' then
  local length = redis.pcall('STRLEN', KEYS[1])
  if type(length) == 'number' and length > 0 and length <= tonumber(ARGV[4]) then
    return {1, redis.call('PTTL', KEYS[1]), redis.call('GET', KEYS[1])}
  end
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])
    or redis.call('GET', KEYS[2]) == ARGV[1] then
  return {2}
end
return {0, redis.call('PTTL', KEYS[2])}",
    )
});

/// Stores ARGV[1] under KEYS[1] for ARGV[2] ms (0: for ever). KEYS[2], if there, is the lease, which
/// ends; with a token in ARGV[4], nothing happens unless it is the lease's (-1), or this very entry is
/// there: then it was stored when the same batch was sent before (1). With ARGV[3] = `1`,
/// an entry of the same schema and codec whose version is newer stays (0). Only bytes are compared,
/// because Lua's order of strings depends on the locale. With ARGV[6] = `1`, the entry's head is told
/// when its life ends.
pub(super) static STORE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if ARGV[4] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[4] then
  local function but_for_its_end(value)
    if ARGV[6] ~= '1' then return value end
    return string.sub(value, 1, 36) .. string.sub(value, 45)
  end
  if redis.pcall('STRLEN', KEYS[1]) == #ARGV[1]
      and but_for_its_end(redis.call('GET', KEYS[1])) == but_for_its_end(ARGV[1]) then
    return 1
  end
  return -1
end
local function is_newer(old, new)
  if type(old) ~= 'string' or #old ~= 20
      or string.sub(old, 1, 4) ~= string.sub(new, 1, 4)
      or math.floor(string.byte(old, 5) / 8) % 2 ~= 1
      or string.sub(old, 6, 12) ~= string.sub(new, 6, 12) then
    return false
  end
  for at = 13, 20 do
    local a, b = string.byte(old, at), string.byte(new, at)
    if a ~= b then return a > b end
  end
  return false
end
local result = 1
if ARGV[3] == '1' and is_newer(redis.pcall('GETRANGE', KEYS[1], 0, 19), ARGV[1]) then
  result = 0
else
  local value, set = ARGV[1], nil
  if ARGV[6] == '1' then
    local time = redis.call('TIME')
    local ends = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
    value = string.sub(value, 1, 36) .. struct.pack('>I8', ends) .. string.sub(value, 45)
  end
  if ARGV[2] == '0' then
    set = redis.pcall('SET', KEYS[1], value)
  else
    set = redis.pcall('SET', KEYS[1], value, 'PX', ARGV[2])
  end
  if set.err then result = set end
end
if KEYS[2] then redis.call('UNLINK', KEYS[2]) end
if ARGV[5] ~= '' and result == 1 then redis.pcall('PUBLISH', ARGV[5], KEYS[1]) end
return result",
    )
});

/// KEYS: entry, lease. ARGV: channel. To drop first lets the rest pass even if memory is full.
pub(super) static REMOVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
redis.call('UNLINK', KEYS[1], KEYS[2])
redis.call('SET', KEYS[1], '', 'PX', 1)
redis.call('DEL', KEYS[1])
if ARGV[1] ~= '' then redis.pcall('PUBLISH', ARGV[1], KEYS[1]) end
return 1",
    )
});

/// KEYS: lease, what wakes. ARGV: token, channel.
static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
redis.call('UNLINK', KEYS[1])
redis.call('SET', KEYS[2], '', 'PX', 1)
redis.call('DEL', KEYS[2])
if ARGV[2] ~= '' then redis.pcall('PUBLISH', ARGV[2], KEYS[2]) end
return -1",
    )
});

/// What a write has to do with the lease of its key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Terms {
    /// There are no leases.
    Unshared,
    /// It ends, whoever holds it.
    Void,
    /// Nothing is written unless it is still this one, which then ends.
    Under(u128),
}

/// As it stands in Redis.
pub(super) fn token(token: u128) -> Vec<u8> {
    crate::token::written(token).into_bytes()
}

impl<K, V, C> Shared<K, V> for RedisCache<K, V, C>
where
    K: ?Sized + Key + RedisKey,
    V: Value,
    C: Codec<V>,
{
    fn attach(&self, above: Weak<dyn Above<K>>) {
        self.hub.attach(above);
    }

    fn lease<'a>(&'a self, keys: &'a [&'a K], look: bool) -> BoxFuture<'a, Vec<Result<Leased<V>>>> {
        async move {
            self.hub.start();
            let names: Vec<Result<Vec<u8>>> = keys.iter().map(|key| self.entry_name(key)).collect();
            let known: Vec<Vec<u8>> = names.iter().flatten().cloned().collect();
            let chunks = join_all(known.chunks(CHUNK).map(|names| self.take_leases(names, look)));
            let mut said = chunks.await.into_iter().flatten();
            let lost = || Err(Error::new(ErrorKind::Unexpected, "a reply is missing"));
            let answer = |name: Result<_>| name.and_then(|_| said.next().unwrap_or_else(lost));
            names.into_iter().map(answer).collect()
        }
        .boxed()
    }

    fn fill<'a>(
        &'a self,
        fills: &'a [(&'a K, &'a Entry<V>, Lease)],
    ) -> BoxFuture<'a, Vec<Result<bool>>> {
        async move {
            let (mut valid, mut void) = (Vec::new(), Vec::new());
            let mut outcomes: Vec<Result<bool>> = Vec::with_capacity(fills.len());
            for (at, (key, entry, lease)) in fills.iter().enumerate() {
                outcomes.push(Ok(false));
                match self.entry_name(key) {
                    Ok(name) if self.hub.ends(&name, lease.token()) => {
                        valid.push((at, *key, *entry, Terms::Under(lease.token())));
                    }
                    Ok(name) => void.push((name, lease.token())),
                    Err(error) => outcomes[at] = Err(error),
                }
            }
            let writes = valid.iter().map(|(_, key, entry, terms)| (*key, *entry, *terms));
            let written = self.write_on_terms(writes).await;
            let mut unspent = Vec::new();
            for ((at, key, _, terms), outcome) in valid.into_iter().zip(written) {
                if let (Err(_), Ok(name), Terms::Under(lease)) =
                    (&outcome, self.entry_name(key), terms)
                {
                    unspent.push((name, lease));
                }
                outcomes[at] = outcome;
            }
            let releaser = self.releaser();
            releaser.give_back_behind(unspent);
            if releaser.release(&void).await.is_err() {
                releaser.give_back_behind(void);
            }
            outcomes
        }
        .boxed()
    }

    fn release<'a>(&'a self, leases: &'a [(&'a K, Lease)]) -> BoxFuture<'a, Result<()>> {
        async move {
            let names = leases.iter().filter_map(|(key, lease)| {
                let name = self.entry_name(key).ok()?;
                self.hub.ends(&name, lease.token());
                Some((name, lease.token()))
            });
            let names: Vec<_> = names.collect();
            let releaser = self.releaser();
            let released = releaser.release(&names).await;
            if released.is_err() {
                releaser.give_back_behind(names);
            }
            released.map_err(|error| self.named(error))
        }
        .boxed()
    }

    fn changed(&self, keys: &[&K]) -> BoxFuture<'static, ()> {
        let names: Vec<_> = keys.iter().filter_map(|key| self.entry_name(key).ok()).collect();
        let bells = self.hub.bells(&names).into_iter();
        let rings = bells.map(|mut bell| async move { bell.changed().await.is_ok() }.boxed());
        let mut rings: Vec<_> = rings.collect();
        async move {
            while !rings.is_empty() {
                let (rang, _, rest) = select_all(rings).await;
                if rang {
                    return;
                }
                rings = rest;
            }
            // The tier is gone, and with it whoever could tell.
            std::future::pending::<()>().await;
        }
        .boxed()
    }
}

impl<K, V, C> RedisCache<K, V, C>
where
    K: ?Sized + Key + RedisKey,
    V: Value,
    C: Codec<V>,
{
    pub(super) fn releasing(&self, name: &[u8], lease: u128) -> Step {
        releasing(&self.layout, &self.hub, name, lease)
    }

    fn releaser(&self) -> Releaser {
        Releaser {
            link: self.link.clone(),
            layout: self.layout.clone(),
            hub: Arc::clone(&self.hub),
            within: self.settings.write_timeout,
            lease_time: self.settings.lease_time,
        }
    }

    async fn take_leases(&self, names: &[Vec<u8>], look: bool) -> Vec<Result<Leased<V>>> {
        let leases: Vec<_> =
            names.iter().map(|name| (name.clone(), crate::token::unique())).collect();
        let mut asked = Asked { releaser: self.releaser(), leases };
        let sent = self.settings.clock.now();
        let steps = asked.leases.iter().map(|(name, token)| self.taking(name, *token, look));
        let replies = match self.ask_steps(names, steps.collect()).await {
            Ok(replies) => replies,
            Err(error) => return names.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut said = Vec::with_capacity(names.len());
        let mut told = Vec::with_capacity(names.len());
        for (reply, (name, token)) in replies.into_iter().zip(&asked.leases) {
            let answer = match reply {
                Ok(reply) => self.leased(name, *token, sent, reply).await,
                Err(error) => Err(error),
            };
            told.push(answer.is_ok());
            said.push(answer);
        }
        // Of a cluster one node may have failed, and taken leases all the same.
        let mut told = told.into_iter();
        asked.leases.retain(|_| told.next() == Some(false));
        said
    }

    /// As a read: a caller waits.
    async fn ask_steps(&self, names: &[Vec<u8>], steps: Vec<Step>) -> Result<Vec<Result<Reply>>> {
        let within = self.settings.read_timeout;
        let replies = script::take(&self.link, names, steps, within, Again::Never).await;
        let replies = replies.map_err(|error| self.named(error))?.into_iter();
        Ok(replies.map(|reply| reply.map_err(|error| self.named(error))).collect())
    }

    fn taking(&self, name: &[u8], lease: u128, look: bool) -> Step {
        let keys = vec![name.to_vec(), self.layout.side(name, LEASE)];
        let millis = self.settings.lease_time.as_millis().max(1).to_string().into_bytes();
        let look = if look { b"1".to_vec() } else { Vec::new() };
        let longest = self.settings.longest().to_string().into_bytes();
        Step::Script(&TAKE, keys, vec![token(lease), millis, look, longest])
    }

    async fn leased(
        &self,
        name: &[u8],
        lease: u128,
        sent: Moment,
        reply: Reply,
    ) -> Result<Leased<V>> {
        let Reply::Array(parts) = reply else { return Err(self.strange()) };
        let mut parts = parts.into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(Reply::Int(2)), ..) => {
                self.hub.granted(name, lease);
                Ok(Leased::Granted(Lease::new(lease)))
            }
            (Some(Reply::Int(0)), Some(Reply::Int(left)), _) => Ok(Leased::Held(self.again(left))),
            (Some(Reply::Int(1)), Some(left), Some(value)) => {
                if let Some(entry) = self.entry(name, sent, &left, value)? {
                    return Ok(Leased::Found(entry));
                }
                // What is there is none of ours.
                let taking = vec![self.taking(name, lease, false)];
                let mut replies = self.ask_steps(&[name.to_vec()], taking).await?;
                let reply = replies.pop().unwrap_or_else(|| Err(self.strange()))?;
                Box::pin(self.leased(name, lease, sent, reply)).await
            }
            _ => Err(self.strange()),
        }
    }

    /// When to ask again for a lease that somebody holds for so many ms more.
    fn again(&self, left: i64) -> Moment {
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
        let longest = if self.hub.state().is_prompt() {
            ASK_AGAIN
        } else {
            let held = self.settings.lease_time.saturating_sub(left);
            (held / 4).clamp(POLL_FIRST, POLL_LAST).mul_f64(0.75 + 0.5 * fastrand::f64())
        };
        self.settings.clock.now() + longest.min(left + Duration::from_millis(1))
    }

    fn strange(&self) -> Error {
        self.named(Error::new(ErrorKind::Unexpected, "a script had another reply than it has"))
    }
}

fn releasing(layout: &Layout, hub: &Hub, name: &[u8], lease: u128) -> Step {
    let keys = vec![layout.side(name, LEASE), layout.wake(name)];
    Step::Script(&RELEASE, keys, vec![token(lease), hub.channel()])
}

/// What it takes to end leases, also after the cache was dropped.
#[derive(Clone)]
struct Releaser {
    link: Link,
    layout: Layout,
    hub: Arc<Hub>,
    within: Duration,
    lease_time: Duration,
}

impl Releaser {
    /// Gives leases back of which nobody knows whether they were taken, or are still held: a server
    /// that hung may take them when it goes on. For as long as they could last.
    async fn give_back(&self, leases: &[(Vec<u8>, u128)]) {
        let began = Instant::now();
        while self.release(leases).await.is_err_and(|error| error.kind() != ErrorKind::Closed)
            && began.elapsed() < self.lease_time
        {
            tokio::time::sleep(GIVE_BACK_EVERY).await;
        }
    }

    async fn release(&self, leases: &[(Vec<u8>, u128)]) -> Result<()> {
        for chunk in leases.chunks(CHUNK) {
            let names: Vec<Vec<u8>> = chunk.iter().map(|(name, _)| name.clone()).collect();
            let steps =
                chunk.iter().map(|(name, lease)| releasing(&self.layout, &self.hub, name, *lease));
            let steps = steps.collect();
            let taken = script::take(&self.link, &names, steps, self.within, Again::Once).await?;
            taken.into_iter().try_for_each(|reply| reply.map(drop))?;
        }
        Ok(())
    }

    /// As [`give_back`](Self::give_back), by a task of its own.
    fn give_back_behind(&self, leases: Vec<(Vec<u8>, u128)>) {
        if leases.is_empty() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let releaser = self.clone();
        runtime.spawn(async move { releaser.give_back(&leases).await });
    }
}

/// Leases that were asked for. If the answer never comes, or nobody waits for it any more, they are
/// given back, lest everybody waits for one that has none.
struct Asked {
    releaser: Releaser,
    leases: Vec<(Vec<u8>, u128)>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.releaser.give_back_behind(std::mem::take(&mut self.leases));
    }
}
