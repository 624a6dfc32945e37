//! R4 across processes: what is kept in memory goes when others change it, also when news are lost.

use crate::chain::{config, until};
use crate::processes::{Process, World, redis, until_coherent, until_kept, until_value};
use crate::proxy::Proxy;
use headwater::redis::Coherence;
use headwater::{Cache, Fetcher, Headwater, LruCache};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Two processes that both have `a` in memory.
pub(crate) async fn two(world: &World) -> (Process, Process) {
    world.origin.set("a", "1".to_owned());
    let (one, other) = (world.process().await, world.process().await);
    one.fetch("a").await.expect("a value");
    world.until_no_leases().await;
    assert_eq!(until_kept(&one, "a").await, "1");
    assert_eq!(until_kept(&other, "a").await, "1");
    (one, other)
}

#[tokio::test]
async fn what_one_process_invalidates_is_gone_from_the_memory_of_all() {
    let world = World::new();
    let (one, other) = two(&world).await;
    world.origin.set("a", "2".to_owned());
    one.invalidate("a").await.unwrap();
    let began = Instant::now();
    until_value(&other, "a", "2").await;
    assert!(began.elapsed() < Duration::from_millis(900), "news and not the bound");
    assert_eq!(one.fetch("a").await.unwrap(), "2");
    assert_eq!(redis(&one).stats().news_losses, 0);
}

#[tokio::test]
async fn many_keys_are_told_of_together() {
    let world = World::new();
    let keys: Vec<String> = (0..700).map(|key| format!("key {{{key}}} %")).collect();
    keys.iter().for_each(|key| world.origin.set(key, "1".to_owned()));
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let (one, other) = (world.process().await, world.process().await);
    for process in [&one, &other] {
        process.fetch_many(&keys).await;
        for key in &keys {
            until_kept(process, key).await;
        }
    }
    keys.iter().for_each(|key| world.origin.set(key, "2".to_owned()));
    one.invalidate_many(&keys).await.unwrap();
    until("the new values", || async {
        other.fetch_many(&keys).await.into_iter().all(|outcome| outcome.unwrap() == "2")
    })
    .await;
}

#[tokio::test]
async fn an_insert_is_heard_of() {
    let world = World::new();
    let (one, other) = two(&world).await;
    world.origin.set("a", "2".to_owned());
    one.insert("a", "2".to_owned()).await.unwrap();
    until_value(&other, "a", "2").await;
}

#[tokio::test]
async fn a_clear_is_heard_of() {
    let world = World::new();
    let (one, other) = two(&world).await;
    world.origin.set("a", "2".to_owned());
    one.clear().await.unwrap();
    until_value(&other, "a", "2").await;
}

#[tokio::test]
async fn what_other_programs_do_is_heard_of() {
    let world = World::new();
    let (one, other) = two(&world).await;
    world.origin.set("a", "2".to_owned());
    world.server.tell("DEL fleet:a");
    until_value(&one, "a", "2").await;
    until_value(&other, "a", "2").await;
    world.until_no_leases().await;
    until_kept(&one, "a").await;
    world.origin.set("a", "3".to_owned());
    world.server.tell("SET fleet:a garbage");
    until_value(&one, "a", "3").await;
    until_value(&other, "a", "3").await;
    world.until_no_leases().await;
    until_kept(&one, "a").await;
    world.origin.set("a", "4".to_owned());
    world.server.tell("FLUSHALL");
    until_value(&one, "a", "4").await;
    until_value(&other, "a", "4").await;
}

/// Such a program does not void a lease, but its holder hears of it.
#[tokio::test]
async fn what_other_programs_delete_voids_a_load_in_flight() {
    let world = World::new();
    world.origin.set("a", "1".to_owned());
    let process = world.process().await;
    let gate = world.origin.gate();
    let mut early = Box::pin(process.fetch("a"));
    until("a lease", || {
        let _ = futures_util::FutureExt::now_or_never(early.as_mut());
        async { world.server.tell("EXISTS {fleet:a}:lease") == "1" }
    })
    .await;
    world.origin.set("a", "2".to_owned());
    let heard = redis(&process).stats().changes_heard;
    world.server.tell("SET fleet:a garbage");
    world.server.tell("DEL fleet:a");
    until("news", || async { redis(&process).stats().changes_heard > heard }).await;
    gate.open();
    assert_eq!(early.await.unwrap(), "1");
    world.until_no_leases().await;
    assert_eq!(process.fetch("a").await.unwrap(), "2");
}

