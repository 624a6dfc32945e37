//! R2 and R4 across processes: leases, and news of what others change, on a store played in one
//! process so that every order of events can be forced.

use super::{Origin, Versioned, ends, settle, text};
use futures_util::FutureExt;
use headwater::testkit::{Behaviour, Fleet, ManualClock, Member, RemoteTier, unavailable};
use headwater::{
    Cache, ErrorKind, FetchOptions, Fetcher, Headwater, LruCache, MemoryCache, ReadThrough, Source,
};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

type Process = ReadThrough<LruCache<str, String>, ReadThrough<Member<str, String>, Source<Origin>>>;

struct World {
    fleet: Fleet<str, String>,
    origin: Origin,
    time: ManualClock,
}

impl World {
    fn new() -> Self {
        let time = ManualClock::new();
        Self { fleet: Fleet::new(&time), origin: Origin::new(), time }
    }

    fn process(&self) -> Process {
        let lru = LruCache::builder(100).clock(self.time.clock()).build().unwrap();
        Headwater::source(self.origin.clone())
            .clock(self.time.clock())
            .through(self.fleet.member())
            .through(lru)
            .build()
    }

    fn stored(&self, key: &str) -> Option<String> {
        self.fleet.peek(key).and_then(headwater::Entry::into_value)
    }
}

#[tokio::test]
async fn a_fleet_loads_a_cold_key_once() {
    let world = World::new();
    world.origin.set("a", text(1));
    let processes: Vec<Process> = (0..8).map(|_| world.process()).collect();
    let gate = world.origin.gate();
    let fetches = futures_util::future::join_all(processes.iter().map(|p| p.fetch("a")));
    let (outcomes, ()) = futures_util::future::join(fetches, async {
        world.origin.calls().reached(1).await;
        settle().await;
        gate.open();
    })
    .await;
    assert!(outcomes.into_iter().all(|outcome| outcome.unwrap() == "1"));
    assert_eq!(world.origin.calls().count(), 1);
}

#[tokio::test]
async fn batches_of_a_fleet_load_each_key_once() {
    let world = World::new();
    let keys: Vec<String> = (0..30).map(text).collect();
    keys.iter().for_each(|key| world.origin.set(key, key.clone()));
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let (one, other) = (world.process(), world.process());
    let (first, second) =
        futures_util::future::join(one.fetch_many(&keys[..20]), other.fetch_many(&keys[10..]))
            .await;
    assert!(first.iter().zip(&keys).all(|(outcome, key)| outcome.as_ref().unwrap() == key));
    assert!(second.iter().zip(&keys[10..]).all(|(outcome, key)| outcome.as_ref().unwrap() == key));
    assert_eq!(world.origin.keys().count(), 30);
}

#[tokio::test]
async fn a_failed_load_lets_the_next_process_try() {
    let world = World::new();
    world.origin.set("a", text(1));
    let (one, other) = (world.process(), world.process());
    world.origin.behave(Behaviour::Failing(unavailable()));
    let mut waiting = pin!(async {
        world.fleet.leases().reached(1).await;
        other.fetch("a").await
    });
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!(one.fetch("a").await.unwrap_err().kind(), ErrorKind::Unavailable);
    world.origin.behave(Behaviour::Prompt);
    assert_eq!(waiting.await.unwrap(), "1");
}

#[tokio::test]
async fn a_load_that_everybody_left_gives_its_lease_back() {
    let world = World::new();
    world.origin.set("a", text(1));
    let (one, other) = (world.process(), world.process());
    let _never_opened = world.origin.gate();
    let mut fetch = Box::pin(one.fetch("a"));
    assert!(fetch.as_mut().now_or_never().is_none());
    world.fleet.leases().reached(1).await;
    world.origin.behave(Behaviour::Prompt);
    let mut waiting = pin!(other.fetch("a"));
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(fetch);
    assert_eq!(waiting.await.unwrap(), "1", "without waiting for the lease to end");
}

#[tokio::test]
async fn a_process_that_died_with_a_lease_is_waited_for_no_longer_than_it_lasts() {
    let world = World::new();
    world.origin.set("a", text(1));
    let (dead, other) = (world.process(), world.process());
    let _never_opened = world.origin.gate();
    let mut fetch = Box::pin(dead.fetch("a"));
    assert!(fetch.as_mut().now_or_never().is_none());
    world.origin.behave(Behaviour::Prompt);
    let mut waiting = pin!(other.fetch("a"));
    assert!(waiting.as_mut().now_or_never().is_none());
    settle().await;
    assert!(waiting.as_mut().now_or_never().is_none());
    world.time.advance(Duration::from_secs(10));
    assert_eq!(waiting.await.unwrap(), "1");
}

