//! Many keys on a cluster: one round trip to each node, not one to each slot.
//!
//! The client crate routes single commands, follows redirections and keeps its own map of slots, but
//! refuses pipelines across slots. So batches are divided here by a map of our own. A batch that meets a
//! moving slot is sent again by the client crate, all of it, some times, and then asked key by key: what is in
//! it has to bear that.

use super::dial::Node;
use ::redis::aio::ConnectionLike;
use ::redis::cluster::ClusterClientBuilder;
use ::redis::cluster_async::ClusterConnection;
use ::redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, Slot, SlotAddr};
use ::redis::{Cmd, Pipeline, ProtocolVersion, PushInfo, RedisError, RedisResult, Value};
use futures_util::future::join_all;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

const SLOTS: u16 = 16_384;

/// A connection to a cluster, and what is known of its slots.
#[derive(Clone)]
pub(super) struct ClusterWire {
    pub(super) connection: ClusterConnection,
    map: Arc<Mutex<Option<Arc<SlotMap>>>>,
}

/// Connects to a cluster.
pub(super) async fn open(
    builder: ClusterClientBuilder,
    timeout: Duration,
    pushes: Option<UnboundedSender<PushInfo>>,
) -> RedisResult<ClusterWire> {
    let mut builder = builder
        .connection_timeout(timeout)
        .response_timeout(timeout)
        .overall_response_timeout(None)
        .retries(3)
        .min_retry_wait(20)
        .max_retry_wait(200)
        .tcp_settings(super::dial::tcp_settings());
    if let Some(pushes) = pushes {
        builder = builder.use_protocol(ProtocolVersion::RESP3).push_sender(pushes);
    }
    let connection = builder.build()?.get_async_connection().await?;
    Ok(ClusterWire { connection, map: Arc::default() })
}

impl ClusterWire {
    /// The reply to each command, `per_name` of them for each of `names`.
    pub(super) async fn spread(
        &self,
        names: &[Vec<u8>],
        per_name: usize,
        commands: &Pipeline,
    ) -> Vec<Value> {
        let commands: Vec<&Cmd> = commands.cmd_iter().collect();
        let map = self.map().await;
        let mut groups: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
        for (at, name) in names.iter().enumerate() {
            let node = map.as_ref().and_then(|map| map.node(slot(name)));
            groups.entry(node).or_default().push(at);
        }
        let asked = groups.into_values().map(|group| async {
            let replies = self.ask(names, &group, per_name, &commands).await;
            (group, replies)
        });
        let mut all = vec![Value::Nil; commands.len()];
        for (group, replies) in join_all(asked).await {
            let places = group.iter().flat_map(|at| at * per_name..(at + 1) * per_name);
            places.zip(replies).for_each(|(place, reply)| all[place] = reply);
        }
        all
    }

    /// The replies of one node for a group of names; if it does not have them all, of whoever has.
    async fn ask(
        &self,
        names: &[Vec<u8>],
        group: &[usize],
        per_name: usize,
        commands: &[&Cmd],
    ) -> Vec<Value> {
        let places = || group.iter().flat_map(|at| at * per_name..(at + 1) * per_name);
        let mut pipeline = Pipeline::with_capacity(group.len() * per_name);
        places().for_each(|place| {
            pipeline.add_command(commands[place].clone());
        });
        let count = pipeline.len();
        let route = Route::with_slot(Slot::for_key(&names[group[0]]), SlotAddr::Master);
        let route = SingleNodeRoutingInfo::SpecificNode(route);
        let replies = self.connection.clone().route_pipeline(pipeline, 0, count, route).await;
        match replies {
            Ok(replies) if !replies.iter().any(is_elsewhere) => replies,
            Err(error) if !error.is_cluster_error() => {
                vec![failure(&error); count]
            }
            _ => {
                self.forget_map();
                join_all(places().map(|place| self.ask_one(commands[place]))).await
            }
        }
    }

    async fn ask_one(&self, command: &Cmd) -> Value {
        let reply = self.connection.clone().req_packed_command(command).await;
        reply.unwrap_or_else(|error| failure(&error))
    }

