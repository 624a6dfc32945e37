//! What can go wrong with a server does, and the chain answers from its source.

use crate::chain::{GUARD, Redis, chain, config, fetch, over, stored, until, until_stored};
use crate::proxy::{Proxy, listener};
use crate::server::{Cluster, Sentinels, Server};
use futures_util::future::join_all;
use headwater::redis::{BreakerState, RedisConfig};
use headwater::{Cache, Entry, ErrorKind, Tier, Version};
use std::time::{Duration, Instant};

pub(crate) fn keys() -> Vec<String> {
    ('a'..='z').map(String::from).collect()
}

#[tokio::test]
async fn a_killed_server_is_passed_by_and_found_again() {
    let mut server = Server::start();
    let chain = chain(&server.url());
    until_stored(&chain, "a").await;
    server.kill();
    for key in keys() {
        fetch(&chain, &key).await;
    }
    let stats = chain.tier().stats();
    assert_ne!(stats.breaker, BreakerState::Closed);
    assert!(stats.breaker_opens == 1 && stats.rejected > 0, "{stats:?}");
    assert!(stats.failures + stats.timeouts < 20, "the breaker spares the rest: {stats:?}");

    server.restart();
    let back = Instant::now();
    until("recovery", || async { chain.tier().get("a").await.is_ok() }).await;
    assert!(back.elapsed() < Duration::from_secs(4), "{:?}", back.elapsed());
    assert_eq!(chain.tier().stats().breaker, BreakerState::Closed);
    assert_eq!(stored(&chain, "a").await, None, "it came back empty");
    until_stored(&chain, "a").await;
}

#[tokio::test]
async fn a_restart_between_two_calls_is_not_even_noticed() {
    let mut server = Server::start();
    let chain = chain(&server.url());
    until_stored(&chain, "a").await;
    server.kill();
    server.restart();
    assert!(chain.tier().get("a").await.expect("reads are tried again").is_none());
    until_stored(&chain, "a").await;
}

#[tokio::test]
async fn a_frozen_server_holds_nobody_up() {
    let server = Server::start();
    let chain = chain(&server.url());
    until_stored(&chain, "a").await;
    server.freeze();
    let frozen = Instant::now();
    let mut slowest = Duration::ZERO;
    while frozen.elapsed() < Duration::from_secs(5) {
        let began = Instant::now();
        let keys = keys();
        join_all(keys.iter().map(|key| fetch(&chain, key))).await;
        slowest = slowest.max(began.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(slowest < Duration::from_secs(2), "the budget is 250 ms: {slowest:?}");
    let stats = chain.tier().stats();
    assert!(stats.breaker_opens >= 1 && stats.rejected > 500, "{stats:?}");
    assert!(stats.timeouts < 100, "no hot loop of errors: {stats:?}");
    server.thaw();
    until("recovery", || async { chain.tier().get("a").await.is_ok() }).await;
    until_stored(&chain, "b").await;
}

#[tokio::test]
async fn a_peer_that_accepts_and_never_answers_holds_nobody_up() {
    let silent = listener(|_| {});
    let error = config(&silent).connect::<str, String>().await.expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    let chain = chain(&silent);
    for key in keys() {
        fetch(&chain, &key).await;
    }
    assert!(chain.tier().stats().rejected > 0);
}

#[tokio::test]
async fn a_connection_that_went_silent_is_replaced() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let chain = chain(&proxy.url());
    until_stored(&chain, "a").await;
    proxy.mute_present();
    let muted = Instant::now();
    until("a new connection", || async {
        fetch(&chain, "a").await;
        chain.tier().get("a").await.is_ok()
    })
    .await;
    assert!(muted.elapsed() < Duration::from_secs(4), "{:?}", muted.elapsed());
    assert!(chain.tier().stats().connects >= 2);
}

#[tokio::test]
async fn a_full_server_still_answers() {
    let server = Server::with(&["--maxmemory", "100kb", "--maxmemory-policy", "noeviction"]);
    let chain = chain(&server.url());
    for key in keys() {
        fetch(&chain, &key).await;
    }
    let error = chain.tier().put("a", &Entry::from("x".to_owned())).await.expect_err("it is full");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("memory"), "{error}");
    assert!(chain.tier().get("a").await.expect("reads go on").is_none());
    let stats = chain.tier().stats();
    assert_eq!((stats.breaker, stats.breaker_opens), (BreakerState::Closed, 0));
    assert!(stats.refusals >= 1);
    server.tell("CONFIG SET maxmemory 0");
    until_stored(&chain, "a").await;
}

