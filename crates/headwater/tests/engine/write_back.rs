//! R1, R4, R5, R6: several tiers, fills behind the caller's back, and changes that race them.

use super::{Origin, World, settle, text};
use futures_util::FutureExt;
use headwater::testkit::{ManualClock, RemoteTier};
use headwater::{
    Cache, Entry, Error, ErrorKind, FetchOptions, Fetcher, Headwater, LruCache, MemoryCache, Tier,
    Version,
};
use std::pin::pin;
use std::time::Duration;

async fn in_remote(world: &World, key: &str) -> Option<String> {
    world.remote.inner().get(key).await.unwrap().and_then(Entry::into_value)
}

async fn in_memory(world: &World, key: &str) -> Option<String> {
    world.lru.get(key).await.unwrap().and_then(Entry::into_value)
}

#[tokio::test]
async fn every_faster_tier_is_filled_on_the_way_out() {
    let world = World::new();
    world.origin.set("a", text(1));
    assert_eq!(world.chain.fetch("a").await.unwrap(), "1");
    settle().await;
    assert_eq!(in_remote(&world, "a").await.as_deref(), Some("1"));
    assert_eq!(in_memory(&world, "a").await.as_deref(), Some("1"));
    let stats = world.chain.stats();
    assert_eq!((stats.tiers[0].fills, stats.tiers[1].fills), (1, 1));
}

#[tokio::test]
async fn a_hit_in_a_slower_tier_fills_the_faster_one_and_spares_the_source() {
    let world = World::new();
    world.remote.inner().put("a", &Entry::found(text(1))).await.unwrap();
    assert_eq!(world.chain.fetch("a").await.unwrap(), "1");
    assert_eq!(in_memory(&world, "a").await.as_deref(), Some("1"));
    assert_eq!(world.origin.calls().count(), 0);
}

