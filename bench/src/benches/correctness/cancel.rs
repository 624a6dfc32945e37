//! The caller who began the load leaves before it ends: the others notice nothing.

use super::source::{Gated, KEY, OLD};
use super::stage::{Answers, Crowd, Tally, on_stage, on_threads, settle};
use super::Case;
use crate::contenders::{Contender, Outcome, Source};
use std::sync::Arc;
use tokio::task::yield_now;

const WAITERS: usize = 50;
const CAPACITY: usize = 64;

/// A load that is half done is not begun again.
pub(super) struct LoadsAgain;

impl Case for LoadsAgain {
    const NAME: &'static str = "leader cancelled, 50 wait: extra loads";
    const TRIES: u64 = 200;
    const QUICK_TRIES: u64 = 20;

    fn run<C: Contender>(&self, tries: u64, _: u64) -> Tally {
        on_stage(tries, async || {
            let source = Gated::closed();
            let answers = leader_leaves::<C>(&source).await;
            Tally { violations: source.loads_beyond(1), hung: answers.hung }
        })
    }
}

/// Everybody else gets the value.
pub(super) struct Stranded;

impl Case for Stranded {
    const NAME: &'static str = "leader cancelled, 50 wait: waiters without the value";
    const TRIES: u64 = 200;
    const QUICK_TRIES: u64 = 20;

    fn run<C: Contender>(&self, tries: u64, _: u64) -> Tally {
        on_stage(tries, async || {
            let answers = leader_leaves::<C>(&Gated::closed()).await;
            Tally { violations: answers.other_than(&Ok(Some(OLD))), hung: answers.hung }
        })
    }
}

async fn leader_leaves<C: Contender>(source: &Arc<Gated>) -> Answers<u64> {
    let cache = Arc::new(C::build(CAPACITY, Arc::clone(source)));
    let (mut leader, mut crowd) = (Crowd::new(), Crowd::new());
    leader.fetch(&cache, KEY);
    source.begun().await;
    for _ in 0..WAITERS {
        crowd.fetch(&cache, KEY);
    }
    settle().await;
    drop(leader);
    settle().await;
    source.open();
    crowd.answers().await
}

/// Callers come and go on real threads while the load is under way; whoever stays gets the value.
pub(super) struct AtRandom;

const CALLERS: usize = 12;

impl Case for AtRandom {
    const NAME: &'static str = "callers cancelled at random: waiters without the value";
    const TRIES: u64 = 5_000;
    const QUICK_TRIES: u64 = 200;

    fn run<C: Contender>(&self, tries: u64, seed: u64) -> Tally {
        let mut random = fastrand::Rng::with_seed(seed);
        on_threads(tries, async || {
            let cache = Arc::new(C::build(CAPACITY, Arc::new(Unhurried)));
            let mut crowd = Crowd::new();
            let mut callers = Vec::new();
            for _ in 0..CALLERS {
                callers.push(crowd.fetch(&cache, KEY));
                for _ in 0..random.u8(..4) {
                    yield_now().await;
                }
                if random.bool() {
                    let leaver = random.usize(..callers.len());
                    callers[leaver].abort();
                }
            }
            let answers = crowd.answers().await;
            Tally { violations: answers.other_than(&Ok(Some(OLD))), hung: answers.hung }
        })
    }
}

/// A source whose loads take some turns of the scheduler.
struct Unhurried;

impl Source<u64> for Unhurried {
    async fn load(&self, _: &str) -> Outcome<u64> {
        for _ in 0..20 {
            yield_now().await;
        }
        Ok(Some(OLD))
    }
}
