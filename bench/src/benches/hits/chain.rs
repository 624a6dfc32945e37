//! A hit through the async call that reads through.

use super::{KEYS, name, wanted};
use crate::contenders::{Cache, Contender, Headwater, Moka, Outcome, QuickCache, Source};
use crate::harness::{Contestant, Options, Row, interleave};
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

/// Who is asked for what.
struct Load {
    keys: Vec<String>,
    sequence: Vec<u32>,
}

pub(super) fn row(options: &Options) -> Row {
    let mut random = fastrand::Rng::with_seed(options.seed);
    let sequence = wanted(&mut random, options.scale(1_000_000, 100_000));
    let load = Arc::new(Load { keys: (0..KEYS).map(name).collect(), sequence });
    let contestants = vec![
        contestant::<Headwater>(&load),
        contestant::<QuickCache>(&load),
        contestant::<Moka>(&load),
    ];
    let laps = interleave(contestants, options.scale(21, 5), options.seed);
    laps.row("&str, async, 1 thread", Headwater::NAME)
}

fn contestant<C: Contender>(load: &Arc<Load>) -> Contestant {
    let (load, runtime) = (Arc::clone(load), runtime());
    let cache = C::build::<Value, All>(2 * KEYS, Arc::new(All));
    runtime.block_on(async {
        for key in &load.keys {
            cache.fetch(key).await.expect("the source has every key");
        }
        cache.tidy().await;
    });
    Contestant::new(C::NAME, move |_| {
        let began = Instant::now();
        runtime.block_on(async {
            for at in &load.sequence {
                let fetched = cache.fetch(&load.keys[*at as usize]).await;
                black_box(fetched.expect("the source has every key"));
            }
        });
        began.elapsed().as_nanos() as f64 / load.sequence.len() as f64
    })
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("the system gives a runtime")
}
