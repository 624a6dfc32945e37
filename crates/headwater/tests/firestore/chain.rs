//! Memory over Redis over Firestore: what comes from where, and that nothing goes back in time.

use crate::emulator::Make;
use crate::server::Server;
use crate::world::{Plane, Planes, World, plane, text};
use headwater::redis::{RedisCache, RedisConfig};
use headwater::{
    Cache, Entry, FetchOptions, Fetcher, Headwater, LruCache, ReadThrough, Source, Tier, Version,
};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

static REDIS: LazyLock<Server> = LazyLock::new(Server::start);

type Redis = RedisCache<str, Plane>;
type Memory = LruCache<str, Plane>;
type Chain = ReadThrough<Memory, ReadThrough<Redis, Source<Planes>>>;

/// Later than any change of a document that a test makes: the year 2262.
const LATE: Version = Version::new(9_223_372_036_000_000_000);
/// Earlier than any.
const EARLY: Version = Version::new(1);

struct Three {
    world: World,
    chain: Chain,
    redis: Redis,
    memory: Memory,
    planes: Planes,
}

/// The chain, and its parts, which share everything with those in it.
async fn three() -> Three {
    let world = World::on(Make::Hidane).await;
    let namespace = world.db.get_options().google_project_id.clone();
    let config = RedisConfig::new(&REDIS.url()).expect("a URL").namespace(namespace);
    // News of one's own writes would empty memory at moments of their own.
    let redis: Redis = config.coherence(false).connect().await.expect("Redis is there");
    let memory = LruCache::new(100).expect("a capacity");
    let planes = world.planes();
    let chain =
        Headwater::source(planes.clone()).through(redis.clone()).through(memory.clone()).build();
    Three { world, chain, redis, memory, planes }
}

/// Waits until `done`, and panics with `what` if that takes for ever.
async fn until<F: Future<Output = bool>>(what: &str, mut done: impl FnMut() -> F) {
    let began = Instant::now();
    while !done().await {
        assert!(began.elapsed() < Duration::from_secs(20), "{what} takes too long");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Three {
    async fn in_redis(&self, key: &str) -> Option<(Plane, Version)> {
        let entry = self.redis.get(key).await.expect("Redis answers")?;
        let version = entry.version().expect("a version");
        Some((entry.into_value().expect("a value"), version))
    }

    async fn in_memory(&self, key: &str) -> Option<Plane> {
        self.memory.get(key).await.expect("memory answers").and_then(Entry::into_value)
    }
}

#[tokio::test]
async fn a_document_is_read_once_and_kept_in_both_tiers_with_its_version() {
    let three = three().await;
    three.world.have(&["a"]).await;
    assert_eq!(three.chain.fetch("a").await.expect("found"), plane("a"));
    until("a fill", || async { three.in_redis("a").await.is_some() }).await;
    let (value, version) = three.in_redis("a").await.expect("it is kept");
    let entry = three.planes.fetch_entry("a", &FetchOptions::new()).await.expect("found");
    assert_eq!((value, Some(version)), (plane("a"), entry.version()));
    let reads = three.planes.stats().reads;
    assert_eq!(three.chain.fetch("a").await.expect("found"), plane("a"));
    assert_eq!(three.planes.stats().reads, reads);
}

#[tokio::test]
async fn absent_and_found_replace_each_other_in_their_order() {
    let three = three().await;
    let absent = three.planes.fetch_entry("a", &FetchOptions::new()).await.expect("an answer");
    three.world.have(&["a"]).await;
    let found = three.planes.fetch_entry("a", &FetchOptions::new()).await.expect("an answer");
    for tier in [&found, &absent] {
        three.redis.put("a", tier).await.expect("an answer");
        three.memory.put("a", tier).await.expect("an answer");
    }
    assert_eq!(three.in_redis("a").await.map(|(plane, _)| plane), Some(plane("a")));
    assert_eq!(
        three.in_memory("a").await,
        Some(plane("a")),
        "an older absent entry changes nothing"
    );
    three.world.delete("planes/a").await;
    let absent = three.planes.fetch_entry("a", &FetchOptions::new()).await.expect("an answer");
    three.redis.put("a", &absent).await.expect("an answer");
    three.memory.put("a", &absent).await.expect("an answer");
    assert!(three.redis.get("a").await.expect("an answer").is_some_and(|entry| entry.is_absent()));
    assert!(three.memory.get("a").await.expect("an answer").is_some_and(|entry| entry.is_absent()));
}

#[tokio::test]
async fn a_late_fill_with_an_older_version_replaces_nothing() {
    let three = three().await;
    three.world.have(&["a"]).await;
    let newer = Entry::found(plane("newer")).with_version(LATE);
    three.redis.put("a", &newer).await.expect("stored");
    three.memory.put("a", &newer).await.expect("stored");
    // Past both tiers, so that what the source has comes back through them.
    let options = FetchOptions::new().skip_tier("redis").skip_tier("lru");
    let entry = three.chain.fetch_entry("a", &options).await.expect("the source answers");
    assert_eq!(entry.value(), Some(&plane("a")));
    until("the fill", || async { three.redis.stats().declined > 0 }).await;
    assert_eq!(three.in_redis("a").await, Some((plane("newer"), LATE)));
    assert_eq!(three.in_memory("a").await, Some(plane("newer")));
}

#[tokio::test]
async fn an_insert_of_an_older_version_replaces_nothing() {
    let three = three().await;
    let entry = |model: &str, version| Entry::found(plane(model)).with_version(version);
    three.chain.insert("a", entry("newer", LATE)).await.expect("inserted");
    assert_eq!(three.in_memory("a").await, Some(plane("newer")));
    three.chain.insert("a", entry("older", EARLY)).await.expect("an answer");
    assert_eq!(three.in_redis("a").await, Some((plane("newer"), LATE)));
    assert_ne!(three.in_memory("a").await, Some(plane("older")));
    assert_eq!(three.chain.fetch("a").await.expect("found"), plane("newer"));
    // Where memory has nothing, it takes over what Redis has and not what was inserted.
    three.memory.remove("a").await.expect("removed");
    three.chain.insert("a", entry("older", EARLY)).await.expect("an answer");
    assert_eq!(three.chain.fetch("a").await.expect("found"), plane("newer"));
    assert_eq!(three.in_memory("a").await, Some(plane("newer")));
}

#[tokio::test]
async fn an_invalidation_reads_the_document_anew() {
    let three = three().await;
    three.world.have(&["a"]).await;
    assert_eq!(three.chain.fetch("a").await.expect("found"), plane("a"));
    three.world.set("planes/a", vec![("model", text("changed"))]).await;
    three.chain.invalidate("a").await.expect("forgotten");
    assert_eq!(three.chain.fetch("a").await.expect("found"), plane("changed"));
}
