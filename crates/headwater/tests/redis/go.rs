//! Go mode, against what the Go package writes: the rows of REDIS.md section 6, typed in.

use crate::server::Server;
use headwater::redis::{RedisCache, RedisConfig, RedisKey};
use headwater::{Entry, ErrorKind, Key, Tier, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

async fn go<K, V>(server: &Server) -> RedisCache<K, V>
where
    K: ?Sized + Key + RedisKey,
    V: Value + Serialize + DeserializeOwned,
{
    let config = RedisConfig::new(&server.url()).expect("a URL").go_compatible();
    config.connect().await.expect("it is there")
}

/// Holds the tier to writing `value` as `wire`, and to reading it back from `also` too.
async fn agrees<V>(server: &Server, value: V, wire: &str, also: &[&str])
where
    V: Value + Serialize + DeserializeOwned + Debug + PartialEq,
{
    let tier = go::<str, V>(server).await;
    tier.put("golden", &Entry::found(value.clone())).await.expect("Go can read it");
    assert_eq!(server.tell("GET golden"), wire);
    for wire in [wire].iter().chain(also) {
        server.ask(&[b"SET", b"golden", wire.as_bytes()]);
        let read = tier.get("golden").await.expect("an answer").and_then(Entry::into_value);
        assert_eq!(read.as_ref(), Some(&value), "{wire}");
    }
}

/// Holds the tier to taking `wire` for a miss.
async fn is_a_miss<V>(server: &Server, wire: &str)
where
    V: Value + Serialize + DeserializeOwned + Debug,
{
    server.ask(&[b"SET", b"golden", wire.as_bytes()]);
    let tier = go::<str, V>(server).await;
    assert!(tier.get("golden").await.expect("a miss").is_none(), "{wire}");
    assert_eq!(tier.stats().corrupt, 1, "{wire}");
}

fn null_to_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// As a Go struct `{ID uint64 "json:id,string"; NoTag string; Tags []string; Nick *string; ...}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct User {
    id: u64,
    #[serde(rename = "NoTag")]
    no_tag: String,
    #[serde(default, deserialize_with = "null_to_default")]
    tags: Vec<String>,
    nick: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    age: u32,
    digest: [u8; 3],
    #[serde(flatten)]
    embedded: Embedded,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Embedded {
    city: String,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn user() -> User {
    User {
        id: 9_007_199_254_740_993,
        no_tag: "x".to_owned(),
        tags: Vec::new(),
        nick: None,
        age: 0,
        digest: [1, 2, 255],
        embedded: Embedded { city: "Köln <&>".to_owned() },
    }
}

#[tokio::test]
async fn values_are_what_go_writes() {
    let server = Server::start();
    agrees(&server, "user 1".to_owned(), r#""user 1""#, &[]).await;
    agrees(&server, -5_i64, "-5", &[]).await;
    agrees(&server, true, "true", &[]).await;
    agrees(&server, u64::MAX, "18446744073709551615", &[]).await;
    agrees(&server, 1.0_f64, "1.0", &["1"]).await;
    agrees(&server, vec![Some(1), None], "[1,null]", &[]).await;
    let by_number = BTreeMap::from([(1_u32, "a".to_owned()), (2, "b".to_owned())]);
    agrees(&server, by_number, r#"{"1":"a","2":"b"}"#, &[]).await;
    agrees(
        &server,
        user(),
        r#"{"id":9007199254740993,"NoTag":"x","tags":[],"nick":null,"digest":[1,2,255],"city":"Köln <&>"}"#,
        &[
            // A nil slice; `<`, `>` and `&` escaped, as Go does; unknown fields.
            r#"{"id":9007199254740993,"NoTag":"x","tags":null,"nick":null,"digest":[1,2,255],"city":"Köln \u003c\u0026\u003e","new":1}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn what_serde_cannot_read_is_a_miss() {
    let server = Server::start();
    is_a_miss::<i64>(&server, "1.0").await;
    is_a_miss::<Vec<u8>>(&server, r#""//4B""#).await;
    is_a_miss::<Vec<String>>(&server, "null").await;
    is_a_miss::<String>(&server, r#""\ud800""#).await;
    is_a_miss::<String>(&server, r#""a" "b""#).await;
    is_a_miss::<User>(&server, r#"{"id":1,"notag":"x"}"#).await;
}

#[tokio::test]
async fn what_go_cannot_read_is_refused() {
    async fn refused<V: Value + Serialize + DeserializeOwned>(server: &Server, value: V) {
        let tier = go::<str, V>(server).await;
        server.tell("SET bad 1");
        let error = tier.put("bad", &Entry::found(value)).await.expect_err("Go cannot read it");
        assert_eq!(error.kind(), ErrorKind::Codec);
        assert!(error.to_string().contains("Go"), "{error}");
        assert_eq!(tier.stats().unwritable, 1);
        assert_eq!(server.tell("GET bad"), "(nil)", "what it was to replace is gone");
    }
    let server = Server::start();
    refused(&server, f64::NAN).await;
    refused(&server, vec![f32::INFINITY]).await;
    refused(&server, u128::MAX).await;
    refused(&server, None::<u8>).await;
    refused(&server, Duration::from_secs(1)).await;
    refused(&server, std::time::SystemTime::UNIX_EPOCH).await;
}

#[tokio::test]
async fn keys_are_what_go_prints() {
    let server = Server::start();
    let one = Entry::found(1_u8);
    go::<str, u8>(&server).await.put("user:{1} 100%", &one).await.expect("stored");
    assert_eq!(server.ask(&[b"GET", "user:{1} 100%".as_bytes()]), "1");
    go::<i64, u8>(&server).await.put(&-5, &one).await.expect("stored");
    assert_eq!(server.tell("GET -5"), "1");
    go::<bool, u8>(&server).await.put(&true, &one).await.expect("stored");
    assert_eq!(server.tell("GET true"), "1");
}

#[tokio::test]
async fn lives_and_absents_are_as_in_go() {
    let server = Server::start();
    let tier = go::<str, u8>(&server).await.ttl(Duration::from_secs(60));
    tier.put("a", &Entry::found(1)).await.expect("stored");
    let left: u64 = server.tell("PTTL a").parse().expect("a number");
    assert!((50_000..=60_000).contains(&left), "{left}");
    let entry = tier.get("a").await.expect("an answer").expect("it is there");
    assert!(entry.expiry().is_some() && entry.loaded().is_none() && entry.version().is_none());
    tier.put("a", &Entry::absent()).await.expect("removed");
    assert_eq!(server.tell("GET a"), "(nil)");

    let endless = tier.ttl(Duration::MAX);
    endless.put("b", &Entry::found(1)).await.expect("stored");
    assert_eq!(server.tell("PTTL b"), "-1");
    let entry = endless.get("b").await.expect("an answer").expect("it is there");
    assert_eq!(entry.expiry(), None);
    let found = endless.get_many(&["b", "a", "b"]).await;
    let found: Vec<bool> =
        found.into_iter().map(|found| found.expect("an answer").is_some()).collect();
    assert_eq!(found, [true, false, true]);
}

#[tokio::test]
async fn what_go_does_not_know_is_refused_when_connecting() {
    let config = || RedisConfig::new("redis://127.0.0.1:1").expect("a URL").go_compatible();
    let faults = [
        config().schema(1).connect_lazy::<str, u8>().err(),
        config().namespace("n").connect_lazy::<str, u8>().err(),
        #[cfg(feature = "compression")]
        config().compress_above(1).connect_lazy::<str, u8>().err(),
        #[cfg(feature = "encryption")]
        config()
            .encrypt(headwater::codec::EncryptionKeys::new(1, [0; 32]))
            .connect_lazy::<str, u8>()
            .err(),
        #[cfg(feature = "postcard")]
        config().connect_lazy_with::<str, u8, _>(headwater::codec::Postcard).err(),
    ];
    for fault in faults {
        let fault = fault.expect("Go does not know it");
        assert_eq!(fault.kind(), ErrorKind::InvalidConfig);
        assert!(fault.to_string().contains("go_compatible"), "{fault}");
    }
    let server = Server::start();
    let error = go::<str, u8>(&server).await.clear().await.expect_err("what is ours?");
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
}
