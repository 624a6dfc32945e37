//! R11: what `close` ends, waits for, and reports.

use super::{World, ends, settle, text};
use futures_util::FutureExt;
use headwater::{Cache, ErrorKind, Fetcher};
use std::pin::pin;
use std::time::Duration;

#[tokio::test]
async fn close_lets_queued_fills_drain() {
    let world = World::new();
    world.origin.set("a", text(1));
    let gate = world.remote.gate_puts();
    world.chain.fetch("a").await.unwrap();
    world.remote.writes().reached(1).await;
    let mut close = pin!(world.chain.close());
    assert!(close.as_mut().now_or_never().is_none());
    let refused = world.chain.fetch("a").await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed, "no new work meanwhile");
    gate.open();
    close.await.unwrap();
    let stats = world.chain.stats();
    assert_eq!((stats.tiers[1].fills, stats.tiers[1].dropped_fills), (1, 0));
    assert!(world.origin.is_closed());
}

#[tokio::test]
async fn close_gives_up_at_its_limit_and_says_what_it_dropped() {
    let world = World::new();
    world.origin.set("a", text(1));
    let _never_opened = world.remote.gate_puts();
    world.chain.fetch("a").await.unwrap();
    world.remote.writes().reached(1).await;
    let mut close = pin!(world.chain.close());
    assert!(close.as_mut().now_or_never().is_none());
    world.time.advance(Duration::from_secs(5));
    let error = close.await.unwrap_err();
    assert_eq!((error.kind(), error.tier()), (ErrorKind::Timeout, Some("remote")));
    assert!(error.to_string().contains("1 fills"), "{error}");
    assert_eq!(world.chain.stats().tiers[1].dropped_fills, 1);
    assert!(world.origin.is_closed(), "what lies below is closed all the same");
}

#[tokio::test]
async fn a_load_under_way_when_close_begins_is_finished() {
    let world = World::new();
    world.origin.set("a", text(1));
    let gate = world.origin.gate();
    let mut fetch = pin!(world.chain.fetch("a"));
    assert!(fetch.as_mut().now_or_never().is_none());
    let mut close = pin!(world.chain.close());
    assert!(close.as_mut().now_or_never().is_none());
    gate.open();
    let (fetched, closed) = futures_util::future::join(fetch, close).await;
    assert_eq!(fetched.unwrap(), "1");
    closed.unwrap();
}

#[tokio::test]
async fn who_drops_a_close_can_close_again() {
    let world = World::new();
    world.origin.set("a", text(1));
    let gate = world.remote.gate_puts();
    world.chain.fetch("a").await.unwrap();
    world.remote.writes().reached(1).await;
    {
        let mut close = Box::pin(world.chain.close());
        assert!(close.as_mut().now_or_never().is_none());
    }
    gate.open();
    world.chain.close().await.unwrap();
    assert!(world.origin.is_closed());
    settle().await;
}

#[tokio::test]
async fn every_verb_of_a_closed_chain_answers_closed() {
    let world = World::new();
    world.chain.close().await.unwrap();
    let kinds = [
        world.chain.fetch("a").await.unwrap_err().kind(),
        world.chain.invalidate("a").await.unwrap_err().kind(),
        world.chain.invalidate_many(&["a"]).await.unwrap_err().kind(),
        world.chain.insert("a", text(1)).await.unwrap_err().kind(),
        world.chain.clear().await.unwrap_err().kind(),
        world.chain.fetch_many(&["a"]).await.remove(0).unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::Closed; 6]);
}

#[tokio::test]
async fn a_change_that_waits_behind_a_hung_write_is_ended_by_close() {
    let world = World::new();
    world.origin.set("a", text(1));
    let _never_opened = world.remote.gate_puts();
    world.chain.fetch("a").await.unwrap();
    world.remote.writes().reached(1).await;
    let mut invalidate = pin!(world.chain.invalidate("a"));
    assert!(invalidate.as_mut().now_or_never().is_none());
    let mut close = pin!(world.chain.close());
    assert!(close.as_mut().now_or_never().is_none());
    world.time.advance(Duration::from_secs(5));
    assert_eq!(close.await.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(ends(invalidate).await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn fills_that_close_dropped_are_counted_by_entries() {
    let world = World::new();
    let keys: Vec<String> = (0..100).map(text).collect();
    keys.iter().for_each(|key| world.origin.set(key, key.clone()));
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let gate = world.remote.gate_puts();
    world.chain.fetch_many(&keys).await;
    world.remote.writes().reached(1).await;
    let mut close = pin!(world.chain.close());
    assert!(close.as_mut().now_or_never().is_none());
    world.time.advance(Duration::from_secs(5));
    let error = close.await.unwrap_err();
    assert!(error.to_string().contains("100 fills"), "{error}");
    gate.open();
    settle().await;
    let stats = world.chain.stats();
    assert_eq!((stats.tiers[1].fills, stats.tiers[1].dropped_fills), (0, 100));
}
