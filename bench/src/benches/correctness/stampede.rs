//! Many callers of a cold key: one load, and one failure.

use super::source::{Gated, KEY};
use super::stage::{Crowd, Tally, on_stage, on_threads, settle};
use super::Case;
use crate::contenders::{Cache, Contender, Outcome};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::task::yield_now;

const CALLERS: usize = 1_000;
const CAPACITY: usize = 1_024;

/// Everybody fetches the same key; its load lasts until all have begun to.
pub(super) struct OneKey;

impl Case for OneKey {
    const NAME: &'static str = "1,000 tasks on one cold key: extra loads";
    const TRIES: u64 = 50;
    const QUICK_TRIES: u64 = 5;
    const UNIT: &'static str = "keys";

    fn run<C: Contender>(&self, tries: u64, _: u64) -> Tally {
        on_threads(tries, async || {
            let source = Gated::closed();
            let cache = Arc::new(C::build(CAPACITY, Arc::clone(&source)));
            stampede(&source, &cache, |_| Ask::One(KEY), 1).await
        })
    }
}

const SEASONS: [&str; 4] = ["spring", "summer", "autumn", "winter"];

/// Every other caller fetches four keys at once, the rest one of the four: each key is loaded once,
/// whoever asked first and how.
pub(super) struct Mixed;

impl Case for Mixed {
    const NAME: &'static str = "1,000 fetch and fetch_many on 4 cold keys: extra loads";
    const TRIES: u64 = 50;
    const QUICK_TRIES: u64 = 5;
    const UNIT: &'static str = "rounds";

    fn run<C: Contender>(&self, tries: u64, _: u64) -> Tally {
        let ask = |caller: usize| match caller % 8 {
            odd if odd % 2 == 1 => Ask::One(SEASONS[odd / 2]),
            even => {
                let mut keys = SEASONS;
                keys.rotate_left(even / 2);
                Ask::Many(keys)
            }
        };
        on_threads(tries, async || {
            let source = Gated::closed();
            let cache = Arc::new(C::build(CAPACITY, Arc::clone(&source)));
            stampede(&source, &cache, ask, SEASONS.len() as u64).await
        })
    }
}

/// What a caller asks for.
enum Ask {
    One(&'static str),
    Many([&'static str; SEASONS.len()]),
}

impl Ask {
    async fn of(self, cache: &impl Cache<u64>) -> Outcome<u64> {
        match self {
            Self::One(key) => cache.fetch(key).await,
            Self::Many(keys) => {
                let outcomes: Result<Vec<_>, _> = cache.fetch_many(&keys).await.into_iter().collect();
                outcomes.map(|values| values.into_iter().flatten().next())
            }
        }
    }
}

async fn stampede(
    source: &Gated,
    cache: &Arc<impl Cache<u64>>,
    ask: impl Fn(usize) -> Ask,
    needed: u64,
) -> Tally {
    let mut crowd = Crowd::new();
    let begun = Arc::new(AtomicUsize::new(0));
    for caller in 0..CALLERS {
        let (cache, begun, ask) = (Arc::clone(cache), Arc::clone(&begun), ask(caller));
        crowd.join(async move {
            begun.fetch_add(1, SeqCst);
            ask.of(&*cache).await
        });
    }
    while begun.load(SeqCst) < CALLERS {
        yield_now().await;
    }
    source.open();
    let answers = crowd.answers().await;
    Tally { violations: source.loads_beyond(needed), hung: answers.hung }
}

/// All wait for a load that fails: the failure is theirs too, and nobody makes it happen again.
pub(super) struct Failing;

impl Case for Failing {
    const NAME: &'static str = "100 wait for a failing load: extra loads";
    const TRIES: u64 = 100;
    const QUICK_TRIES: u64 = 10;

    fn run<C: Contender>(&self, tries: u64, _: u64) -> Tally {
        on_stage(tries, async || {
            let source = Gated::closed();
            source.fail();
            let cache = Arc::new(C::build(CAPACITY, Arc::clone(&source)));
            let mut crowd = Crowd::new();
            for _ in 0..100 {
                crowd.fetch(&cache, KEY);
            }
            settle().await;
            source.open();
            let answers = crowd.answers().await;
            Tally { violations: source.loads_beyond(1), hung: answers.hung }
        })
    }
}
