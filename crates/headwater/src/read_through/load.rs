use super::epochs::Watch;
use super::lease::Leases;
use super::{Inner, Lookups, Owned};
use crate::batch::Ask;
use crate::fetcher::{is_young, one_per_key};
use crate::flight::{Few, FlightId, Landing, Request};
use crate::{Cache, Entry, Error, ErrorKind, Hashed, Moment, Result, Tier};
use futures_util::future::BoxFuture;
use std::borrow::Borrow;
use std::ops::Deref;
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
        let (inner, request) = (Working::begin(self), request.clone());
        if self.tier.resident().is_some() {
            return Box::pin(inner.load_missed(id, keys, request));
        }
        let load = Load {
            id,
            watch: None,
            request,
            outcomes: keys.iter().map(|_| None).collect(),
            filling: Few::new(),
            keys,
            inner,
        };
        Box::pin(load.run())
    }

    /// Asks what lies below: one outcome per key.
    async fn ask_next(
        &self,
        keys: &[Hashed<&T::Key>],
        request: &Request,
    ) -> Few<Result<Entry<T::Value>>> {
        self.counters.misses.add(keys.len() as u64);
        let options = &request.options;
        match keys {
            [] => Few::new(),
            [key] => Few::from([self.next.fetch_through(*key, options).await]),
            keys => {
                // Boxed, so that one key needs little memory.
                let outcomes = Box::pin(self.next.fetch_many_through(keys, options)).await;
                one_per_key(keys.len(), outcomes).into()
            }
        }
    }

    /// Stores what came in a tier at hand, unless it was superseded.
    fn commit(
        &self,
        id: FlightId,
        keys: &[Hashed<Owned<T>>],
        outcomes: &mut [Result<Entry<T::Value>>],
    ) {
        let Some(resident) = self.tier.resident() else { return };
        for (key, outcome) in keys.iter().zip(outcomes) {
            let Ok(entry) = outcome else { continue };
            let prepared = resident.prepare(key.key().borrow(), entry.clone());
            entry.shorten(prepared.entry.expiry());
            match self.flights.commit(id, key, |key| resident.put(key, prepared)) {
                Some(_) => self.counters.fills.add(1),
                None => self.counters.superseded_fills.add(1),
            }
        }
    }
}

/// A cache at work for a load, for which `close` waits.
pub(super) struct Working<T: Tier, N>(Arc<Inner<T, N>>);

impl<T: Tier, N> Working<T, N> {
    fn begin(inner: &Arc<Inner<T, N>>) -> Self {
        inner.work.add(1);
        Self(Arc::clone(inner))
    }
}

impl<T: Tier, N> Deref for Working<T, N> {
    type Target = Arc<Inner<T, N>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T: Tier, N> Drop for Working<T, N> {
    fn drop(&mut self) {
        self.0.work.take_back(1);
    }
}

impl<T, N> Working<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    /// The load of keys that a tier at hand does not have: there is nothing to look for, and what comes
    /// is stored at once.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` would hold its arguments twice")]
    fn load_missed(
        self,
        id: FlightId,
        keys: Arc<[Hashed<Owned<T>>]>,
        request: Request,
    ) -> impl Future<Output = Landing<T::Value>> + Send {
        async move {
            let mut outcomes = {
                let asked: Few<_> = keys.iter().map(Hashed::borrowed).collect();
                self.ask_next(&asked, &request).await
            };
            self.commit(id, &keys, &mut outcomes);
            let settled = outcomes.iter().map(Result::is_ok).collect();
            // Nobody asks for the time of what is not being stored.
            Landing { outcomes, settled, at: Moment::START }
        }
    }
}

/// One load on its way through a tier that waits, and what lies below it.
pub(super) struct Load<T: Tier, N> {
    pub(super) id: FlightId,
    pub(super) keys: Arc<[Hashed<Owned<T>>]>,
    /// What this process changes while something is loaded that a shared tier is to have.
    pub(super) watch: Option<Arc<Watch<Owned<T>>>>,
    pub(super) request: Request,
    /// What has come so far, by the places of the keys.
    pub(super) outcomes: Few<Option<Result<Entry<T::Value>>>>,
    /// Which keys are being stored behind the callers' backs; empty if none is.
    pub(super) filling: Few<bool>,
    /// Dropped last: `close` waits for all of it.
    pub(super) inner: Working<T, N>,
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
                true => self.request.now.unwrap_or(Moment::START),
                false => self.inner.settings.clock.now(),
            },
            settled: self.filling,
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
        let Inner { tier, lookups, .. } = &**self.inner;
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
        let keys: Few<_> = places.iter().map(|place| self.keys[*place].borrowed()).collect();
        let mut loaded = self.inner.ask_next(&keys, &self.request).await;
        drop(keys);
        self.fill_behind(places, &mut loaded, leases);
        for (place, outcome) in places.iter().zip(loaded) {
            self.outcomes[*place] = Some(outcome);
        }
    }
}
