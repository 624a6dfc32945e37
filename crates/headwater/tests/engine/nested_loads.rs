//! Loads that fetch through the chain that loads: circles are refused, everything else goes on.

use futures_util::future::{BoxFuture, join_all};
use headwater::testkit::ManualClock;
use headwater::{
    Batching, BoxCache, ChainBuilder, Entry, Error, ErrorKind, FetchOptions, Fetcher, Headwater,
    LruCache, Result, Source,
};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Barrier;

type Chain = BoxCache<str, String>;

/// A source that resolves references: `"a -> b"` is `"a"` and whatever `"b"` is.
struct References {
    chain: Arc<OnceLock<Chain>>,
    meeting: Option<Arc<Barrier>>,
}

impl References {
    fn resolve<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            if let Some(meeting) = &self.meeting {
                meeting.wait().await;
            }
            let Some((own, next)) = key.split_once(" -> ") else { return Ok(key.to_owned()) };
            let chain = self.chain.get().expect("the test sets it first");
            Ok(format!("{own}, {}", chain.fetch(next).await?))
        })
    }
}

impl Fetcher for References {
    type Key = str;
    type Value = String;

    async fn fetch(&self, key: &str) -> Result<String> {
        self.resolve(key).await
    }

    async fn fetch_many(&self, keys: &[&str]) -> Vec<Result<String>> {
        join_all(keys.iter().map(|key| self.resolve(key))).await
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

type Begun = ChainBuilder<Source<References>>;

fn chain_of(meeting: Option<Arc<Barrier>>, set_up: impl FnOnce(Begun) -> Begun) -> Chain {
    let cell = Arc::new(OnceLock::new());
    let source = References { chain: Arc::clone(&cell), meeting };
    let builder = set_up(Headwater::source(source));
    let chain = BoxCache::new(builder.through(LruCache::new(100).unwrap()).build());
    cell.set(chain.clone()).unwrap();
    chain
}

/// A source in which every key refers to itself or to a partner.
fn circles(
    partners: &'static [(&'static str, &'static str)],
    meeting: Option<Arc<Barrier>>,
) -> Chain {
    let cell: Arc<OnceLock<Chain>> = Arc::default();
    let own = Arc::clone(&cell);
    let source = headwater::fetch_fn(move |key: String| {
        let (chain, meeting) =
            (own.get().expect("the test sets it first").clone(), meeting.clone());
        async move {
            if let Some(meeting) = meeting {
                meeting.wait().await;
            }
            let partner = partners.iter().find(|(from, _)| *from == key).map(|(_, to)| *to);
            chain.fetch(partner.ok_or(Error::not_found())?).await
        }
    });
    let chain =
        BoxCache::new(Headwater::source(source).through(LruCache::new(100).unwrap()).build());
    cell.set(chain.clone()).unwrap();
    chain
}

#[tokio::test]
async fn a_load_may_fetch_other_keys() {
    let chain = chain_of(None, |builder| builder);
    assert_eq!(chain.fetch("a -> b -> c").await.unwrap(), "a, b, c");
}

#[tokio::test]
async fn a_load_that_fetches_its_own_key_is_refused() {
    let chain = circles(&[("a", "a")], None);
    assert_eq!(chain.fetch("a").await.unwrap_err().kind(), ErrorKind::Reentrant);
}

#[tokio::test]
async fn a_load_that_fetches_its_own_key_through_others_is_refused() {
    let chain = circles(&[("a", "b"), ("b", "c"), ("c", "a")], None);
    assert_eq!(chain.fetch("a").await.unwrap_err().kind(), ErrorKind::Reentrant);
}

/// Each of two tasks leads a load that waits for the other's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circle_of_two_loads_of_two_tasks_is_refused() {
    for _ in 0..50 {
        let chain = circles(&[("a", "b"), ("b", "a")], Some(Arc::new(Barrier::new(2))));
        let fetch = |key: &'static str| {
            let chain = chain.clone();
            tokio::spawn(async move { chain.fetch(key).await })
        };
        let (a, b) = (fetch("a"), fetch("b"));
        let kinds = [a.await.unwrap().unwrap_err().kind(), b.await.unwrap().unwrap_err().kind()];
        assert_eq!(kinds, [ErrorKind::Reentrant; 2]);
    }
}

#[tokio::test]
async fn the_limit_of_a_source_does_not_lock_out_the_loads_of_its_loads() {
    let chain = chain_of(None, |builder| builder.limit(1));
    assert_eq!(chain.fetch("a -> b -> c").await.unwrap(), "a, b, c");
}

