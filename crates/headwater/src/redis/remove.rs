//! Dropping entries.

use super::cache::RedisCache;
use super::key::RedisKey;
use super::lease::{LEASE, REMOVE};
use super::link::Again;
use super::script::Step;
use super::write::CHUNK;
use crate::codec::Codec;
use crate::{Key, Result, Value};
use ::redis::Cmd;

impl<K, V, C> RedisCache<K, V, C>
where
    K: ?Sized + Key + RedisKey,
    V: Value,
    C: Codec<V>,
{
    /// Drops entries, voids their leases and lets everybody know, even of what was not there.
    pub(super) async fn remove_names(&self, names: &[Vec<u8>]) -> Result<()> {
        for chunk in names.chunks(CHUNK) {
            if self.settings.is_leasing {
                let steps = chunk.iter().map(|name| self.removal(name)).collect();
                let replies = self.take(chunk, steps, Again::Once).await?;
                replies.into_iter().try_for_each(|reply| reply.map(drop))?;
            } else {
                self.unlink(chunk).await?;
            }
        }
        Ok(())
    }

    /// Drops keys, and nothing else.
    pub(super) async fn unlink(&self, names: &[Vec<u8>]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let within = self.settings.write_timeout;
        if !self.link.is_cluster() {
            let mut command = ::redis::cmd("UNLINK");
            command.arg(names);
            let dropped = self.link.one(&command, within, Again::Once).await;
            return dropped.map(drop).map_err(|error| self.named(error));
        }
        let steps = names.iter().map(|name| Step::Plain(unlink(name))).collect();
        self.take(names, steps, Again::Once)
            .await?
            .into_iter()
            .try_for_each(|reply| reply.map(drop))
    }

    pub(super) fn removal(&self, name: &[u8]) -> Step {
        let keys = vec![name.to_vec(), self.layout.side(name, LEASE)];
        Step::Script(&REMOVE, keys, vec![self.hub.channel()])
    }
}

pub(super) fn unlink(name: &[u8]) -> Cmd {
    let mut command = ::redis::cmd("UNLINK");
    command.arg(name);
    command
}
