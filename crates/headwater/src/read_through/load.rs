use super::background::{Active, spawn};
use super::lease::Leases;
use super::{Inner, Owned};
use crate::fetcher::{is_young, one_per_key};
use crate::flight::{Boarding, FlightId, LATE_AFTER, Landing, Opened, Request};
use crate::{Cache, Entry, Moment, Resident, Result, Tier};
use std::borrow::Borrow;
use std::sync::Arc;

/// The outcome of each key of a load.
pub(super) type Outcomes<V> = Vec<Result<Entry<V>>>;

impl<T, N> Inner<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    /// Sends off the load of a flight that was just opened.
    pub(super) fn depart(
        self: &Arc<Self>,
        boarding: &Boarding<Owned<T>, T::Value>,
        opened: Opened<Owned<T>>,
        request: &Request,
    ) {
        let keys: Arc<[Owned<T>]> = Arc::from(&*opened.keys);
        let load = Load {
            inner: Arc::clone(self),
            id: opened.id,
            keys: Arc::clone(&keys),
            request: request.clone(),
            _active: self.work.begin(),
        };
        self.flights.depart(boarding, &opened, keys, Box::pin(load.run()));
    }
}

/// One load on its way through a tier and what lies below it.
pub(super) struct Load<T: Tier, N> {
    pub(super) inner: Arc<Inner<T, N>>,
    id: FlightId,
    pub(super) keys: Arc<[Owned<T>]>,
    pub(super) request: Request,
    _active: Active,
}

impl<T, N> Load<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    async fn run(self) -> Landing<T::Value> {
        let found = self.look().await;
        let missed: Vec<usize> = (0..self.keys.len()).filter(|at| found[*at].is_none()).collect();
        self.inner.counters.misses.add(missed.len() as u64);
        let (mut loaded, leases) = self.load(&missed).await;
        let at = self.inner.settings.clock.now();
        let filling = match self.inner.tier.resident() {
            Some(resident) => self.commit(resident, &missed, &mut loaded),
            None => self.fill_behind(&missed, &mut loaded, leases, at),
        };
        let mut outcomes: Vec<_> = found.into_iter().map(|entry| entry.map(Ok)).collect();
        for (place, outcome) in missed.into_iter().zip(loaded) {
            outcomes[place] = Some(outcome);
        }
        Landing { outcomes: outcomes.into_iter().flatten().collect(), filling, at }
    }

    pub(super) fn key(&self, place: usize) -> &T::Key {
        self.keys[place].borrow()
    }

    /// The entries that the tier has; those of a resident one were looked for while boarding.
    async fn look(&self) -> Vec<Option<Entry<T::Value>>> {
        let tier = &self.inner.tier;
        if tier.resident().is_some() || self.request.options.skips(tier.name()) {
            return vec![None; self.keys.len()];
        }
        let keys: Vec<&T::Key> = self.keys.iter().map(Borrow::borrow).collect();
        let answers = match &keys[..] {
            [key] => vec![tier.get(key).await],
            keys => one_per_key(keys.len(), tier.get_many(keys).await),
        };
        answers.into_iter().map(|answer| self.accept(answer)).collect()
    }

    /// An entry that the call accepts; the tier's trouble is a miss.
    fn accept(&self, answer: Result<Option<Entry<T::Value>>>) -> Option<Entry<T::Value>> {
        let entry = match answer {
            Ok(entry) => entry.filter(|entry| is_young(entry, self.request.floor))?,
            Err(_) => {
                self.inner.counters.errors.add(1);
                return None;
            }
        };
        self.inner.count_hit(&entry);
        Some(entry)
    }

    /// What lies below has of the missed keys, and the leases under which it may be stored.
    async fn load(&self, missed: &[usize]) -> (Outcomes<T::Value>, Leases<T, N>) {
        match self.inner.tier.shared() {
            Some(shared) if !missed.is_empty() => self.load_leased(shared, missed).await,
            _ => (self.ask_next(missed).await, Leases::none(&self.inner)),
        }
    }

    pub(super) async fn ask_next(&self, missed: &[usize]) -> Outcomes<T::Value> {
        let next = &self.inner.next;
        let options = &self.request.options;
        match missed {
            [] => Vec::new(),
            [place] => vec![next.fetch_entry(self.key(*place), options).await],
            places => {
                let keys: Vec<_> = places.iter().map(|place| self.key(*place)).collect();
                one_per_key(keys.len(), next.fetch_entries(&keys, options).await)
            }
        }
    }

    /// Stores what came in a resident tier, unless it was superseded.
    fn commit(
        &self,
        resident: &dyn Resident<T::Key, T::Value>,
        missed: &[usize],
        loaded: &mut Outcomes<T::Value>,
    ) -> Vec<bool> {
        let Inner { flights, counters, .. } = &*self.inner;
        for (place, outcome) in missed.iter().zip(loaded) {
            let Ok(entry) = outcome else { continue };
            let key = self.keys[*place].clone();
            let prepared = resident.prepare(self.key(*place), entry.clone());
            prepared.entry.expiry().into_iter().for_each(|end| entry.shorten(end));
            let stored =
                flights.commit(self.id, &self.keys[*place], || resident.put(key, prepared));
            match &stored {
                Some(_) => counters.fills.add(1),
                None => counters.superseded_fills.add(1),
            }
        }
        Vec::new()
    }

    /// Has what came stored by a task of its own; tells which keys that concerns.
    fn fill_behind(
        &self,
        missed: &[usize],
        loaded: &mut Outcomes<T::Value>,
        leases: Leases<T, N>,
        at: Moment,
    ) -> Vec<bool> {
        let inner = &self.inner;
        let is_shared = inner.tier.shared().is_some();
        let mut filling = vec![false; self.keys.len()];
        let mut fills = Vec::with_capacity(missed.len());
        for (place, outcome) in missed.iter().zip(loaded) {
            let Ok(entry) = outcome else { continue };
            if is_shared && leases.of(&self.keys[*place]).is_none() {
                continue;
            }
            let end = inner.tier.life(self.key(*place), entry);
            end.into_iter().for_each(|end| entry.shorten(end));
            filling[*place] = true;
            fills.push((self.keys[*place].clone(), entry.clone()));
        }
        let count = fills.len() as u64;
        let is_full = inner.fills.count() >= inner.settings.pending_fills;
        let (keys, entries): (Vec<_>, Vec<_>) = fills.into_iter().unzip();
        let fill = Fill {
            inner: Arc::clone(inner),
            id: self.id,
            at,
            keys: Arc::from(keys),
            entries,
            leases,
            _active: [inner.work.begin(), inner.fills.begin()],
        };
        if count == 0 {
            return Vec::new();
        }
        if is_full || spawn(fill.run()).is_err() {
            inner.counters.dropped_fills.add(count);
            return Vec::new();
        }
        filling
    }
}