/// What leaves stale values behind in the client crate's own cache (1.8.1): readers whose answers
/// arrive after the news that they are old.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hammered_keys_end_with_the_last_value() {
    const WRITES: u32 = 300;
    let world = World::new();
    let keys: Vec<String> = (0..20).map(|key| key.to_string()).collect();
    keys.iter().for_each(|key| world.origin.set(key, "0".to_owned()));
    let (one, other) = (world.process().await, world.process().await);
    let readers: Vec<_> = (0..8_usize)
        .map(|number| {
            let (process, keys) =
                (if number % 2 == 0 { &one } else { &other }.clone(), keys.clone());
            tokio::spawn(async move {
                for key in keys.iter().cycle().skip(number) {
                    process.fetch(key).await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for write in 1..=WRITES {
        let at = write as usize % keys.len();
        world.origin.set(&keys[at], write.to_string());
        one.invalidate(&keys[at]).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    readers.iter().for_each(tokio::task::JoinHandle::abort);
    let last = |at: usize| {
        let write = (1..=WRITES).rev().find(|write| *write as usize % keys.len() == at);
        write.unwrap().to_string()
    };
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(one.fetch(key).await.unwrap(), last(at), "{key}");
        assert_eq!(other.fetch(key).await.unwrap(), last(at), "{key}");
    }
    assert_eq!(redis(&other).stats().news_losses, 0);
}

#[tokio::test]
async fn a_lost_connection_empties_the_memory() {
    let world = World::new();
    let (one, _other) = two(&world).await;
    let misses = || one.stats().tiers[0].misses;
    let before = misses();
    world.server.tell("CLIENT KILL TYPE normal SKIPME yes");
    until("a miss", || async {
        one.fetch("a").await.unwrap();
        misses() > before
    })
    .await;
}

#[tokio::test]
async fn a_silent_connection_is_noticed_within_the_bound() {
    let world = World::new();
    let other = world.process().await;
    let proxy = Proxy::to(world.server.port());
    let one = world.process_with(config(&proxy.url()).namespace("fleet")).await;
    world.origin.set("a", "1".to_owned());
    assert_eq!(until_kept(&one, "a").await, "1");
    proxy.mute_present();
    world.origin.set("a", "2".to_owned());
    other.invalidate("a").await.unwrap();
    let began = Instant::now();
    until_value(&one, "a", "2").await;
    // The bound is a second; the rest is for slow machines.
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    until("the loss", || async { redis(&one).stats().news_losses > 0 }).await;
    until_coherent(&one).await;
}

#[tokio::test]
async fn after_a_lost_connection_news_come_again() {
    let world = World::new();
    let (one, other) = two(&world).await;
    world.server.tell("CLIENT KILL TYPE normal SKIPME yes");
    until("the loss", || async { redis(&other).stats().news_losses > 0 }).await;
    until_coherent(&other).await;
    assert_eq!(until_kept(&other, "a").await, "1");
    world.origin.set("a", "2".to_owned());
    until("a connection", || async { one.invalidate("a").await.is_ok() }).await;
    let began = Instant::now();
    until_value(&other, "a", "2").await;
    assert!(began.elapsed() < Duration::from_millis(900), "news and not the bound");
}

#[tokio::test]
async fn a_server_that_was_gone_leaves_nothing_stale() {
    let mut world = World::new();
    let (one, other) = two(&world).await;
    world.server.kill();
    until("the loss", || async { redis(&one).coherence() == Coherence::Down }).await;
    world.origin.set("a", "2".to_owned());
    let _ = one.invalidate("a").await;
    until_value(&other, "a", "2").await;
    world.server.restart();
    until_coherent(&one).await;
    until_coherent(&other).await;
    world.origin.set("a", "3".to_owned());
    until("an invalidation", || async { one.invalidate("a").await.is_ok() }).await;
    until_value(&other, "a", "3").await;
    assert_eq!(until_kept(&other, "a").await, "3");
}

#[tokio::test]
async fn a_server_that_stood_still_leaves_nothing_stale() {
    let world = World::new();
    let (one, other) = two(&world).await;
    world.server.freeze();
    world.origin.set("a", "2".to_owned());
    until_value(&one, "a", "2").await;
    until_value(&other, "a", "2").await;
    world.server.thaw();
    until_coherent(&one).await;
    until_coherent(&other).await;
    world.origin.set("a", "3".to_owned());
    until("an invalidation", || async { one.invalidate("a").await.is_ok() }).await;
    until_value(&other, "a", "3").await;
    assert_eq!(until_kept(&other, "a").await, "3");
}

/// A key that writes what it does not read, or panics.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Odd(&'static str);

impl headwater::redis::RedisKey for Odd {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        assert!(bytes != b"panic", "as the test wants it");
        None
    }
}

#[tokio::test]
async fn news_that_cannot_be_read_empty_the_memory() {
    let world = World::new();
    static VERSION: AtomicU32 = AtomicU32::new(1);
    let redis = world.config().connect_lazy::<Odd, u32>().unwrap();
    let source = headwater::fetch_fn(async |_: Odd| Ok(VERSION.load(SeqCst)));
    let process =
        Headwater::source(source).through(redis).through(LruCache::new(10).unwrap()).build();
    until("news", || async { process.next().tier().coherence() == Coherence::Tracking }).await;
    for (write, key) in [(2, Odd("none")), (3, Odd("panic"))] {
        process.fetch(&key).await.unwrap();
        world.until_no_leases().await;
        until("a hit", || async {
            let hits = process.stats().tiers[0].hits;
            process.fetch(&key).await.unwrap();
            process.stats().tiers[0].hits > hits
        })
        .await;
        VERSION.store(write, SeqCst);
        world.server.tell(&format!("DEL fleet:{}", key.0));
        until("the new value", || async { process.fetch(&key).await.unwrap() == write }).await;
    }
    assert_eq!(process.next().tier().coherence(), Coherence::Tracking);
}
