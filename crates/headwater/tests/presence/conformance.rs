//! The suites, on every store.

use crate::server::{Cluster, Server};
use headwater::presence::{BoxPresence, MemoryPresence, RedisPresence};
use headwater::presence_conformance;
use headwater::redis::{RedisConfig, RedisStore};
use headwater::testkit::{ManualClock, RealTime};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The servers of all suites; they end with this process.
static SERVER: LazyLock<Server> = LazyLock::new(Server::start);
static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

/// A namespace of its own for each test.
fn namespace() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test {}", NEXT.fetch_add(1, Relaxed))
}

pub(crate) async fn store() -> RedisStore {
    let config = RedisConfig::new(&SERVER.url()).expect("a URL").namespace(namespace());
    config.connect_store().await.expect("it is there")
}

pub(crate) async fn cluster_store() -> RedisStore {
    let config = RedisConfig::cluster(CLUSTER.urls()).expect("URLs").namespace(namespace());
    config.connect_store().await.expect("it is there")
}

/// Without a namespace: on a server of its own, which the presence keeps alive.
async fn go_compatible(_: RealTime) -> BoxPresence<str, String> {
    let server = Box::leak(Box::new(Server::start()));
    let config = RedisConfig::new(&server.url()).expect("a URL").go_compatible();
    BoxPresence::new(RedisPresence::new(&config.connect_store().await.expect("it is there")))
}

fn memory(time: &ManualClock) -> MemoryPresence<str, String> {
    MemoryPresence::new().clock(time.clock())
}

presence_conformance!(memory_presence, async |time: ManualClock| memory(&time));
presence_conformance!(boxed_presence, async |time: ManualClock| BoxPresence::new(memory(&time)));
presence_conformance!(redis_presence, async |_: RealTime| RedisPresence::new(&store().await));
presence_conformance!(cluster_presence, async |_: RealTime| {
    RedisPresence::new(&cluster_store().await)
});
presence_conformance!(go_presence, go_compatible);
