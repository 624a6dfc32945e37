//! Presence in Firestore: the suite, and what it adds: what Go sees, whose clock counts, trouble.

use crate::emulator::{Emulator, Make, on_each_emulator};
use crate::world::{World, integer, text, value};
use futures_util::future::join_all;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::value::ValueType;
use headwater::firestore::client::gcloud_sdk::prost_types::Timestamp;
use headwater::firestore::client::{FirestoreGeoPoint, FirestoreLatLng, FirestoreReference};
use headwater::firestore::client::{FirestoreTimestamp, FirestoreVector};
use headwater::firestore::{FirestoreSource, FirestoreStore};
use headwater::presence::{FirestorePresence, Presence, PresenceCache};
use headwater::testkit::RealTime;
use headwater::{ErrorKind, Fetcher, presence_conformance};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant, SystemTime};

type Online = FirestorePresence<str, String>;

impl World {
    pub(crate) fn store(&self) -> FirestoreStore {
        FirestoreStore::new(self.db.clone())
    }

    fn online(&self) -> Online {
        Online::new(&self.store(), "online").expect("a path")
    }
}

presence_conformance!(hidane, async |_: RealTime| World::on(Make::Hidane).await.online());
presence_conformance!(
    #[ignore = "needs Google's emulator: ./scripts/test runs it where that is"]
    official,
    async |_: RealTime| World::on(Make::Official).await.online()
);

/// What Go's `firestore` tags and types would be.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct User {
    name: String,
    age: u64,
    score: f64,
    avatar: serde_bytes::ByteBuf,
    seen: FirestoreTimestamp,
    since: SystemTime,
    at: FirestoreLatLng,
    friend: FirestoreReference,
    likes: FirestoreVector,
    boss: Option<String>,
    tags: BTreeMap<u32, Vec<bool>>,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
enum State {
    Here,
    Away(u8),
    At { line: i64, column: i64 },
    Between(char, char),
}

fn user(world: &World) -> User {
    User {
        name: "ada".to_owned(),
        age: i64::MAX as u64,
        score: 1.0,
        avatar: serde_bytes::ByteBuf::from([0, 255]),
        seen: FirestoreTimestamp::now(),
        since: SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001),
        at: FirestoreLatLng(FirestoreGeoPoint { latitude: 1.5, longitude: -2.5 }),
        friend: FirestoreReference(format!("{}/users/bob", world.db.get_documents_path())),
        likes: FirestoreVector::new(vec![0.5, 1.0]),
        boss: None,
        tags: BTreeMap::from([(7, vec![true, false]), (8, vec![])]),
        state: State::At { line: 1, column: -2 },
    }
}

