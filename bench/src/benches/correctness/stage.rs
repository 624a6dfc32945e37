//! Where the cases play: a stage on which nothing happens by chance, and threads on which it does.

use crate::contenders::{Cache, Outcome, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// After how long something counts as hung. On stage no time passes by itself; on threads it is
/// far more than any honest answer takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Real threads stop trying after so many hangs, each of which takes all the patience.
const ENOUGH_HANGS: u64 = 3;

/// What a case counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) violations: u64,
    /// Calls that were never answered.
    pub(super) hung: u64,
}

impl Tally {
    pub(super) fn of(violations: u64) -> Self {
        Self { violations, hung: 0 }
    }

    pub(super) fn note(&self) -> Option<String> {
        (self.hung > 0).then(|| format!("{} hung", self.hung))
    }

    fn add(&mut self, other: &Self) {
        self.violations += other.violations;
        self.hung += other.hung;
    }
}

/// Tries something on one thread and on a clock that stands still.
///
/// The clock jumps to the next timer as soon as no task can go on: a [`timeout`] that fires
/// therefore proves that what it guards would wait for ever, and a short sleep ends when all that
/// could happen has happened.
pub(super) fn on_stage(tries: u64, attempt: impl AsyncFnMut() -> Tally) -> Tally {
    let stage = Builder::new_current_thread().enable_time().start_paused(true).build();
    play(&stage.expect("the system gives a runtime"), tries, attempt)
}

/// Tries something on two threads, in real time.
pub(super) fn on_threads(tries: u64, attempt: impl AsyncFnMut() -> Tally) -> Tally {
    let threads = Builder::new_multi_thread().worker_threads(2).enable_time().build();
    play(&threads.expect("the system gives a runtime"), tries, attempt)
}

fn play(runtime: &Runtime, tries: u64, mut attempt: impl AsyncFnMut() -> Tally) -> Tally {
    let mut total = Tally::default();
    for _ in 0..tries {
        let tally = runtime.block_on(async { timeout(PATIENCE, attempt()).await });
        total.add(&tally.unwrap_or(Tally { violations: 0, hung: 1 }));
        let is_on_stage = runtime.handle().runtime_flavor() == tokio::runtime::RuntimeFlavor::CurrentThread;
        if !is_on_stage && total.hung >= ENOUGH_HANGS {
            break;
        }
    }
    total
}

/// Lets everybody on stage go on until nobody can.
pub(super) async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

/// Tasks that fetch. Dropping it ends them.
pub(super) struct Crowd<V>(JoinSet<Outcome<V>>);

/// What the tasks of a crowd got.
pub(super) struct Answers<V> {
    pub(super) outcomes: Vec<Outcome<V>>,
    pub(super) panicked: u64,
    pub(super) hung: u64,
}

impl<V: Value> Crowd<V> {
    pub(super) fn new() -> Self {
        Self(JoinSet::new())
    }

    /// Sends one more task to fetch `key`.
    pub(super) fn fetch(&mut self, cache: &Arc<impl Cache<V>>, key: &'static str) -> AbortHandle {
        let cache = Arc::clone(cache);
        self.join(async move { cache.fetch(key).await })
    }

    pub(super) fn join(
        &mut self,
        task: impl Future<Output = Outcome<V>> + Send + 'static,
    ) -> AbortHandle {
        self.0.spawn(task)
    }

    /// Waits for all tasks that were not cancelled.
    pub(super) async fn answers(mut self) -> Answers<V> {
        let mut answers = Answers { outcomes: Vec::new(), panicked: 0, hung: 0 };
        // Half the patience, so that it runs out before that of the whole try.
        while let Ok(next) = timeout(PATIENCE / 2, self.0.join_next()).await {
            match next {
                None => return answers,
                Some(Ok(outcome)) => answers.outcomes.push(outcome),
                Some(Err(error)) => answers.panicked += u64::from(error.is_panic()),
            }
        }
        answers.hung = self.0.len() as u64;
        answers
    }
}

impl<V: PartialEq> Answers<V> {
    /// How many did not get `expected`.
    pub(super) fn other_than(&self, expected: &Outcome<V>) -> u64 {
        self.outcomes.iter().filter(|outcome| *outcome != expected).count() as u64 + self.panicked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[test]
    fn what_waits_for_ever_is_hung_at_once() {
        let tally = on_stage(100, async || {
            pending::<()>().await;
            Tally::default()
        });
        assert_eq!(tally, Tally { violations: 0, hung: 100 });
    }

    #[test]
    fn settling_lets_others_finish() {
        let tally = on_stage(1, async || {
            let mut crowd = Crowd::<u64>::new();
            let task = crowd.join(async {
                for _ in 0..1_000 {
                    tokio::task::yield_now().await;
                }
                Ok(None)
            });
            settle().await;
            Tally::of(u64::from(!task.is_finished()))
        });
        assert_eq!(tally, Tally::default());
    }
}