    async fn map(&self) -> Option<Arc<SlotMap>> {
        if let Some(map) = &*self.map.lock().unwrap_or_else(PoisonError::into_inner) {
            return Some(Arc::clone(map));
        }
        let mut command = ::redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let reply = self.connection.clone().req_packed_command(&command).await.ok()?;
        let map = Arc::new(SlotMap::read(&reply)?);
        *self.map.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&map));
        Some(map)
    }

    /// The reply of one master.
    pub(super) async fn at(&self, host: &str, port: u16, command: &Cmd) -> RedisResult<Value> {
        let route = SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port };
        let route = RoutingInfo::SingleNode(route);
        self.connection.clone().route_command(command.clone(), route).await
    }

    /// All masters, as they are now.
    pub(super) async fn masters(&self) -> RedisResult<Vec<Node>> {
        self.forget_map();
        match self.map().await {
            Some(map) => Ok(map.nodes.clone()),
            None => Err((::redis::ErrorKind::ClusterConnectionNotFound, "no map of slots").into()),
        }
    }

    fn forget_map(&self) {
        *self.map.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Whether a reply says that the key lives elsewhere, or will.
fn is_elsewhere(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if ["MOVED", "ASK", "TRYAGAIN"].contains(&error.code()))
}

/// An error as a reply, so that it concerns the keys of one node only.
fn failure(error: &RedisError) -> Value {
    let code = error.code().unwrap_or("UNREACHABLE").to_owned();
    let line = format!("-{code} {}\r\n", error.to_string().replace(['\r', '\n'], " "));
    ::redis::parse_redis_value(line.as_bytes()).unwrap_or(Value::Nil)
}

/// Which master serves which slots.
#[derive(Debug, PartialEq)]
struct SlotMap {
    /// First slot, last slot, node.
    ranges: Vec<(u16, u16, usize)>,
    nodes: Vec<Node>,
}

impl SlotMap {
    /// Reads the reply of `CLUSTER SLOTS`.
    fn read(reply: &Value) -> Option<Self> {
        let Value::Array(rows) = reply else { return None };
        let mut nodes = Vec::new();
        let mut ranges = Vec::with_capacity(rows.len());
        for row in rows {
            let Value::Array(row) = row else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = &row[..] else {
                return None;
            };
            let [Value::BulkString(host), Value::Int(port), ..] = &master[..] else { return None };
            let host = String::from_utf8(host.clone()).ok()?;
            let node = Node::Master { host, port: u16::try_from(*port).ok()? };
            let known = nodes.iter().position(|other| *other == node);
            let index = known.unwrap_or_else(|| {
                nodes.push(node);
                nodes.len() - 1
            });
            ranges.push((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, index));
        }
        Some(Self { ranges, nodes })
    }

    fn node(&self, slot: u16) -> Option<usize> {
        let serves = |(first, last, _): &&(u16, u16, usize)| (*first..=*last).contains(&slot);
        self.ranges.iter().find(serves).map(|(.., node)| *node)
    }
}

/// The slot of a key (CRC16/XMODEM of its hash tag, or of all of it).
fn slot(name: &[u8]) -> u16 {
    let tag = name.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &name[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    let crc = tag.unwrap_or(name).iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_the_servers() {
        // Of CLUSTER KEYSLOT.
        for (name, expected) in [
            ("user:1", 10_778),
            ("{user:1}:lease", 10_778),
            ("123456789", 12_739),
            ("{}a", slot(b"{}a")),
        ] {
            assert_eq!(slot(name.as_bytes()), expected, "{name}");
            assert_eq!(Slot::new(expected), Some(Slot::for_key(name)), "{name}");
        }
    }

    #[test]
    fn a_map_is_read() {
        let reply = b"*2\r\n*3\r\n:0\r\n:8191\r\n*2\r\n$1\r\na\r\n:1\r\n*3\r\n:8192\r\n:16383\r\n*2\r\n$1\r\nb\r\n:1\r\n";
        let map = SlotMap::read(&::redis::parse_redis_value(reply).unwrap()).unwrap();
        assert_eq!((map.node(0), map.node(8_191), map.node(8_192)), (Some(0), Some(0), Some(1)));
        assert_eq!(SlotMap::read(&Value::Nil), None);
    }
}
