use super::{Record, Saved, SessionId, SessionStore};
use crate::Result;
use crate::redis::{Layout, RedisStore, Script, Step};
use ::redis::Value as Reply;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::LazyLock;
use std::time::Duration;

/// A session is a hash: `s` secret, `r` revision, `m` mark, `u` user if any, `d` data.
macro_rules! script {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => { $(
        $(#[$doc])*
        static $name: LazyLock<Script> = LazyLock::new(|| Script::new($text));
    )* };
}

script! {
    /// ARGV: secret, ms, mark, data, user if any.
    CREATE = r"
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 's', ARGV[1], 'r', '0', 'm', ARGV[3], 'd', ARGV[4])
if ARGV[5] then redis.call('HSET', KEYS[1], 'u', ARGV[5]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])";

    /// ARGV: secret, ms.
    OPEN = r"
if redis.call('HGET', KEYS[1], 's') ~= ARGV[1] then return false end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('HMGET', KEYS[1], 'r', 'm', 'u', 'd')";

    /// ARGV: secret, ms, revision, data. 0: gone, 1: another revision, 2: saved.
    SAVE = r"
if redis.call('HGET', KEYS[1], 's') ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if redis.call('HGET', KEYS[1], 'r') ~= ARGV[3] then return 1 end
redis.call('HSET', KEYS[1], 'd', ARGV[4])
redis.call('HINCRBY', KEYS[1], 'r', 1)
return 2";

    /// ARGV: secret, ms, new secret.
    ROTATE = r"
if redis.call('HGET', KEYS[1], 's') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 's', ARGV[3])
return redis.call('PEXPIRE', KEYS[1], ARGV[2])";

    /// ARGV: secret.
    END = r"
if redis.call('HGET', KEYS[1], 's') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])";

    /// KEYS: mark. ARGV: ms. By the clock, so that a mark that was lost is not given again.
    RAISE = r"
local time = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[1]) or 0) or 0
local mark = math.max(last, time[1] * 1000000 + time[2]) + 1
redis.call('SET', KEYS[1], string.format('%.0f', mark), 'PX', ARGV[1])
return 1";
}

/// Sessions of all that use the same Redis and namespace.
pub(super) struct RedisSessions {
    store: RedisStore,
    sessions: Layout,
    users: Layout,
}

impl RedisSessions {
    pub(super) fn new(store: &RedisStore) -> Self {
        let (sessions, users) = (store.room("session"), store.room("session-user"));
        Self { store: store.clone(), sessions, users }
    }

    /// The reply of a script about a session, whose first argument is the secret.
    async fn ask(
        &self,
        script: &'static LazyLock<Script>,
        id: &SessionId,
        args: Vec<Vec<u8>>,
    ) -> Result<Reply> {
        let name = self.store.name(&self.sessions, id.handle())?;
        let args = [vec![id.secret().into()], args].concat();
        self.store.run(&Step::Script(script, vec![name], args)).await
    }

    async fn ask_number(
        &self,
        script: &'static LazyLock<Script>,
        id: &SessionId,
        args: Vec<Vec<u8>>,
    ) -> Result<i64> {
        match self.ask(script, id, args).await? {
            Reply::Int(number) => Ok(number),
            _ => Err(self.store.strange()),
        }
    }

    fn record(&self, reply: Reply) -> Result<Option<Record>> {
        let fields = match reply {
            Reply::Nil => return Ok(None),
            Reply::Array(fields) => fields,
            _ => return Err(self.store.strange()),
        };
        let record = match <[Reply; 4]>::try_from(fields) {
            Ok([revision, mark, user, Reply::BulkString(data)]) => {
                let user = match user {
                    Reply::Nil => Some(None),
                    user => text(&user).map(|user| Some(Box::from(user))),
                };
                number(&revision)
                    .zip(number(&mark))
                    .zip(user)
                    .map(|((revision, mark), user)| Record { revision, mark, user, data })
            }
            _ => None,
        };
        record.map(Some).ok_or_else(|| self.store.strange())
    }

    async fn user_mark(&self, user: &str) -> Result<u64> {
        let mut command = ::redis::cmd("GET");
        command.arg(self.store.name(&self.users, user)?);
        match self.store.read(&command).await? {
            Reply::Nil => Ok(0),
            mark => number(&mark).ok_or_else(|| self.store.strange()),
        }
    }

    async fn raise_user_mark(&self, user: &str, ttl: Duration) -> Result<()> {
        let name = self.store.name(&self.users, user)?;
        self.store.run(&Step::Script(&RAISE, vec![name], vec![millis(ttl)])).await.map(drop)
    }
}

fn text(reply: &Reply) -> Option<&str> {
    match reply {
        Reply::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn number(reply: &Reply) -> Option<u64> {
    text(reply)?.parse().ok()
}

fn millis(ttl: Duration) -> Vec<u8> {
    ttl.as_millis().max(1).to_string().into_bytes()
}

fn digits(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

impl SessionStore for RedisSessions {
    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        record: Record,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        let mut args = vec![millis(ttl), digits(record.mark), record.data];
        args.extend(record.user.map(|user| user.as_bytes().to_vec()));
        async move { Ok(self.ask_number(&CREATE, id, args).await? == 1) }.boxed()
    }

    fn open<'a>(
        &'a self,
        id: &'a SessionId,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Option<Record>>> {
        async move { self.record(self.ask(&OPEN, id, vec![millis(ttl)]).await?) }.boxed()
    }

    fn save<'a>(
        &'a self,
        id: &'a SessionId,
        revision: u64,
        data: Vec<u8>,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Saved>> {
        let args = vec![millis(ttl), digits(revision), data];
        async move {
            match self.ask_number(&SAVE, id, args).await? {
                2 => Ok(Saved::Stored),
                1 => Ok(Saved::Conflict),
                _ => Ok(Saved::Gone),
            }
        }
        .boxed()
    }

    fn rotate<'a>(
        &'a self,
        id: &'a SessionId,
        to: &'a SessionId,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        let args = vec![millis(ttl), to.secret().into()];
        async move { Ok(self.ask_number(&ROTATE, id, args).await? == 1) }.boxed()
    }

    fn end<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<bool>> {
        async move { Ok(self.ask_number(&END, id, Vec::new()).await? == 1) }.boxed()
    }

    fn mark<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<u64>> {
        self.user_mark(user).boxed()
    }

    fn raise_mark<'a>(&'a self, user: &'a str, ttl: Duration) -> BoxFuture<'a, Result<()>> {
        self.raise_user_mark(user, ttl).boxed()
    }
}
