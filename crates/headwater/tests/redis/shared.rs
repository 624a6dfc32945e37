//! R2 and R4 across processes, as in `tests/engine/fleet.rs`, on a real server: leases.

use crate::chain::until;
use crate::processes::{Process, World, redis, until_kept, until_value};
use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use headwater::testkit::{Behaviour, unavailable};
use headwater::{Cache, Entry, ErrorKind, FetchOptions, Fetcher, Leased, Tier, Version};
use std::pin::pin;
use std::time::{Duration, Instant};

async fn processes(world: &World, count: usize) -> Vec<Process> {
    join_all((0..count).map(|_| world.process())).await
}

/// Polls a future until somebody holds a lease.
async fn until_leased(world: &World) {
    until("a lease", || async { !world.server.tell("KEYS *:lease").is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_loads_a_cold_key_once() {
    let world = World::new();
    world.origin.set("a", "1".to_owned());
    let processes = processes(&world, 8).await;
    let gate = world.origin.gate();
    let fetches = join_all(processes.iter().map(|process| process.fetch("a")));
    let (outcomes, ()) = join(fetches, async {
        world.origin.calls().reached(1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        gate.open();
    })
    .await;
    assert!(outcomes.into_iter().all(|outcome| outcome.unwrap() == "1"));
    assert_eq!(world.origin.calls().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_news_waiters_ask_again() {
    let world = World::new();
    world.origin.set("a", "1".to_owned());
    let processes: Vec<Process> =
        (0..4).map(|_| world.deaf_process(world.config().coherence(false))).collect();
    let gate = world.origin.gate();
    let fetches = join_all(processes.iter().map(|process| process.fetch("a")));
    let (outcomes, ()) = join(fetches, async {
        world.origin.calls().reached(1).await;
        gate.open();
    })
    .await;
    assert!(outcomes.into_iter().all(|outcome| outcome.unwrap() == "1"));
    assert_eq!(world.origin.calls().count(), 1);
}

#[tokio::test]
async fn batches_of_a_fleet_load_each_key_once() {
    let world = World::new();
    let keys: Vec<String> = (0..1_200).map(|key| key.to_string()).collect();
    keys.iter().for_each(|key| world.origin.set(key, key.clone()));
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let (one, other) = (world.process().await, world.process().await);
    let (first, second) = join(one.fetch_many(&keys[..800]), other.fetch_many(&keys[400..])).await;
    assert!(first.iter().zip(&keys).all(|(outcome, key)| outcome.as_ref().unwrap() == key));
    assert!(second.iter().zip(&keys[400..]).all(|(outcome, key)| outcome.as_ref().unwrap() == key));
    assert_eq!(world.origin.keys().count(), 1_200);
}

#[tokio::test]
async fn a_failed_load_lets_the_next_process_try_at_once() {
    let world = World::new();
    world.origin.set("a", "1".to_owned());
    let (one, other) = (world.process().await, world.process().await);
    let gate = world.origin.gate();
    let mut failing = Box::pin(one.fetch("a"));
    assert!(failing.as_mut().now_or_never().is_none());
    until_leased_by(&world, &mut failing).await;
    let mut waiting = pin!(other.fetch("a"));
    // It has asked, and waits.
    let waits = tokio::time::timeout(Duration::from_millis(100), waiting.as_mut()).await;
    assert!(waits.is_err());
    world.origin.behave(Behaviour::Failing(unavailable()));
    gate.open();
    let outcome = failing.await;
    world.origin.behave(Behaviour::Prompt);
    let began = Instant::now();
    assert_eq!(waiting.await.unwrap(), "1");
    // The gate let the first load through before or after it was told to fail.
    if let Err(error) = outcome {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "the lease was waited for");
}

/// Drives `fetch` until its lease is there and it has asked the origin.
async fn until_leased_by<F: Future + Unpin>(world: &World, fetch: &mut F) {
    let mut leased = pin!(until_leased(world));
    let mut is_leased = false;
    loop {
        if tokio::time::timeout(Duration::from_millis(5), &mut *fetch).await.is_ok() {
            panic!("it ended");
        }
        is_leased = is_leased || leased.as_mut().now_or_never().is_some();
        if is_leased && world.origin.calls().count() > 0 {
            return;
        }
    }
}

#[tokio::test]
async fn a_load_that_everybody_left_gives_its_lease_back() {
    let world = World::new();
    world.origin.set("a", "1".to_owned());
    let (one, other) = (world.process().await, world.process().await);
    let _never_opened = world.origin.gate();
    let mut fetch = Box::pin(one.fetch("a"));
    until_leased_by(&world, &mut fetch).await;
    world.origin.behave(Behaviour::Prompt);
    let mut waiting = pin!(other.fetch("a"));
    assert!(waiting.as_mut().now_or_never().is_none());
    let began = Instant::now();
    drop(fetch);
    assert_eq!(waiting.await.unwrap(), "1");
    assert!(began.elapsed() < Duration::from_secs(5), "the lease was waited for");
}

#[tokio::test]
async fn a_process_that_died_with_a_lease_is_waited_for_no_longer_than_it_lasts() {
    let world = World::new();
    world.origin.set("a", "1".to_owned());
    let other = world.process().await;
    world.server.tell("SET {fleet:a}:lease somebody PX 700");
    let began = Instant::now();
    assert_eq!(other.fetch("a").await.unwrap(), "1");
    assert!(began.elapsed() >= Duration::from_millis(600));
}

#[tokio::test]
async fn an_invalidation_elsewhere_voids_a_load_in_flight() {
    let world = World::new();
    world.origin.set("a", "1".to_owned());
    let (one, other) = (world.process().await, world.process().await);
    let gate = world.origin.gate();
    let mut early = Box::pin(one.fetch("a"));
    until_leased_by(&world, &mut early).await;
    world.origin.set("a", "2".to_owned());
    world.origin.behave(Behaviour::Prompt);
    other.invalidate("a").await.unwrap();
    gate.open();
    assert_eq!(early.await.unwrap(), "1", "it began before");
    until_value(&one, "a", "2").await;
    assert_eq!(until_kept(&one, "a").await, "2");
    assert_eq!(until_kept(&other, "a").await, "2");
}

/// The same with a process that hears nothing: the lease alone keeps the old value out of the store.
#[tokio::test]
async fn a_void_lease_keeps_an_old_value_out_of_the_store() {
    let world = World::new();
    world.origin.set("a", "1".to_owned());
    let deaf = world.deaf_process(world.config().coherence(false));
    let other = world.process().await;
    let gate = world.origin.gate();
    let mut early = Box::pin(deaf.fetch("a"));
    until_leased_by(&world, &mut early).await;
    world.origin.set("a", "2".to_owned());
    world.origin.behave(Behaviour::Prompt);
    other.invalidate("a").await.unwrap();
    gate.open();
    assert_eq!(early.await.unwrap(), "1");
    until("the fill", || async { other.next().stats().tiers[0].fills + fills(&deaf) > 0 }).await;
    assert!(!world.has("a"));
    assert_eq!(other.fetch("a").await.unwrap(), "2");
}

fn fills(process: &Process) -> u64 {
    let stats = process.stats();
    stats.tiers[1].fills + stats.tiers[1].superseded_fills
}

#[tokio::test]
async fn an_insert_elsewhere_voids_a_load_in_flight() {
    let world = World::new();
    world.origin.set("a", "1".to_owned());
    let (one, other) = (world.process().await, world.process().await);
    let gate = world.origin.gate();
    let mut early = Box::pin(one.fetch("a"));
    until_leased_by(&world, &mut early).await;
    world.origin.set("a", "2".to_owned());
    world.origin.behave(Behaviour::Prompt);
    other.insert("a", Entry::found("2".to_owned())).await.unwrap();
    gate.open();
    assert_eq!(early.await.unwrap(), "1", "it began before");
    until("the fill", || async { fills(&one) > 0 }).await;
    let calls = world.origin.calls().count();
    assert_eq!(one.fetch("a").await.unwrap(), "2");
    assert_eq!(world.origin.calls().count(), calls, "from the store");
}

/// The server tells of the end of a key's life when somebody asks for it: at the very beginning of
/// the load that replaces it, which must be stored all the same.
#[tokio::test]
async fn a_load_after_the_end_of_a_life_is_stored() {
    let world = World::new();
    world.origin.set("a", "1".to_owned());
    world.server.tell("DEBUG SET-ACTIVE-EXPIRE 0");
    let short = world.config().time_to_live(Duration::from_millis(30));
    let one = world.process_with(short).await;
    let two = world.process().await;
    one.fetch("a").await.unwrap();
    until("the fill", || async { fills(&one) > 0 }).await;
    until("the end of a life", || async { world.server.tell("PTTL fleet:a") == "-2" }).await;
    two.fetch("a").await.unwrap();
    world.until_no_leases().await;
    assert!(world.has("a"));
}

#[tokio::test]
async fn a_call_that_accepts_no_age_loads_past_what_is_stored() {
    let world = World::new();
    world.origin.set("a", "1".to_owned());
    let process = world.process().await;
    process.fetch("a").await.unwrap();
    world.until_no_leases().await;
    world.origin.set("a", "2".to_owned());
    let options = FetchOptions::new().max_age(Duration::ZERO);
    let entry = process.fetch_entry("a", &options).await.unwrap();
    assert_eq!(entry.into_value().as_deref(), Some("2"));
    world.until_no_leases().await;
    let stored = redis(&process).get("a").await.unwrap();
    assert_eq!(stored.and_then(Entry::into_value).as_deref(), Some("2"));
}

#[tokio::test]
async fn what_is_no_entry_of_ours_does_not_stop_a_lease() {
    let world = World::new();
    world.origin.set("a", "1".to_owned());
    world.server.tell("SET fleet:a garbage");
    let process = world.process().await;
    assert_eq!(process.fetch("a").await.unwrap(), "1");
    world.until_no_leases().await;
    let stored = redis(&process).get("a").await.unwrap();
    assert_eq!(stored.and_then(Entry::into_value).as_deref(), Some("1"));
}

#[tokio::test]
async fn a_lease_is_its_holders_alone() {
    let world = World::new();
    let process = world.process().await;
    let redis = redis(&process);
    let shared = redis.shared().unwrap();
    let entry = Entry::found("1".to_owned());
    let Leased::Granted(lease) = shared.lease(&["a"], true).await.remove(0).unwrap() else {
        panic!("nobody has it");
    };
    let said = shared.lease(&["a"], true).await.remove(0).unwrap();
    assert!(matches!(said, Leased::Held(_)), "{said:?}");
    let stranger = headwater::Lease::new(lease.token() ^ 1);
    assert!(!shared.fill(&[("a", &entry, stranger)]).await.remove(0).unwrap());
    assert!(shared.fill(&[("a", &entry, lease)]).await.remove(0).unwrap());
    assert!(!shared.fill(&[("a", &entry, lease)]).await.remove(0).unwrap(), "it ended");
    let said = shared.lease(&["a"], true).await.remove(0).unwrap();
    assert!(matches!(said, Leased::Found(_)), "{said:?}");
}

#[tokio::test]
async fn a_fill_gives_way_to_a_newer_version() {
    let world = World::new();
    let process = world.process().await;
    let redis = redis(&process);
    let shared = redis.shared().unwrap();
    let newer = Entry::found("2".to_owned()).with_version(Version::new(2));
    let older = Entry::found("1".to_owned()).with_version(Version::new(1));
    redis.put("a", &newer).await.unwrap();
    let Leased::Granted(lease) = shared.lease(&["a"], false).await.remove(0).unwrap() else {
        panic!("nobody has it");
    };
    assert!(!shared.fill(&[("a", &older, lease)]).await.remove(0).unwrap());
    assert_eq!(redis.stats().declined, 1);
    assert_eq!(redis.get("a").await.unwrap().and_then(Entry::into_value).as_deref(), Some("2"));
    assert_eq!(world.server.tell("EXISTS {fleet:a}:lease"), "0");
}

#[tokio::test]
async fn nothing_is_left_of_a_lease_that_nobody_was_told_of() {
    let world = World::new();
    let process = world.process().await;
    let shared = redis(&process).shared().unwrap();
    let keys = ["a"];
    let mut asking = shared.lease(&keys, true);
    // It is sent, and nobody waits for the answer.
    assert!(asking.as_mut().now_or_never().is_none());
    drop(asking);
    let said = shared.lease(&keys, true).await.remove(0).unwrap();
    until("the lease", || async {
        matches!(said, Leased::Granted(_)) || world.server.tell("EXISTS {fleet:a}:lease") == "0"
    })
    .await;
}

#[tokio::test]
async fn a_clear_voids_the_loads_of_others() {
    let world = World::new();
    world.origin.set("a", "1".to_owned());
    let (one, other) = (world.process().await, world.process().await);
    let gate = world.origin.gate();
    let mut early = Box::pin(one.fetch("a"));
    until_leased_by(&world, &mut early).await;
    world.origin.set("a", "2".to_owned());
    world.origin.behave(Behaviour::Prompt);
    other.clear().await.unwrap();
    gate.open();
    assert_eq!(early.await.unwrap(), "1", "it began before");
    until_value(&one, "a", "2").await;
    assert_eq!(until_kept(&one, "a").await, "2");
}
