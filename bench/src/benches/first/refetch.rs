//! Invalidate a resident key, then fetch it again, on one thread.

use super::world::{Ready, Record, key, one_thread, per_operation};
use crate::contenders::{Cache, Contender, for_each_contender};
use crate::harness::{Contestant, Options, Row, interleave};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const KEYS: usize = 1_000;

pub(super) fn row(options: &Options) -> Row {
    let contestants = for_each_contender!(contestant(options.scale(50, 5)));
    let laps = interleave(contestants, options.scale(21, 5), options.seed);
    laps.row("invalidate and refetch, 1 thread", "headwater")
}

fn contestant<C: Contender>(passes: usize) -> Contestant {
    let source = Arc::new(Ready::default());
    let cache = C::build::<Record, _>(2 * KEYS, Arc::clone(&source));
    let runtime = one_thread();
    let keys: Vec<String> = (0..KEYS).map(key).collect();
    Contestant::new(C::NAME, move |_| {
        let before = source.loads();
        let began = Instant::now();
        runtime.block_on(async {
            for key in std::iter::repeat_n(&keys, passes).flatten() {
                cache.invalidate(key).await;
                let _ = black_box(cache.fetch(key).await);
            }
        });
        let elapsed = began.elapsed();
        let loads = source.loads() - before;
        assert_eq!(loads, (passes * KEYS) as u64, "{}: one load each", C::NAME);
        per_operation(elapsed, passes * KEYS)
    })
}
