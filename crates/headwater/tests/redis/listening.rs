//! When, where and how changes are listened to: topologies, servers without tracking, runtimes.

use crate::chain::{config, until};
use crate::news::two;
use crate::processes::{Process, World, redis, until_coherent, until_kept, until_value};
use crate::server::{Cluster, Sentinels};
use headwater::redis::{Coherence, RedisConfig};
use headwater::testkit::TestSource;
use headwater::{Cache, Fetcher, Headwater, LruCache, Tier};
use std::time::{Duration, Instant};

#[tokio::test]
async fn without_tracking_caches_tell_each_other() {
    let world = World::new();
    // The whole of CLIENT, because Redis before 7 cannot forbid one of its kinds.
    world.server.tell("ACL SETUSER default -client");
    let (one, other) = two(&world).await;
    assert_eq!(redis(&one).coherence(), Coherence::Messages);
    world.origin.set("a", "2".to_owned());
    one.invalidate("a").await.unwrap();
    let began = Instant::now();
    until_value(&other, "a", "2").await;
    assert!(began.elapsed() < Duration::from_millis(900), "news and not the bound");
    assert_eq!(until_kept(&one, "a").await, "2");
    assert_eq!(until_kept(&other, "a").await, "2");
    world.origin.set("a", "3".to_owned());
    other.clear().await.unwrap();
    until_value(&one, "a", "3").await;
}

#[tokio::test]
async fn every_master_of_a_cluster_is_listened_to() {
    let mut cluster = Cluster::start();
    let origin = TestSource::<str, String>::new();
    let process = || async {
        let redis = RedisConfig::cluster(cluster.urls()).unwrap().connect_lazy().unwrap();
        let lru = LruCache::new(1_000).unwrap();
        let process: Process =
            Headwater::source(origin.clone()).through(redis).through(lru).build();
        until_coherent(&process).await;
        process
    };
    let (one, other) = (process().await, process().await);
    assert_eq!(redis(&one).coherence(), Coherence::Tracking);
    let keys: Vec<String> = (0..30).map(|key| key.to_string()).collect();
    keys.iter().for_each(|key| origin.set(key, "1".to_owned()));
    for key in &keys {
        until_kept(&one, key).await;
        until_kept(&other, key).await;
    }
    keys.iter().for_each(|key| origin.set(key, "2".to_owned()));
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    one.invalidate_many(&names).await.unwrap();
    for key in &keys {
        until_value(&other, key, "2").await;
    }
    cluster.node(1).kill();
    until("the loss", || async { redis(&other).coherence() == Coherence::Down }).await;
}

#[tokio::test]
async fn after_a_failover_the_new_master_is_listened_to() {
    let mut sentinels = Sentinels::start();
    let origin = TestSource::<str, String>::new();
    origin.set("a", "1".to_owned());
    let urls = sentinels.urls();
    let process = || async {
        let redis = RedisConfig::sentinel("mymaster", &urls).unwrap().connect_lazy().unwrap();
        let lru = LruCache::new(1_000).unwrap();
        let process: Process =
            Headwater::source(origin.clone()).through(redis).through(lru).build();
        until_coherent(&process).await;
        process
    };
    let (one, other) = (process().await, process().await);
    assert_eq!(until_kept(&other, "a").await, "1");
    sentinels.master.kill();
    until("the loss", || async { redis(&other).coherence() == Coherence::Down }).await;
    until_coherent(&other).await;
    until_coherent(&one).await;
    assert_eq!(until_kept(&other, "a").await, "1");
    origin.set("a", "2".to_owned());
    until("the new master", || async { one.invalidate("a").await.is_ok() }).await;
    until_value(&other, "a", "2").await;
}

