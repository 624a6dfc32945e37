//! `insert` racing a load: what was inserted stays.

use super::source::{Gated, KEY, NEW};
use super::stage::{Crowd, Tally, on_stage};
use super::Case;
use crate::contenders::{Cache, Contender};
use std::sync::Arc;

/// Somebody writes the source and inserts what they wrote, while a load that read the old value is
/// under way. It ends; then the new value must be there, without another load.
pub(super) struct Insert;

impl Case for Insert {
    const NAME: &'static str = "insert during a load: lost or overwritten";
    const TRIES: u64 = 10_000;
    const QUICK_TRIES: u64 = 500;

    fn run<C: Contender>(&self, tries: u64, _: u64) -> Tally {
        on_stage(tries, async || {
            let source = Gated::closed();
            let cache = Arc::new(C::build(64, Arc::clone(&source)));
            let mut leader = Crowd::new();
            leader.fetch(&cache, KEY);
            source.begun().await;
            source.set(NEW);
            cache.insert(KEY, NEW).await;
            source.open();
            leader.answers().await;
            let is_right = cache.fetch(KEY).await == Ok(Some(NEW)) && source.loads() == 1;
            Tally::of(u64::from(!is_right))
        })
    }
}
