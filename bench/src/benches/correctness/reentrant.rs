//! Loads that fetch through the very cache that waits for them: refused, not deadlocked.

use super::stage::{Crowd, Tally, on_stage, settle};
use super::Case;
use crate::contenders::{Cache, Contender, Fault, Outcome, Source};
use futures_util::future::BoxFuture;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock, Weak};

/// Loads that go on beyond this are without end.
const ENDLESS: u64 = 50;
const CAPACITY: usize = 64;

/// The load of a key fetches that key.
pub(super) struct Own;

impl Case for Own {
    const NAME: &'static str = "a load fetches its own key: hung or endless";
    const TRIES: u64 = 100;
    const QUICK_TRIES: u64 = 20;

    fn run<C: Contender>(&self, tries: u64, _: u64) -> Tally {
        on_stage(tries, async || circle::<C>(|_| "own", &["own"]).await)
    }
}

/// Two callers, and the load of each fetches the other's key.
pub(super) struct Crossed;

impl Case for Crossed {
    const NAME: &'static str = "two loads fetch each other's keys: hung or endless";
    const TRIES: u64 = 100;
    const QUICK_TRIES: u64 = 20;

    fn run<C: Contender>(&self, tries: u64, _: u64) -> Tally {
        let other = |key: &str| if key == "hither" { "thither" } else { "hither" };
        on_stage(tries, async || circle::<C>(other, &["hither", "thither"]).await)
    }
}

async fn circle<C: Contender>(next: fn(&str) -> &'static str, keys: &[&'static str]) -> Tally {
    let source = Arc::new(Circle { next, fetch: OnceLock::new(), loads: AtomicU64::new(0) });
    let cache = Arc::new(C::build(CAPACITY, Arc::clone(&source)));
    source.read_through(&cache);
    let mut crowd = Crowd::new();
    for key in keys {
        crowd.fetch(&cache, key);
    }
    let answers = crowd.answers().await;
    let endless = u64::from(source.loads.load(SeqCst) >= ENDLESS);
    Tally { violations: endless, hung: u64::from(answers.hung > 0) }
}

/// A fetch through the cache that the source is behind of.
type Fetch = Box<dyn Fn(&'static str) -> BoxFuture<'static, Outcome<u64>> + Send + Sync>;

/// A source whose load of a key fetches the next key.
struct Circle {
    next: fn(&str) -> &'static str,
    fetch: OnceLock<Fetch>,
    loads: AtomicU64,
}

impl Circle {
    fn read_through(&self, cache: &Arc<impl Cache<u64>>) {
        // Weak, lest source and cache keep each other alive.
        let cache = Arc::downgrade(cache);
        let fetch: Fetch = Box::new(move |key| Box::pin(fetch_through(Weak::clone(&cache), key)));
        let _ = self.fetch.set(fetch);
    }
}

async fn fetch_through(cache: Weak<impl Cache<u64>>, key: &'static str) -> Outcome<u64> {
    match cache.upgrade() {
        Some(cache) => cache.fetch(key).await,
        None => Err(Fault::Source),
    }
}

impl Source<u64> for Circle {
    async fn load(&self, key: &str) -> Outcome<u64> {
        if self.loads.fetch_add(1, SeqCst) >= ENDLESS {
            return Err(Fault::Source);
        }
        // All callers have begun before any load fetches.
        settle().await;
        let fetch = self.fetch.get().expect("set before anybody fetches");
        fetch((self.next)(key)).await
    }
}