#[tokio::test]
async fn what_one_process_invalidates_is_gone_from_the_memory_of_all() {
    let world = World::new();
    world.origin.set("a", text(1));
    let (one, other) = (world.process(), world.process());
    assert_eq!(one.fetch("a").await.unwrap(), "1");
    settle().await;
    assert_eq!(other.fetch("a").await.unwrap(), "1");
    world.origin.set("a", text(2));
    one.invalidate("a").await.unwrap();
    assert_eq!(other.fetch("a").await.unwrap(), "2");
    settle().await;
    assert_eq!(one.fetch("a").await.unwrap(), "2");
}

/// The load read the old value; the key is invalidated elsewhere; the load's fill comes last.
#[tokio::test]
async fn an_invalidation_elsewhere_voids_a_load_in_flight() {
    let world = World::new();
    world.origin.set("a", text(1));
    let (one, other) = (world.process(), world.process());
    let gate = world.origin.gate();
    let mut early = pin!(one.fetch("a"));
    assert!(early.as_mut().now_or_never().is_none());
    world.origin.calls().reached(1).await;
    world.origin.set("a", text(2));
    world.origin.behave(Behaviour::Prompt);
    other.invalidate("a").await.unwrap();
    gate.open();
    assert_eq!(early.await.unwrap(), "1", "it began before");
    settle().await;
    assert_eq!(world.stored("a"), None, "neither in the store");
    assert_eq!(one.fetch("a").await.unwrap(), "2", "nor in the memory of its own process");
}

/// The same, with the news still on their way: the lease alone keeps the old value out of the store.
#[tokio::test]
async fn a_void_lease_keeps_an_old_value_out_of_the_store_before_any_news() {
    let world = World::new();
    world.origin.set("a", text(1));
    let (one, other) = (world.process(), world.process());
    let gate = world.origin.gate();
    let mut early = pin!(one.fetch("a"));
    assert!(early.as_mut().now_or_never().is_none());
    world.origin.calls().reached(1).await;
    world.origin.set("a", text(2));
    world.origin.behave(Behaviour::Prompt);
    world.fleet.hold_news();
    other.invalidate("a").await.unwrap();
    gate.open();
    assert_eq!(early.await.unwrap(), "1");
    settle().await;
    assert_eq!(world.stored("a"), None);
    assert_eq!(other.fetch("a").await.unwrap(), "2");
    settle().await;
    world.fleet.release_news();
    assert_eq!(one.fetch("a").await.unwrap(), "2", "once its notice has arrived");
}

#[tokio::test]
async fn lost_news_empty_the_memory() {
    let world = World::new();
    world.origin.set("a", text(1));
    let (one, other) = (world.process(), world.process());
    one.fetch("a").await.unwrap();
    settle().await;
    other.fetch("a").await.unwrap();
    world.origin.set("a", text(2));
    world.fleet.hold_news();
    one.invalidate("a").await.unwrap();
    assert_eq!(other.fetch("a").await.unwrap(), "1", "it cannot know yet");
    world.fleet.lose_news();
    assert_eq!(other.fetch("a").await.unwrap(), "2");
}

/// As of an entry's end, which a server tells when it is asked for it: nobody joins the load any
/// more, but the store is for the lease to guard.
#[tokio::test]
async fn news_that_void_no_lease_do_not_keep_a_load_out_of_the_store() {
    let world = World::new();
    world.origin.set("a", text(1));
    let process = world.process();
    let gate = world.origin.gate();
    let mut fetch = pin!(process.fetch("a"));
    assert!(fetch.as_mut().now_or_never().is_none());
    world.origin.calls().reached(1).await;
    world.fleet.lose_news();
    gate.open();
    assert_eq!(fetch.await.unwrap(), "1");
    settle().await;
    assert_eq!(world.stored("a").as_deref(), Some("1"));
}

