//! What the stores of presence add to the suite: trouble with servers, what Go sees, bounds.

use crate::server::Server;
use headwater::presence::{MemoryPresence, Presence, PresenceCache, RedisPresence};
use headwater::redis::{RedisCache, RedisConfig};
use headwater::testkit::ManualClock;
use headwater::{Entry, ErrorKind, Tier};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

async fn presence(server: &Server) -> RedisPresence<str, String> {
    let config = RedisConfig::new(&server.url()).expect("a URL");
    RedisPresence::new(&config.connect_store().await.expect("it is there"))
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[tokio::test]
async fn a_server_that_is_down_is_an_error_and_comes_back_by_itself() {
    let mut server = Server::start();
    let presence = presence(&server).await;
    presence.set("a", &text("1")).await.expect("set");
    server.kill();
    for _ in 0..20 {
        let began = Instant::now();
        let error = presence.fetch("a").await.expect_err("absent would be a lie");
        assert!(error.is_retryable(), "{error}");
        assert!(began.elapsed() < Duration::from_secs(2));
        assert!(presence.fetch_many(&["a", "b"]).await.iter().all(Result::is_err));
        presence.touch_many(&["a"], None).await.expect_err("nobody knows what is missing");
    }
    server.restart();
    let mut left = 3_000;
    while presence.set("a", &text("2")).await.is_err() {
        left -= 1;
        assert!(left > 0, "it never recovers");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(presence.fetch("a").await.expect("an answer").as_deref(), Some("2"));
}

#[tokio::test]
async fn a_frozen_server_holds_nobody_up() {
    let server = Server::start();
    let presence = presence(&server).await;
    presence.set("a", &text("1")).await.expect("set");
    server.freeze();
    let began = Instant::now();
    let error = presence.fetch("a").await.expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(began.elapsed() < Duration::from_secs(2), "the budget is 250 ms");
    server.thaw();
}

#[tokio::test]
async fn a_flushed_server_tells_heartbeats_who_is_missing() {
    let server = Server::start();
    let presence = presence(&server).await;
    let names: Vec<String> = (0..2_000).map(|name| format!("user {name}")).collect();
    let keys: Vec<&str> = names.iter().map(String::as_str).collect();
    for key in &keys {
        presence.set(key, &text("1")).await.expect("set");
    }
    assert!(presence.touch_many(&keys, None).await.expect("touch").is_empty());
    server.tell("FLUSHALL");
    presence.set("user 7", &text("1")).await.expect("set");
    let missing = presence.touch_many(&keys, None).await.expect("touch");
    assert_eq!(missing.len(), 1_999);
    assert!(!missing.contains(&"user 7"));
}

#[tokio::test]
async fn what_another_one_set_in_between_is_not_deleted() {
    let server = Server::start();
    let config = RedisConfig::new(&server.url()).expect("a URL").go_compatible();
    let store = config.connect_store().await.expect("it is there");
    let presence = RedisPresence::<str, String>::new(&store);
    presence.set("a", &text("mine")).await.expect("set");
    let looks = AtomicU32::new(0);
    let is_mine = |held: &String| {
        // The moment between the look and the delete.
        if looks.fetch_add(1, Relaxed) == 0 {
            server.ask(&[b"SET", b"a", br#""theirs""#]);
        }
        held == "mine"
    };
    assert!(!presence.delete_if("a", &is_mine).await.expect("an answer"));
    assert_eq!(presence.fetch("a").await.expect("an answer").as_deref(), Some("theirs"));
    assert_eq!(looks.into_inner(), 2, "it looked again");
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_can_be_overwritten() {
    let server = Server::start();
    let presence = presence(&server).await;
    server.tell("SET headwater%presence:a {}");
    server.tell("RPUSH headwater%presence:b x");
    let damaged = presence.fetch("a").await.expect_err("not absent");
    assert_eq!(damaged.kind(), ErrorKind::Codec);
    let other = presence.fetch("b").await.expect_err("not absent");
    assert!(other.to_string().contains("type"), "{other}");
    for key in ["a", "b"] {
        presence.set(key, &text("1")).await.expect("set");
        assert_eq!(presence.fetch(key).await.expect("an answer").as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn a_cache_of_the_same_namespace_neither_sees_nor_clears_presence() {
    let server = Server::start();
    let cache: RedisCache<str, String> =
        RedisConfig::new(&server.url()).expect("a URL").connect().await.expect("it is there");
    let presence = RedisPresence::<str, String>::new(&cache.store());
    presence.set("a", &text("online")).await.expect("set");
    assert!(cache.get("a").await.expect("an answer").is_none());
    cache.put("a", &Entry::from(text("cached"))).await.expect("stored");
    cache.clear().await.expect("cleared");
    assert_eq!(presence.fetch("a").await.expect("an answer").as_deref(), Some("online"));
}

#[tokio::test]
async fn keys_values_and_lives_are_what_go_writes() {
    let server = Server::start();
    let config = RedisConfig::new(&server.url()).expect("a URL").go_compatible();
    let store = config.connect_store().await.expect("it is there");
    let presence = RedisPresence::<str, Vec<Option<u32>>>::new(&store);
    presence.set("user:{1} 100%", &vec![Some(1), None]).await.expect("set");
    assert_eq!(server.ask(&[b"GET", b"user:{1} 100%"]), "[1,null]");
    let left: u64 = server.ask(&[b"PTTL", b"user:{1} 100%"]).parse().expect("a life");
    assert!((50_000..=60_000).contains(&left), "{left}");
    server.ask(&[b"SET", b"b", b" [ 7 ] "]);
    assert_eq!(presence.fetch("b").await.expect("an answer"), Some(vec![Some(7)]));
    assert_eq!(presence.remaining("b").await.expect("an answer"), Some(Duration::MAX));
    let numbers = RedisPresence::<i64, f64>::new(&store).ttl(Duration::MAX);
    numbers.set(&-5, &1.5).await.expect("set");
    assert_eq!((server.tell("GET -5"), server.tell("PTTL -5")), (text("1.5"), text("-1")));
    let error = numbers.set(&-5, &f64::NAN).await.expect_err("Go cannot read it");
    assert_eq!(error.kind(), ErrorKind::Codec);
}

#[tokio::test]
async fn memory_does_not_grow_with_the_dead() {
    let time = ManualClock::new();
    let presence = MemoryPresence::<u64, u64>::new().clock(time.clock());
    for key in 0..100_000 {
        presence.set(&key, &key).await.expect("set");
        presence.touch(&key, None).await.expect("touch");
        time.advance(Duration::from_secs(1));
    }
    assert!(presence.len() <= 61, "{}", presence.len());
    presence.close().await.expect("closed");
    assert!(presence.is_empty());
}
