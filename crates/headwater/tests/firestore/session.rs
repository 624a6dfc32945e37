//! Sessions in Firestore: sliding, rotated, ended everywhere, and no update lost.

use crate::emulator::{Emulator, Make, on_each_emulator};
use crate::world::World;
use futures_util::future::join_all;
use headwater::firestore::FirestoreStore;
use headwater::presence::{Saved, Sessions};
use headwater::{ErrorKind, Result};
use std::time::{Duration, Instant};

impl World {
    fn sessions(&self) -> Sessions<Vec<u32>> {
        Sessions::firestore(&self.store(), "sessions").expect("a path")
    }
}

/// What a server says that may be slow, or not back yet.
async fn until_answered<T>(mut ask: impl AsyncFnMut() -> Result<T>) -> T {
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(60), "{error}"),
        }
    }
}

on_each_emulator! {
    async fn what_was_saved_is_fetched_and_no_update_is_lost(world: World) {
        let sessions = world.sessions();
        let mut first = sessions.begin(None, vec![1]).await.expect("begun");
        let mut second = sessions.fetch(first.id()).await.expect("an answer").expect("there");
        assert_eq!((second.user(), &second.data), (None, &vec![1]));
        first.data.push(2);
        assert_eq!(sessions.save(&mut first).await.expect("an answer"), Saved::Stored);
        assert_eq!(sessions.save(&mut second).await.expect("an answer"), Saved::Conflict);
        let saves = (0..10).map(|number| {
            let (sessions, mut session) = (sessions.clone(), first.clone());
            async move {
                session.data.push(number);
                sessions.save(&mut session).await.expect("an answer")
            }
        });
        let stored = join_all(saves).await.into_iter().filter(|saved| *saved == Saved::Stored);
        assert_eq!(stored.count(), 1);
        assert!(sessions.end(first.id()).await.expect("an answer"));
        assert!(!sessions.end(first.id()).await.expect("an answer"));
        assert_eq!(sessions.save(&mut second).await.expect("an answer"), Saved::Gone);
        assert!(sessions.fetch(first.id()).await.expect("an answer").is_none());
    }

    async fn a_rotated_session_has_one_id_and_the_old_one_opens_nothing(world: World) {
        let sessions = world.sessions();
        let mut session = sessions.begin(Some("ada {é}/\r\n"), vec![7]).await.expect("begun");
        let old = session.id().clone();
        let mut late = session.clone();
        assert!(sessions.rotate(&mut session).await.expect("an answer"));
        assert!(sessions.fetch(&old).await.expect("an answer").is_none());
        assert!(!sessions.rotate(&mut late).await.expect("an answer"));
        assert!(!sessions.end(&old).await.expect("an answer"));
        assert_eq!(sessions.save(&mut late).await.expect("an answer"), Saved::Gone);
        let found = sessions.fetch(session.id()).await.expect("an answer").expect("there");
        assert_eq!((found.user(), &found.data), (Some("ada {é}/\r\n"), &vec![7]));
    }

    async fn logging_out_everywhere_ends_what_has_begun_and_nothing_else(world: World) {
        let sessions = world.sessions();
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(sessions.begin(Some("ada"), vec![]).await.expect("begun").id().clone());
        }
        let other = sessions.begin(Some("bob"), vec![]).await.expect("begun");
        for _ in 0..2 {
            sessions.end_all("ada").await.expect("ended");
            for id in &ids {
                assert!(sessions.fetch(id).await.expect("an answer").is_none());
            }
            let new = sessions.begin(Some("ada"), vec![]).await.expect("begun");
            assert!(sessions.fetch(new.id()).await.expect("an answer").is_some());
            ids.push(new.id().clone());
        }
        assert!(sessions.fetch(other.id()).await.expect("an answer").is_some());
    }

    async fn an_outage_logs_nobody_out_and_a_server_that_comes_back_empty_everybody(
        emulator: Emulator
    ) {
        let mut emulator = emulator;
        let world = World::warm(&emulator).await;
        let limit = Duration::from_secs(1);
        let store = FirestoreStore::builder(world.db.clone()).timeout(limit).retries(1).build();
        let sessions = Sessions::<u32>::firestore(&store.expect("settings"), "sessions");
        let sessions = sessions.expect("a path");
        let mut session = until_answered(async || sessions.begin(Some("ada"), 1).await).await;
        emulator.signal("-STOP");
        let error = sessions.fetch(session.id()).await.expect_err("nobody answers");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        emulator.signal("-CONT");
        assert!(until_answered(async || sessions.fetch(session.id()).await).await.is_some());
        emulator.kill();
        let error = sessions.fetch(session.id()).await.expect_err("absent would be a lie");
        assert!(error.is_retryable(), "{error}");
        emulator.restart();
        assert!(until_answered(async || sessions.fetch(session.id()).await).await.is_none());
        let saved = until_answered(async || sessions.save(&mut session).await).await;
        assert_eq!(saved, Saved::Gone);
        assert!(!until_answered(async || sessions.rotate(&mut session).await).await);
        until_answered(async || sessions.end_all("ada").await).await;
        let new = until_answered(async || sessions.begin(Some("ada"), 2).await).await;
        assert!(until_answered(async || sessions.fetch(new.id()).await).await.is_some());
    }

    async fn users_of_strange_names_are_told_apart(world: World) {
        let long = "u".repeat(10_000);
        let users = ["", "a", "{a}", "a}b", "a/b", "a\u{0}\u{1f}b", "a\r\n", "%7Ba%7D", &long];
        let (sessions, mut begun) = (world.sessions(), Vec::new());
        for user in users {
            begun.push(sessions.begin(Some(user), vec![]).await.expect("begun"));
        }
        for (at, user) in users.iter().enumerate() {
            sessions.end_all(user).await.expect("ended");
            for (number, session) in begun.iter().enumerate() {
                let found = sessions.fetch(session.id()).await.expect("an answer");
                assert_eq!(found.is_some(), number > at, "{number} after the end of {user:?}");
            }
        }
    }

    async fn a_session_lasts_while_it_is_used(world: World) {
        let ttl = Duration::from_secs(2);
        let sessions = world.sessions().ttl(ttl);
        let session = sessions.begin(None, vec![1]).await.expect("begun");
        for _ in 0..4 {
            tokio::time::sleep(ttl / 3).await;
            assert!(sessions.fetch(session.id()).await.expect("an answer").is_some());
        }
        tokio::time::sleep(ttl + Duration::from_millis(2)).await;
        assert!(sessions.fetch(session.id()).await.expect("an answer").is_none());
    }
}

#[cfg(feature = "tower-sessions")]
#[tokio::test]
async fn tower_sessions_keep_their_records_in_firestore() {
    use headwater::presence::{BoxPresence, FirestorePresence, TowerSessions};
    use tower_sessions_core::SessionStore;
    use tower_sessions_core::session::{Id, Record};

    let world = World::on(Make::Hidane).await;
    let presence = FirestorePresence::<i128, Record>::new(&world.store(), "records");
    let store = TowerSessions::new(BoxPresence::new(presence.expect("a path")));
    let expiry_date = time::OffsetDateTime::now_utc() + time::Duration::hours(1);
    let data = [("name".to_owned(), "ada".into())].into_iter().collect();
    let mut record = Record { id: Id(i128::MIN), data, expiry_date };
    store.create(&mut record).await.expect("created");
    assert_eq!(store.load(&record.id).await.expect("an answer").as_ref(), Some(&record));
    store.delete(&record.id).await.expect("deleted");
    assert!(store.load(&record.id).await.expect("an answer").is_none());
}
