//! How connections are made: to one server, to the master that sentinels name, or to a cluster.

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, Pipeline, ProtocolVersion, PushInfo,
    RedisConnectionInfo, RedisError, RedisResult, Value,
};
#[cfg(feature = "redis-cluster")]
use ::redis::{aio::ConnectionLike, cluster::ClusterClient};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

#[cfg(feature = "redis-cluster")]
use super::cluster::{self, ClusterWire};

/// Requests that one connection queues before callers wait for room.
const QUEUE: usize = 1_024;
/// Requests under way on one connection: bounds its memory.
const UNDER_WAY: usize = 4_096;

/// Where the servers are.
#[derive(Clone, Debug)]
pub(super) enum Topology {
    /// One server.
    Standalone(ConnectionInfo),
    /// Sentinels, and the name of the master that they watch over.
    #[cfg(feature = "redis-sentinel")]
    Sentinel { master: String, sentinels: Vec<ConnectionInfo>, node: RedisConnectionInfo },
    /// Some nodes of a cluster.
    #[cfg(feature = "redis-cluster")]
    Cluster(Vec<ConnectionInfo>),
}

/// Makes connections that are all alike.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    pub(super) topology: Topology,
    /// For the connection to be made and to answer the first command.
    pub(super) timeout: Duration,
    #[cfg(all(feature = "redis-cluster", feature = "redis-tls"))]
    pub(super) tls: super::tls::Tls,
}

/// An open connection, to one server or to the nodes of a cluster. Clones share it.
#[derive(Clone)]
pub(super) enum Wire {
    Single(MultiplexedConnection),
    #[cfg(feature = "redis-cluster")]
    Cluster(ClusterWire),
}

/// A server that holds keys: the only one, or a master of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Only,
    #[cfg(feature = "redis-cluster")]
    Master {
        host: String,
        port: u16,
    },
}

/// Settings of the socket that make a dead peer noticed in seconds.
pub(super) fn tcp_settings() -> TcpSettings {
    let (idle, interval) = (Duration::from_secs(15), Duration::from_secs(5));
    let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval);
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(Duration::from_secs(5));
    settings
}

impl Dialer {
    pub(super) fn is_cluster(&self) -> bool {
        match self.topology {
            #[cfg(feature = "redis-cluster")]
            Topology::Cluster(_) => true,
            _ => false,
        }
    }

    /// A new connection whose server has answered a ping.
    pub(super) async fn dial(&self) -> RedisResult<Wire> {
        self.dial_with(None).await
    }

    /// A connection of its own for pushes (RESP3): invalidations, messages, and the notice that it
    /// was lost, which is the last. It is for one server; of a cluster, for the nodes that the
    /// client is connected to.
    pub(super) async fn dial_for_pushes(&self, to: UnboundedSender<PushInfo>) -> RedisResult<Wire> {
        self.dial_with(Some(to)).await
    }

    async fn dial_with(&self, pushes: Option<UnboundedSender<PushInfo>>) -> RedisResult<Wire> {
        let dial = async {
            let mut wire = self.open(pushes).await?;
            wire.ping().await?;
            Ok(wire)
        };
        match tokio::time::timeout(self.timeout * 2, dial).await {
            Ok(dialed) => dialed,
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
    }

    async fn open(&self, pushes: Option<UnboundedSender<PushInfo>>) -> RedisResult<Wire> {
        match &self.topology {
            Topology::Standalone(info) => {
                let protocol = protocol(pushes.is_some(), info.redis_settings());
                let client = Client::open(info.clone().set_redis_settings(protocol))?;
                self.open_single(&client, pushes).await
            }
            #[cfg(feature = "redis-sentinel")]
            Topology::Sentinel { master, sentinels, node } => {
                let node = protocol(pushes.is_some(), node);
                let client = super::sentinel::master(master, sentinels, node).await?;
                self.open_single(&client, pushes).await
            }
            #[cfg(feature = "redis-cluster")]
            Topology::Cluster(nodes) => {
                let builder = ClusterClient::builder(nodes.clone());
                #[cfg(feature = "redis-tls")]
                let builder = match self.tls.certificates() {
                    Some(certificates) => builder.certs(certificates),
                    None => builder,
                };
                cluster::open(builder, self.timeout, pushes).await.map(Wire::Cluster)
            }
        }
    }

    async fn open_single(
        &self,
        client: &Client,
        pushes: Option<UnboundedSender<PushInfo>>,
    ) -> RedisResult<Wire> {
        // No time limit for answers here: each call brings its own.
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE)
            .set_concurrency_limit(UNDER_WAY);
        if let Some(pushes) = pushes {
            config = config.set_push_sender(pushes);
        }
        client.get_multiplexed_async_connection_with_config(&config).await.map(Wire::Single)
    }
}

fn protocol(pushes: bool, settings: &RedisConnectionInfo) -> RedisConnectionInfo {
    let settings = settings.clone();
    if pushes { settings.set_protocol(ProtocolVersion::RESP3) } else { settings }
}

impl Wire {
    pub(super) async fn ping(&mut self) -> RedisResult<()> {
        self.one(&::redis::cmd("PING")).await.map(drop)
    }

    /// The reply to one command; a refusal is an error.
    pub(super) async fn one(&mut self, command: &Cmd) -> RedisResult<Value> {
        let reply = match self {
            Self::Single(wire) => wire.send_packed_command(command).await?,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(wire) => wire.connection.req_packed_command(command).await?,
        };
        reply.extract_error()
    }

    /// The reply to each command; refusals stand among them. On a cluster all commands are for keys
    /// of one slot.
    pub(super) async fn many(&mut self, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        let replies = match self {
            Self::Single(wire) => wire.send_packed_commands(commands, 0, commands.len()).await?,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(wire) => {
                wire.connection.req_packed_commands(commands, 0, commands.len()).await?
            }
        };
        counted(replies, commands.len())
    }

    /// As [`many`](Self::many), but for keys of any slot: `per_name` commands for each of `names`,
    /// in their order. One round trip to each node concerned.
    #[cfg_attr(not(feature = "redis-cluster"), allow(unused_variables))]
    pub(super) async fn spread(
        &mut self,
        names: &[Vec<u8>],
        per_name: usize,
        commands: &Pipeline,
    ) -> RedisResult<Vec<Value>> {
        match self {
            Self::Single(_) => self.many(commands).await,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(wire) => {
                counted(wire.spread(names, per_name, commands).await, commands.len())
            }
        }
    }

    /// The reply of one of the [nodes](Self::nodes); a refusal is an error.
    pub(super) async fn at(&mut self, node: &Node, command: &Cmd) -> RedisResult<Value> {
        match (self, node) {
            #[cfg(feature = "redis-cluster")]
            (Self::Cluster(wire), Node::Master { host, port }) => {
                wire.at(host, *port, command).await?.extract_error()
            }
            (wire, _) => wire.one(command).await,
        }
    }

    /// All servers that hold keys.
    pub(super) async fn nodes(&self) -> RedisResult<Vec<Node>> {
        match self {
            Self::Single(_) => Ok(vec![Node::Only]),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(wire) => wire.masters().await,
        }
    }
}

fn counted(replies: Vec<Value>, expected: usize) -> RedisResult<Vec<Value>> {
    if replies.len() == expected {
        return Ok(replies);
    }
    let kind = ::redis::ErrorKind::UnexpectedReturnType;
    Err(RedisError::from((kind, "another number of replies than of commands")))
}
