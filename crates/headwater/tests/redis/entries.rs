//! What becomes of entries on the way: batches, lives, ages, forms, namespaces.

use crate::chain::{self, config};
use crate::server::{Cluster, Server};
use headwater::redis::{RedisCache, RedisConfig};
use headwater::{Cache, Clock, Entry, ErrorKind, FetchOptions, Fetcher, Hashed, Tier, Version};
use std::time::Duration;

type Redis = RedisCache<str, String>;

async fn connect(config: RedisConfig) -> Redis {
    config.connect().await.expect("it is there")
}

fn found(text: &str) -> Entry<String> {
    Entry::found(text.to_owned())
}

async fn value(tier: &Redis, key: &str) -> Option<String> {
    tier.get(key).await.expect("an answer").and_then(Entry::into_value)
}

/// Puts and gets a batch of more keys than go in one round trip, some of them long, some versioned.
async fn large_batch_comes_back(tier: &Redis) {
    let keys: Vec<String> = (0..2_345).map(|number| format!("key {number}")).collect();
    let entry = |(number, key): (usize, &String)| match number % 100 {
        0 => found(&key.repeat(20_000)),
        1 => found(key).with_version(Version::new(7)),
        2 => Entry::absent(),
        _ => found(key),
    };
    let entries: Vec<Entry<String>> = keys.iter().enumerate().map(entry).collect();
    let pairs: Vec<_> = keys.iter().map(String::as_str).zip(&entries).collect();
    let outcomes = tier.put_many(&pairs).await;
    assert!(outcomes.len() == keys.len() && outcomes.iter().all(Result::is_ok));
    let names: Vec<&str> = keys.iter().map(String::as_str).chain(["nothing"]).collect();
    let answers = tier.get_many(&names).await;
    assert_eq!(answers.len(), names.len());
    for (entry, answer) in entries.iter().zip(&answers) {
        let answer = answer.as_ref().expect("an answer").as_ref().expect("it is there");
        assert!(answer.value() == entry.value() && answer.version() == entry.version());
    }
    assert!(matches!(answers.last(), Some(Ok(None))));
    tier.remove_many(&names).await.expect("removed");
    assert!(tier.get_many(&names).await.iter().all(|answer| matches!(answer, Ok(None))));
}

#[tokio::test]
async fn large_batches_come_back() {
    let server = Server::start();
    let patient = |config: RedisConfig| config.read_timeout(Duration::from_secs(5));
    let tier = connect(patient(config(&server.url()))).await;
    large_batch_comes_back(&tier).await;
    assert_eq!(tier.stats().connects, 2, "one connection, and one for long values");
    let cluster = Cluster::start();
    let config = RedisConfig::cluster(cluster.urls()).expect("URLs");
    large_batch_comes_back(&connect(patient(config)).await).await;
}

#[tokio::test]
async fn a_bad_key_fails_alone() {
    let server = Server::start();
    let tier = connect(config(&server.url())).await;
    let long = "k".repeat(headwater::redis::MAX_KEY + 1);
    let (a, b) = (found("1"), found("2"));
    let outcomes = tier.put_many(&[("a", &a), (&long, &a), ("b", &b)]).await;
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    assert_eq!(outcomes[1].as_ref().expect_err("too long").kind(), ErrorKind::Codec);
    let answers = tier.get_many(&["a", &long, "b"]).await;
    assert!(matches!(&answers[0], Ok(Some(_))) && matches!(&answers[2], Ok(Some(_))));
    assert!(answers[1].is_err());
    // The others are removed, whatever becomes of the key that cannot be there.
    let _ = tier.remove_many(&["a", &long, "b"]).await;
    assert_eq!(server.tell("DBSIZE"), "0");
}

#[tokio::test]
async fn empty_batches_make_no_round_trip() {
    let nowhere = format!("redis://127.0.0.1:{}", crate::server::free_port());
    let tier: Redis = config(&nowhere).connect_lazy().expect("valid");
    assert!(tier.get_many(&[]).await.is_empty());
    assert!(tier.put_many(&[]).await.is_empty());
    tier.remove_many(&[]).await.expect("nothing to do");
    assert_eq!(tier.stats().failures, 0);
}

