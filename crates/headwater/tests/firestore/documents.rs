//! What is in the database is what is answered; on each emulator.

use crate::emulator::{Make, on_each_emulator};
use crate::world::{
    Plane, Planes, World, array, client, double, integer, map, null, plane, project, text, value,
    write,
};
use headwater::firestore::FirestoreSource;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::value::ValueType;
use headwater::firestore::client::gcloud_sdk::google::r#type::LatLng;
use headwater::firestore::client::gcloud_sdk::prost_types::Timestamp;
use headwater::firestore::client::{
    FirestoreInstant, FirestoreLatLng, FirestoreReference, FirestoreTimestamp,
};
use headwater::{Error, ErrorKind, FetchOptions, Fetcher};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::error::Error as _;
use std::time::{Duration, SystemTime};

/// What the source of an error says.
fn cause(error: &Error) -> String {
    error.source().expect("a cause").to_string()
}

fn kinds<V>(outcomes: &[headwater::Result<V>]) -> Vec<Option<ErrorKind>> {
    outcomes.iter().map(|outcome| outcome.as_ref().err().map(Error::kind)).collect()
}

on_each_emulator! {
    async fn a_document_is_found_and_a_missing_one_is_absent(world: World) {
        world.have(&["a"]).await;
        let planes = world.planes();
        assert_eq!(planes.fetch("a").await.expect("found"), plane("a"));
        assert!(planes.fetch("b").await.expect_err("absent").is_not_found());
        let stats = planes.stats();
        assert_eq!((stats.calls, stats.reads, stats.missing, stats.failures), (2, 2, 1, 0));
    }

    async fn answers_are_ordered_by_their_versions(world: World) {
        let planes = world.planes();
        let version = async || {
            let entry = planes.fetch_entry("a", &FetchOptions::new()).await.expect("an answer");
            (entry.is_absent(), entry.version().expect("a version"))
        };
        let mut seen = vec![version().await];
        world.have(&["a"]).await;
        seen.push(version().await);
        world.set("planes/a", vec![("model", text("other"))]).await;
        seen.push(version().await);
        world.delete("planes/a").await;
        seen.push(version().await);
        world.have(&["a"]).await;
        seen.push(version().await);
        let absent: Vec<bool> = seen.iter().map(|(is_absent, _)| *is_absent).collect();
        assert_eq!(absent, [true, false, false, true, false]);
        assert!(seen.is_sorted_by(|(_, one), (_, next)| one < next), "{seen:?}");
        assert_eq!(seen[4], version().await, "a document that stays has one version");
    }

    async fn many_keys_are_answered_in_order_with_duplicates_and_gaps(world: World) {
        let ids: Vec<String> = (0..250).map(|number| number.to_string()).collect();
        let there: Vec<&str> = ids.iter().step_by(2).map(String::as_str).collect();
        world.have(&there).await;
        let planes = world.builder().batch(30).build().expect("valid settings");
        let mut keys: Vec<&str> = ids.iter().map(String::as_str).collect();
        keys.extend(["4", "4", "5"]);
        let outcomes = planes.fetch_many(&keys).await;
        assert_eq!(outcomes.len(), keys.len());
        for (key, outcome) in keys.iter().zip(outcomes) {
            let number: u32 = key.parse().expect("a number");
            if number.is_multiple_of(2) {
                assert_eq!(outcome.expect("found"), plane(key));
            } else {
                assert!(outcome.expect_err("absent").is_not_found(), "{key}");
            }
        }
        let stats = planes.stats();
        assert_eq!((stats.calls, stats.reads, stats.missing), (9, 250, 125));
    }

    async fn no_keys_are_no_call(world: World) {
        let planes = world.planes();
        assert!(planes.fetch_many(&[]).await.is_empty());
        assert_eq!(planes.stats().calls, 0);
    }

    async fn one_bad_key_or_document_fails_no_other(world: World) {
        world.have(&["a", "z"]).await;
        world.set("planes/bad", vec![("model", integer(7))]).await;
        let planes = world.planes();
        let outcomes = planes.fetch_many(&["a", "x/y", "bad", "", "no", "z"]).await;
        let codec = Some(ErrorKind::Codec);
        let absent = Some(ErrorKind::NotFound);
        assert_eq!(kinds(&outcomes), [None, codec, codec, codec, absent, None]);
        assert_eq!((planes.stats().bad_keys, planes.stats().undecodable), (2, 1));
    }

    async fn a_document_that_does_not_fit_is_named_with_its_field(world: World) {
        #[derive(Clone, Debug, Deserialize)]
        struct Fleet {
            #[expect(dead_code, reason = "only read")]
            planes: Vec<BTreeMap<String, u64>>,
        }
        let seats = map(vec![("seats", integer(-1))]);
        world.set("fleets/one", vec![("planes", array(vec![map(vec![]), seats]))]).await;
        world.set("fleets/two", vec![("other", null())]).await;
        let fleets = FirestoreSource::<str, Fleet>::new(world.db.clone(), "fleets").expect("a path");
        let error = fleets.fetch("one").await.expect_err("no u64");
        assert_eq!(error.kind(), ErrorKind::Codec);
        let text = cause(&error);
        assert!(text.contains("/documents/fleets/one`, field `planes.1.seats`"), "{text}");
        assert!(!error.to_string().contains("one"), "keys stay out of messages: {error}");
        let text = cause(&fleets.fetch("two").await.expect_err("a missing field"));
        assert!(text.contains("fleets/two`: missing field `planes`"), "{text}");
    }

    async fn every_type_of_firestore_is_read(world: World) {
        #[derive(Clone, Debug, PartialEq, Deserialize)]
        enum State { Parked, Away { gate: String }, Moved(i64) }
        #[derive(Clone, Debug, PartialEq, Deserialize)]
        struct Everything {
            #[serde(alias = "_firestore_id")]
            id: String,
            text: String,
            huge: i64,
            large: u64,
            ratio: f64,
            whole: f64,
            yes: bool,
            nothing: Option<u8>,
            missing: Option<u8>,
            #[serde(with = "serde_bytes")]
            bytes: Vec<u8>,
            numbers: Vec<u8>,
            at: FirestoreTimestamp,
            instant: FirestoreInstant,
            system: SystemTime,
            place: FirestoreLatLng,
            owner: FirestoreReference,
            nested: HashMap<u16, Vec<Option<String>>>,
            states: Vec<State>,
        }
        let time = value(ValueType::TimestampValue(Timestamp { seconds: 1_700_000_000, nanos: 123_456_000 }));
        let owner = format!("{}/people/1", world.db.get_documents_path());
        let bytes = || value(ValueType::BytesValue(vec![0, 255, 128]));
        world.set("things/1", vec![
            ("text", text("ключ 鍵 🗝")),
            ("huge", integer(i64::MIN)),
            ("large", integer((1 << 53) + 1)),
            ("ratio", double(0.1)),
            ("whole", integer(1 << 53)),
            ("yes", value(ValueType::BooleanValue(true))),
            ("nothing", null()),
            ("bytes", bytes()),
            ("numbers", bytes()),
            ("at", time.clone()),
            ("instant", time.clone()),
            ("system", time),
            ("place", value(ValueType::GeoPointValue(LatLng { latitude: 1.5, longitude: -2.5 }))),
            ("owner", value(ValueType::ReferenceValue(owner.clone()))),
            ("nested", map(vec![("7", array(vec![text("x"), null()]))])),
            ("states", array(vec![
                text("Parked"),
                map(vec![("Away", map(vec![("gate", text("B2"))]))]),
                map(vec![("Moved", integer(3))]),
            ])),
        ]).await;
        let things = FirestoreSource::<u64, Everything>::new(world.db.clone(), "things").expect("a path");
        let thing = things.fetch(&1).await.expect("it fits");
        let instant = FirestoreInstant::new(1_700_000_000, 123_456_000).expect("a time");
        assert_eq!(thing, Everything {
            id: "1".to_owned(),
            text: "ключ 鍵 🗝".to_owned(),
            huge: i64::MIN,
            large: (1 << 53) + 1,
            ratio: 0.1,
            whole: 9_007_199_254_740_992.0,
            yes: true,
            nothing: None,
            missing: None,
            bytes: vec![0, 255, 128],
            numbers: vec![0, 255, 128],
            at: FirestoreTimestamp(instant),
            instant,
            system: SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_000),
            place: FirestoreLatLng(headwater::firestore::client::FirestoreGeoPoint {
                latitude: 1.5, longitude: -2.5,
            }),
            owner: FirestoreReference(owner),
            nested: HashMap::from([(7, vec![Some("x".to_owned()), None])]),
            states: vec![State::Parked, State::Away { gate: "B2".to_owned() }, State::Moved(3)],
        });
    }

    async fn a_mask_leaves_out_the_other_fields(world: World) {
        let inner = map(vec![("b", integer(1)), ("c d", integer(2)), ("e", integer(3))]);
        world.set("things/1", vec![("a", inner), ("model", text("x"))]).await;
        let things = FirestoreSource::<str, HashMap<String, HashMap<String, u8>>>::builder(
            world.db.clone(),
            "things",
        );
        let things = things.fields(["a.b", "a.`c d`"]).build().expect("valid settings");
        let thing = things.fetch("1").await.expect("it fits");
        let inner = HashMap::from([("b".to_owned(), 1), ("c d".to_owned(), 2)]);
        assert_eq!(thing, HashMap::from([("a".to_owned(), inner)]));
    }

    async fn subcollections_and_other_databases_are_told_apart(world: World) {
        world.set("planes/1", vec![("model", text("top"))]).await;
        world.set("fleets/x/planes/1", vec![("model", text("under x"))]).await;
        let planes = Planes::new(world.db.clone(), "fleets/x/planes").expect("a path");
        assert_eq!(planes.fetch("1").await.expect("found"), plane("under x"));
        assert_eq!(world.planes().fetch("1").await.expect("found"), plane("top"));
    }

    async fn strange_keys_are_told_apart_when_escaped(world: World) {
        let longest = "k".repeat(1_500);
        let keys = [
            "", " ", "a", "A", "a ", "a:b", "a/b", "%", "%2F", ".", "..", "__x__", "{a}", "__",
            "a\u{1}b", "a\u{0}b", "\u{feff}", "\u{fffe}", "a\r\nGET b", "ключ-鍵-🗝", "%7Ba%7D", "`", "\\", "*", longest.as_str(),
        ];
        let planes = world.builder().escape_keys().build().expect("valid settings");
        for key in keys {
            assert!(planes.fetch(key).await.expect_err("nothing yet").is_not_found(), "{key:?}");
        }
        let escaped = |key: &str| match key {
            "" => "%".to_owned(),
            "." | ".." => key.replacen('.', "%2E", 1),
            "__x__" => "%5F_x__".to_owned(),
            _ => key.replace('%', "%25").replace('/', "%2F"),
        };
        let document = |key: &&str| (format!("planes/{}", escaped(key)), vec![("model", text(key))]);
        write(&world.db, keys.iter().map(document)).await;
        for (key, outcome) in keys.iter().zip(planes.fetch_many(&keys).await) {
            assert_eq!(outcome.expect("found"), plane(key), "{key:?}");
        }
    }

    async fn a_close_leaves_the_client_alone(world: World) {
        world.have(&["a"]).await;
        let planes = world.planes();
        let clone = planes.clone();
        planes.close().await.expect("closed");
        planes.close().await.expect("closed again");
        assert_eq!(clone.fetch("a").await.expect_err("closed").kind(), ErrorKind::Closed);
        assert_eq!(kinds(&planes.fetch_many(&["a", "b"]).await), [Some(ErrorKind::Closed); 2]);
        assert_eq!(world.planes().fetch("a").await.expect("the client works"), plane("a"));
    }
}

