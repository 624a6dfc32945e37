use super::activity::Active;
use super::epochs::Watch;
use super::lease::Leases;
use super::{Inner, Lookups, Owned};
use crate::batch::Ask;
use crate::fetcher::{is_young, one_per_key};
use crate::flight::{Few, FlightId, Landing, Request};
use crate::{Cache, Entry, Error, ErrorKind, Hashed, Resident, Result, Tier};
use futures_util::future::BoxFuture;
use std::borrow::Borrow;
use std::sync::Arc;

impl<T, N> Inner<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    /// The load of a flight that was just opened.
    pub(super) fn load_of(
        self: &Arc<Self>,
        id: FlightId,
        keys: Arc<[Hashed<Owned<T>>]>,
        request: &Request,
    ) -> BoxFuture<'static, Landing<T::Value>> {
        let load = Load {
            inner: Arc::clone(self),
            id,
            watch: None,
            request: request.clone(),
            outcomes: keys.iter().map(|_| None).collect(),
            filling: Few::new(),
            keys,
            _active: self.work.begin(1),
        };
        match self.tier.resident() {
            Some(_) => Box::pin(load.run_missed()),
            None => Box::pin(load.run()),
        }
    }
}

/// One load on its way through a tier and what lies below it.
pub(super) struct Load<T: Tier, N> {
    pub(super) inner: Arc<Inner<T, N>>,
    pub(super) id: FlightId,
    pub(super) keys: Arc<[Hashed<Owned<T>>]>,
    /// What this process changes while something is loaded that a shared tier is to have.
    pub(super) watch: Option<Arc<Watch<Owned<T>>>>,
    pub(super) request: Request,
    /// What has come so far, by the places of the keys.
    pub(super) outcomes: Few<Option<Result<Entry<T::Value>>>>,
    /// Which keys are being stored behind the callers' backs; empty if none is.
    pub(super) filling: Few<bool>,
    _active: Active,
}

impl<T, N> Load<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    /// Looks in a tier where that takes waiting, and loads what is missing.
    async fn run(mut self) -> Landing<T::Value> {
        self.look().await;
        if self.outcomes.iter().any(Option::is_none) {
            // Boxed, so that what the tier has needs little memory.
            return Box::pin(self.run_missed()).await;
        }
        self.landing()
    }

    async fn run_missed(mut self) -> Landing<T::Value> {
        let missed: Vec<usize> =
            (0..self.keys.len()).filter(|place| self.outcomes[*place].is_none()).collect();
        let inner = Arc::clone(&self.inner);
        match inner.tier.shared() {
            Some(shared) => {
                // What was done with before is done: the load finds what there is after it.
                self.watch = Some(Arc::new(inner.epochs.watch(&self.keys)));
                self.load_leased(shared, missed).await;
            }
            None => self.load(&missed, Leases::none(&inner)).await,
        }
        self.landing()
    }

    fn landing(self) -> Landing<T::Value> {
        let nothing = || Err(Error::new(ErrorKind::Unexpected, "a load left a key out"));
        Landing {
            outcomes: self.outcomes.into_iter().map(|o| o.unwrap_or_else(nothing)).collect(),
            // Nobody asks for the time of what is not being stored.
            at: match self.filling.is_empty() {
                true => self.request.now,
                false => self.inner.settings.clock.now(),
            },
            filling: self.filling,
        }
    }

    pub(super) fn key(&self, place: usize) -> &T::Key {
        self.keys[place].key().borrow()
    }

    pub(super) fn keys_at(&self, places: &[usize]) -> Vec<&T::Key> {
        places.iter().map(|place| self.key(*place)).collect()
    }

    /// Notes the entries that the tier has.
    async fn look(&mut self) {
        let Inner { tier, lookups, .. } = &*self.inner;
        if self.request.options.skips(tier.name()) {
            return;
        }
        if let (&[_], Some(lookups)) = (&self.keys[..], lookups) {
            let answer = lookups.fetch(self.key(0)).await;
            self.outcomes[0] = self.accept(0, answer).map(Ok);
            return;
        }
        let keys: Vec<&T::Key> = self.keys.iter().map(|key| key.key().borrow()).collect();
        let answers = Box::pin(Lookups(Arc::clone(tier)).ask(&keys)).await;
        let answers = answers.into_iter().enumerate();
        let accepted = answers.map(|(place, answer)| self.accept(place, answer).map(Ok));
        self.outcomes = accepted.collect();
    }

    /// An entry that the call accepts; the tier's trouble is a miss.
    fn accept(
        &self,
        place: usize,
        answer: Result<Option<Entry<T::Value>>>,
    ) -> Option<Entry<T::Value>> {
        let entry = match answer {
            Ok(entry) => entry.filter(|entry| self.accepts(place, entry))?,
            Err(_) => {
                self.inner.counters.errors.add(1);
                return None;
            }
        };
        self.inner.count_hit(&entry);
        Some(entry)
    }

    /// Whether the call accepts an entry's age, and nobody has seen a newer one here.
    pub(super) fn accepts(&self, place: usize, entry: &Entry<T::Value>) -> bool {
        is_young(entry, self.request.floor) && self.inner.floors.allow(&self.keys[place], entry)
    }

    /// Asks what lies below for the keys in these places, and has what comes stored.
    pub(super) async fn load(&mut self, places: &[usize], leases: Leases<T, N>) {
        let inner = Arc::clone(&self.inner);
        inner.counters.misses.add(places.len() as u64);
        let mut loaded = self.ask_next(places).await;
        match inner.tier.resident() {
            Some(resident) => self.commit(resident, places, &mut loaded),
            None => self.fill_behind(places, &mut loaded, leases),
        }
        for (place, outcome) in places.iter().zip(loaded) {
            self.outcomes[*place] = Some(outcome);
        }
    }

    async fn ask_next(&self, places: &[usize]) -> Vec<Result<Entry<T::Value>>> {
        let next = &self.inner.next;
        let options = &self.request.options;
        match places {
            [] => Vec::new(),
            [place] => vec![next.fetch_through(self.keys[*place].borrowed(), options).await],
            places => {
                let keys: Vec<_> =
                    places.iter().map(|place| self.keys[*place].borrowed()).collect();
                one_per_key(keys.len(), next.fetch_many_through(&keys, options).await)
            }
        }
    }

    /// Stores what came in a resident tier, unless it was superseded.
    fn commit(
        &self,
        resident: &dyn Resident<T::Key, T::Value>,
        places: &[usize],
        loaded: &mut [Result<Entry<T::Value>>],
    ) {
        let Inner { flights, counters, .. } = &*self.inner;
        for (place, outcome) in places.iter().zip(loaded) {
            let Ok(entry) = outcome else { continue };
            let key = self.keys[*place].clone();
            let prepared = resident.prepare(self.key(*place), entry.clone());
            entry.shorten(prepared.entry.expiry());
            let stored =
                flights.commit(self.id, &self.keys[*place], || resident.put(key, prepared));
            match &stored {
                Some(_) => counters.fills.add(1),
                None => counters.superseded_fills.add(1),
            }
        }
    }
}