on_each_emulator! {
    async fn values_of_all_types_come_back_and_are_what_go_writes(world: World) {
        let store = world.store();
        let users = FirestorePresence::<str, User>::new(&store, "online").expect("a path");
        let users = users.go_compatible();
        let mut ada = user(&world);
        for state in [State::Here, State::Away(1), ada.state.clone(), State::Between('ä', 'b')] {
            ada.state = state;
            users.set("ada", &ada).await.expect("set");
            assert_eq!(users.fetch("ada").await.expect("an answer"), Some(ada.clone()));
        }
        let fields = world.fields("online/ada").await;
        for (field, expected) in [
            ("Name", "string"), ("Age", "integer"), ("Score", "double"), ("Avatar", "bytes"),
            ("Seen", "timestamp"), ("Since", "timestamp"), ("At", "point"), ("Boss", "null"),
            ("Friend", "reference"), ("Likes", "map"), ("Tags", "map"), ("State", "map"),
            ("expires_at", "timestamp"), ("expires_after_ms", "integer"),
        ] {
            assert_eq!(fields[field], expected, "{field}");
        }
        assert_eq!(fields.len(), 14);
    }

    async fn what_go_sets_is_read_and_ends_only_if_it_says_so(world: World) {
        let users = FirestorePresence::<str, HashMap<String, String>>::new(&world.store(), "online");
        let users = users.expect("a path").go_compatible();
        world.set("online/ada", vec![("Name", text("ada"))]).await;
        let ada = HashMap::from([("Name".to_owned(), "ada".to_owned())]);
        assert_eq!(users.fetch("ada").await.expect("an answer"), Some(ada.clone()));
        assert_eq!(users.remaining("ada").await.expect("an answer"), Some(Duration::MAX));
        let time = |seconds| value(ValueType::TimestampValue(Timestamp { seconds, nanos: 0 }));
        world.set("online/bob", vec![("Name", text("bob")), ("expires_at", time(1_000))]).await;
        assert_eq!(users.fetch("bob").await.expect("an answer"), None);
        world.set("online/bob", vec![("Name", text("bob")), ("expires_at", time(9_999_999_999))]).await;
        let left = users.remaining("bob").await.expect("an answer").expect("it lives");
        assert!(left > Duration::from_secs(1_000_000_000) && left < Duration::MAX, "{left:?}");
        assert!(users.touch("ada", Some(Duration::from_secs(60))).await.expect("an answer"));
        let fetched = users.fetch("ada").await.expect("an answer");
        assert_eq!(fetched, Some(ada), "fields of the store are none of the value's");
        assert!(users.remaining("ada").await.expect("an answer") <= Some(Duration::from_secs(60)));
    }

    async fn what_go_has_no_document_for_is_refused_before_anything_is_sent(world: World) {
        let store = world.store();
        let texts = Online::new(&store, "online").expect("a path").go_compatible();
        let error = texts.set("a", &"no fields".to_owned()).await.expect_err("no document");
        assert_eq!((error.kind(), error.tier()), (ErrorKind::Codec, Some("firestore")));
        type Map<V> = FirestorePresence<str, BTreeMap<String, V>>;
        let error = texts.set("a/b", &String::new()).await.expect_err("no id");
        assert_eq!(error.kind(), ErrorKind::Codec);
        let numbers = Map::<u64>::new(&store, "online").expect("a path").go_compatible();
        for (name, number) in [("big", u64::MAX), ("", 1), ("__x__", 1), ("expires_at", 1)] {
            let error = numbers.set("a", &[(name.to_owned(), number)].into()).await;
            assert_eq!(error.expect_err("no field").kind(), ErrorKind::Codec, "{name}");
        }
        let nested = FirestorePresence::<str, Vec<Vec<u8>>>::new(&store, "online").expect("a path");
        let error = nested.set("a", &vec![vec![], vec![1]]).await.expect_err("no array of arrays");
        let cause = std::error::Error::source(&error).expect("where").to_string();
        assert!(cause.contains("field `0`: Firestore has no arrays directly within"), "{cause}");
        assert_eq!((store.stats().calls, store.stats().bad_keys), (0, 1), "nothing was sent");
        let large = "x".repeat(1 << 20);
        let large = world.online().set("a", &large).await.expect_err("too large");
        assert_eq!(large.kind(), ErrorKind::Codec, "{large}");
        assert!(large.to_string().contains("1 MiB"), "{large}");
    }

    async fn a_source_reads_what_go_compatible_presence_wrote(world: World) {
        let users = FirestorePresence::<str, crate::world::Plane>::new(&world.store(), "planes");
        let users = users.expect("a path").go_compatible();
        users.set("a", &crate::world::plane("A320")).await.expect("set");
        let planes: FirestoreSource<str, crate::world::Plane> = world.planes();
        assert_eq!(planes.fetch("a").await.expect("found").model, "A320");
    }

    async fn what_cannot_be_read_is_an_error_and_can_be_overwritten(world: World) {
        let online = world.online();
        world.set("online/a", vec![("value", integer(7))]).await;
        world.set("online/b", vec![("other", text("x"))]).await;
        for key in ["a", "b"] {
            let error = online.fetch(key).await.expect_err("no text");
            assert_eq!(error.kind(), ErrorKind::Codec);
            online.set(key, &"1".to_owned()).await.expect("set");
            assert_eq!(online.fetch(key).await.expect("an answer").as_deref(), Some("1"));
        }
    }

    async fn each_operation_is_billed_as_the_docs_say(world: World) {
        let store = world.store();
        let online = Online::new(&store, "online").expect("a path");
        online.fetch("warm").await.expect("an answer");
        let mut last = store.stats();
        let mut billed = || {
            let now = store.stats();
            let spent = (now.reads - last.reads, now.writes - last.writes, now.deletes - last.deletes);
            last = now;
            spent
        };
        online.set("a", &"1".to_owned()).await.expect("set");
        assert_eq!(billed(), (0, 1, 0));
        online.fetch("a").await.expect("an answer");
        assert_eq!(billed(), (1, 0, 0));
        assert!(online.touch("a", None).await.expect("an answer"));
        assert_eq!(billed(), (1, 1, 0));
        assert_eq!(online.touch_many(&["a", "b", "a"], None).await.expect("an answer"), ["b"]);
        assert_eq!(billed(), (2, 1, 0));
        assert!(!online.set_if_absent("a", &"2".to_owned(), None).await.expect("an answer"));
        assert_eq!(billed(), (1, 0, 0));
        assert!(online.delete("a").await.expect("an answer"));
        assert_eq!(billed(), (1, 0, 1));
    }

    async fn many_that_touch_one_entry_at_once_lose_nothing(world: World) {
        let online = world.online();
        online.set("a", &"1".to_owned()).await.expect("set");
        let touches = (0..10).map(|_| online.touch("a", Some(Duration::MAX)));
        assert!(join_all(touches).await.into_iter().all(|touched| touched.expect("an answer")));
        assert_eq!(online.remaining("a").await.expect("an answer"), Some(Duration::MAX));
        let names: Vec<String> = (0..950).map(|name| name.to_string()).collect();
        let keys: Vec<&str> = names.iter().map(String::as_str).collect();
        let sets = keys.iter().map(async |key| online.set(key, &"1".to_owned()).await);
        for set in join_all(sets).await {
            set.expect("set");
        }
        assert!(online.touch_many(&keys, None).await.expect("an answer").is_empty());
    }

    async fn a_server_that_is_down_is_an_error_and_comes_back_by_itself(emulator: Emulator) {
        let mut emulator = emulator;
        let world = World::warm(&emulator).await;
        let store = FirestoreStore::builder(world.db.clone()).retries(1).build().expect("settings");
        let online = Online::new(&store, "online").expect("a path");
        online.set("a", &"1".to_owned()).await.expect("set");
        emulator.kill();
        assert!(online.fetch("a").await.expect_err("absent would be a lie").is_retryable());
        assert!(online.fetch_many(&["a", "b"]).await.iter().all(Result::is_err));
        online.touch_many(&["a"], None).await.expect_err("nobody knows what is missing");
        online.set("a", &"2".to_owned()).await.expect_err("nobody is there");
        emulator.restart();
        let began = Instant::now();
        while online.set("b", &"2".to_owned()).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "it never recovers");
        }
        assert_eq!(online.touch_many(&["a", "b"], None).await.expect("an answer"), ["a"]);
    }

    async fn a_frozen_server_costs_a_timeout(emulator: Emulator) {
        let world = World::warm(&emulator).await;
        let limit = Duration::from_millis(300);
        let store = FirestoreStore::builder(world.db.clone()).timeout(limit).build();
        let online = Online::new(&store.expect("settings"), "online").expect("a path");
        world.online().set("a", &"1".to_owned()).await.expect("set");
        emulator.signal("-STOP");
        let error = online.fetch("a").await.expect_err("nobody answers");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        emulator.signal("-CONT");
        let value = world.online().fetch("a").await.expect("it answers again");
        assert_eq!(value.as_deref(), Some("1"));
    }
}