#[tokio::test]
async fn a_database_that_is_not_the_default_is_another_one() {
    let (host, project) = (Make::Hidane.shared(), project());
    let default = client(&host, &project, "(default)").await;
    let archive = client(&host, &project, "archive").await;
    write(&archive, [("planes/1".to_owned(), vec![("model", text("old"))])]).await;
    let archived = FirestoreSource::<str, Plane>::new(archive, "planes").expect("a path");
    assert_eq!(archived.fetch("1").await.expect("found"), plane("old"));
    let current = FirestoreSource::<str, Plane>::new(default, "planes").expect("a path");
    assert!(current.fetch("1").await.expect_err("not there").is_not_found());
}

#[tokio::test]
async fn wrong_settings_are_named() {
    let world = World::on(Make::Hidane).await;
    let fault = |error: headwater::Result<Planes>| {
        let error = error.expect_err("a fault");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        error.to_string()
    };
    assert!(fault(Planes::new(world.db.clone(), "a/b")).contains("`a/b`"));
    assert!(fault(world.builder().fields(["a", "b c"]).build()).contains("`b c`"));
    assert!(fault(world.builder().fields::<String>([]).build()).contains("fields"));
    assert!(fault(world.builder().batch(0).build()).contains("batch"));
    assert!(fault(world.builder().concurrency(0).build()).contains("concurrency"));
    assert!(fault(world.builder().timeout(Duration::ZERO).build()).contains("timeout"));
}
