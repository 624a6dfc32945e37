//! The short way of a put, which most go where numbers are kept; and what is asked for ahead.

use super::super::bounds::Bounds;
use super::super::lists::List;
use super::super::node::Weights;
use super::super::policy::{Entries, Held};
use super::super::table::{Form, Located, Slot, View};
use super::{State, list_of};
use crate::Entry;

/// How far a put came that has to go on.
#[derive(Clone, Copy)]
pub(in crate::memory) enum Begun {
    /// Nothing was done.
    Nothing,
    /// The entry is to be on this list, and another may have to leave.
    Admitted(List, Option<Slot>),
}

/// What the policy sees of the entries.
pub(super) struct Seen<'a, F: Form> {
    pub(super) view: View<'a, F>,
    pub(super) weights: &'a Weights,
}

impl<F: Form> Clone for Seen<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Form> Copy for Seen<'_, F> {}

impl<'a, F: Form> Entries<'a> for Seen<'a, F> {
    type Where = Located<'a, F>;

    fn weight(self, slot: Slot) -> u64 {
        self.weights.get(slot)
    }

    #[inline(always)]
    fn get(self, slot: Slot) -> Option<Held<'a, Located<'a, F>>> {
        let at = self.view.locate(slot)?;
        Some(Held { slot, hash: at.hash(), mark: at.mark(), at })
    }

    fn foresee(self, slot: Slot) {
        self.view.foresee(slot);
    }

    fn foresee_entry(self, slot: Slot) -> Option<u32> {
        self.view.foresee_key(slot)
    }

    fn stays(self, slot: Slot) {
        self.view.bring_home(slot);
    }
}

impl State {
    /// Stores an entry, if it is a number and nothing is out of the ordinary: there is no more to it
    /// than key and value, and it takes the slot of another to which there is no more either, that of
    /// its own key or of who has to leave. So it is not where entries have weights, where hits keep an
    /// order, where somebody listens, and as long as anything in the store has an end (as absent
    /// entries have). Otherwise, how far that came. What left before and waits to be freed waits on.
    #[inline(always)]
    pub(in crate::memory) fn put_shortly<F: Form>(
        &mut self,
        view: View<'_, F>,
        hash: u32,
        key: &F::Key,
        entry: &Entry<F::Value>,
    ) -> Option<Begun> {
        let Bounds { capacity, weighed, time_to_idle, .. } = self.bounds;
        let is_special = self.closed || weighed || capacity == 0 || time_to_idle.is_some();
        if !F::IS_COPIED
            || is_special
            || self.policy.is_none()
            || self.has_mortals()
            || !entry.is_bare()
        {
            return Some(Begun::Nothing);
        }
        if !view.lacks(hash)
            && let Some(known) = self.rewrite(view, hash, key, entry)
        {
            return if known { None } else { Some(Begun::Nothing) };
        }
        self.foresee(view, hash);
        self.foresee_victims(view);
        let Self { policy: Some(policy), lists, weights, stats, .. } = self else {
            return Some(Begun::Nothing);
        };
        let held = Seen { view, weights };
        let (list, loser) = policy.admit(hash, 1, lists, held);
        let is_full = lists.weight(List::Main) + lists.weight(List::Small) >= capacity;
        let leaver = match loser {
            None if is_full => policy.victim(lists, held),
            loser => loser,
        };
        if let (Some(leaver), Some(value)) = (leaver, entry.value())
            && let Some(left) = view.swap(leaver, hash, key, value, list)
        {
            lists.pass_on(left, list, leaver.slot());
            stats.evicted += 1;
            return None;
        }
        Some(Begun::Admitted(list, leaver.map(Located::slot)))
    }

    /// Stores a value for a key that is there; `None` if it is not, and otherwise, whether that was done.
    #[inline(never)]
    fn rewrite<F: Form>(
        &mut self,
        view: View<'_, F>,
        hash: u32,
        key: &F::Key,
        entry: &Entry<F::Value>,
    ) -> Option<bool> {
        let held = view.find(hash, |held| held == key)?;
        if entry.value().and_then(|value| view.rewrite(&held, value)).is_none() {
            return Some(false);
        }
        // All as the longer way has it.
        let Self { policy, lists, weights, .. } = self;
        lists.touch(list_of(&held.notes()), held.slot());
        if let Some(policy) = policy {
            policy.settle(lists, Seen { view, weights });
        }
        Some(true)
    }

    /// Asks ahead for the memory that a put of this hash will look at: nearly all of its time would go
    /// by waiting for one line after the other. Who may be evicted was asked for by puts before.
    #[inline(always)]
    pub(super) fn foresee<F: Form>(&self, view: View<'_, F>, hash: u32) {
        if let Some(policy) = &self.policy {
            policy.foresee(hash);
        }
        view.foresee_insert(hash);
    }

    /// Asks for what the next put will look at of those it may evict, and for the slots of those that the
    /// put after may, if that was not done by the put before. What this put will look at comes meanwhile.
    #[inline(always)]
    pub(super) fn foresee_victims<F: Form>(&mut self, view: View<'_, F>) {
        for list in [List::Small, List::Main] {
            let Some(coldest) = self.lists.coldest(list) else { continue };
            let [before, next] = self.foreseen[list as usize];
            if coldest == before {
                continue;
            }
            if coldest != next {
                self.foresee_victim(view, coldest);
            }
            let next = self.lists.hotter(coldest).unwrap_or(coldest);
            self.foresee_victim(view, next);
            self.foreseen[list as usize] = [coldest, next];
        }
    }

    /// Asks for what is known of an entry elsewhere than in its slot, and for the slot of the next.
    #[inline(never)]
    fn foresee_victim<F: Form>(&self, view: View<'_, F>, slot: Slot) {
        let Self { policy, lists, .. } = self;
        if let (Some(hash), Some(policy)) = (view.foresee_key(slot), policy) {
            policy.foresee_eviction(hash);
        }
        if let Some(next) = lists.hotter(slot) {
            lists.rings().foresee(next);
            view.foresee(next);
        }
    }
}