#[tokio::test]
async fn lives_are_the_shortest_of_all() {
    let server = Server::start();
    let clock = Clock::system();
    let seconds = Duration::from_secs;
    let tier =
        connect(config(&server.url()).time_to_live(seconds(100)).absent_ttl(seconds(10))).await;
    let in_redis = |key: &str| -> i64 {
        server.tell(&format!("PTTL headwater:{key}")).parse().expect("a number")
    };
    tier.put("a", &found("1")).await.expect("stored");
    assert!((99_000..=100_000).contains(&in_redis("a")));
    tier.put("b", &found("1").expires_at(clock.now() + seconds(50))).await.expect("stored");
    assert!((49_000..=49_750).contains(&in_redis("b")), "less what it may take on the way");
    tier.put("c", &Entry::absent()).await.expect("stored");
    assert!((9_000..=10_000).contains(&in_redis("c")));
    tier.put("a", &found("2").expires_at(clock.now())).await.expect("dropped");
    assert_eq!(in_redis("a"), -2, "what has no life left takes the old one along");

    for (key, entry) in [("b", found("1").expires_at(clock.now() + seconds(50))), ("x", found("1"))]
    {
        let promised = tier.life(key, &entry).expect("an end");
        tier.put(key, &entry).await.expect("stored");
        let stored =
            tier.get(key).await.expect("an answer").expect("there").expiry().expect("an end");
        let gap = if stored > promised { stored - promised } else { promised - stored };
        assert!(gap < seconds(1), "{key}: {gap:?}");
    }
    let endless = tier.ttl(Duration::MAX);
    endless.put("d", &found("1")).await.expect("stored");
    assert_eq!(in_redis("d"), -1);
    assert_eq!(endless.get("d").await.expect("an answer").expect("there").expiry(), None);
}

#[tokio::test]
async fn a_batch_knows_what_the_server_has_left() {
    let server = Server::start();
    let clock = Clock::system();
    let seconds = Duration::from_secs;
    let leasing = connect(config(&server.url()).time_to_live(seconds(100))).await;
    let alone = connect(config(&server.url()).namespace("alone").leases(false)).await;
    let endless = connect(config(&server.url()).namespace("endless").time_to_live(Duration::MAX));
    let endless = endless.await;
    let soon = || found("1").expires_at(clock.now() + seconds(20));
    let keys = ["a", "b", "c"];
    let entries = [found("1"), soon(), soon().with_version(Version::new(1))];
    let pairs: Vec<_> = keys.into_iter().zip(&entries).collect();
    for (tier, namespace) in [(&leasing, "headwater"), (&alone, "alone"), (&endless, "endless")] {
        assert!(tier.put_many(&pairs).await.iter().all(Result::is_ok));
        let answers = tier.get_many(&keys).await;
        for (key, answer) in keys.iter().zip(answers) {
            let left: i64 = server.tell(&format!("PTTL {namespace}:{key}")).parse().expect("ms");
            let entry = answer.expect("an answer").expect("it is there");
            let told = entry.remaining(clock.now()).map_or(-1, |told| told.as_millis() as i64);
            // The server was asked later than the tier.
            assert!(
                told <= left + 1_000 && told >= left - 1_000,
                "{namespace}:{key}: {told} {left}"
            );
            assert_eq!(told == -1, left == -1, "{namespace}:{key}");
        }
    }
    // Whose end has come by the server's time is dead, also if the server still has it.
    server.tell("DEBUG SET-ACTIVE-EXPIRE 0");
    let brief = found("1").expires_at(clock.now() + Duration::from_millis(30));
    assert!(leasing.put_many(&[("a", &brief), ("b", &brief)]).await.iter().all(Result::is_ok));
    server.tell("PERSIST headwater:a");
    server.tell("PERSIST headwater:b");
    chain::until("its end", || async {
        leasing.get_many(&["a", "b"]).await.iter().all(|answer| matches!(answer, Ok(None)))
    })
    .await;
}

#[tokio::test]
async fn jitter_is_the_same_for_everybody() {
    let server = Server::start();
    let seconds = Duration::from_secs;
    let jittered = || config(&server.url()).time_to_live(seconds(1_000)).ttl_jitter(0.5);
    let (one, other) = (connect(jittered()).await, connect(jittered()).await);
    let mut shortest = 1_000;
    for number in 0..50 {
        let key = format!("key {number}");
        let left = |tier: &Redis| {
            (tier.life(&key, &found("")).expect("an end") - Clock::system().now()).as_secs()
        };
        let lives = (left(&one), left(&other));
        assert!(lives.0.abs_diff(lives.1) <= 1 && (499..=1_000).contains(&lives.0), "{lives:?}");
        shortest = shortest.min(lives.0);
    }
    assert!(shortest < 700, "{shortest}");
}

#[tokio::test]
async fn an_entry_never_looks_younger_than_it_is() {
    let server = Server::start();
    let tier = connect(config(&server.url())).await;
    let loaded = Clock::system().now();
    tokio::time::sleep(Duration::from_millis(20)).await;
    tier.put("a", &found("1").loaded_at(loaded)).await.expect("stored");
    tokio::time::sleep(Duration::from_millis(20)).await;
    let entry = tier.get("a").await.expect("an answer").expect("there");
    let seen = entry.loaded().expect("known");
    assert!(seen <= loaded && loaded - seen < Duration::from_secs(1), "{seen:?} for {loaded:?}");
    tier.put("b", &found("1")).await.expect("stored");
    assert_eq!(tier.get("b").await.expect("an answer").expect("there").loaded(), None);
}

