//! Rosters on a Redis that is killed, frozen and flushed.

use crate::server::Server;
use futures_util::StreamExt;
use headwater::presence::{Connection, Event, Reason, Roster, Watch};
use headwater::redis::{RedisConfig, RedisRoster};
use headwater::{Error, ErrorKind};
use std::time::Duration;

type Store = RedisRoster<str, String>;

fn on(server: &Server) -> Roster<Store> {
    let config = RedisConfig::new(&server.url()).expect("a URL");
    let store = RedisRoster::connect_lazy(config).expect("it makes sense");
    Roster::builder(store).ttl(Duration::from_secs(2)).build().expect("it makes sense")
}

async fn join(roster: &Roster<Store>, key: &str) -> Connection<Store> {
    roster.join("room", key, key.to_owned()).await.expect("join")
}

async fn next(watch: &mut Watch<Store>) -> Result<Event<String, String>, Error> {
    watch.next().await.expect("it goes on")
}

/// What comes next but errors: a snapshot; how many are in it, and why it comes.
async fn snapshot(watch: &mut Watch<Store>) -> (usize, Reason) {
    loop {
        match next(watch).await {
            Ok(Event::Snapshot { members, reason }) => return (members.len(), reason),
            Ok(other) => panic!("{other:?} in place of a snapshot"),
            Err(_) => {}
        }
    }
}

/// A watcher's count of connections, once it is `count`.
async fn until_there_are(watch: &mut Watch<Store>, mut now: usize, count: usize) {
    while now != count {
        match next(watch).await {
            Ok(Event::Snapshot { members, .. }) => now = members.len(),
            Ok(Event::Join(_)) => now += 1,
            Ok(Event::Leave(..) | Event::Expire(..)) => now -= 1,
            _ => {}
        }
    }
}

#[tokio::test]
async fn after_a_flush_watchers_are_told_and_all_join_again() {
    let server = Server::start();
    let (here, there) = (on(&server), on(&server));
    let _held = [join(&here, "ada").await, join(&here, "bob").await];
    let mut watch = there.watch("room").expect("watch");
    assert_eq!(snapshot(&mut watch).await, (2, Reason::Begin));
    server.tell("FLUSHALL");
    let (count, reason) = snapshot(&mut watch).await;
    assert_eq!(reason, Reason::Resync);
    until_there_are(&mut watch, count, 2).await;
    assert_eq!(there.count("room").await.expect("count").connections, 2);
}

#[tokio::test]
async fn after_a_restart_without_data_all_join_again() {
    let mut server = Server::start();
    let (here, there) = (on(&server), on(&server));
    let _held = [join(&here, "ada").await, join(&here, "bob").await];
    let mut watch = there.watch("room").expect("watch");
    assert_eq!(snapshot(&mut watch).await, (2, Reason::Begin));
    server.kill();
    assert!(next(&mut watch).await.expect_err("the link is lost").is_retryable());
    server.restart();
    let (count, reason) = snapshot(&mut watch).await;
    assert_eq!(reason, Reason::Resync);
    until_there_are(&mut watch, count, 2).await;
    assert!(here.stats().rejoins >= 2);
}

#[tokio::test]
async fn a_frozen_server_is_an_error_and_no_absence() {
    let server = Server::start();
    let roster = on(&server);
    let held = join(&roster, "ada").await;
    let mut watch = roster.watch("room").expect("watch");
    assert_eq!(snapshot(&mut watch).await, (1, Reason::Begin));
    server.freeze();
    let kind = roster.get("room", "ada").await.expect_err("nobody answers").kind();
    assert!(matches!(kind, ErrorKind::Timeout | ErrorKind::Unavailable), "{kind}");
    assert!(next(&mut watch).await.expect_err("the link is lost").is_retryable());
    server.thaw();
    let (count, reason) = snapshot(&mut watch).await;
    assert_eq!(reason, Reason::Resync);
    until_there_are(&mut watch, count, 1).await;
    drop(held);
    until_there_are(&mut watch, 1, 0).await;
}

#[tokio::test]
async fn a_dead_server_is_an_error_with_its_name() {
    let mut server = Server::start();
    let roster = on(&server);
    server.kill();
    let error = roster.count("room").await.expect_err("nobody is there");
    assert_eq!((error.kind(), error.tier()), (ErrorKind::Unavailable, Some("redis")));
    let joined = roster.join("room", "ada", String::new()).await;
    assert!(joined.expect_err("nobody is there").is_retryable());
}

#[tokio::test]
async fn a_trimmed_log_is_no_gap() {
    let server = Server::start();
    let (here, there) = (on(&server), on(&server));
    let mut watch = there.watch("room").expect("watch");
    assert_eq!(snapshot(&mut watch).await, (0, Reason::Begin));
    let held = join(&here, "ada").await;
    until_there_are(&mut watch, 0, 1).await;
    server.tell("XTRIM headwater%roster:room/0 MAXLEN 0");
    let (_, reason) = snapshot(&mut watch).await;
    assert_eq!(reason, Reason::Resync);
    drop(held);
    until_there_are(&mut watch, 1, 0).await;
}

#[tokio::test]
async fn a_topic_lives_as_long_as_its_longest_life_and_no_log_for_ever() {
    let server = Server::start();
    let hour = Duration::from_secs(3_600);
    let config = RedisConfig::new(&server.url()).expect("a URL");
    let store = RedisRoster::<str, String>::connect_lazy(config).expect("it makes sense");
    let roster = Roster::builder(store).ttl(hour).linger(Duration::from_millis(1)).build();
    let roster = roster.expect("it makes sense");
    let life = |key: &str| server.tell(&format!("PTTL {key}")).parse::<i128>().expect("a number");
    let _ada = join(&roster, "ada").await;
    join(&roster, "bob").await.leave().await.expect("leave");
    for side in ["ends", "names", "values", "keys"] {
        let left = life(&format!("{{headwater%roster:room/0}}:{side}"));
        assert!(left >= hour.as_millis() as i128, "bob lingered, and {side} lasts {left} ms");
    }
    assert!(life("headwater%roster:room/0") >= hour.as_millis() as i128);
    let mut watch = roster.watch("empty").expect("watch");
    assert_eq!(snapshot(&mut watch).await, (0, Reason::Begin));
    assert!(life("headwater%roster:empty/0") > 0, "also where nobody ever joins");
}
