//! Automatic batching: single fetches of a moment go down together, and an idle source is asked at
//! once.

use super::{Origin, ends, settle, text};
use futures_util::FutureExt;
use futures_util::future::join_all;
use headwater::testkit::{Behaviour, RemoteTier};
use headwater::{
    Batching, Cache, Entry, ErrorKind, Fetcher, Headwater, LruCache, MemoryCache, Source, Tier,
};
use std::pin::pin;

fn batched(origin: &Origin, batching: Batching) -> impl Cache<Key = str, Value = String> {
    let lru = LruCache::<str, String>::new(1_000).unwrap();
    Headwater::source(origin.clone()).batching(batching).through(lru).build()
}

#[tokio::test]
async fn fetches_of_one_moment_are_one_call() {
    let origin = Origin::new();
    let keys: Vec<String> = (0..50).map(text).collect();
    keys.iter().for_each(|key| origin.set(key, format!("value {key}")));
    let chain = batched(&origin, Batching::new());
    let outcomes = join_all(keys.iter().map(|key| chain.fetch(key))).await;
    for (key, outcome) in keys.iter().zip(outcomes) {
        assert_eq!(outcome.unwrap(), format!("value {key}"));
    }
    assert_eq!((origin.calls().count(), origin.keys().count()), (1, 50));
}

#[tokio::test]
async fn a_lone_fetch_does_not_wait_for_company() {
    let origin = Origin::new();
    origin.set("a", text(1));
    let chain = batched(&origin, Batching::new());
    // The clock of this runtime never moves: only the scheduler's turns do.
    tokio::time::pause();
    assert_eq!(chain.fetch("a").await.unwrap(), "1");
    assert_eq!(origin.calls().count(), 1);
}

#[tokio::test]
async fn what_comes_while_the_source_is_busy_goes_together() {
    let origin = Origin::new();
    let chain = batched(&origin, Batching::new().max_concurrent(1));
    let gate = origin.gate();
    let mut first = pin!(chain.fetch("first"));
    assert!(first.as_mut().now_or_never().is_none());
    origin.calls().reached(1).await;
    let keys: Vec<String> = (0..20).map(text).collect();
    let mut rest = pin!(join_all(keys.iter().map(|key| chain.fetch(key))));
    assert!(rest.as_mut().now_or_never().is_none());
    settle().await;
    assert_eq!(origin.calls().count(), 1);
    gate.open();
    let (first, rest) = futures_util::future::join(first, rest).await;
    assert!(first.unwrap_err().is_not_found());
    assert!(rest.into_iter().all(|outcome| outcome.unwrap_err().is_not_found()));
    assert_eq!((origin.calls().count(), origin.keys().count()), (2, 21));
}

#[tokio::test]
async fn no_batch_is_larger_than_allowed() {
    let origin = Origin::new();
    let chain = batched(&origin, Batching::new().max_keys(7));
    let keys: Vec<String> = (0..20).map(text).collect();
    join_all(keys.iter().map(|key| chain.fetch(key))).await;
    assert_eq!((origin.calls().count(), origin.keys().count()), (3, 20));
    let more: Vec<String> = (20..40).map(text).collect();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    assert_eq!(chain.fetch_many(&more).await.len(), 20);
    assert_eq!((origin.calls().count(), origin.keys().count()), (6, 40));
}

#[tokio::test]
async fn a_key_that_nobody_waits_for_any_more_is_not_asked_for() {
    let origin = Origin::new();
    let source = Source::new(origin.clone()).batching(Batching::new().max_concurrent(1));
    let gate = origin.gate();
    let mut first = pin!(source.fetch("first"));
    assert!(first.as_mut().now_or_never().is_none());
    origin.calls().reached(1).await;
    let mut dropped = Box::pin(source.fetch("dropped"));
    assert!(dropped.as_mut().now_or_never().is_none());
    drop(dropped);
    let mut kept = pin!(source.fetch("kept"));
    assert!(kept.as_mut().now_or_never().is_none());
    gate.open();
    let (first, kept) = futures_util::future::join(first, kept).await;
    assert!(first.unwrap_err().is_not_found() && kept.unwrap_err().is_not_found());
    assert_eq!(origin.keys().count(), 2);
}

#[tokio::test]
async fn a_batch_that_panics_is_an_error_for_each_of_its_keys_and_for_no_other() {
    let origin = Origin::new();
    origin.set("a", text(1));
    let chain = batched(&origin, Batching::new().max_concurrent(1));
    origin.behave(Behaviour::Panicking);
    for outcome in join_all(["a", "b"].iter().map(|key| chain.fetch(key))).await {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Panicked);
    }
    origin.behave(Behaviour::Prompt);
    assert_eq!(chain.fetch("a").await.unwrap(), "1");
}

