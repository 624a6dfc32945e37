use super::cache::RedisCache;
use super::key::RedisKey;
use super::link::{Again, Call};
use crate::codec::Codec;
use crate::{
    Batching, Entry, Error, ErrorKind, Key, Moment, Resident, Result, Shared, Tier, Value,
};
use ::redis::Value as Reply;
use std::time::{Duration, Instant};

/// Keys that the server looks at in one step of a `clear`.
const STEP: usize = 1_000;

impl<K, V, C> Tier for RedisCache<K, V, C>
where
    K: ?Sized + Key + RedisKey,
    V: Value,
    C: Codec<V>,
{
    type Key = K;
    type Value = V;

    fn name(&self) -> &str {
        &self.settings.name
    }

    async fn get(&self, key: &K) -> Result<Option<Entry<V>>> {
        self.read(key).await
    }

    async fn get_many(&self, keys: &[&K]) -> Vec<Result<Option<Entry<V>>>> {
        self.read_many(keys).await
    }

    async fn put(&self, key: &K, entry: &Entry<V>) -> Result<()> {
        self.write(key, entry).await
    }

    async fn put_many(&self, entries: &[(&K, &Entry<V>)]) -> Vec<Result<()>> {
        self.write_many(entries).await
    }

    async fn remove(&self, key: &K) -> Result<()> {
        self.remove_many(&[key]).await
    }

    async fn remove_many(&self, keys: &[&K]) -> Result<()> {
        let names: Vec<_> = keys.iter().map(|key| self.entry_name(key)).collect();
        let known: Vec<_> = names.iter().flatten().cloned().collect();
        self.remove_names(&known).await?;
        // A key that is too long was never stored; but nobody can be told of it either.
        if self.settings.is_coherent {
            names.into_iter().collect::<Result<Vec<_>>>()?;
        }
        Ok(())
    }

    async fn clear(&self) -> Result<()> {
        let (Some(side), Some(entries)) = (self.layout.side_pattern(), self.layout.pattern())
        else {
            let message = "go_compatible: without a namespace nothing tells which keys to clear";
            return Err(self.named(Error::new(ErrorKind::InvalidConfig, message)));
        };
        let began = Instant::now();
        if self.settings.is_leasing {
            // First, so that no load that is under way can fill behind the walk over the entries.
            self.clear_matching(&side, began).await?;
        }
        self.clear_matching(&entries, began).await?;
        if self.settings.is_leasing {
            self.remove_names(&[self.layout.all()]).await?;
        }
        Ok(())
    }

    fn life(&self, key: &K, entry: &Entry<V>) -> Option<Moment> {
        if entry.is_absent() && self.settings.form.is_plain {
            return entry.expiry();
        }
        let now = self.settings.clock.now();
        // The server counts whole milliseconds.
        let life = self.lifetime(key, entry, now).0;
        life.map(|life| now + life.saturating_sub(Duration::from_millis(1)))
    }

    async fn close(&self) -> Result<()> {
        self.hub.close();
        self.link.close();
        self.bulk.close();
        Ok(())
    }

    fn batching(&self) -> Option<Batching> {
        Some(Batching::new().max_keys(128).max_concurrent(4))
    }

    fn resident(&self) -> Option<&dyn Resident<K, V>> {
        None
    }

    fn shared(&self) -> Option<&dyn Shared<K, V>> {
        self.settings.is_leasing.then_some(self)
    }
}

impl<K, V, C> RedisCache<K, V, C>
where
    K: ?Sized + Key + RedisKey,
    V: Value,
    C: Codec<V>,
{
    /// Drops everything whose name matches, wherever it is.
    async fn clear_matching(&self, pattern: &[u8], began: Instant) -> Result<()> {
        let within = self.settings.clear_timeout;
        let nodes = self.link.nodes(self.settings.write_timeout).await;
        for node in nodes.map_err(|error| self.named(error))? {
            let mut cursor = b"0".to_vec();
            loop {
                let mut command = ::redis::cmd("SCAN");
                command.arg(&cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(STEP);
                let left = within.saturating_sub(began.elapsed()).min(self.settings.write_timeout);
                let reply = self.link.call(Call::At(&node, &command), left, Again::Once).await;
                let (next, names) = scanned(reply.map_err(|error| self.named(error))?.pop())?;
                self.unlink(&names).await?;
                if next == b"0" {
                    break;
                }
                cursor = next;
            }
        }
        Ok(())
    }
}

/// The next cursor and the names of a `SCAN`.
fn scanned(reply: Option<Reply>) -> Result<(Vec<u8>, Vec<Vec<u8>>)> {
    let wrong = || Error::new(ErrorKind::Unexpected, "SCAN had another reply than documented");
    let Some(Reply::Array(reply)) = reply else { return Err(wrong()) };
    let Ok([Reply::BulkString(cursor), Reply::Array(names)]) = <[Reply; 2]>::try_from(reply) else {
        return Err(wrong());
    };
    let name = |reply| match reply {
        Reply::BulkString(name) => Ok(name),
        _ => Err(wrong()),
    };
    Ok((cursor, names.into_iter().map(name).collect::<Result<_>>()?))
}