#[tokio::test]
async fn a_read_only_replica_is_read() {
    let master = Server::start();
    let replica = Server::with(&["--replicaof", "127.0.0.1", &master.port().to_string()]);
    crate::server::until("the replica", || {
        master.tell("INFO replication").contains("state=online")
    });
    let (writes, reads) = (chain(&master.url()), chain(&replica.url()));
    until_stored(&writes, "a").await;
    until("replication", || async { stored(&reads, "a").await.is_some() }).await;
    fetch(&reads, "b").await;
    let error = reads.tier().put("b", &Entry::from("x".to_owned())).await.expect_err("read-only");
    assert!(error.to_string().contains("replica"), "{error}");
    fetch(&reads, "a").await;
    assert_eq!(reads.tier().stats().breaker, BreakerState::Closed);
}

#[tokio::test]
async fn a_wrong_password_is_told_and_passed_by() {
    let server = Server::with(&["--requirepass", "secret"]);
    for config in [config(&server.url()), config(&server.url()).password("guessed")] {
        let error = config.clone().connect::<str, String>().await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("password"), "{error}");
        let chain = over(config.connect_lazy().expect("valid"));
        for key in keys() {
            fetch(&chain, &key).await;
        }
        assert!(chain.tier().stats().rejected > 0);
    }
    let right = config(&server.url()).password("secret");
    assert!(!format!("{right:?}").contains("secret"), "{right:?}");
    let chain = over(right.connect().await.expect("let in"));
    until_stored(&chain, "a").await;
}

