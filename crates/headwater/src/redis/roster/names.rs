//! Names of a roster's Redis keys and members, and back.

use crate::presence::{Bell, ConnectionId};
use crate::redis::key::{Layout, RedisKey, escape, unescape};
use crate::{Above, Hashed};

/// Ends the key in a member's name; the scripts know it too.
const END: u8 = 0x1f;
/// Of a connection in a member's name.
const ID: usize = 32;

/// The five Redis keys of a shard; `None` if the topic is too long.
pub(super) fn shard(layout: &Layout, topic: &str, shard: u32) -> Option<Vec<Vec<u8>>> {
    let log = layout.entry(format!("{topic}/{shard}").as_str())?;
    let sides = ["ends", "names", "values", "keys"].map(|what| layout.side(&log, what));
    Some(std::iter::once(log).chain(sides).collect())
}

/// A key as it stands in members' names.
pub(super) fn key<K: ?Sized + RedisKey>(key: &K) -> Vec<u8> {
    let mut raw = Vec::with_capacity(64);
    key.write(&mut raw);
    let mut escaped = Vec::with_capacity(raw.len());
    escape(&raw, &[b'%', END], &mut escaped);
    escaped
}

pub(super) fn member(key: &[u8], connection: ConnectionId) -> Vec<u8> {
    [key, &[END], connection.to_string().as_bytes()].concat()
}

pub(super) fn read<K: ?Sized + RedisKey>(member: &[u8]) -> Option<(K::Owned, ConnectionId)> {
    let (key, connection) = member.split_at_checked(member.len().checked_sub(ID)?)?;
    let key = unescape(key.strip_suffix(&[END])?)?;
    let connection = ConnectionId::parse(std::str::from_utf8(connection).ok()?)?;
    Some((K::read(&key)?, connection))
}

/// The shard of a key (FNV-1a), the same in every process and version.
pub(super) fn shard_of(key: &[u8], shards: u32) -> u32 {
    let hash = key
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    (hash ^ (hash >> 16)) % shards
}

/// What the server tells of the names of logs rings for these.
impl Above<[u8]> for Bell {
    fn forget(&self, logs: &[Hashed<&[u8]>]) {
        for log in logs {
            let parts = std::str::from_utf8(log.key()).ok().and_then(|log| log.rsplit_once('/'));
            if let Some((topic, Ok(shard))) = parts.map(|(topic, shard)| (topic, shard.parse())) {
                self.ring(topic, shard);
            }
        }
    }

    fn forget_all(&self) {
        self.ring_all();
    }
}
