//! Everything on a cluster whose masters change: told to, frozen, and killed; and what a master that
//! sentinels watch leaves to its replica.

use crate::replay::replayed;
use crate::server::{Cluster, Sentinels};
use futures_util::StreamExt;
use headwater::Result;
use headwater::presence::{Event, Lock, Locks, Presence, PresenceCache, RedisPresence, Roster};
use headwater::presence::{Saved, Sessions};
use headwater::redis::{RedisConfig, RedisRoster, RedisStore};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);
/// A guard against hanging, far above what anything takes.
const GUARD: Duration = Duration::from_secs(60);

/// Enough that each master has some.
fn names() -> Vec<String> {
    (0..30).map(|name| format!("{name}")).collect()
}

fn config(cluster: &Cluster) -> RedisConfig {
    RedisConfig::cluster(cluster.urls()).expect("URLs")
}

async fn store(cluster: &Cluster) -> RedisStore {
    config(cluster).connect_store().await.expect("it is there")
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !done().await {
        assert!(began.elapsed() < GUARD, "{what} takes too long");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Has a cluster's first master replaced: told to, frozen and killed; and `live` do its work meanwhile
/// and once more after each. Before each, the replica has all that is there.
async fn through_failovers(mut cluster: Cluster, mut live: impl AsyncFnMut()) -> Cluster {
    let mut master = 0;
    let ways: [fn(&mut Cluster, usize) -> usize; 3] = [
        |cluster, master| cluster.hand_over(master),
        |cluster, master| cluster.hang(master),
        Cluster::lose,
    ];
    for way in ways {
        let changing = tokio::task::spawn_blocking(move || {
            cluster.until_replicated(master);
            let master = way(&mut cluster, master);
            (cluster, master)
        });
        while !changing.is_finished() {
            live().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        (cluster, master) = changing.await.expect("the master changes");
        live().await;
    }
    cluster
}

/// What the store says, unless it is in trouble.
fn unless_in_trouble<T>(said: Result<T>) -> Option<T> {
    said.inspect_err(|error| assert!(error.is_retryable(), "{error}")).ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_there_and_never_absent() {
    let cluster = Cluster::with_replicas();
    let presence = RedisPresence::<str, String>::new(&store(&cluster).await).ttl(LONG);
    let names = names();
    let keys: Vec<&str> = names.iter().map(String::as_str).collect();
    for key in &keys {
        presence.set(key, &"here".to_owned()).await.expect("set");
    }
    let is_here = |said: Result<Option<String>>| {
        unless_in_trouble(said).is_none_or(|value| value.as_deref() == Some("here"))
    };
    let _cluster = through_failovers(cluster, async || {
        assert!(presence.fetch_many(&keys).await.into_iter().all(is_here));
        for key in &keys {
            assert!(is_here(presence.fetch(key).await));
            let left = unless_in_trouble(presence.remaining(key).await);
            assert!(left.is_none_or(|left| left > Some(LONG - GUARD) && left <= Some(LONG)));
        }
        let missing = unless_in_trouble(presence.touch_many(&keys, None).await);
        assert!(missing.is_none_or(|missing| missing.is_empty()), "nobody is missing");
    })
    .await;
    until("recovery", async || presence.touch_many(&keys, None).await.is_ok()).await;
    assert!(presence.fetch_many(&keys).await.into_iter().all(|found| found.is_ok()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_stay_their_owners_and_tokens_grow() {
    let cluster = Cluster::with_replicas();
    let locks = Locks::redis(&store(&cluster).await).ttl(LONG);
    let (names, mut held) = (names(), Vec::new());
    for name in &names {
        held.push(locks.try_acquire(name).await.expect("an answer").expect("free"));
    }
    let short = locks.clone().ttl(SECOND).renewed_for(LONG);
    let renewed = short.try_acquire("renewed").await.expect("an answer").expect("free");
    let others = Locks::redis(&store(&cluster).await).ttl(SECOND);
    let _cluster = through_failovers(cluster, async || {
        for name in &names {
            let taken = unless_in_trouble(others.try_acquire(name).await).flatten();
            assert!(taken.is_none(), "{name} has an owner");
        }
        assert!(held.iter().all(Lock::is_held));
    })
    .await;
    for (name, lock) in names.iter().zip(held) {
        until("recovery", async || others.try_acquire(name).await.is_ok()).await;
        let fence = lock.fence();
        assert!(lock.release().await.expect("an answer"));
        let next = others.acquire(name, GUARD).await.expect("an answer").expect("free");
        assert!(next.fence() > fence);
    }
    // Whether it was lost depends on how fast the cluster was; that it has one owner does not.
    let fence = renewed.fence();
    let next = others.acquire("renewed", SECOND).await.expect("an answer");
    assert!(!renewed.is_held() || next.is_none());
    drop(renewed);
    drop(next);
    let next = others.acquire("renewed", GUARD).await.expect("an answer").expect("free");
    assert!(next.fence() > fence);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_the_new_master_never_heard_of_is_given_again_with_a_larger_token() {
    let mut cluster = Cluster::with_replicas();
    let locks = Locks::redis(&store(&cluster).await).ttl(LONG);
    let names = names();
    let is_there = |cluster: &mut Cluster, name: &str| {
        let node = cluster.node(0);
        let slot = node.tell(&format!("CLUSTER KEYSLOT headwater%lock:{name}"));
        node.tell(&format!("CLUSTER COUNTKEYSINSLOT {slot}")) != "0"
    };
    let replica = cluster.replica_of(0);
    cluster.until_replicated(0);
    cluster.node(replica).freeze();
    // Or else it would find in its socket what was sent to it.
    assert_eq!(cluster.node(0).tell("CLIENT KILL TYPE replica"), "1");
    let mut held = Vec::new();
    for name in &names {
        let lock = locks.try_acquire(name).await.expect("an answer").expect("free");
        if is_there(&mut cluster, name) {
            held.push((name, lock));
        }
    }
    assert!(!held.is_empty());
    cluster.node(0).kill();
    cluster.node(replica).thaw();
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.until_promoted(replica);
        cluster
    });
    let _cluster = cluster.await.expect("it is promoted");
    for (name, lock) in held {
        until("recovery", async || locks.try_acquire("another").await.is_ok()).await;
        let next = locks.try_acquire(name).await.expect("an answer").expect("it is lost");
        assert!(next.fence() > lock.fence());
        assert!(!lock.release().await.expect("an answer"), "it is somebody else's");
        assert!(next.release().await.expect("an answer"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_go_on_and_nobody_is_logged_out() {
    let cluster = Cluster::with_replicas();
    let sessions = Sessions::<u32>::redis(&store(&cluster).await);
    let mut begun = Vec::new();
    for name in names() {
        begun.push(sessions.begin(Some(&name), 7).await.expect("begun"));
    }
    let _cluster = through_failovers(cluster, async || {
        for session in &begun {
            let found = unless_in_trouble(sessions.fetch(session.id()).await);
            assert!(found.is_none_or(|found| found.is_some_and(|found| found.data == 7)));
        }
    })
    .await;
    for mut session in begun {
        until("recovery", async || sessions.fetch(session.id()).await.is_ok()).await;
        session.data = 8;
        assert_eq!(sessions.save(&mut session).await.expect("an answer"), Saved::Stored);
        assert!(sessions.rotate(&mut session).await.expect("an answer"));
    }
}

fn roster(cluster: &Cluster, ttl: Duration) -> Roster<RedisRoster<str, String>> {
    let store = RedisRoster::connect_lazy(config(cluster)).expect("it makes sense").with_shards(4);
    Roster::builder(store).ttl(ttl).watch_buffer(256).build().expect("it makes sense")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rosters_lose_nobody_and_watchers_are_told_of_no_departure() {
    let cluster = Cluster::with_replicas();
    let (here, there) = (roster(&cluster, LONG), roster(&cluster, LONG));
    let names = names();
    let mut held = Vec::new();
    for name in &names {
        held.push(here.join("room", name, name.clone()).await.expect("join"));
    }
    let mut watch = there.watch("room").expect("watch");
    let told = tokio::spawn(async move {
        loop {
            match watch.next().await.expect("it goes on") {
                Ok(Event::Snapshot { members, .. }) if members.len() == 31 => return,
                Ok(Event::Snapshot { members, .. }) => assert_eq!(members.len(), 30),
                Ok(Event::Join(last)) if last.key == "last" => return,
                Ok(Event::Online(key)) => assert_eq!(key, "last"),
                Ok(other) => panic!("{other:?}"),
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
    });
    let _cluster = through_failovers(cluster, async || {
        let counts = unless_in_trouble(there.count("room").await);
        assert!(counts.is_none_or(|counts| (counts.keys, counts.connections) == (30, 30)));
        let page = unless_in_trouble(there.list("room", None, 100).await);
        assert!(page.is_none_or(|page| page.members.len() <= 30));
        let keys: Vec<&str> = names.iter().map(String::as_str).collect();
        for members in there.get_many("room", &keys).await {
            assert!(unless_in_trouble(members).is_none_or(|members| members.len() == 1));
        }
    })
    .await;
    until("recovery", async || {
        let counts = there.count("room").await;
        counts.is_ok_and(|counts| counts.connections == 30)
    })
    .await;
    let last = here.join("room", "last", String::new()).await.expect("join");
    let told = tokio::time::timeout(GUARD, told).await.expect("the watcher hangs");
    told.expect("nothing is told that did not happen");
    drop((held, last));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_replayed_is_what_is_there() {
    let mut cluster = Cluster::with_replicas();
    let processes = [(); 3].map(|()| roster(&cluster, 3 * SECOND));
    let changing = tokio::task::spawn_blocking(move || {
        let master = cluster.hand_over(0);
        cluster.hand_over(1);
        let next = cluster.lose(master);
        cluster.bring_back(master);
        cluster.node(2).tell("FLUSHALL");
        cluster.lose(next);
        cluster
    });
    let pause = async |_| tokio::time::sleep(Duration::from_millis(5)).await;
    let steps = replayed(&processes, 15 * SECOND, pause).await;
    assert!(steps > 10, "{steps} steps");
    let _cluster = changing.await.expect("the masters change");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_master_had_is_found_through_the_sentinels() {
    let mut sentinels = Sentinels::start();
    let config = RedisConfig::sentinel("mymaster", sentinels.urls()).expect("URLs");
    let store = config.connect_store().await.expect("it is there");
    let presence = RedisPresence::<str, String>::new(&store).ttl(LONG);
    let locks = Locks::redis(&store).ttl(LONG);
    let others = locks.clone();
    presence.set("ada", &"here".to_owned()).await.expect("set");
    let lock = locks.try_acquire("a").await.expect("an answer").expect("free");
    let changing = tokio::task::spawn_blocking(move || {
        sentinels.lose();
        sentinels
    });
    while !changing.is_finished() {
        let found = unless_in_trouble(presence.fetch("ada").await);
        assert!(found.is_none_or(|found| found.as_deref() == Some("here")));
        let taken = unless_in_trouble(others.try_acquire("a").await).flatten();
        assert!(taken.is_none(), "it has an owner");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let _sentinels = changing.await.expect("the master changes");
    until("recovery", async || presence.set("bob", &"too".to_owned()).await.is_ok()).await;
    for (name, state) in [("ada", "here"), ("bob", "too")] {
        assert_eq!(presence.fetch(name).await.expect("an answer").as_deref(), Some(state));
    }
    assert!(others.try_acquire("a").await.expect("an answer").is_none());
    let fence = lock.fence();
    assert!(lock.release().await.expect("an answer"));
    let next = others.try_acquire("a").await.expect("an answer").expect("free");
    assert!(next.fence() > fence);
}
