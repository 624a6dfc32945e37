//! Misses: keys that were never asked for, a source that answers at once, and a full cache, so that
//! each fetch looks, loads, stores and evicts.

use super::world::{Ready, Record, key, one_thread, per_operation};
use crate::contenders::{Cache, Contender, for_each_contender};
use crate::harness::{Contestant, Options, Row, interleave};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const CAPACITY: usize = 1_000;

pub(super) fn row(options: &Options) -> Row {
    let fetches = options.scale(50_000, 5_000);
    let contestants = for_each_contender!(contestant(fetches));
    interleave(contestants, options.scale(21, 5), options.seed).row("miss, 1 thread", "headwater")
}

fn contestant<C: Contender>(fetches: usize) -> Contestant {
    let source = Arc::new(Ready::default());
    let cache = C::build::<Record, _>(CAPACITY, Arc::clone(&source));
    let runtime = one_thread();
    Contestant::new(C::NAME, move |round| {
        let keys: Vec<String> = (round * fetches..(round + 1) * fetches).map(key).collect();
        let before = source.loads();
        let began = Instant::now();
        runtime.block_on(async {
            for key in &keys {
                let _ = black_box(cache.fetch(key).await);
            }
        });
        let elapsed = began.elapsed();
        assert_eq!(source.loads() - before, fetches as u64, "{}: every fetch misses", C::NAME);
        per_operation(elapsed, fetches)
    })
}
