//! A chain over Redis, and waiting for what happens behind its back.

use headwater::redis::{RedisCache, RedisConfig};
use headwater::testkit::TestSource;
use headwater::{Entry, Fetcher, Headwater, ReadThrough, Source, Tier};
use std::time::{Duration, Instant};

pub(crate) type Redis = RedisCache<str, String>;
pub(crate) type Chain = ReadThrough<Redis, Source<TestSource<str, String>>>;

/// Far above any budget: whoever waits so long hangs.
pub(crate) const GUARD: Duration = Duration::from_secs(4);

/// A configuration for one server. Its time limits are far below the guard.
pub(crate) fn config(url: &str) -> RedisConfig {
    RedisConfig::new(url).expect("a URL")
}

/// A chain over Redis, lazily connected, and a source that has `a` to `z`.
pub(crate) fn chain(url: &str) -> Chain {
    over(config(url).connect_lazy().expect("a valid configuration"))
}

pub(crate) fn over(redis: Redis) -> Chain {
    let source = TestSource::<str, String>::new();
    for key in 'a'..='z' {
        source.set(&String::from(key), format!("value of {key}"));
    }
    Headwater::source(source).through(redis).build()
}

/// Fetches a key, and holds the chain to answering as the source does without hanging.
pub(crate) async fn fetch(chain: &Chain, key: &str) {
    let answer = tokio::time::timeout(GUARD, chain.fetch(key)).await.expect("it hangs");
    assert_eq!(answer.expect("the source has it"), format!("value of {key}"));
}

/// Waits until `done`, and panics with `what` if that takes for ever.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut done: impl FnMut() -> F) {
    let began = Instant::now();
    while !done().await {
        assert!(began.elapsed() < Duration::from_secs(20), "{what} takes too long");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What the Redis tier has under a key.
pub(crate) async fn stored(chain: &Chain, key: &str) -> Option<String> {
    chain.tier().get(key).await.ok().flatten().and_then(Entry::into_value)
}

/// Fetches a key until Redis has it.
pub(crate) async fn until_stored(chain: &Chain, key: &str) {
    until("a fill", || async {
        fetch(chain, key).await;
        stored(chain, key).await.is_some()
    })
    .await;
}
