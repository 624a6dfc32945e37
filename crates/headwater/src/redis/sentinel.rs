//! Asking sentinels for the master.

use ::redis::sentinel::{Sentinel, SentinelNodeConnectionInfo};
use ::redis::{Client, ConnectionAddr, ConnectionInfo, RedisConnectionInfo, RedisResult, TlsMode};

/// A client of the master that the sentinels name now.
///
/// They are asked anew for each connection, so that one made after a failover goes to the new
/// master. Nodes are spoken to over TLS if the first sentinel is.
pub(super) async fn master(
    name: &str,
    sentinels: &[ConnectionInfo],
    node: RedisConnectionInfo,
) -> RedisResult<Client> {
    let mut how = SentinelNodeConnectionInfo::default()
        .set_redis_connection_info(node)
        .set_tcp_settings(super::dial::tcp_settings());
    if let Some(ConnectionAddr::TcpTls { insecure, .. }) =
        sentinels.first().map(ConnectionInfo::addr)
    {
        how = how.set_tls_mode(if *insecure { TlsMode::Insecure } else { TlsMode::Secure });
    }
    Sentinel::build(sentinels.to_vec())?.async_master_for(name, Some(&how)).await
}
