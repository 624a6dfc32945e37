//! Sessions: sliding, rotated, ended everywhere, and no update lost.

use crate::conformance::{cluster_store, store};
use crate::server::Server;
use futures_util::future::join_all;
use headwater::ErrorKind;
use headwater::presence::{Saved, SessionId, Sessions};
use headwater::redis::RedisConfig;
use headwater::testkit::ManualClock;
use std::collections::HashSet;
use std::time::Duration;

async fn every_kind() -> [Sessions<Vec<u32>>; 3] {
    [Sessions::memory(), Sessions::redis(&store().await), Sessions::redis(&cluster_store().await)]
}

#[tokio::test]
async fn what_was_saved_is_fetched_and_no_update_is_lost() {
    for sessions in every_kind().await {
        let mut first = sessions.begin(None, vec![1]).await.expect("begun");
        let mut second = sessions.fetch(first.id()).await.expect("an answer").expect("there");
        assert_eq!((second.user(), &second.data), (None, &vec![1]));
        first.data.push(2);
        second.data.push(3);
        assert_eq!(sessions.save(&mut first).await.expect("an answer"), Saved::Stored);
        assert_eq!(sessions.save(&mut second).await.expect("an answer"), Saved::Conflict);
        let mut second = sessions.fetch(first.id()).await.expect("an answer").expect("there");
        second.data.push(3);
        assert_eq!(sessions.save(&mut second).await.expect("an answer"), Saved::Stored);
        assert_eq!(second.data, [1, 2, 3]);
        assert!(sessions.end(first.id()).await.expect("an answer"));
        assert!(!sessions.end(first.id()).await.expect("an answer"));
        assert_eq!(sessions.save(&mut second).await.expect("an answer"), Saved::Gone);
        assert!(sessions.fetch(first.id()).await.expect("an answer").is_none());
    }
}

#[tokio::test]
async fn of_many_saves_at_once_one_is_stored() {
    for sessions in every_kind().await {
        let session = sessions.begin(Some("ada"), vec![]).await.expect("begun");
        let saves = (0..20).map(|number| {
            let (sessions, mut session) = (sessions.clone(), session.clone());
            async move {
                session.data.push(number);
                sessions.save(&mut session).await.expect("an answer")
            }
        });
        let stored = join_all(saves).await.into_iter().filter(|saved| *saved == Saved::Stored);
        assert_eq!(stored.count(), 1);
    }
}

#[tokio::test]
async fn a_rotated_session_has_one_id_and_the_old_one_opens_nothing() {
    for sessions in every_kind().await {
        let mut session = sessions.begin(Some("ada {é}\r\n"), vec![7]).await.expect("begun");
        let old = session.id().clone();
        let mut late = session.clone();
        assert!(sessions.rotate(&mut session).await.expect("an answer"));
        assert_ne!(session.id(), &old);
        assert!(sessions.fetch(&old).await.expect("an answer").is_none());
        assert!(!sessions.rotate(&mut late).await.expect("an answer"));
        assert!(!sessions.end(&old).await.expect("an answer"));
        assert_eq!(sessions.save(&mut late).await.expect("an answer"), Saved::Gone);
        let found = sessions.fetch(session.id()).await.expect("an answer").expect("there");
        assert_eq!((found.user(), &found.data), (Some("ada {é}\r\n"), &vec![7]));
    }
}

#[tokio::test]
async fn logging_out_everywhere_ends_what_has_begun_and_nothing_else() {
    for sessions in every_kind().await {
        let mut ids = Vec::new();
        for _ in 0..5 {
            let mut session = sessions.begin(Some("ada"), vec![]).await.expect("begun");
            sessions.rotate(&mut session).await.expect("an answer");
            ids.push(session.id().clone());
        }
        let other = sessions.begin(Some("bob"), vec![]).await.expect("begun");
        let nobodys = sessions.begin(None, vec![]).await.expect("begun");
        for _ in 0..2 {
            sessions.end_all("ada").await.expect("ended");
            for id in &ids {
                assert!(sessions.fetch(id).await.expect("an answer").is_none());
            }
            let new = sessions.begin(Some("ada"), vec![]).await.expect("begun");
            assert!(sessions.fetch(new.id()).await.expect("an answer").is_some());
            ids.push(new.id().clone());
        }
        for session in [other, nobodys] {
            assert!(sessions.fetch(session.id()).await.expect("an answer").is_some());
        }
    }
}

#[tokio::test]
async fn a_session_lasts_while_it_is_used() {
    let (time, minute) = (ManualClock::new(), Duration::from_secs(60));
    let sessions = Sessions::<u8>::memory_by(time.clock()).ttl(10 * minute);
    let session = sessions.begin(None, 1).await.expect("begun");
    for _ in 0..5 {
        time.advance(9 * minute);
        assert!(sessions.fetch(session.id()).await.expect("an answer").is_some());
    }
    time.advance(10 * minute);
    assert!(sessions.fetch(session.id()).await.expect("an answer").is_none());

    let server = Server::start();
    let config = RedisConfig::new(&server.url()).expect("a URL");
    let store = config.connect_store().await.expect("it is there");
    let sessions = Sessions::<u8>::redis(&store).ttl(10 * minute);
    let session = sessions.begin(None, 1).await.expect("begun");
    let name = format!("headwater%session:{}", &session.id().as_str()[..16]);
    server.tell(&format!("PEXPIRE {name} 5000"));
    assert!(sessions.fetch(session.id()).await.expect("an answer").is_some());
    let left: u64 = server.tell(&format!("PTTL {name}")).parse().expect("a life");
    assert!(left > 500_000, "{left}");
    server.tell("FLUSHALL");
    assert!(sessions.fetch(session.id()).await.expect("an answer").is_none());
}