/// The runtime on which a batch was begun may end before the chain does.
#[test]
fn a_batch_lost_with_its_runtime_is_an_error_and_the_next_runtime_works() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let origin = Origin::new();
    origin.set("a", text(1));
    let source = Source::new(origin.clone()).batching(Batching::new().max_concurrent(1));
    let _never_opened = origin.gate();
    let first = runtime();
    let mut fetch = Box::pin(source.fetch("a"));
    first.block_on(async {
        assert!(fetch.as_mut().now_or_never().is_none());
        origin.calls().reached(1).await;
    });
    drop(first);
    assert_eq!(runtime().block_on(fetch).unwrap_err().kind(), ErrorKind::Unavailable);
    origin.behave(Behaviour::Prompt);
    assert_eq!(runtime().block_on(source.fetch("a")).unwrap(), "1");
    let outside = source.fetch("b").now_or_never().unwrap();
    assert_eq!(outside.unwrap_err().kind(), ErrorKind::Unexpected);
    assert_eq!(runtime().block_on(source.fetch("a")).unwrap(), "1");
}

#[tokio::test]
async fn look_ups_in_a_tier_that_likes_it_go_together() {
    let remote = RemoteTier::new(MemoryCache::<str, String>::new()).gathering(Batching::new());
    let keys: Vec<String> = (0..50).map(text).collect();
    for key in &keys {
        remote.inner().put(key, &Entry::found(format!("value {key}"))).await.unwrap();
    }
    let chain = Headwater::source(Origin::new()).through(remote.clone()).build();
    let gate = remote.gate_reads();
    let fetches = join_all(keys.iter().map(|key| chain.fetch(key)));
    let (outcomes, ()) = futures_util::future::join(fetches, async {
        remote.reads().reached(2).await;
        gate.open();
    })
    .await;
    for (key, outcome) in keys.iter().zip(outcomes) {
        assert_eq!(outcome.unwrap(), format!("value {key}"));
    }
    assert!(remote.reads().count() <= 2, "the first at once, the others together");
}

#[tokio::test]
async fn a_look_up_in_an_idle_tier_goes_at_once() {
    let remote = RemoteTier::new(MemoryCache::<str, String>::new()).gathering(Batching::new());
    remote.inner().put("a", &Entry::found(text(1))).await.unwrap();
    let chain = Headwater::source(Origin::new()).through(remote.clone()).build();
    assert_eq!(chain.fetch("a").now_or_never().unwrap().unwrap(), "1");
    assert_eq!((remote.reads().count(), remote.batches().count()), (1, 0));
}

#[tokio::test]
async fn the_calls_for_one_fetch_of_many_keys_keep_the_limit_of_the_source() {
    let origin = Origin::new();
    let _never_opened = origin.gate();
    let one_key_each = Batching::new().max_keys(1).max_concurrent(4);
    let chain = Headwater::source(origin.clone())
        .limit(1)
        .batching(one_key_each)
        .through(LruCache::<str, String>::new(10).unwrap())
        .build();
    let mut fetch = pin!(chain.fetch_many(&["a", "b", "c", "d"]));
    assert!(fetch.as_mut().now_or_never().is_none());
    settle().await;
    assert!(fetch.as_mut().now_or_never().is_none());
    assert_eq!(origin.calls().count(), 1);
}

#[tokio::test]
async fn all_fetches_together_keep_the_bound_of_calls_at_once() {
    let origin = Origin::new();
    let gate = origin.gate();
    let chain = batched(&origin, Batching::new().max_concurrent(1));
    let mut all = pin!(futures_util::future::join3(
        chain.fetch_many(&["a", "b"]),
        chain.fetch_many(&["c", "d"]),
        chain.fetch("e"),
    ));
    assert!(all.as_mut().now_or_never().is_none());
    settle().await;
    assert!(all.as_mut().now_or_never().is_none());
    assert_eq!(origin.calls().count(), 1);
    gate.open();
    let (first, second, single) = ends(all).await;
    assert!(first.into_iter().chain(second).all(|outcome| outcome.unwrap_err().is_not_found()));
    assert!(single.unwrap_err().is_not_found());
    assert_eq!((origin.calls().count(), origin.keys().count()), (3, 5));
}

#[tokio::test]
async fn a_function_that_panics_for_one_key_answers_the_others_of_its_batch() {
    let source =
        headwater::fetch_fn(
            async |key: u32| {
                if key == 2 { std::panic::panic_any("a bad key") } else { Ok(key) }
            },
        );
    let chain =
        Headwater::source(source).batching(Batching::new()).through(MemoryCache::new()).build();
    let (good, bad) = futures_util::future::join(chain.fetch(&1), chain.fetch(&2)).await;
    assert_eq!(good.unwrap(), 1);
    assert_eq!(bad.unwrap_err().kind(), ErrorKind::Panicked);
}

/// The call of a look-up that is not polled any more must not be the one that everybody waits for.
#[tokio::test]
async fn a_look_up_that_is_not_polled_holds_up_no_other_key() {
    let one_at_a_time = Batching::new().max_concurrent(1);
    let remote = RemoteTier::new(MemoryCache::<str, String>::new()).gathering(one_at_a_time);
    remote.inner().put("b", &Entry::found(text(2))).await.unwrap();
    let chain = Headwater::source(Origin::new()).through(remote.clone()).build();
    let gate = remote.gate_reads();
    let mut stalled = pin!(chain.fetch("a"));
    assert!(stalled.as_mut().now_or_never().is_none());
    gate.open();
    assert_eq!(super::ends(chain.fetch("b")).await.unwrap(), "2");
}
