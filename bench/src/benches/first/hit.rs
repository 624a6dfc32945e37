//! Hits: 100,000 resident keys, asked for by Zipf's law with exponent 0.99, on one thread and two.
//!
//! The caches have room for twice as many entries, so that all keys are resident in each of them,
//! however its shards fill; a source that is asked in a measured round stops the bench.
//!
//! Two threads meet at a lock only while both run: on a machine whose cores others are using they
//! take turns, and locks look cheaper than they are.

use super::world::{Ready, Record, key, one_thread, per_operation};
use crate::contenders::{Cache, Contender, for_each_contender};
use crate::harness::{Contestant, Options, Row, Zipf, interleave};
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

const KEYS: usize = 100_000;
const EXPONENT: f64 = 0.99;

pub(super) fn row(options: &Options, threads: usize) -> Row {
    let load = Arc::new(Load::new(options, threads));
    let contestants = for_each_contender!(contestant(&load));
    let laps = interleave(contestants, options.scale(21, 5), options.seed);
    let plural = if threads == 1 { "" } else { "s" };
    laps.row(&format!("hit, {threads} thread{plural}"), "headwater")
}

/// Who asks for what.
struct Load {
    keys: Vec<String>,
    /// For each thread, indices of keys.
    sequences: Vec<Vec<u32>>,
}

impl Load {
    fn new(options: &Options, threads: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(options.seed);
        let mut keys: Vec<String> = (0..KEYS).map(key).collect();
        random.shuffle(&mut keys);
        let zipf = Zipf::new(KEYS, EXPONENT);
        let length = options.scale(1_000_000, 100_000) / threads;
        let mut sequence = || (0..length).map(|_| zipf.sample(random.f64())).collect();
        Self { sequences: (0..threads).map(|_| sequence()).collect(), keys }
    }

    fn operations(&self) -> usize {
        self.sequences.iter().map(Vec::len).sum()
    }
}

fn contestant<C: Contender>(load: &Arc<Load>) -> Contestant {
    let (load, source) = (Arc::clone(load), Arc::new(Ready::default()));
    let cache = C::build::<Record, _>(2 * KEYS, Arc::clone(&source));
    one_thread().block_on(async {
        // Not in the order of how much they are wanted, lest those stand together in memory.
        let mut keys: Vec<&String> = load.keys.iter().collect();
        keys.sort_unstable();
        for key in keys {
            black_box(cache.fetch(key).await).expect("the source answers");
        }
        cache.tidy().await;
    });
    let resident = source.loads();
    Contestant::new(C::NAME, move |_| {
        let elapsed = lap(&cache, &load);
        assert_eq!(source.loads(), resident, "{}: all keys are resident", C::NAME);
        per_operation(elapsed, load.operations())
    })
}

/// All threads' sequences at once; the time of the slowest.
fn lap(cache: &impl Cache<Record>, load: &Load) -> Duration {
    let start = Barrier::new(load.sequences.len());
    let run = |sequence: &[u32]| {
        let runtime = one_thread();
        start.wait();
        let began = Instant::now();
        runtime.block_on(async {
            for at in sequence {
                let _ = black_box(cache.fetch(&load.keys[*at as usize]).await);
            }
        });
        began.elapsed()
    };
    thread::scope(|scope| {
        let run = &run;
        let threads = load.sequences.iter().map(|sequence| scope.spawn(move || run(sequence)));
        let threads: Vec<_> = threads.collect();
        let times = threads.into_iter().map(|thread| thread.join().expect("fetches do not panic"));
        times.max().unwrap_or_default()
    })
}
