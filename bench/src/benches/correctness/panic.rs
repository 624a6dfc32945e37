//! A source that panics: an error for its callers, and nothing is broken afterwards.

use super::source::{KEY, NEW};
use super::stage::{Crowd, Tally, on_stage, settle};
use super::Case;
use crate::contenders::{Contender, Outcome, Source};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

const CALLERS: usize = 20;

/// Callers get an error (or a value, from whoever asked again); the panic does not go through them.
pub(super) struct Callers;

impl Case for Callers {
    const NAME: &'static str = "source panics, 20 wait: callers that panic or hang";
    const TRIES: u64 = 100;
    const QUICK_TRIES: u64 = 10;

    fn run<C: Contender>(&self, tries: u64, _: u64) -> Tally {
        quietly(|| on_stage(tries, async || panicking::<C>().await.0))
    }
}

/// The next fetch asks the source again.
pub(super) struct Afterwards;

impl Case for Afterwards {
    const NAME: &'static str = "source panicked: next fetch fails or hangs";
    const TRIES: u64 = 100;
    const QUICK_TRIES: u64 = 10;

    fn run<C: Contender>(&self, tries: u64, _: u64) -> Tally {
        quietly(|| on_stage(tries, async || panicking::<C>().await.1))
    }
}

/// What happened to the callers, and to who came next.
async fn panicking<C: Contender>() -> (Tally, Tally) {
    let cache = Arc::new(C::build(64, Arc::new(Fragile { is_mended: AtomicBool::new(false) })));
    let mut crowd = Crowd::new();
    for _ in 0..CALLERS {
        crowd.fetch(&cache, KEY);
    }
    settle().await;
    let callers = crowd.answers().await;
    let mut next = Crowd::new();
    next.fetch(&cache, KEY);
    let next = next.answers().await;
    let during = Tally { violations: callers.panicked, hung: callers.hung };
    (during, Tally { violations: next.other_than(&Ok(Some(NEW))), hung: next.hung })
}

/// Its first load panics half way.
struct Fragile {
    is_mended: AtomicBool,
}

impl Source<u64> for Fragile {
    async fn load(&self, _: &str) -> Outcome<u64> {
        let was_mended = self.is_mended.swap(true, SeqCst);
        settle().await;
        assert!(was_mended, "as the case wants");
        Ok(Some(NEW))
    }
}

/// Runs `work` without a report of each panic.
fn quietly<R>(work: impl FnOnce() -> R) -> R {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let done = work();
    panic::set_hook(usual);
    done
}