/// Entries on their way into a tier that is not resident, behind their callers' backs.
///
/// Its flight stays registered for these keys until this is dropped.
struct Fill<T: Tier, N>
where
    N: Cache<Key = T::Key, Value = T::Value>,
{
    inner: Arc<Inner<T, N>>,
    id: FlightId,
    /// When the load ended.
    at: Moment,
    keys: Arc<[Owned<T>]>,
    entries: Vec<Entry<T::Value>>,
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
        let current: Vec<usize> = (0..self.keys.len())
            .filter(|place| inner.flights.is_current(self.id, &self.keys[*place]))
            .collect();
        let stored = self.store(&current).await;
        let counters = &inner.counters;
        let failed = stored.iter().filter(|outcome| outcome.is_err()).count();
        let filled = stored.iter().filter(|outcome| matches!(outcome, Ok(true))).count();
        counters.errors.add(failed as u64);
        counters.fills.add(filled as u64);
        counters.superseded_fills.add((self.keys.len() - filled - failed) as u64);
    }

    /// Stores the entries in these places; `false` where a lease had become void.
    async fn store(&mut self, places: &[usize]) -> Vec<Result<bool>> {
        let tier = &self.inner.tier;
        let entries = places.iter().map(|place| {
            let key: &T::Key = self.keys[*place].borrow();
            (key, &self.entries[*place])
        });
        if places.is_empty() {
            return Vec::new();
        }
        if let Some(shared) = tier.shared() {
            let lease = |place: &usize| self.leases.of(&self.keys[*place]);
            let fills: Vec<_> = entries
                .zip(places)
                .filter_map(|((key, entry), place)| Some((key, entry, lease(place)?)))
                .collect();
            let stored = one_per_key(fills.len(), shared.fill(&fills).await);
            self.leases.spent(places.iter().map(|place| &self.keys[*place]));
            return stored;
        }
        let entries: Vec<_> = entries.collect();
        let stored = match &entries[..] {
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
