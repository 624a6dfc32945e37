//! The suites, on one server and on a cluster, and what the tier adds to them.

use crate::server::{Cluster, Server};
use headwater::redis::{RedisCache, RedisConfig};
use headwater::testkit::{ManualClock, RealTime, TestSource};
use headwater::{
    Headwater, LruCache, ReadThrough, Source, cache_conformance, fetcher_conformance,
    tier_conformance,
};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

type Origin = TestSource<str, String>;
type Redis = RedisCache<str, String>;

/// The servers of all suites; they end with this process.
static SERVER: LazyLock<Server> = LazyLock::new(Server::start);
static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

/// A namespace of its own for each test.
fn namespace() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test {}", NEXT.fetch_add(1, Relaxed))
}

async fn standalone(_: RealTime) -> Redis {
    let config = RedisConfig::new(&SERVER.url()).expect("a URL").namespace(namespace());
    config.connect().await.expect("it is there")
}

/// Without leases, and so without anything that other processes would have to be told.
async fn unleased(_: RealTime) -> Redis {
    let config = RedisConfig::new(&SERVER.url()).expect("a URL").namespace(namespace());
    config.leases(false).connect().await.expect("it is there")
}

async fn over_unleased(origin: Origin, time: RealTime) -> ReadThrough<Redis, Source<Origin>> {
    Headwater::source(origin).through(unleased(time).await).build()
}

async fn cluster(_: RealTime) -> Redis {
    let config = RedisConfig::cluster(CLUSTER.urls()).expect("URLs").namespace(namespace());
    config.connect().await.expect("it is there")
}

async fn over_redis(origin: Origin, time: RealTime) -> ReadThrough<Redis, Source<Origin>> {
    Headwater::source(origin).through(standalone(time).await).build()
}

type Two = ReadThrough<LruCache<str, String>, ReadThrough<Redis, Source<Origin>>>;

async fn two_tiers(origin: Origin, time: RealTime) -> Two {
    let lru = LruCache::new(8_000).expect("a capacity");
    Headwater::source(origin).through(standalone(time).await).through(lru).build()
}

async fn two_tiers_on_cluster(origin: Origin, time: RealTime) -> Two {
    let lru = LruCache::new(8_000).expect("a capacity");
    Headwater::source(origin).through(cluster(time).await).through(lru).build()
}

tier_conformance!(standalone_tier, standalone);
tier_conformance!(unleased_tier, unleased);
tier_conformance!(cluster_tier, cluster);
cache_conformance!(redis_cache, over_redis);
cache_conformance!(unleased_cache, over_unleased);
cache_conformance!(two_tiers_cache, two_tiers);
cache_conformance!(two_tiers_on_cluster_cache, two_tiers_on_cluster);
fetcher_conformance!(two_tiers_fetcher, async |origin, _: ManualClock| {
    two_tiers(origin, RealTime).await
});