/// The server tells of own fills too, and what was just loaded leaves the memory once: that costs one
/// read from Redis per load, and never a load.
#[tokio::test]
async fn what_was_loaded_is_kept_in_memory_from_the_second_read_on() {
    let world = World::new();
    let keys: Vec<String> = (0..200).map(|key| key.to_string()).collect();
    keys.iter().for_each(|key| world.origin.set(key, "1".to_owned()));
    let process = world.process().await;
    let pass = || async {
        let before = process.stats().tiers;
        for key in &keys {
            process.fetch(key).await.unwrap();
        }
        world.until_no_leases().await;
        let heard = || redis(&process).stats().changes_heard;
        until("the echoes", || async { heard() >= keys.len() as u64 }).await;
        let after = process.stats().tiers;
        (after[0].hits - before[0].hits, after[1].hits - before[1].hits)
    };
    assert_eq!(pass().await, (0, 0), "from the source");
    // The end of the probe's life is heard of too, so an echo may still be on its way.
    let (memory, stored) = pass().await;
    assert!(memory <= 1 && stored >= 199, "from Redis: {memory} {stored}");
    let (memory, stored) = pass().await;
    assert!(memory >= 199 && stored <= 1, "from memory: {memory} {stored}");
    assert_eq!(world.origin.keys().count(), 200);
}

#[tokio::test]
async fn nothing_is_listened_to_without_need() {
    let world = World::new();
    let off = world.deaf_process(world.config().coherence(false));
    world.origin.set("a", "1".to_owned());
    off.fetch("a").await.unwrap();
    assert_eq!(redis(&off).coherence(), Coherence::Off);
    let alone = world.deaf_process(world.config().leases(false));
    assert!(redis(&alone).shared().is_none());
    assert_eq!(alone.fetch("a").await.unwrap(), "1");
    let go = world.deaf_process(config(&world.server.url()).go_compatible());
    assert_eq!(go.fetch("a").await.unwrap(), "1");
    assert_eq!(redis(&go).coherence(), Coherence::Off);
    let both = world.config().leases(false).coherence(true).connect_lazy::<str, String>();
    assert!(both.is_err());
}

#[tokio::test]
async fn the_keys_of_the_go_package_are_listened_to_on_demand() {
    let world = World::new();
    let config = || config(&world.server.url()).go_compatible().coherence(true);
    world.origin.set("a", "1".to_owned());
    let (one, other) = (world.process_with(config()).await, world.process_with(config()).await);
    one.fetch("a").await.unwrap();
    world.until_no_leases().await;
    assert_eq!(until_kept(&one, "a").await, "1");
    assert_eq!(until_kept(&other, "a").await, "1");
    world.origin.set("a", "2".to_owned());
    world.server.tell("DEL a");
    until_value(&one, "a", "2").await;
    until_value(&other, "a", "2").await;
    until_kept(&one, "a").await;
    world.origin.set("a", "3".to_owned());
    one.invalidate("a").await.unwrap();
    until_value(&other, "a", "3").await;
}

/// A chain may be made before there is a runtime, and outlive one.
#[test]
fn listening_ends_with_its_runtime_and_begins_with_the_next() {
    let world = World::new();
    world.origin.set("a", "1".to_owned());
    let process = world.deaf_process(world.config());
    assert_eq!(redis(&process).coherence(), Coherence::Off);
    let live = |expected: &str| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            until_value(&process, "a", expected).await;
            world.until_no_leases().await;
            until_kept(&process, "a").await;
            // What is not in memory asks the tier, which begins to listen.
            process.fetch("b").await.unwrap_err();
            until_coherent(&process).await;
            assert_eq!(until_kept(&process, "a").await, expected);
        });
    };
    live("1");
    assert!(world.has("a"));
    assert_eq!(redis(&process).coherence(), Coherence::Down);
    world.origin.set("a", "2".to_owned());
    world.server.tell("DEL fleet:a");
    live("2");
}

#[tokio::test]
async fn listening_ends_with_the_chain() {
    let world = World::new();
    // Whoever has tracking on says where its news go: here, to itself.
    let listeners = || world.server.tell("CLIENT LIST").matches(" redir=0").count();
    let process = world.process().await;
    assert_eq!(listeners(), 1);
    process.close().await.unwrap();
    assert_eq!(redis(&process).coherence(), Coherence::Off);
    let dropped = world.process().await;
    drop(dropped);
    until("the end of the connections", || async { listeners() == 0 }).await;
}
