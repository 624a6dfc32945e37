//! The source's end: limit, memo of errors, broken contracts.

use super::{Origin, settle, text};
use futures_util::FutureExt;
use futures_util::future::join_all;
use headwater::testkit::{Behaviour, Gate, ManualClock, Tally};
use headwater::{
    Cache, Error, ErrorKind, FetchOptions, Fetcher, Headwater, LruCache, MemoryCache, Result,
    fetch_fn, fetch_many_fn,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

#[tokio::test]
async fn no_more_calls_run_at_once_than_the_limit_allows() {
    let (gate, begun) = (Gate::new(), Tally::new());
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let source = {
        let (gate, begun) = (gate.clone(), begun.clone());
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        fetch_fn(move |key: u32| {
            let (gate, begun) = (gate.clone(), begun.clone());
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                begun.add(1);
                gate.passed().await;
                tokio::task::yield_now().await;
                running.fetch_sub(1, SeqCst);
                Ok(key)
            }
        })
    };
    let chain = Headwater::source(source).limit(3).through(MemoryCache::new()).build();
    let keys: Vec<u32> = (0..20).collect();
    let fetches = join_all(keys.iter().map(|key| chain.fetch(key)));
    let (outcomes, ()) = futures_util::future::join(fetches, async {
        begun.reached(3).await;
        settle().await;
        assert_eq!(begun.count(), 3);
        gate.open();
    })
    .await;
    assert!(outcomes.into_iter().zip(keys).all(|(outcome, key)| outcome.unwrap() == key));
    assert_eq!(most.load(SeqCst), 3);
}

#[tokio::test]
async fn a_call_dropped_while_it_queues_or_runs_leaves_no_place_taken() {
    let origin = Origin::new();
    origin.set("a", text(1));
    let chain = Headwater::source(origin.clone())
        .limit(1)
        .through(LruCache::<str, String>::new(10).unwrap())
        .build();
    let _never_opened = origin.gate();
    let mut running = Box::pin(chain.fetch("b"));
    assert!(running.as_mut().now_or_never().is_none());
    let mut queueing = Box::pin(chain.fetch("c"));
    assert!(queueing.as_mut().now_or_never().is_none());
    drop(queueing);
    drop(running);
    origin.behave(Behaviour::Prompt);
    assert_eq!(chain.fetch("a").now_or_never().unwrap().unwrap(), "1");
}

fn remembering(origin: &Origin, time: &ManualClock) -> impl Cache<Key = str, Value = String> {
    Headwater::source(origin.clone())
        .clock(time.clock())
        .error_memo(Duration::from_millis(200))
        .through(LruCache::<str, String>::builder(10).clock(time.clock()).build().unwrap())
        .build()
}

#[tokio::test]
async fn a_recent_error_is_remembered_for_its_span() {
    let (origin, time) = (Origin::new(), ManualClock::new());
    let chain = remembering(&origin, &time);
    origin.set("a", text(1));
    origin.behave(Behaviour::Failing(Error::new(ErrorKind::Unavailable, "down")));
    assert_eq!(chain.fetch("a").await.unwrap_err().kind(), ErrorKind::Unavailable);
    origin.behave(Behaviour::Prompt);
    time.advance(Duration::from_millis(199));
    assert_eq!(chain.fetch("a").await.unwrap_err().kind(), ErrorKind::Unavailable);
    let outcomes = chain.fetch_many(&["a", "b"]).await;
    assert_eq!(outcomes[0].as_ref().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(outcomes[1].as_ref().unwrap_err().is_not_found(), "of that key only");
    assert_eq!((origin.keys().count(), chain.stats().source.remembered_errors), (2, 2));
    time.advance(Duration::from_millis(1));
    assert_eq!(chain.fetch("a").await.unwrap(), "1");
}

#[tokio::test]
async fn not_found_is_no_error_to_remember() {
    let (origin, time) = (Origin::new(), ManualClock::new());
    let chain = remembering(&origin, &time);
    assert!(chain.fetch("a").await.unwrap_err().is_not_found());
    assert_eq!(chain.stats().source.errors, 0);
    assert_eq!(chain.stats().source.absent, 1);
}

#[tokio::test]
async fn an_invalidation_ends_the_memory_of_errors() {
    let (origin, time) = (Origin::new(), ManualClock::new());
    let chain = remembering(&origin, &time);
    origin.set("a", text(1));
    origin.behave(Behaviour::Failing(Error::new(ErrorKind::Unavailable, "down")));
    chain.fetch("a").await.unwrap_err();
    origin.behave(Behaviour::Prompt);
    chain.invalidate("a").await.unwrap();
    assert_eq!(chain.fetch("a").await.unwrap(), "1");
}

#[tokio::test]
async fn a_batch_source_that_answers_too_few_fails_all_keys_and_nothing_else() {
    let source = fetch_many_fn(async |keys: Vec<u32>| -> Vec<Result<u32>> {
        keys.into_iter().skip(1).map(Ok).collect()
    });
    let chain = Headwater::source(source).through(MemoryCache::new()).build();
    for outcome in chain.fetch_many(&[&1, &2, &3]).await {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unexpected);
    }
    assert_eq!(chain.fetch(&1).await.unwrap_err().kind(), ErrorKind::Unexpected);
}

#[tokio::test]
async fn a_call_that_bounds_the_age_passes_the_memory_of_errors() {
    let (origin, time) = (Origin::new(), ManualClock::new());
    let chain = remembering(&origin, &time);
    origin.set("a", text(1));
    origin.behave(Behaviour::Failing(Error::new(ErrorKind::Unavailable, "down")));
    chain.fetch("a").await.unwrap_err();
    origin.behave(Behaviour::Prompt);
    let fresh = FetchOptions::new().max_age(Duration::ZERO);
    let entry = chain.fetch_entry("a", &fresh).await.unwrap();
    assert_eq!(entry.into_value().as_deref(), Some("1"));
    assert_eq!(chain.stats().source.remembered_errors, 0);
}

#[tokio::test]
async fn a_source_that_says_closed_is_asked_again() {
    let (origin, time) = (Origin::new(), ManualClock::new());
    let chain = remembering(&origin, &time);
    origin.set("a", text(1));
    origin.behave(Behaviour::Failing(Error::new(ErrorKind::Closed, "for now")));
    assert_eq!(chain.fetch("a").await.unwrap_err().kind(), ErrorKind::Closed);
    origin.behave(Behaviour::Prompt);
    assert_eq!(chain.fetch("a").await.unwrap(), "1");
}
