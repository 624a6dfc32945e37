//! Write-back into a tier that waits: behind the callers' backs, bounded, in the key's lane.

use super::activity::Active;
use super::epochs::Part;
use super::lease::Leases;
use super::load::Load;
use super::{Inner, Owned};
use crate::fetcher::one_per_key;
use crate::flight::{FlightId, LATE_AFTER};
use crate::runtime::spawn;
use crate::{Cache, Entry, Hashed, Moment, Result, Tier};
use std::borrow::Borrow;
use std::sync::Arc;

impl<T: Tier, N> Inner<T, N> {
    /// The entry as the tier is to store it. What is left in `entry`, for the caller and the faster
    /// tiers, ends no later than that will: a tier may take something off for the way there.
    pub(super) fn cut(&self, key: &T::Key, entry: &mut Entry<T::Value>) -> Entry<T::Value> {
        entry.shorten(self.tier.life(key, entry));
        let kept = entry.clone();
        entry.shorten(self.tier.life(key, &kept));
        kept
    }
}

impl<T, N> Load<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    /// Has what came for the keys in these places stored by a task of its own.
    pub(super) fn fill_behind(
        &mut self,
        places: &[usize],
        loaded: &mut [Result<Entry<T::Value>>],
        leases: Leases<T, N>,
    ) {
        let inner = &self.inner;
        let (mut stored, mut entries) = (Vec::new(), Vec::new());
        for (place, outcome) in places.iter().zip(loaded) {
            let Ok(entry) = outcome else { continue };
            let kept = inner.cut(self.key(*place), entry);
            // Of a shared tier, what has no lease is not stored.
            if inner.tier.shared().is_none() || leases.of(&self.keys[*place]).is_some() {
                stored.push(*place);
                entries.push(kept);
            } else {
                inner.floors.raise(&self.keys[*place], &kept);
            }
        }
        let count = stored.len();
        if count == 0 {
            return;
        }
        // A load that is larger than the bound goes when nothing else does.
        if inner.fills.count() > inner.settings.pending_fills.saturating_sub(count) {
            inner.counters.dropped_fills.add(count as u64);
            return;
        }
        let fill = Fill {
            inner: Arc::clone(inner),
            id: self.id,
            at: inner.settings.clock.now(),
            keys: stored.iter().map(|place| self.keys[*place].clone()).collect(),
            entries,
            watch: self.watch.as_ref().map(|watch| watch.part(&stored)),
            leases,
            // Dropped in this order: once nothing is under way, no fill is either.
            _active: [inner.fills.begin(count), inner.work.begin(1)],
        };
        match spawn(fill.run()) {
            Ok(_) => {
                self.filling.resize(self.keys.len(), false);
                stored.into_iter().for_each(|place| self.filling[place] = true);
            }
            Err(_) => inner.counters.dropped_fills.add(count as u64),
        }
    }
}

/// Entries on their way into a tier.
///
/// Their flight stays registered for these keys until they have arrived.
struct Fill<T: Tier, N>
where
    N: Cache<Key = T::Key, Value = T::Value>,
{
    inner: Arc<Inner<T, N>>,
    id: FlightId,
    /// When the load ended.
    at: Moment,
    keys: Arc<[Hashed<Owned<T>>]>,
    entries: Vec<Entry<T::Value>>,
    /// What this process changed since the load began, if the tier is shared.
    watch: Option<Part<Owned<T>>>,
    leases: Leases<T, N>,
    _active: [Active; 2],
}

impl<T, N> Fill<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    async fn run(mut self) {
        let inner = Arc::clone(&self.inner);
        let _gate = inner.gate.read().await;
        let lane = inner.lanes.enter(Arc::clone(&self.keys));
        lane.clear().await;
        if inner.fills.has_ended() {
            return;
        }
        if inner.settings.clock.now() - self.at >= LATE_AFTER {
            inner.counters.dropped_fills.add(self.keys.len() as u64);
            return;
        }
        let stored = self.store(&self.current()).await;
        let counters = &inner.counters;
        let failed = stored.iter().filter(|outcome| outcome.is_err()).count();
        let filled = stored.iter().filter(|outcome| matches!(outcome, Ok(true))).count();
        counters.errors.add(failed as u64);
        counters.fills.add(filled as u64);
        counters.superseded_fills.add((self.keys.len() - filled - failed) as u64);
    }

    /// The places of keys whose load nothing overtook. Of what others changed, a lease knows.
    fn current(&self) -> Vec<usize> {
        let all = 0..self.keys.len();
        let Some(watch) = &self.watch else {
            return all
                .filter(|at| self.inner.flights.is_current(self.id, &self.keys[*at]))
                .collect();
        };
        let unchanged = watch.unchanged();
        all.filter(|at| unchanged[*at]).collect()
    }

    /// Stores the entries in these places; `false` where a lease had become void.
    async fn store(&mut self, places: &[usize]) -> Vec<Result<bool>> {
        let entries: Vec<(&T::Key, &Entry<T::Value>)> = places
            .iter()
            .map(|place| (self.keys[*place].key().borrow(), &self.entries[*place]))
            .collect();
        let tier = &self.inner.tier;
        if let (Some(shared), false) = (tier.shared(), places.is_empty()) {
            let leases = places.iter().filter_map(|place| self.leases.of(&self.keys[*place]));
            let fills: Vec<_> =
                entries.into_iter().zip(leases).map(|((key, entry), l)| (key, entry, l)).collect();
            let stored = one_per_key(fills.len(), shared.fill(&fills).await);
            self.leases.spent(places.iter().map(|place| &self.keys[*place]));
            return stored;
        }
        let stored = match &entries[..] {
            [] => Vec::new(),
            [(key, entry)] => vec![tier.put(key, entry).await],
            many => one_per_key(many.len(), tier.put_many(many).await),
        };
        stored.into_iter().map(|outcome| outcome.map(|()| true)).collect()
    }
}

impl<T, N> Drop for Fill<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    fn drop(&mut self) {
        self.keys.iter().for_each(|key| self.inner.flights.retire(self.id, key));
    }
}