/// The store did not hear of it, so the lease stayed valid.
#[tokio::test]
async fn an_invalidation_that_failed_keeps_its_own_process_from_storing_the_old_value() {
    let world = World::new();
    world.origin.set("a", text(1));
    let process = world.process();
    let gate = world.origin.gate();
    let mut early = pin!(process.fetch("a"));
    assert!(early.as_mut().now_or_never().is_none());
    world.origin.calls().reached(1).await;
    world.origin.set("a", text(2));
    world.fleet.fail(Some(unavailable()));
    process.invalidate("a").await.unwrap_err();
    world.fleet.fail(None);
    gate.open();
    assert_eq!(early.await.unwrap(), "1", "it began before");
    settle().await;
    assert_eq!(world.stored("a"), None);
}

#[tokio::test]
async fn a_store_without_leases_for_now_is_gone_past() {
    let world = World::new();
    world.origin.set("a", text(1));
    let process = world.process();
    world.fleet.fail(Some(unavailable()));
    assert_eq!(process.fetch("a").await.unwrap(), "1");
    assert_eq!(process.fetch("a").await.unwrap(), "1", "from memory");
    settle().await;
    world.fleet.fail(None);
    assert_eq!(world.stored("a"), None, "what has no lease is stored nowhere but in memory");
    let stats = process.stats();
    assert_eq!((stats.tiers[1].errors, world.origin.calls().count()), (2, 1));
}

#[tokio::test]
async fn what_was_seen_past_a_store_that_was_away_is_not_undone_by_what_it_kept() {
    let (world, source) = (World::new(), Versioned(Arc::new(AtomicU64::new(1))));
    let process = || {
        let lru = LruCache::builder(100).clock(world.time.clock()).build().unwrap();
        let chain = Headwater::source(source.clone()).clock(world.time.clock());
        chain.through(world.fleet.member()).through(lru).build()
    };
    let (own, other) = (process(), process());
    assert_eq!(other.fetch("a").await.unwrap(), "1");
    settle().await;
    world.fleet.fail(Some(unavailable()));
    source.0.store(2, SeqCst);
    assert_eq!(own.fetch("a").await.unwrap(), "2", "past the store");
    world.fleet.fail(None);
    world.fleet.lose_news();
    settle().await;
    assert_eq!(world.stored("a").as_deref(), Some("1"), "nobody could invalidate it");
    assert_eq!(own.fetch("a").await.unwrap(), "2");
    settle().await;
    assert_eq!(world.stored("a").as_deref(), Some("2"), "and it is replaced");
    world.fleet.lose_news();
    settle().await;
    assert_eq!(own.fetch_many(&["a", "a"]).await[1].as_deref().unwrap(), "2");
    assert_eq!(other.fetch("a").await.unwrap(), "2");
}

#[tokio::test]
async fn a_call_that_accepts_no_age_loads_under_a_lease_past_what_is_stored() {
    let world = World::new();
    world.origin.set("a", text(1));
    let process = world.process();
    process.fetch("a").await.unwrap();
    settle().await;
    world.origin.set("a", text(2));
    world.time.advance(Duration::from_millis(1));
    let options = FetchOptions::new().max_age(Duration::ZERO);
    let entry = process.fetch_entry("a", &options).await.unwrap();
    assert_eq!(entry.into_value().as_deref(), Some("2"));
    settle().await;
    assert_eq!(world.stored("a").as_deref(), Some("2"));
}

/// Between the shared store and the process there is a tier that waits, so it cannot forget at once.
#[tokio::test]
async fn news_reach_a_tier_that_waits_in_front_of_the_store() {
    let world = World::new();
    world.origin.set("a", text(1));
    let disk = MemoryCache::<str, String>::builder().clock(world.time.clock()).build().unwrap();
    let one = Headwater::source(world.origin.clone())
        .clock(world.time.clock())
        .through(world.fleet.member())
        .through(RemoteTier::new(disk))
        .build();
    assert_eq!(one.fetch("a").await.unwrap(), "1");
    settle().await;
    world.origin.set("a", text(2));
    world.process().invalidate("a").await.unwrap();
    settle().await;
    world.time.advance(Duration::from_secs(1));
    assert_eq!(one.fetch("a").await.unwrap(), "2");
}

