//! A stampede: 1,000 tasks on two threads fetch the same key, which nobody has fetched before. Its
//! load takes a few turns of the scheduler. The time is from the first task's start to the last
//! one's end; the loads are the most that any round took.

use super::world::{Record, key, record};
use crate::contenders::{Cache, Contender, Outcome, Source, for_each_contender};
use crate::harness::{Cell, Contestant, Options, Row, interleave};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, yield_now};

const TASKS: usize = 1_000;
/// How many turns of the scheduler a load takes.
const TURNS: usize = 100;

pub(super) fn rows(options: &Options) -> [Row; 2] {
    let loads = for_each_contender!(most_loads());
    let mut counts = loads.iter();
    let contestants = for_each_contender!(contestant(counts.next().expect("one each")));
    let laps = interleave(contestants, options.scale(101, 11), options.seed);
    let time = laps.row("1,000 tasks on one cold key", "headwater");
    let count = |(name, most): (&'static str, Arc<AtomicU64>)| {
        (name, Cell::count(most.load(SeqCst), None))
    };
    let name = "1,000 tasks on one cold key: loads".to_owned();
    [time, Row { name, detail: None, cells: loads.into_iter().map(count).collect() }]
}

/// The most loads that a key took with this contender, to be counted.
fn most_loads<C: Contender>() -> (&'static str, Arc<AtomicU64>) {
    (C::NAME, Arc::default())
}

fn contestant<C: Contender>((_, most): &(&'static str, Arc<AtomicU64>)) -> Contestant {
    let (most, source) = (Arc::clone(most), Arc::new(Unhurried::default()));
    let cache = Arc::new(C::build::<Record, _>(TASKS, Arc::clone(&source)));
    let threads = Builder::new_multi_thread().worker_threads(2).build();
    let threads = threads.expect("the system gives a runtime");
    Contestant::new(C::NAME, move |round| {
        let before = source.loads.load(SeqCst);
        let began = Instant::now();
        stampede(&threads, &cache, &key(round));
        let elapsed = began.elapsed();
        most.fetch_max(source.loads.load(SeqCst) - before, SeqCst);
        elapsed.as_secs_f64() * 1e9
    })
}

fn stampede(threads: &Runtime, cache: &Arc<impl Cache<Record>>, key: &str) {
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (cache, key) = (Arc::clone(cache), key.to_owned());
        tasks.spawn_on(async move { cache.fetch(&key).await.is_ok() }, threads.handle());
    }
    let answered = threads.block_on(tasks.join_all());
    assert!(answered.into_iter().all(|is_ok| is_ok), "every task gets the value");
}

/// A source whose loads take a while, and are counted.
#[derive(Default)]
struct Unhurried {
    loads: AtomicU64,
}

impl Source<Record> for Unhurried {
    async fn load(&self, _: &str) -> Outcome<Record> {
        self.loads.fetch_add(1, SeqCst);
        for _ in 0..TURNS {
            yield_now().await;
        }
        Ok(Some(record()))
    }
}
