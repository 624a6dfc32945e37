//! A hit through the async call that reads through.

use super::{KEYS, chosen, name, numbers, ranked, wanted};
use crate::contenders::{Cache, Contender, Headwater, Moka, Outcome, QuickCache, Source};
use crate::harness::{Contestant, Options, Row, interleave};
use headwater::{Fetcher, MemoryCache, fetch_fn};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};

type Value = Arc<[u8; 200]>;

/// Has every key.
struct All;

impl Source<Value> for All {
    async fn load(&self, _: &str) -> Outcome<Value> {
        Ok(Some(Arc::new([7; 200])))
    }
}

/// What there is, and what is asked for, one after the other.
struct Load<K> {
    keys: Vec<K>,
    wanted: Vec<K>,
}

pub(super) fn rows(options: &Options) -> [Row; 2] {
    [row(options, "u64", numbers(KEYS), by_number), row(options, "&str", names(), by_name)]
}

fn names() -> Vec<String> {
    (0..KEYS).map(name).collect()
}

fn row<K: Clone>(
    options: &Options,
    what: &str,
    keys: Vec<K>,
    contestants: fn(&Arc<Load<K>>) -> Vec<Contestant>,
) -> Row {
    let mut random = fastrand::Rng::with_seed(options.seed);
    let ranked = ranked(&keys, &mut random);
    let wanted = chosen(&ranked, &wanted(&mut random, options.scale(1_000_000, 100_000)));
    let contestants = contestants(&Arc::new(Load { keys, wanted }));
    let laps = interleave(contestants, options.scale(21, 5), options.seed);
    laps.row(&format!("{what}, async, 1 thread"), Headwater::NAME)
}

fn by_name(load: &Arc<Load<String>>) -> Vec<Contestant> {
    vec![named::<Headwater>(load), named::<QuickCache>(load), named::<Moka>(load)]
}

fn named<C: Contender>(load: &Arc<Load<String>>) -> Contestant {
    let cache = Arc::new(C::build::<Value, All>(2 * KEYS, Arc::new(All)));
    let asked = Arc::clone(&cache);
    let fetch = async move |key: &String| {
        black_box(asked.fetch(key).await.expect("the source has every key"));
    };
    contestant(C::NAME, load, fetch, async move || cache.tidy().await)
}

/// The same three by numbers, of which the contenders' common face knows nothing.
fn by_number(load: &Arc<Load<u64>>) -> Vec<Contestant> {
    vec![number_headwater(load), number_quick_cache(load), number_moka(load)]
}

fn number_headwater(load: &Arc<Load<u64>>) -> Contestant {
    let memory = MemoryCache::with_capacity(2 * KEYS as u64).expect("the capacity is not 0");
    let source = fetch_fn(async |key: u64| Ok(key));
    let chain = headwater::Headwater::source(source).through(memory).build();
    let fetch = async move |key: &u64| {
        black_box(chain.fetch(key).await.expect("the source has every key"));
    };
    contestant(Headwater::NAME, load, fetch, async || ())
}

fn number_quick_cache(load: &Arc<Load<u64>>) -> Contestant {
    let cache = quick_cache::sync::Cache::<u64, Option<u64>>::new(2 * KEYS);
    let fetch = async move |key: &u64| {
        let loaded = async { Ok::<_, ()>(Some(*key)) };
        black_box(cache.get_or_insert_async(key, loaded).await.expect("the source has every key"));
    };
    contestant(QuickCache::NAME, load, fetch, async || ())
}

fn number_moka(load: &Arc<Load<u64>>) -> Contestant {
    let cache = moka::future::Cache::<u64, Option<u64>>::new(2 * KEYS as u64);
    let tidied = cache.clone();
    let fetch = async move |key: &u64| {
        let loaded = async { Ok::<_, ()>(Some(*key)) };
        black_box(cache.try_get_with_by_ref(key, loaded).await.expect("the source has every key"));
    };
    contestant(Moka::NAME, load, fetch, async move || tidied.run_pending_tasks().await)
}

/// Fetches every key once, tidies up, and then measures.
fn contestant<K: 'static>(
    name: &'static str,
    load: &Arc<Load<K>>,
    fetch: impl AsyncFn(&K) + 'static,
    tidy: impl AsyncFnOnce(),
) -> Contestant {
    let (load, runtime) = (Arc::clone(load), runtime());
    runtime.block_on(async {
        for key in &load.keys {
            fetch(key).await;
        }
        tidy().await;
    });
    Contestant::new(name, move |_| {
        let began = Instant::now();
        runtime.block_on(async {
            for key in &load.wanted {
                fetch(key).await;
            }
        });
        began.elapsed().as_nanos() as f64 / load.wanted.len() as f64
    })
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("the system gives a runtime")
}