#[tokio::test]
async fn what_a_batch_has_loaded_is_stored_while_it_waits_for_its_other_keys() {
    let world = World::new();
    ["a", "b"].iter().for_each(|key| world.origin.set(key, text(1)));
    let (slow, batch, third) = (world.process(), world.process(), world.process());
    let _never_opened = world.origin.gate();
    let mut slow = Box::pin(slow.fetch("b"));
    assert!(slow.as_mut().now_or_never().is_none());
    world.origin.calls().reached(1).await;
    world.origin.behave(Behaviour::Prompt);
    let mut batch = pin!(batch.fetch_many(&["a", "b"]));
    assert!(batch.as_mut().now_or_never().is_none(), "b is being loaded elsewhere");
    settle().await;
    assert_eq!(ends(third.fetch("a")).await.unwrap(), "1");
    assert_eq!(world.origin.keys().count(), 2);
}

/// One has the lease of `"b"` and waits for `"a"`; the other gets that of `"a"` and wants `"b"`.
#[tokio::test]
async fn two_batches_with_keys_in_common_never_wait_for_each_other() {
    let world = World::new();
    ["a", "b"].iter().for_each(|key| world.origin.set(key, text(1)));
    let (one, other, first) = (world.process(), world.process(), world.process());
    let _never_opened = world.origin.gate();
    let mut first = Box::pin(first.fetch("a"));
    assert!(first.as_mut().now_or_never().is_none());
    world.origin.behave(Behaviour::Prompt);
    let mut one = Box::pin(one.fetch_many(&["a", "b"]));
    assert!(one.as_mut().now_or_never().is_none());
    drop(first);
    settle().await;
    let (one, other) = ends(futures_util::future::join(one, other.fetch_many(&["a", "b"]))).await;
    assert!(one.into_iter().chain(other).all(|outcome| outcome.unwrap() == "1"));
}

#[tokio::test]
async fn a_call_that_skips_the_memory_shares_the_load_of_the_fleet() {
    let world = World::new();
    world.origin.set("a", text(1));
    let (one, other) = (world.process(), world.process());
    let gate = world.origin.gate();
    let past_memory = FetchOptions::new().skip_tier("lru");
    let mut both =
        pin!(futures_util::future::join(one.fetch("a"), other.fetch_entry("a", &past_memory)));
    assert!(both.as_mut().now_or_never().is_none());
    settle().await;
    gate.open();
    let (plain, skipping) = both.await;
    assert_eq!(plain.unwrap(), "1");
    assert_eq!(skipping.unwrap().into_value().as_deref(), Some("1"));
    assert_eq!(world.origin.calls().count(), 1);
}

#[tokio::test]
async fn a_key_that_another_process_loaded_meanwhile_counts_once() {
    let world = World::new();
    world.origin.set("a", text(1));
    let (one, other) = (world.process(), world.process());
    let gate = world.origin.gate();
    let mut both = pin!(futures_util::future::join(one.fetch("a"), other.fetch("a")));
    assert!(both.as_mut().now_or_never().is_none());
    settle().await;
    gate.open();
    let (first, second) = both.await;
    assert_eq!((first.unwrap(), second.unwrap()), (text(1), text(1)));
    let stats = &other.stats().tiers[1];
    assert_eq!((stats.hits, stats.misses, stats.coalesced), (1, 0, 0));
}

#[tokio::test]
async fn an_insert_elsewhere_voids_a_load_in_flight_before_any_news() {
    let world = World::new();
    world.origin.set("a", text(1));
    let (one, other) = (world.process(), world.process());
    let gate = world.origin.gate();
    let mut early = pin!(one.fetch("a"));
    assert!(early.as_mut().now_or_never().is_none());
    world.fleet.hold_news();
    other.insert("a", text(2)).await.unwrap();
    gate.open();
    assert_eq!(early.await.unwrap(), "1", "it began before");
    settle().await;
    assert_eq!(world.stored("a").as_deref(), Some("2"));
}

#[tokio::test]
async fn a_clear_elsewhere_voids_loads_of_keys_that_the_store_does_not_have() {
    let world = World::new();
    world.origin.set("a", text(1));
    let (one, other) = (world.process(), world.process());
    let gate = world.origin.gate();
    let mut early = pin!(one.fetch("a"));
    assert!(early.as_mut().now_or_never().is_none());
    world.origin.set("a", text(2));
    world.origin.behave(Behaviour::Prompt);
    other.clear().await.unwrap();
    gate.open();
    assert_eq!(early.await.unwrap(), "1", "it began before");
    settle().await;
    assert_eq!(one.fetch("a").await.unwrap(), "2");
}