#[tokio::test]
async fn what_is_no_redis_is_told_and_passed_by() {
    let web = listener(|stream| {
        use std::io::{Read, Write};
        let _ = stream.read(&mut [0; 1_024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    let error = config(&web).connect::<str, String>().await.expect_err("no Redis");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("does not speak"), "{error:?}");
    let chain = chain(&web);
    fetch(&chain, "a").await;

    let nobody = format!("redis://127.0.0.1:{}", crate::server::free_port());
    let error = config(&nobody).connect::<str, String>().await.expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("refused"), "{error}");
}

#[cfg(not(feature = "redis-tls"))]
#[tokio::test]
async fn tls_that_is_not_compiled_in_is_told() {
    let connected = match RedisConfig::new("rediss://127.0.0.1:1") {
        Ok(config) => config.connect::<str, String>().await.map(drop),
        Err(error) => Err(error),
    };
    let error = connected.expect_err("there is no TLS");
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error:?}");
    assert!(error.to_string().contains("redis-tls"), "{error:?}");
}

#[tokio::test]
async fn a_flushed_server_is_filled_again() {
    let server = Server::start();
    let chain = chain(&server.url());
    until_stored(&chain, "a").await;
    server.tell("FLUSHALL");
    assert_eq!(stored(&chain, "a").await, None);
    until_stored(&chain, "a").await;
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_sent_again() {
    let server = Server::start();
    let tier: Redis = config(&server.url()).connect().await.expect("it is there");
    let entry = |version: u64| Entry::from(version.to_string()).with_version(Version::new(version));
    for round in 0..3 {
        server.tell("SCRIPT FLUSH");
        let entries: Vec<_> = (0..100).map(|_| entry(round * 2)).collect();
        let names: Vec<String> = (0..100).map(|number| format!("key {number}")).collect();
        let pairs: Vec<_> = names.iter().map(String::as_str).zip(&entries).collect();
        let outcomes = tier.put_many(&pairs).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        server.tell("SCRIPT FLUSH");
        tier.put("key 0", &entry(round * 2 + 1)).await.expect("stored");
        tier.put("key 1", &entry(0)).await.expect("declined or equal");
    }
    let value = tier.get("key 0").await.expect("there").and_then(Entry::into_value);
    assert_eq!(value.as_deref(), Some("5"));
    assert_eq!(tier.stats().declined, 2, "of key 1; equal versions are stored");
}

#[tokio::test]
async fn what_is_not_ours_under_our_key_is_a_miss_and_overwritten() {
    let server = Server::start();
    let chain = chain(&server.url());
    server.tell("RPUSH headwater:a x");
    server.tell("SET headwater:b {}");
    server.tell("HSET headwater:c field x");
    for key in ["a", "b"] {
        fetch(&chain, key).await;
    }
    let found = chain.tier().get_many(&["c", "b", "d"]).await;
    assert!(found.iter().all(|found| matches!(found, Ok(None))), "{found:?}");
    for key in ["a", "b", "c"] {
        until_stored(&chain, key).await;
        assert_eq!(server.tell(&format!("TYPE headwater:{key}")), "string");
    }
    let stats = chain.tier().stats();
    assert!(stats.wrong_type >= 2 && stats.corrupt >= 1, "{stats:?}");
    assert_eq!(stats.breaker_opens, 0);
}

#[tokio::test]
async fn another_schema_is_a_miss_and_overwritten() {
    let server = Server::start();
    let old = over(config(&server.url()).schema(1).connect().await.expect("it is there"));
    let new = over(config(&server.url()).schema(2).connect().await.expect("it is there"));
    until_stored(&old, "a").await;
    assert_eq!(stored(&new, "a").await, None);
    assert_eq!(new.tier().stats().other_schema, 1);
    until_stored(&new, "a").await;
    assert_eq!(stored(&old, "a").await, None);
}

#[tokio::test]
async fn a_giant_value_is_refused_and_holds_nobody_up() {
    let server = Server::start();
    let chain = chain(&server.url());
    until_stored(&chain, "a").await;
    let giant = Entry::from("x".repeat(100 << 20));
    let error = chain.tier().put("a", &giant).await.expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::Codec);
    assert!(error.to_string().contains("max_value"), "{error}");
    assert_eq!(chain.tier().stats().unwritable, 1);
    assert_eq!(stored(&chain, "a").await, None, "what it was to replace is gone");
    server.ask(&[b"SET", b"headwater:b", &vec![b'x'; 100 << 20]]);
    assert_eq!(stored(&chain, "b").await, None);
    let stats = chain.tier().stats();
    assert_eq!((stats.corrupt, stats.timeouts), (1, 0), "it is not even transferred");
    fetch(&chain, "b").await;
    fetch(&chain, "c").await;
    until_stored(&chain, "b").await;
    until_stored(&chain, "c").await;
}

#[tokio::test]
async fn a_closed_cache_stays_closed() {
    let server = Server::start();
    let tier: Redis = config(&server.url()).connect().await.expect("it is there");
    tier.put("a", &Entry::from("x".to_owned())).await.expect("stored");
    tier.close().await.expect("closed");
    tier.close().await.expect("closed again");
    assert_eq!(tier.ping().await.expect_err("closed").kind(), ErrorKind::Closed);
    until("the connection's end", || async { server.tell("CLIENT LIST").lines().count() == 1 })
        .await;
}

#[tokio::test]
async fn the_masters_that_are_left_go_on_serving() {
    let mut cluster = Cluster::start();
    let redis = RedisConfig::cluster(cluster.urls()).expect("URLs").connect().await;
    let chain = over(redis.expect("it is there"));
    for key in keys() {
        until_stored(&chain, &key).await;
    }
    cluster.node(0).kill();
    for key in keys() {
        fetch(&chain, &key).await;
    }
    let keys = keys();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    until("the others", || async {
        let found =
            tokio::time::timeout(GUARD, chain.tier().get_many(&names)).await.expect("hangs");
        let served = found.iter().filter(|found| matches!(found, Ok(Some(_)))).count();
        (8..26).contains(&served)
    })
    .await;
}

#[tokio::test]
async fn a_new_master_is_found_through_the_sentinels() {
    let mut sentinels = Sentinels::start();
    let redis = RedisConfig::sentinel("mymaster", sentinels.urls()).expect("URLs").connect().await;
    let chain = over(redis.expect("it is there"));
    until_stored(&chain, "a").await;
    assert_ne!(sentinels.master.tell("DBSIZE"), "0");
    sentinels.master.kill();
    for key in keys() {
        fetch(&chain, &key).await;
    }
    until_stored(&chain, "b").await;
    assert_ne!(sentinels.replica.tell("GET headwater:b"), "(nil)");
    chain.invalidate("b").await.expect("it is a master");
}