#[tokio::test]
async fn namespaces_are_cleared_alone() {
    let server = Server::start();
    let names = ["n", "n*", "n:n", "[n]", ""];
    let mut tiers = Vec::new();
    for name in names {
        let tier = connect(config(&server.url()).namespace(name)).await;
        let keys: Vec<String> = (0..1_500).map(|number| number.to_string()).collect();
        let entry = found(name);
        let pairs: Vec<_> = keys.iter().map(|key| (key.as_str(), &entry)).collect();
        assert!(tier.put_many(&pairs).await.iter().all(Result::is_ok));
        tiers.push(tier);
    }
    for at in 0..tiers.len() {
        tiers[at].clear().await.expect("cleared");
        for (other, tier) in tiers.iter().enumerate() {
            let expected = (other > at).then(|| names[other].to_owned());
            assert_eq!(value(tier, "7").await, expected, "{other} after {at}");
        }
    }
    assert_eq!(server.tell("DBSIZE"), "0");
}

#[tokio::test]
async fn a_cluster_is_cleared_on_all_nodes() {
    let mut cluster = Cluster::start();
    let tier = connect(RedisConfig::cluster(cluster.urls()).expect("URLs")).await;
    let keys: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    let entry = found("x");
    let pairs: Vec<_> = keys.iter().map(|key| (key.as_str(), &entry)).collect();
    assert!(tier.put_many(&pairs).await.iter().all(Result::is_ok));
    for at in 0..3 {
        assert_ne!(cluster.node(at).tell("DBSIZE"), "0");
    }
    tier.clear().await.expect("cleared");
    for at in 0..3 {
        assert_eq!(cluster.node(at).tell("DBSIZE"), "0");
    }
}

#[cfg(all(
    feature = "messagepack",
    feature = "postcard",
    feature = "compression",
    feature = "encryption"
))]
#[tokio::test]
async fn values_have_the_form_that_was_asked_for() {
    use headwater::codec::{EncryptionKeys, Json, MessagePack, Postcard};
    let server = Server::start();
    let text = "some words, again and again. ".repeat(100);
    let keys = || EncryptionKeys::new(2, [2; 32]).and_reads(1, [1; 32]);
    let base = || config(&server.url()).compress_above(100).encrypt(keys());
    let json: Redis = base().namespace("j").connect_with(Json).await.expect("there");
    let pack: RedisCache<str, String, MessagePack> =
        base().namespace("m").connect_with(MessagePack).await.expect("there");
    let card: RedisCache<str, String, Postcard> =
        base().namespace("p").connect_with(Postcard).await.expect("there");
    let back = |entry: Option<Entry<String>>| entry.and_then(Entry::into_value);
    for (name, read) in [
        ("j", {
            json.put("a", &found(&text)).await.expect("stored");
            back(json.get("a").await.expect("an answer"))
        }),
        ("m", {
            pack.put("a", &found(&text)).await.expect("stored");
            back(pack.get("a").await.expect("an answer"))
        }),
        ("p", {
            card.put("a", &found(&text)).await.expect("stored");
            back(card.get("a").await.expect("an answer"))
        }),
    ] {
        assert_eq!(read.as_deref(), Some(text.as_str()), "{name}");
        let length: usize = server.tell(&format!("STRLEN {name}:a")).parse().expect("a number");
        assert!(length < 300, "{name}: {length}");
        assert!(!server.tell(&format!("GET {name}:a")).contains("words"));
    }
    // Moved to another key, it is worth nothing.
    server.tell("COPY j:a j:b");
    assert_eq!(value(&json, "b").await, None);
    assert_eq!(json.stats().corrupt, 1);
    // The old key still reads, until it is dropped.
    let old = base().namespace("j").encrypt(EncryptionKeys::new(1, [1; 32]));
    let old = connect(old).await;
    old.put("c", &found("old")).await.expect("stored");
    assert_eq!(value(&json, "c").await.as_deref(), Some("old"));
    assert_eq!(value(&old, "a").await, None, "a new key is unknown to old readers: a miss");
}

/// On the way out of a chain no faster tier is told of a longer life than Redis will give it (R5).
#[tokio::test]
async fn what_is_answered_ends_no_later_than_in_redis() {
    let server = Server::start();
    let seconds = Duration::from_secs;
    let redis = connect(config(&server.url()).time_to_live(seconds(100)).ttl_jitter(0.2)).await;
    let clock = Clock::system();
    let soon = clock.now() + seconds(60);
    let chain = chain::over(redis);
    let ends_in_time = async |key: &str, entry: Entry<String>| {
        chain::until("a fill", || async { chain::stored(&chain, key).await.is_some() }).await;
        let left: u64 = server.tell(&format!("PTTL headwater:{key}")).parse().expect("a number");
        let answered = entry.remaining(clock.now()).expect("an end");
        assert!(answered <= Duration::from_millis(left + 1), "{key}: {answered:?}, {left} ms");
        assert!(answered >= seconds(55), "{key}: {answered:?}");
    };
    for key in ["a", "b", "c"] {
        let entry = chain.fetch_entry(key, &FetchOptions::new()).await.expect("it is there");
        ends_in_time(key, entry).await;
    }
    for (key, entry) in [("d", found("1")), ("e", found("1").expires_at(soon))] {
        ends_in_time(key, chain.insert_through(Hashed::new(key), entry).await.expect("stored"))
            .await;
    }
}
