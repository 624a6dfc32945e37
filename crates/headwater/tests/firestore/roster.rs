//! Rosters in Firestore: the suite, what heartbeats cost, who is left behind, and trouble.

use crate::emulator::{Emulator, Make, on_each_emulator};
use crate::replay::replayed;
use crate::world::{World, client, project};
use futures_util::StreamExt;
use futures_util::future::join_all;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::{
    Document, ListDocumentsRequest,
};
use headwater::firestore::{FirestoreRoster, FirestoreStore};
use headwater::presence::{Connection, Event, Reason, Roster, RosterStore, Watch};
use headwater::testkit::RealTime;
use headwater::{Error, ErrorKind};
use std::future::Future;
use std::process::{Command, Stdio};
use std::time::Duration;

type Store = FirestoreRoster<str, String>;

const SECOND: Duration = Duration::from_secs(1);
/// A guard against hanging, far above what anything takes.
const GUARD: Duration = Duration::from_secs(90);

impl World {
    /// The same roster in another process, so to speak.
    fn rooms(&self) -> (FirestoreStore, Store) {
        // Several suites that join ten thousand share a small machine.
        let store = FirestoreStore::builder(self.db.clone()).timeout(30 * SECOND).build();
        let store = store.expect("settings");
        let rooms = Store::new(&store, "rooms").expect("a path");
        (store, rooms)
    }

    fn roster(&self, ttl: Duration) -> Roster<Store> {
        let store = FirestoreStore::builder(self.db.clone()).timeout(4 * SECOND).retries(1).build();
        let rooms = Store::new(&store.expect("settings"), "rooms").expect("a path");
        Roster::builder(rooms).ttl(ttl).build().expect("it makes sense")
    }
}

async fn processes(make: Make) -> impl Fn() -> Store {
    let world = World::on(make).await;
    move || world.rooms().1
}

/// The suite but for ten thousand that join, of which there is a test below: they join on a server and
/// over a client that others keep busy too.
macro_rules! suites {
    ($($check:ident)*) => {
        mod hidane {
            use super::*;
            $(held_to_the_suite!(Hidane $check);)*
        }

        mod official {
            use super::*;
            $(held_to_the_suite!(
                #[ignore = "needs Google's emulator: ./scripts/test runs it where that is"]
                Official $check
            );)*
        }
    };
}

macro_rules! held_to_the_suite {
    ($(#[$attribute:meta])* $make:ident $check:ident) => {
        $(#[$attribute])*
        #[tokio::test]
        async fn $check() {
            let make = async |_: RealTime| processes(Make::$make).await;
            headwater::testkit::roster::$check(make).await;
        }
    };
}

suites! {
    who_is_not_there_is_no_error
    a_key_is_there_while_one_of_its_connections_is
    many_keys_are_answered_in_order_with_duplicates
    topics_and_strange_keys_are_told_apart
    watches_of_strange_topics_and_keys_are_told_apart
    pages_list_who_stays_exactly_once
    heartbeats_keep_connections_alive
    a_process_that_dies_is_seen_to_expire
    a_dropped_connection_leaves
    who_lingers_stays_for_a_while
    who_leaves_now_is_gone_at_once
    a_join_that_was_dropped_leaves_nothing
    an_update_is_seen
    a_watch_begins_with_who_is_there
    a_watch_tells_each_change_once_and_in_order
    a_watch_tells_of_expiry
    a_slow_watcher_gets_a_snapshot_instead
    a_close_is_told_as_leaves_also_of_who_lingers
    close_has_all_leave_and_is_final
}

async fn guarded<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, work).await.expect("hangs")
}

