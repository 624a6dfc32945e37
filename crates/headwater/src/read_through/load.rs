use super::background::{Active, spawn};
use super::{Inner, Owned};
use crate::fetcher::{is_young, one_per_key};
use crate::flight::{Boarding, FlightId, LATE_AFTER, Landing, Opened, Request};
use crate::{Cache, Entry, Moment, Resident, Result, Tier};
use std::borrow::Borrow;
use std::sync::Arc;

/// The outcome of each key of a load.
type Outcomes<V> = Vec<Result<Entry<V>>>;

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
struct Load<T: Tier, N> {
    inner: Arc<Inner<T, N>>,
    id: FlightId,
    keys: Arc<[Owned<T>]>,
    request: Request,
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
        let loaded = self.ask_next(&missed).await;
        let at = self.inner.settings.clock.now();
        let filling = match self.inner.tier.resident() {
            Some(resident) => self.commit(resident, &missed, &loaded),
            None => self.fill_behind(&missed, &loaded, at),
        };
        let mut outcomes: Vec<_> = found.into_iter().map(|entry| entry.map(Ok)).collect();
        for (place, outcome) in missed.into_iter().zip(loaded) {
            outcomes[place] = Some(outcome);
        }
        Landing { outcomes: outcomes.into_iter().flatten().collect(), filling, at }
    }

    fn key(&self, place: usize) -> &T::Key {
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

    async fn ask_next(&self, missed: &[usize]) -> Outcomes<T::Value> {
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
        loaded: &Outcomes<T::Value>,
    ) -> Vec<bool> {
        let Inner { flights, counters, .. } = &*self.inner;
        for (place, outcome) in missed.iter().zip(loaded) {
            let Ok(entry) = outcome else { continue };
            let key = self.keys[*place].clone();
            let prepared = resident.prepare(self.key(*place), entry.clone());
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
    fn fill_behind(&self, missed: &[usize], loaded: &Outcomes<T::Value>, at: Moment) -> Vec<bool> {
        let inner = &self.inner;
        let came = missed.iter().zip(loaded);
        let fills: Vec<(usize, Entry<T::Value>)> = came
            .filter_map(|(place, outcome)| Some((*place, outcome.as_ref().ok()?.clone())))
            .collect();
        if fills.is_empty() {
            return Vec::new();
        }
        let count = fills.len() as u64;
        let is_full = inner.fills.count() >= inner.settings.pending_fills;
        let mut filling = vec![false; self.keys.len()];
        fills.iter().for_each(|(place, _)| filling[*place] = true);
        let fill = Fill {
            inner: Arc::clone(inner),
            id: self.id,
            at,
            keys: fills.iter().map(|(place, _)| self.keys[*place].clone()).collect(),
            entries: fills.into_iter().map(|(_, entry)| entry).collect(),
            _active: [inner.work.begin(), inner.fills.begin()],
        };
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
    _active: [Active; 2],
}

impl<T, N> Fill<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    async fn run(self) {
        let Inner { tier, flights, lanes, gate, fills, counters, settings, .. } = &*self.inner;
        let _gate = gate.read().await;
        let lane = lanes.enter(Arc::clone(&self.keys));
        lane.clear().await;
        if fills.has_ended() {
            return;
        }
        if settings.clock.now() - self.at >= LATE_AFTER {
            counters.dropped_fills.add(self.keys.len() as u64);
            return;
        }
        let entries = self.keys.iter().zip(&self.entries);
        let current: Vec<(&T::Key, &Entry<T::Value>)> = entries
            .filter(|(key, _)| flights.is_current(self.id, key))
            .map(|(key, entry)| (key.borrow(), entry))
            .collect();
        counters.superseded_fills.add((self.keys.len() - current.len()) as u64);
        let stored = match &current[..] {
            [] => Vec::new(),
            [(key, entry)] => vec![tier.put(key, entry).await],
            many => one_per_key(many.len(), tier.put_many(many).await),
        };
        let failed = stored.iter().filter(|outcome| outcome.is_err()).count() as u64;
        counters.errors.add(failed);
        counters.fills.add(stored.len() as u64 - failed);
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
