//! Documents as the Go client writes them, written by the protocol itself: whole numbers of any width as
//! integers, `float64` as doubles, `[]byte` as bytes and `[N]byte` as lists, times as timestamps, a
//! `TextMarshaler` as text, nil as null; a field is called as its tag or as the Go field.

use crate::emulator::{Make, on_each_emulator};
use crate::world::{World, array, double, integer, map, null, text, value};
use headwater::firestore::FirestoreSource;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::Value;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::value::ValueType;
use headwater::firestore::client::gcloud_sdk::google::r#type::LatLng;
use headwater::firestore::client::gcloud_sdk::prost_types::Timestamp;
use headwater::firestore::client::{FirestoreLatLng, FirestoreReference, FirestoreTimestamp};
use headwater::{ErrorKind, Fetcher};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::error::Error as _;

fn bytes(bytes: &[u8]) -> Value {
    value(ValueType::BytesValue(bytes.to_vec()))
}

fn time(seconds: i64, nanos: i32) -> Value {
    value(ValueType::TimestampValue(Timestamp { seconds, nanos }))
}

/// Reads the one field `Held` of a document as a `T`; the error is what is wrong with it.
async fn held<T>(world: &World, written: &Value) -> Result<T, String>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    #[derive(Clone, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Holder<T> {
        held: T,
    }
    world.set("holders/1", vec![("Held", written.clone())]).await;
    let holders = FirestoreSource::<str, Holder<T>>::new(world.db.clone(), "holders");
    match holders.expect("a path").fetch("1").await {
        Ok(holder) => Ok(holder.held),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Codec, "{error}");
            Err(error.source().expect("what is wrong").to_string())
        }
    }
}

on_each_emulator! {
    async fn documents_of_the_go_client_are_read(world: World) {
        #[derive(Clone, Debug, PartialEq, Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Address {
            city: String,
            place: Option<FirestoreLatLng>,
        }
        #[derive(Clone, Debug, PartialEq, Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Profile {
            name: String,
            age: u8,
            offset: i64,
            balance: f64,
            active: bool,
            tags: Option<Vec<String>>,
            labels: Option<HashMap<String, i32>>,
            #[serde(with = "serde_bytes")]
            avatar: Vec<u8>,
            digest: [u8; 3],
            joined: FirestoreTimestamp,
            seen: FirestoreTimestamp,
            // A `netip.Addr`, say: a `TextMarshaler`.
            address: String,
            home: Address,
            visited: Vec<Address>,
            friend: Option<FirestoreReference>,
            enemy: Option<FirestoreReference>,
            #[serde(rename = "nick")]
            nick_name: Option<String>,
            // An embedded struct's fields are the document's own.
            #[serde(flatten)]
            base: HashMap<String, u32>,
        }
        let friend = format!("{}/profiles/2", world.db.get_documents_path());
        let point = value(ValueType::GeoPointValue(LatLng { latitude: 1.5, longitude: -2.5 }));
        world.set("profiles/1", vec![
            ("Name", text("Ada <ключ>")),
            ("Age", integer(36)),
            ("Offset", integer(i64::MIN)),
            ("Balance", double(5.0)),
            ("Active", value(ValueType::BooleanValue(true))),
            ("Tags", null()),
            ("Labels", null()),
            ("Avatar", bytes(&[1, 255])),
            ("Digest", array(vec![integer(1), integer(2), integer(3)])),
            ("Joined", time(-62_135_596_800, 0)),
            ("Seen", time(1_700_000_000, 123_456_000)),
            ("Address", text("192.0.2.1")),
            ("Home", map(vec![("City", text("Bern")), ("Place", point)])),
            ("Visited", array(vec![map(vec![("City", text("Ulm")), ("Place", null())])])),
            ("Friend", value(ValueType::ReferenceValue(friend.clone()))),
            ("Enemy", null()),
            ("nick", null()),
            ("Rev", integer(7)),
        ]).await;
        let profiles = FirestoreSource::<str, Profile>::new(world.db.clone(), "profiles").expect("a path");
        let profile = profiles.fetch("1").await.expect("it fits");
        assert_eq!(profile.joined.0.to_string(), "0001-01-01T00:00:00Z", "Go's zero time");
        assert_eq!(profile.seen.0.to_string(), "2023-11-14T22:13:20.123456Z");
        assert_eq!((profile.age, profile.offset, profile.balance), (36, i64::MIN, 5.0));
        assert_eq!((profile.tags, profile.labels, profile.active), (None, None, true));
        assert_eq!((profile.avatar, profile.digest), (vec![1, 255], [1, 2, 3]));
        assert_eq!((&*profile.name, profile.nick_name, &*profile.address), ("Ada <ключ>", None, "192.0.2.1"));
        assert_eq!((&*profile.home.city, &*profile.visited[0].city), ("Bern", "Ulm"));
        assert!(profile.home.place.is_some() && profile.visited[0].place.is_none());
        assert_eq!((profile.friend, profile.enemy), (Some(FirestoreReference(friend)), None));
        assert_eq!(profile.base, HashMap::from([("Rev".to_owned(), 7)]));
    }

    /// Go, too, makes an integer of a double and the other way round only if nothing is lost.
    async fn numbers_of_the_go_client_are_exact_or_named(world: World) {
        assert_eq!(held(&world, &integer(5)).await, Ok(5.0_f64));
        assert_eq!(held(&world, &double(5.0)).await, Ok(5_u32));
        assert_eq!(held(&world, &integer(i64::MAX)).await, Ok(i64::MAX as u64));
        let wrong = held::<u32>(&world, &double(5.5)).await.expect_err("half");
        assert!(wrong.contains("/holders/1`, field `Held`"), "{wrong}");
        held::<u8>(&world, &integer(256)).await.expect_err("no room");
        held::<u64>(&world, &integer(-1)).await.expect_err("a sign");
        held::<f64>(&world, &integer((1 << 53) + 1)).await.expect_err("not exact");
    }

    async fn what_the_go_client_writes_otherwise_than_the_type_says_is_named(world: World) {
        let named = |wrong: Result<(), String>| {
            let wrong = wrong.expect_err("a misfit");
            assert!(wrong.contains("/holders/1`, field `Held"), "{wrong}");
        };
        // A nil slice, map or pointer is null: `Option` in Rust.
        named(held::<Vec<String>>(&world, &null()).await.map(drop));
        named(held::<HashMap<String, u8>>(&world, &null()).await.map(drop));
        named(held::<String>(&world, &null()).await.map(drop));
        // `[]byte` is no text, and a time no number.
        named(held::<String>(&world, &bytes(&[255])).await.map(drop));
        named(held::<i64>(&world, &time(1, 0)).await.map(drop));
        // A `time.Duration` is an integer of nanoseconds.
        named(held::<std::time::Duration>(&world, &integer(1_000_000_000)).await.map(drop));
        named(held::<[u8; 3]>(&world, &array(vec![integer(1), integer(2)])).await.map(drop));
        let wrong = held::<Vec<u8>>(&world, &array(vec![integer(1), integer(256)])).await;
        assert!(wrong.expect_err("no byte").contains("field `Held.1`"));
    }
}