async fn until(mut done: impl AsyncFnMut() -> bool) {
    guarded(async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

async fn join(roster: &Roster<Store>, key: &str) -> Connection<Store> {
    roster.join("room", key, key.to_owned()).await.expect("join")
}

async fn next(watch: &mut Watch<Store>) -> Result<Event<String, String>, Error> {
    guarded(watch.next()).await.expect("it goes on")
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

/// The documents that the collection has, connections and nodes, dead or alive, page by page.
async fn all_documents(world: &World) -> Vec<Document> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListDocumentsRequest {
            parent: world.db.get_documents_path().clone(),
            collection_id: "rooms".to_owned(),
            page_token,
            ..ListDocumentsRequest::default()
        };
        let listed = world.db.client().get().list_documents(request).await.expect("it is there");
        let listed = listed.into_inner();
        all.extend(listed.documents);
        page_token = listed.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

/// How many there are.
async fn documents(world: &World) -> usize {
    all_documents(world).await.len()
}

on_each_emulator! {
    async fn a_heartbeat_is_one_write_however_many_connections_there_are(world: World) {
        let (store, rooms) = world.rooms();
        let roster = Roster::builder(rooms).ttl(6 * SECOND).build().expect("it makes sense");
        let keys: Vec<String> = (0..200).map(|key| key.to_string()).collect();
        let held = join_all(keys.iter().map(|key| join(&roster, key))).await;
        let joined = store.stats().writes;
        // A beat may have gone by already.
        assert!((201..=203).contains(&joined), "{joined}: a write each, and the node");
        let before = all_documents(&world).await;
        let (began, beats) = (roster.stats().heartbeats, 3);
        until(async || roster.stats().heartbeats >= began + 200 * beats).await;
        let (heartbeats, stats) = (roster.stats().heartbeats, store.stats());
        let writes = stats.writes - joined + stats.deletes;
        assert!(writes >= beats && writes * 100 <= heartbeats, "{writes} for {heartbeats}");
        // And so says who keeps them: of all documents only the node's was written.
        let after = all_documents(&world).await;
        assert_eq!((before.len(), after.len()), (201, 201));
        let written = after.iter().zip(&before).filter(|(after, before)| after != before);
        let written: Vec<&str> = written.map(|(after, _)| after.name.as_str()).collect();
        assert!(matches!(written[..], [name] if name.contains("/node-")), "{written:?}");
        assert_eq!((roster.stats().rejoins, roster.stats().failures), (0, 0));
        drop(held);
        roster.close().await.expect("close");
    }

    async fn a_close_leaves_nothing_behind_and_a_death_is_cleaned_up_by_others(world: World) {
        let (here, there) = (world.roster(SECOND), world.roster(SECOND));
        let held = [join(&here, "ada").await, join(&here, "bob").await];
        assert_eq!(documents(&world).await, 3, "two connections and their node");
        here.close().await.expect("close");
        assert_eq!(documents(&world).await, 0);
        drop(held);

        let (_, rooms) = world.rooms();
        let seat = |key: &str| headwater::presence::Seat {
            topic: "room".into(),
            key: key.to_owned(),
            connection: headwater::presence::ConnectionId::random(),
        };
        for key in ["ada", "bob", "eve"] {
            rooms.join(&seat(key), &String::new(), SECOND).await.expect("join");
        }
        let _mine = join(&there, "me").await;
        until(async || documents(&world).await == 2).await;
        assert_eq!(there.count("room").await.expect("count").connections, 1);
    }

    async fn a_connection_that_could_not_leave_does_not_live_on_with_its_process(emulator: Emulator) {
        let world = World::warm(&emulator).await;
        let roster = world.roster(6 * SECOND);
        let (stays, goes) = (join(&roster, "ada").await, join(&roster, "bob").await);
        emulator.signal("-STOP");
        goes.leave().await.expect_err("nobody answers");
        emulator.signal("-CONT");
        until(async || {
            let left = roster.get("room", "bob").await;
            left.is_ok_and(|left| left.is_empty())
        })
        .await;
        assert_eq!(roster.get("room", "ada").await.expect("get")[0].connection, stays.id());
    }

    async fn a_late_heartbeat_is_an_expiry_and_a_join(world: World) {
        let (_, rooms) = world.rooms();
        let watcher = world.roster(SECOND);
        let mut watch = watcher.watch("room").expect("watch");
        assert_eq!(snapshot(&mut watch).await, (0, Reason::Begin));
        let seat = headwater::presence::Seat {
            topic: "room".into(),
            key: "ada".to_owned(),
            connection: headwater::presence::ConnectionId::random(),
        };
        rooms.join(&seat, &"1".to_owned(), SECOND).await.expect("join");
        let told = async |watch: &mut Watch<Store>| next(watch).await.expect("nothing fails");
        assert_eq!(told(&mut watch).await, Event::Online("ada".to_owned()));
        assert!(matches!(told(&mut watch).await, Event::Join(_)));
        tokio::time::sleep(SECOND + Duration::from_millis(50)).await;
        assert!(watcher.get("room", "ada").await.expect("get").is_empty());
        let touched = rooms.touch(&[&seat], SECOND).await.remove(0);
        assert!(!touched.expect("an answer"), "the dead stay dead");
        assert!(watcher.get("room", "ada").await.expect("get").is_empty());
        rooms.join(&seat, &"1".to_owned(), SECOND).await.expect("join again");
        assert_eq!(told(&mut watch).await, Event::Expire("ada".to_owned(), seat.connection));
        assert_eq!(told(&mut watch).await, Event::Offline("ada".to_owned()));
        assert_eq!(told(&mut watch).await, Event::Online("ada".to_owned()));
        assert!(matches!(told(&mut watch).await, Event::Join(_)));
    }

    async fn a_server_that_comes_back_empty_has_all_join_again_and_watchers_are_told(
        emulator: Emulator
    ) {
        let mut emulator = emulator;
        let world = World::warm(&emulator).await;
        let (here, there) = (world.roster(6 * SECOND), world.roster(6 * SECOND));
        let _held = [join(&here, "ada").await, join(&here, "bob").await];
        let mut watch = there.watch("room").expect("watch");
        assert_eq!(snapshot(&mut watch).await, (2, Reason::Begin));
        emulator.kill();
        assert!(next(&mut watch).await.expect_err("the link is lost").is_retryable());
        assert!(here.get("room", "ada").await.expect_err("no absence").is_retryable());
        emulator.restart();
        let (count, reason) = snapshot(&mut watch).await;
        assert_eq!(reason, Reason::Resync);
        until_there_are(&mut watch, count, 2).await;
        until(async || here.stats().rejoins >= 2).await;
        assert_eq!(there.count("room").await.expect("count").connections, 2);
    }

    async fn a_frozen_server_is_an_error_and_no_absence(emulator: Emulator) {
        let world = World::warm(&emulator).await;
        let roster = world.roster(15 * SECOND);
        let held = join(&roster, "ada").await;
        let mut watch = roster.watch("room").expect("watch");
        assert_eq!(snapshot(&mut watch).await, (1, Reason::Begin));
        emulator.signal("-STOP");
        let kind = roster.get("room", "ada").await.expect_err("nobody answers").kind();
        assert_eq!(kind, ErrorKind::Timeout);
        assert!(next(&mut watch).await.expect_err("the link is lost").is_retryable());
        emulator.signal("-CONT");
        let (count, reason) = snapshot(&mut watch).await;
        assert_eq!(reason, Reason::Resync);
        until_there_are(&mut watch, count, 1).await;
        drop(held);
        until_there_are(&mut watch, 1, 0).await;
    }

    async fn many_join_at_once(world: World) {
        // Emulators have no indexes: each question who is there reads the whole collection.
        let joins = std::env::var("HEADWATER_JOINS").ok().and_then(|text| text.parse().ok());
        let joins: u64 = joins.unwrap_or(10_000);
        let (store, rooms) = world.rooms();
        let roster = Roster::builder(rooms).ttl(60 * SECOND).build().expect("it makes sense");
        let keys: Vec<String> = (0..joins).map(|key| (key / 2).to_string()).collect();
        let held = join_all(keys.iter().map(|key| join(&roster, key))).await;
        let counts = roster.count("room").await.expect("count");
        assert_eq!((counts.keys, counts.connections), (joins / 2, joins));
        let firsts = held.iter().filter(|held| held.joined().is_first()).count();
        assert_eq!(firsts as u64, joins / 2, "of two that join at once, one is the first");
        let mut watch = roster.watch("room").expect("watch");
        assert_eq!(snapshot(&mut watch).await, (joins as usize, Reason::Begin));
        drop(held);
        until_there_are(&mut watch, joins as usize, 0).await;
        assert_eq!(roster.count("room").await.expect("count").connections, 0);
        // Heartbeats have their own test.
        assert!(store.stats().writes <= joins + 1 + joins / 10, "{:?}", store.stats());
    }

    async fn of_those_that_join_together_one_is_refused_and_the_others_are_there(world: World) {
        let roster = world.roster(60 * SECOND);
        let huge = "x".repeat(2 << 20);
        let values = (0..90).map(|number| if number % 30 == 7 { huge.clone() } else { String::new() });
        let joins = values.enumerate().map(|(number, value)| {
            let (roster, key) = (&roster, (number % 45).to_string());
            async move { roster.join("room", &key, value).await }
        });
        let (held, refused): (Vec<_>, Vec<_>) =
            join_all(joins).await.into_iter().partition(Result::is_ok);
        let kinds: Vec<ErrorKind> =
            refused.into_iter().map(|refused| refused.expect_err("refused").kind()).collect();
        assert_eq!(kinds, [ErrorKind::Codec; 3]);
        let held: Vec<_> = held.into_iter().flatten().collect();
        let firsts = held.iter().filter(|held| held.joined().is_first()).count();
        assert_eq!((held.len(), firsts), (87, 45), "of those of a key, one is the first");
        assert_eq!(roster.count("room").await.expect("count").connections, 87);
    }

    async fn what_is_replayed_is_what_is_there_under_every_trouble(emulator: Emulator) {
        let mut emulator = emulator;
        let world = World::warm(&emulator).await;
        let processes = [(); 3].map(|()| world.roster(3 * SECOND));
        let seconds = std::env::var("HEADWATER_WATCH_SECONDS").ok().and_then(|text| text.parse().ok());
        let span = Duration::from_secs(seconds.unwrap_or(8));
        let trouble = async |steps| match steps % 100 {
            20 => {
                emulator.signal("-STOP");
                tokio::time::sleep(SECOND / 2).await;
                emulator.signal("-CONT");
            }
            50 => {
                emulator.kill();
                emulator.restart();
            }
            _ => {}
        };
        let steps = replayed(&processes, span, trouble).await;
        assert!(steps > 3, "{steps} steps");
    }

    async fn watching_many_topics_takes_one_stream(world: World) {
        let builder = Roster::builder(world.rooms().1).close_within(GUARD);
        let roster = builder.build().expect("it makes sense");
        let topics: Vec<String> = (0..150).map(|topic| format!("room {topic}")).collect();
        let mut watches: Vec<_> =
            topics.iter().map(|topic| roster.watch(topic).expect("watch")).collect();
        for watch in &mut watches {
            assert_eq!(snapshot(watch).await, (0, Reason::Begin));
        }
        let mut held = Vec::new();
        for (topic, watch) in topics.iter().zip(&mut watches).rev().take(20) {
            held.push(roster.join(topic, "ada", String::new()).await.expect("join"));
            assert_eq!(next(watch).await.expect("told"), Event::Online("ada".to_owned()));
        }
        roster.close().await.expect("close");
    }
}

/// Set in the environment of a process that a test has started: where the emulator is, and the project.
const CHILD: &str = "HEADWATER_TEST_CHILD_ROSTER";

#[tokio::test]
async fn a_killed_process_is_seen_to_expire_and_is_cleaned_up() {
    if let Ok(place) = std::env::var(CHILD) {
        let (host, project) = place.split_once(' ').expect("two words");
        let world = World { db: client(host, project, "(default)").await };
        let roster = world.roster(2 * SECOND);
        let _held = [join(&roster, "ada").await, join(&roster, "bob").await];
        println!("joined");
        return std::future::pending().await;
    }
    let (host, project) = (Make::Hidane.shared(), project());
    let world = World { db: client(&host, &project, "(default)").await };
    let roster = world.roster(2 * SECOND);
    let mut watch = roster.watch("room").expect("watch");
    assert_eq!(snapshot(&mut watch).await, (0, Reason::Begin));
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "roster::a_killed_process_is_seen_to_expire_and_is_cleaned_up"])
        .arg("--nocapture")
        .env(CHILD, format!("{host} {project}"))
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    until_there_are(&mut watch, 0, 2).await;
    // Longer than a life, so that its heartbeats count.
    tokio::time::sleep(3 * SECOND).await;
    assert_eq!(roster.count("room").await.expect("count").connections, 2);
    child.kill().expect("kill -9");
    child.wait().expect("it is gone");
    let mut expired = 0;
    while expired < 2 {
        match next(&mut watch).await.expect("nothing fails") {
            Event::Expire(..) => expired += 1,
            Event::Offline(_) | Event::Online(_) | Event::Join(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(roster.count("room").await.expect("count").connections, 0);
    until(async || documents(&world).await == 0).await;
}
