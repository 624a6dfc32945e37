use super::{Attempt, LockStore, Told};
use crate::redis::{Layout, RedisStore, Script, Step};
use crate::{Result, token};
use ::redis::Value as Reply;
use futures_util::FutureExt;
use std::sync::LazyLock;
use std::time::Duration;

/// KEYS: lock, fence. ARGV: token, ms. `{1, fence}` if it was taken, or was this owner's already;
/// else `{0, ms left}`. Lua's numbers are exact to 2^53: microseconds until the year 2255.
static ACQUIRE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local held = redis.call('GET', KEYS[1])
if held == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {1, tonumber(redis.call('GET', KEYS[2]) or 0)}
end
if held then return {0, redis.call('PTTL', KEYS[1])} end
local time = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[2]) or 0) or 0
local fence = math.max(last, time[1] * 1000000 + time[2]) + 1
redis.call('SET', KEYS[2], string.format('%.0f', fence))
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, fence}",
    )
});

/// KEYS: lock. ARGV: token, ms.
static EXTEND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])",
    )
});

/// KEYS: lock. ARGV: token.
static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])",
    )
});

/// Locks of all that use the same Redis and namespace.
pub(super) struct RedisLocks {
    store: RedisStore,
    layout: Layout,
}

impl RedisLocks {
    pub(super) fn new(store: &RedisStore) -> Self {
        Self { store: store.clone(), layout: store.room("lock") }
    }

    async fn take(&self, name: &str, owner: u128, ttl: Duration) -> Result<Attempt> {
        let name = self.store.name(&self.layout, name)?;
        let fence = self.layout.side(&name, "fence");
        let step = Step::Script(&ACQUIRE, vec![name, fence], vec![written(owner), millis(ttl)]);
        let Reply::Array(said) = self.store.run(&step).await? else {
            return Err(self.store.strange());
        };
        match said[..] {
            [Reply::Int(1), Reply::Int(fence)] => Ok(Attempt::Taken(fence.unsigned_abs())),
            // Without an end it is none of ours, and may go any time.
            [Reply::Int(0), Reply::Int(left)] => {
                let left = u64::try_from(left).map_or(Duration::MAX, Duration::from_millis);
                Ok(Attempt::Held(left))
            }
            _ => Err(self.store.strange()),
        }
    }

    async fn ask(
        &self,
        script: &'static LazyLock<Script>,
        name: &str,
        args: Vec<Vec<u8>>,
    ) -> Result<bool> {
        let name = self.store.name(&self.layout, name)?;
        match self.store.run(&Step::Script(script, vec![name], args)).await? {
            Reply::Int(count) => Ok(count == 1),
            _ => Err(self.store.strange()),
        }
    }
}

fn written(owner: u128) -> Vec<u8> {
    token::written(owner).into_bytes()
}

fn millis(ttl: Duration) -> Vec<u8> {
    ttl.as_millis().max(1).to_string().into_bytes()
}

impl LockStore for RedisLocks {
    fn acquire<'a>(&'a self, name: &'a str, owner: u128, ttl: Duration) -> Told<'a, Attempt> {
        self.take(name, owner, ttl).boxed()
    }

    fn extend<'a>(&'a self, name: &'a str, owner: u128, ttl: Duration) -> Told<'a, bool> {
        self.ask(&EXTEND, name, vec![written(owner), millis(ttl)]).boxed()
    }

    fn release<'a>(&'a self, name: &'a str, owner: u128) -> Told<'a, bool> {
        self.ask(&RELEASE, name, vec![written(owner)]).boxed()
    }
}
