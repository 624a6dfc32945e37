//! The caller who began the load lives on but is not polled, as an arm of a `select!` or a future
//! in a list whose turn does not come: nobody else may have to wait for it.

use super::source::{Gated, KEY, OLD};
use super::stage::{Crowd, Tally, on_stage, settle};
use super::Case;
use crate::contenders::{Cache, Contender};
use futures_util::poll;
use std::pin::pin;
use std::sync::Arc;

/// Somebody comes after the source has answered, before the leader was polled again.
pub(super) struct Latecomer;

impl Case for Latecomer {
    const NAME: &'static str = "leader is not polled: latecomers without the value";
    const TRIES: u64 = 100;
    const QUICK_TRIES: u64 = 20;

    fn run<C: Contender>(&self, tries: u64, _: u64) -> Tally {
        on_stage(tries, async || leader_rests::<C>(false).await)
    }
}

/// Somebody waits already when the source answers.
pub(super) struct Waiter;

impl Case for Waiter {
    const NAME: &'static str = "leader is not polled: waiters without the value";
    const TRIES: u64 = 100;
    const QUICK_TRIES: u64 = 20;

    fn run<C: Contender>(&self, tries: u64, _: u64) -> Tally {
        on_stage(tries, async || leader_rests::<C>(true).await)
    }
}

async fn leader_rests<C: Contender>(others_wait: bool) -> Tally {
    let source = Gated::closed();
    let cache = Arc::new(C::build(64, Arc::clone(&source)));
    let mut leader = pin!(cache.fetch(KEY));
    while source.loads() == 0 {
        let _ = poll!(leader.as_mut());
        settle().await;
    }
    let mut crowd = Crowd::new();
    if others_wait {
        crowd.fetch(&cache, KEY);
        settle().await;
    }
    source.open();
    settle().await;
    if !others_wait {
        crowd.fetch(&cache, KEY);
    }
    let answers = crowd.answers().await;
    Tally { violations: answers.other_than(&Ok(Some(OLD))), hung: answers.hung }
}