#[tokio::test]
async fn an_outage_is_an_error_and_logs_nobody_out() {
    let server = Server::start();
    let config = RedisConfig::new(&server.url()).expect("a URL");
    let store = config.connect_store().await.expect("it is there");
    let sessions = Sessions::<u8>::redis(&store);
    let session = sessions.begin(Some("ada"), 1).await.expect("begun");
    server.freeze();
    let error = sessions.fetch(session.id()).await.expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    server.thaw();
    let other = Sessions::<String>::redis(&store);
    let mut found = sessions.fetch(session.id()).await;
    for _ in 0..1_000 {
        if found.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        found = sessions.fetch(session.id()).await;
    }
    assert!(found.expect("it answers again").is_some());
    let error = other.fetch(session.id()).await.expect_err("data of another type");
    assert_eq!(error.kind(), ErrorKind::Codec);
}

#[tokio::test]
async fn a_server_that_is_down_logs_nobody_out_and_one_that_comes_back_empty_everybody() {
    let mut server = Server::start();
    let config = RedisConfig::new(&server.url()).expect("a URL");
    let sessions = Sessions::<u8>::redis(&config.connect_store().await.expect("it is there"));
    let mut session = sessions.begin(Some("ada"), 1).await.expect("begun");
    server.kill();
    assert!(sessions.fetch(session.id()).await.expect_err("absent would be a lie").is_retryable());
    assert!(sessions.save(&mut session).await.expect_err("nobody knows").is_retryable());
    assert!(sessions.end_all("ada").await.expect_err("nobody knows").is_retryable());
    server.restart();
    let mut left = 3_000;
    while sessions.fetch(session.id()).await.is_err() {
        left -= 1;
        assert!(left > 0, "it never recovers");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(sessions.fetch(session.id()).await.expect("an answer").is_none());
    assert_eq!(sessions.save(&mut session).await.expect("an answer"), Saved::Gone);
    assert!(!sessions.rotate(&mut session).await.expect("an answer"));
    let new = sessions.begin(Some("ada"), 2).await.expect("begun");
    assert!(sessions.fetch(new.id()).await.expect("an answer").is_some());
}

#[tokio::test]
async fn users_of_strange_names_are_told_apart() {
    let long = "u".repeat(10_000);
    let users = ["", " ", "a", "{a}", "{a", "a}b", "a\u{0}\u{1f}b", "a\r\nGET b", "%7Ba%7D", &long];
    for sessions in every_kind().await {
        let mut begun = Vec::new();
        for user in users {
            begun.push(sessions.begin(Some(user), vec![]).await.expect("begun"));
        }
        for (at, user) in users.iter().enumerate() {
            sessions.end_all(user).await.expect("ended");
            for (number, session) in begun.iter().enumerate() {
                let found = sessions.fetch(session.id()).await.expect("an answer");
                assert_eq!(found.is_some(), number > at, "{number} after the end of {user:?}");
                assert!(found.is_none_or(|found| found.user() == Some(users[number])));
            }
        }
    }
}

#[tokio::test]
async fn ids_differ_and_are_not_shown() {
    let sessions = Sessions::<u8>::memory();
    let mut ids = HashSet::new();
    for _ in 0..1_000 {
        let session = sessions.begin(None, 0).await.expect("begun");
        let id = session.id().as_str();
        assert_eq!(SessionId::parse(id).as_ref(), Some(session.id()));
        assert!(!format!("{session:?}").contains(&id[16..]), "the secret is not shown");
        assert!(ids.insert(id[..16].to_owned()) && ids.insert(id[16..].to_owned()));
    }
    for text in ["", "x", &"g".repeat(48), &"A".repeat(48), &"a".repeat(49), "é"] {
        assert!(SessionId::parse(text).is_none(), "{text}");
    }
}

#[cfg(feature = "tower-sessions")]
#[tokio::test]
async fn tower_sessions_keep_their_records_in_presence() {
    use headwater::presence::{BoxPresence, MemoryPresence, RedisPresence, TowerSessions};
    use time::{Duration, OffsetDateTime};
    use tower_sessions_core::SessionStore;
    use tower_sessions_core::session::{Id, Record};

    let memory = BoxPresence::new(MemoryPresence::<i128, Record>::new());
    let redis = BoxPresence::new(RedisPresence::<i128, Record>::new(&store().await));
    for store in [TowerSessions::new(memory), TowerSessions::new(redis)] {
        let expiry_date = OffsetDateTime::now_utc() + Duration::hours(1);
        let data = [("name".to_owned(), "ada".into())].into_iter().collect();
        let mut first = Record { id: Id(-7), data, expiry_date };
        let mut second = first.clone();
        store.create(&mut first).await.expect("created");
        store.create(&mut second).await.expect("created under another id");
        assert_ne!(first.id, second.id);
        assert_eq!(store.load(&first.id).await.expect("an answer").as_ref(), Some(&first));
        store.delete(&first.id).await.expect("deleted");
        assert!(store.load(&first.id).await.expect("an answer").is_none());
        second.expiry_date = OffsetDateTime::now_utc() - Duration::hours(1);
        store.save(&second).await.expect("saved");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        assert!(store.load(&second.id).await.expect("an answer").is_none(), "it is over");
    }
}
