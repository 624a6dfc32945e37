//! Keys that do not exist, in masses: they push out nothing that does.

use super::stage::{Tally, on_threads};
use super::Case;
use crate::contenders::{Cache, Contender, Outcome, Source};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

const HOT: u64 = 1_000;
/// The room is for all hot entries and for an eighth more, which is our default share of absent
/// ones; we take it beside the capacity, rivals get it on top.
const CAPACITY: usize = 1_000;
const SHARE: usize = CAPACITY / 8;

/// Hot entries are fetched a few times, then made-up keys once each, then the hot entries again:
/// counts those that were there before the flood and have to be loaded after it.
pub(super) struct Flood;

impl Case for Flood {
    const NAME: &'static str = "flood of absent keys: hot entries (of 1,000) lost";
    const TRIES: u64 = 100_000;
    const QUICK_TRIES: u64 = 20_000;
    const UNIT: &'static str = "absent keys";

    fn run<C: Contender>(&self, tries: u64, _: u64) -> Tally {
        on_threads(1, async || {
            let source = Arc::new(Register::default());
            let room = if C::KEEPS_ABSENT_APART { CAPACITY } else { CAPACITY + SHARE };
            let cache = C::build(room, Arc::clone(&source));
            for _ in 0..3 {
                fetch_all(&cache, "hot", HOT).await;
            }
            // A cache that did not hold all of them even now (its shards filled unevenly, say) is
            // not charged for that.
            let before = loads_of_hot(&cache, &source).await;
            fetch_all(&cache, "made up", tries).await;
            let after = loads_of_hot(&cache, &source).await;
            Tally::of(after.saturating_sub(before))
        })
    }
}

async fn fetch_all(cache: &impl Cache<u64>, name: &str, count: u64) {
    for number in 0..count {
        let expected = (name == "hot").then_some(number);
        assert_eq!(cache.fetch(&format!("{name} {number}")).await, Ok(expected));
    }
    cache.tidy().await;
}

async fn loads_of_hot(cache: &impl Cache<u64>, source: &Register) -> u64 {
    let before = source.hot_loads.load(SeqCst);
    fetch_all(cache, "hot", HOT).await;
    source.hot_loads.load(SeqCst) - before
}

/// A source that has the hot keys and no other.
#[derive(Default)]
struct Register {
    hot_loads: AtomicU64,
}

impl Source<u64> for Register {
    async fn load(&self, key: &str) -> Outcome<u64> {
        let Some(number) = key.strip_prefix("hot ") else { return Ok(None) };
        self.hot_loads.fetch_add(1, SeqCst);
        Ok(number.parse().ok())
    }
}