#[tokio::test]
async fn the_caller_does_not_wait_for_a_slow_fill() {
    let world = World::new();
    world.origin.set("a", text(1));
    let gate = world.remote.gate_puts();
    assert_eq!(world.chain.fetch("a").await.unwrap(), "1");
    assert_eq!(in_remote(&world, "a").await, None);
    gate.open();
    settle().await;
    assert_eq!(in_remote(&world, "a").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn who_comes_while_a_fill_is_pending_is_answered_without_the_source() {
    let world = World::new();
    world.origin.set("a", text(1));
    let gate = world.remote.gate_puts();
    assert_eq!(world.chain.next().fetch("a").await.unwrap(), "1");
    assert_eq!(world.chain.next().fetch("a").await.unwrap(), "1");
    gate.open();
    settle().await;
    assert_eq!(world.chain.next().fetch("a").await.unwrap(), "1");
    assert_eq!(world.origin.calls().count(), 1);
}

#[tokio::test]
async fn invalidate_waits_for_a_fill_on_its_way_and_then_removes_it() {
    let world = World::new();
    world.origin.set("a", text(1));
    let gate = world.remote.gate_puts();
    assert_eq!(world.chain.fetch("a").await.unwrap(), "1");
    world.remote.writes().reached(1).await;
    world.origin.set("a", text(2));
    let mut invalidate = pin!(world.chain.invalidate("a"));
    assert!(invalidate.as_mut().now_or_never().is_none(), "the old fill may still arrive");
    gate.open();
    invalidate.await.unwrap();
    assert_eq!(in_remote(&world, "a").await, None);
    assert_eq!(world.chain.fetch("a").await.unwrap(), "2");
    settle().await;
    assert_eq!(in_remote(&world, "a").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_fill_that_waits_behind_an_invalidation_is_given_up() {
    let world = World::new();
    world.origin.set("a", text(1));
    let load = world.origin.gate();
    let mut early = pin!(world.chain.fetch("a"));
    assert!(early.as_mut().now_or_never().is_none());
    world.origin.calls().reached(1).await;
    world.chain.invalidate("a").await.unwrap();
    load.open();
    assert_eq!(early.await.unwrap(), "1");
    settle().await;
    assert_eq!(in_remote(&world, "a").await, None);
    assert_eq!(in_memory(&world, "a").await, None);
    let stats = world.chain.stats();
    assert_eq!((stats.tiers[0].superseded_fills, stats.tiers[1].superseded_fills), (1, 1));
}

/// The old value is read from the slower tier just before it is removed there, and comes out after
/// `invalidate` has returned.
#[tokio::test]
async fn a_hit_under_way_in_a_slower_tier_does_not_outlive_an_invalidation() {
    let world = World::new();
    world.remote.inner().put("a", &Entry::found(text(1))).await.unwrap();
    world.origin.set("a", text(2));
    let gate = world.remote.gate_reads();
    let mut early = pin!(world.chain.fetch("a"));
    assert!(early.as_mut().now_or_never().is_none());
    world.remote.reads().reached(1).await;
    world.chain.invalidate("a").await.unwrap();
    let mut late = pin!(world.chain.fetch("a"));
    assert!(late.as_mut().now_or_never().is_none());
    gate.open();
    assert_eq!(early.await.unwrap(), "1", "it began before");
    assert_eq!(late.await.unwrap(), "2", "it began after");
    assert_eq!(in_memory(&world, "a").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn two_inserts_of_one_key_leave_all_tiers_in_agreement() {
    let world = World::new();
    let gate = world.remote.gate_puts();
    let mut first = pin!(world.chain.insert("a", text(1)));
    assert!(first.as_mut().now_or_never().is_none());
    let mut second = pin!(world.chain.insert("a", text(2)));
    assert!(second.as_mut().now_or_never().is_none());
    gate.open();
    let (first, second) = futures_util::future::join(first, second).await;
    first.and(second).unwrap();
    assert_eq!(in_remote(&world, "a").await.as_deref(), Some("2"));
    assert_eq!(in_memory(&world, "a").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn an_insert_that_was_dropped_on_its_way_cannot_arrive_after_a_later_change() {
    let world = World::new();
    let gate = world.remote.gate_puts();
    {
        let mut insert = Box::pin(world.chain.insert("a", text(1)));
        assert!(insert.as_mut().now_or_never().is_none());
        world.remote.writes().reached(1).await;
    }
    let mut invalidate = pin!(world.chain.invalidate("a"));
    assert!(invalidate.as_mut().now_or_never().is_none());
    gate.open();
    invalidate.await.unwrap();
    settle().await;
    assert_eq!(in_remote(&world, "a").await, None);
}

#[tokio::test]
async fn clear_waits_for_fills_on_their_way_and_then_removes_them() {
    let world = World::new();
    world.origin.set("a", text(1));
    let gate = world.remote.gate_puts();
    assert_eq!(world.chain.fetch("a").await.unwrap(), "1");
    world.remote.writes().reached(1).await;
    let mut clear = pin!(world.chain.clear());
    assert!(clear.as_mut().now_or_never().is_none());
    gate.open();
    clear.await.unwrap();
    assert_eq!((in_remote(&world, "a").await, in_memory(&world, "a").await), (None, None));
}

#[tokio::test]
async fn a_life_shrinks_on_its_way_up() {
    let world = World::new();
    let now = world.time.clock().now();
    let entry = Entry::found(text(1)).expires_at(now + Duration::from_secs(10));
    world.remote.inner().put("a", &entry).await.unwrap();
    world.time.advance(Duration::from_secs(4));
    let fetched = world.chain.fetch_entry("a", &FetchOptions::new()).await.unwrap();
    assert_eq!(fetched.expiry(), Some(now + Duration::from_secs(10)));
    let kept = world.lru.get("a").await.unwrap().unwrap();
    assert_eq!(kept.remaining(world.time.clock().now()), Some(Duration::from_secs(6)));
    world.time.advance(Duration::from_secs(6));
    assert!(world.chain.fetch("a").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_tier_that_fails_is_a_miss_and_the_source_answers() {
    let world = World::new();
    world.origin.set("a", text(1));
    world.remote.fail(Some(Error::new(ErrorKind::Unavailable, "down")));
    assert_eq!(world.chain.fetch("a").await.unwrap(), "1");
    let outcomes = world.chain.fetch_many(&["a", "b"]).await;
    assert_eq!(outcomes[0].as_ref().unwrap(), "1");
    assert!(outcomes[1].as_ref().unwrap_err().is_not_found());
    settle().await;
    let stats = world.chain.stats();
    assert!(stats.tiers[1].errors >= 3, "two look-ups and a fill at least: {stats:?}");
    assert_eq!(stats.tiers[1].hits, 0);
}

#[tokio::test]
async fn an_invalidation_that_fails_below_still_empties_the_memory_and_says_where() {
    let world = World::new();
    world.origin.set("a", text(1));
    world.chain.fetch("a").await.unwrap();
    settle().await;
    world.remote.fail(Some(Error::new(ErrorKind::Unavailable, "down")));
    let error = world.chain.invalidate("a").await.unwrap_err();
    assert_eq!((error.kind(), error.tier()), (ErrorKind::Unavailable, Some("remote")));
    assert_eq!(in_memory(&world, "a").await, None);
}

#[tokio::test]
async fn a_batch_goes_down_as_one_round_trip_per_tier() {
    let world = World::new();
    let keys: Vec<String> = (0..100).map(|number| format!("key {number}")).collect();
    keys.iter().for_each(|key| world.origin.set(key, key.clone()));
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    world.remote.inner().put(keys[7], &Entry::found(text(7))).await.unwrap();
    let outcomes = world.chain.fetch_many(&keys).await;
    assert_eq!(outcomes[7].as_ref().unwrap(), "7");
    assert_eq!(outcomes[8].as_ref().unwrap(), "key 8");
    settle().await;
    assert_eq!((world.remote.reads().count(), world.remote.writes().count()), (1, 1));
    assert_eq!((world.origin.calls().count(), world.origin.keys().count()), (1, 99));
}

#[tokio::test]
async fn a_skipped_tier_is_not_read_but_filled() {
    let world = World::new();
    world.origin.set("a", text(1));
    world.chain.fetch("a").await.unwrap();
    settle().await;
    world.origin.set("a", text(2));
    let past_memory = FetchOptions::new().skip_tier("lru");
    let entry = world.chain.fetch_entry("a", &past_memory).await.unwrap();
    assert_eq!(entry.into_value().as_deref(), Some("1"), "the slower tier still has it");
    let past_both = past_memory.skip_tier("remote");
    let entry = world.chain.fetch_entry("a", &past_both).await.unwrap();
    assert_eq!(entry.into_value().as_deref(), Some("2"));
    settle().await;
    assert_eq!(in_memory(&world, "a").await.as_deref(), Some("2"));
    assert_eq!(in_remote(&world, "a").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_plain_load_does_not_answer_a_call_that_asks_for_more() {
    let world = World::new();
    world.origin.set("a", text(1));
    let gate = world.origin.gate();
    let mut plain = pin!(world.chain.fetch("a"));
    assert!(plain.as_mut().now_or_never().is_none());
    world.origin.calls().reached(1).await;
    world.origin.set("a", text(2));
    world.time.advance(Duration::from_millis(1));
    let fresh = FetchOptions::new().max_age(Duration::ZERO);
    let mut fresh = pin!(world.chain.fetch_entry("a", &fresh));
    assert!(fresh.as_mut().now_or_never().is_none());
    world.origin.calls().reached(2).await;
    gate.open();
    assert_eq!(plain.await.unwrap(), "1");
    assert_eq!(fresh.await.unwrap().into_value().as_deref(), Some("2"));
    assert_eq!(in_memory(&world, "a").await.as_deref(), Some("2"), "the newer load fills");
}

/// A chain whose slower tier gives lives of up to so many seconds, and an endless faster one.
fn with_lives_below(seconds: u64, jitter: f64) -> World {
    let (time, origin) = (ManualClock::new(), Origin::new());
    let mortal = MemoryCache::builder().clock(time.clock()).ttl_jitter(jitter);
    let mortal = mortal.time_to_live(Duration::from_secs(seconds)).build().unwrap();
    let remote = RemoteTier::new(mortal);
    let lru: LruCache<str, String> = LruCache::builder(1_000).clock(time.clock()).build().unwrap();
    let chain = Headwater::source(origin.clone())
        .clock(time.clock())
        .through(remote.clone())
        .through(lru.clone())
        .build();
    World { origin, remote, lru, chain, time }
}

#[tokio::test]
async fn on_its_first_way_out_an_entry_gets_the_life_of_each_tier_it_passes() {
    let world = with_lives_below(10, 0.0);
    world.origin.set("a", text(1));
    world.chain.fetch("a").await.unwrap();
    world.origin.set("a", text(2));
    world.time.advance(Duration::from_secs(10));
    assert_eq!(world.chain.fetch("a").await.unwrap(), "2");
}

#[tokio::test]
async fn an_inserted_entry_gets_the_life_of_each_tier_it_passes() {
    let world = with_lives_below(10, 0.0);
    world.origin.set("a", text(2));
    world.chain.insert("a", text(1)).await.unwrap();
    assert_eq!(world.chain.fetch("a").await.unwrap(), "1");
    world.time.advance(Duration::from_secs(10));
    assert_eq!(world.chain.fetch("a").await.unwrap(), "2");
}

/// How long each of these keys lives in the slower and in the faster tier.
fn lives(world: &World, keys: &[String]) -> Vec<(Duration, Duration)> {
    let now = world.time.clock().now();
    let of = |entry: Option<Entry<String>>| entry.unwrap().remaining(now).unwrap();
    let both = |key: &String| (of(world.remote.inner().peek(key)), of(world.lru.peek(key)));
    keys.iter().map(both).collect()
}

fn assert_jittered_once(lives: &[(Duration, Duration)]) {
    assert!(lives.iter().all(|(below, above)| above <= below), "{lives:?}");
    let shortest = lives.iter().map(|(below, _)| *below).min().unwrap();
    assert!(shortest < Duration::from_secs(90), "there is jitter: {shortest:?}");
}

#[tokio::test]
async fn what_was_fetched_ends_in_a_faster_tier_no_later_than_in_a_slower_one_with_jitter() {
    let world = with_lives_below(100, 0.5);
    let keys: Vec<String> = (0..100).map(text).collect();
    for key in &keys {
        world.origin.set(key, key.clone());
        world.chain.fetch(key).await.unwrap();
    }
    settle().await;
    assert_jittered_once(&lives(&world, &keys));
}

#[tokio::test]
async fn what_was_inserted_ends_in_a_faster_tier_no_later_than_in_a_slower_one_with_jitter() {
    let world = with_lives_below(100, 0.5);
    let keys: Vec<String> = (0..100).map(text).collect();
    for key in &keys {
        world.chain.insert(key, key.clone()).await.unwrap();
    }
    assert_jittered_once(&lives(&world, &keys));
}

/// The store gets the new value, because what was sent cannot be called back.
#[tokio::test]
async fn an_insert_that_was_dropped_on_its_way_leaves_no_older_entry_in_front() {
    let world = World::new();
    world.origin.set("a", text(1));
    world.chain.fetch("a").await.unwrap();
    settle().await;
    let gate = world.remote.gate_puts();
    let mut insert = Box::pin(world.chain.insert("a", text(2)));
    assert!(insert.as_mut().now_or_never().is_none());
    world.remote.writes().reached(2).await;
    assert_eq!(world.chain.fetch("a").await.unwrap(), "1", "the new value is not there yet");
    drop(insert);
    gate.open();
    settle().await;
    assert_eq!(in_remote(&world, "a").await.as_deref(), Some("2"));
    assert_eq!(world.chain.fetch("a").await.unwrap(), "2");
}

#[tokio::test]
async fn an_insert_of_an_older_version_replaces_nothing() {
    let entry = |number, version| Entry::found(text(number)).with_version(Version::new(version));
    let world = World::new();
    world.chain.insert("a", entry(5, 5)).await.unwrap();
    world.chain.insert("a", entry(3, 3)).await.unwrap();
    assert_eq!(in_remote(&world, "a").await.as_deref(), Some("5"));
    assert_eq!(world.chain.fetch("a").await.unwrap(), "5");
    // Memory that has nothing takes over what the slower tier has.
    world.lru.remove("a").await.unwrap();
    world.chain.insert("a", entry(3, 3)).await.unwrap();
    assert_eq!(in_memory(&world, "a").await.as_deref(), Some("5"));
    // Also if the slower tier has lost it, and takes the older one.
    world.remote.inner().remove("a").await.unwrap();
    world.chain.insert("a", entry(4, 4)).await.unwrap();
    assert_eq!(in_memory(&world, "a").await, None);
    world.chain.insert("a", entry(6, 6)).await.unwrap();
    assert_eq!(in_memory(&world, "a").await.as_deref(), Some("6"));
    assert_eq!(in_remote(&world, "a").await.as_deref(), Some("6"));
}