/// With room for one call, a load waits for a key whose own load is still queueing.
#[tokio::test]
async fn a_load_that_waits_for_a_queued_one_gives_up_its_place() {
    let chain = chain_of(None, |builder| builder.limit(1));
    let keys = ["a -> b", "b", "c -> a -> b", "a -> b"];
    let outcomes = join_all(keys.iter().map(|key| chain.fetch(key))).await;
    let values: Vec<String> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(values, ["a, b", "b", "c, a, b", "a, b"]);
}

#[tokio::test]
async fn batches_do_not_lock_out_the_loads_of_their_loads() {
    let one_at_a_time = Batching::new().max_concurrent(1).max_keys(1);
    let chain = chain_of(None, |builder| builder.limit(1).batching(one_at_a_time));
    let keys = ["a -> b", "b", "c -> a -> b", "d -> e -> b", "e -> b"];
    let outcomes = join_all(keys.iter().map(|key| chain.fetch(key))).await;
    let values: Vec<String> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(values, ["a, b", "b", "c, a, b", "d, e, b", "e, b"]);
}

/// The outcome of a key in a batch comes with the batch, so a batch that waits for one of its own
/// keys would wait for itself.
#[tokio::test]
async fn a_batch_that_fetches_one_of_its_own_keys_is_refused_that_key() {
    let chain = chain_of(None, |builder| builder.batching(Batching::new()));
    let outcomes = join_all(["a -> b", "b"].iter().map(|key| chain.fetch(key))).await;
    assert_eq!(outcomes[0].as_ref().unwrap_err().kind(), ErrorKind::Reentrant);
    assert_eq!(outcomes[1].as_ref().unwrap(), "b");
}

#[tokio::test]
async fn entries_of_loads_that_fetch_are_kept() {
    let chain = chain_of(None, |builder| builder);
    chain.fetch("a -> b").await.unwrap();
    let entry = chain.fetch_entry("b", &FetchOptions::new()).await.unwrap();
    assert_eq!(entry.value().map(String::as_str), Some("b"));
    assert_eq!(headwater::Cache::stats(&chain).source.keys, 2);
    assert!(!Entry::is_absent(&entry));
}

#[tokio::test]
async fn a_refusal_is_no_error_to_remember() {
    let span = Duration::from_secs(60);
    let chain = chain_of(None, |builder| builder.batching(Batching::new()).error_memo(span));
    let outcomes = join_all(["a -> b", "b"].iter().map(|key| chain.fetch(key))).await;
    assert_eq!(outcomes[0].as_ref().unwrap_err().kind(), ErrorKind::Reentrant);
    assert_eq!(chain.fetch("a -> b").await.unwrap(), "a, b", "now that b is here");
}

/// Runs `work` with so much stack as threads usually have, whatever this test's own has.
fn on_a_usual_stack<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work)
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap()
}

/// A source whose value of a number is that of the number before, and one more.
fn counting() -> BoxCache<u32, u32> {
    let cell: Arc<OnceLock<BoxCache<u32, u32>>> = Arc::default();
    let own = Arc::clone(&cell);
    let source = headwater::fetch_fn(move |number: u32| {
        let chain = own.get().expect("the test sets it first").clone();
        async move {
            let Some(before) = number.checked_sub(1) else { return Ok(0) };
            Ok(chain.fetch(&before).await? + 1)
        }
    });
    let chain = Headwater::source(source).through(LruCache::new(100).unwrap()).build();
    let chain = BoxCache::new(chain);
    cell.set(chain.clone()).unwrap();
    chain
}

#[test]
fn loads_nested_too_deep_are_refused_and_do_not_overflow_the_stack() {
    let chain = counting();
    let refused = chain.clone();
    let outcome = on_a_usual_stack(async move { refused.fetch(&10_000).await });
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Reentrant);
    assert_eq!(on_a_usual_stack(async move { chain.fetch(&32).await }).unwrap(), 32);
}

/// A load that accepts no age does not join an earlier one of its own key, so there is no circle.
#[test]
fn a_load_that_fetches_its_own_key_without_any_age_is_refused() {
    let time = ManualClock::new();
    let cell: Arc<OnceLock<Chain>> = Arc::default();
    let (own, ticks) = (Arc::clone(&cell), time.clone());
    let source = headwater::fetch_fn(move |key: String| {
        ticks.advance(Duration::from_millis(1));
        let chain = own.get().expect("the test sets it first").clone();
        async move {
            let fresh = FetchOptions::new().max_age(Duration::ZERO);
            chain.fetch_entry(&key, &fresh).await?.into_outcome()
        }
    });
    let lru = LruCache::<str, String>::builder(10).clock(time.clock()).build().unwrap();
    let chain = Headwater::source(source).clock(time.clock()).through(lru).build();
    let chain = BoxCache::new(chain);
    cell.set(chain.clone()).unwrap();
    let outcome = on_a_usual_stack(async move { chain.fetch("a").await });
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Reentrant);
}
