//! R2 and R4 across processes: leases, and news of what others change, on a store played in one
//! process so that every order of events can be forced.

use super::{Origin, settle, text};
use futures_util::FutureExt;
use headwater::testkit::{Behaviour, Fleet, ManualClock, Member, unavailable};
use headwater::{
    Cache, ErrorKind, FetchOptions, Fetcher, Headwater, LruCache, ReadThrough, Source,
};
use std::pin::pin;
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
