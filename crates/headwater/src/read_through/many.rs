//! A fetch of many keys: what is at hand is answered, and the rest is loaded together.

use super::Inner;
use crate::fetcher::FetchOptions;
use crate::flight::{Few, Request};
use crate::hashed::HashedMap;
use crate::{Cache, Entry, Hashed, Result, Tier};
use std::sync::Arc;

/// What a fetch of many has at hand, by the places of its keys, and what is missing.
pub(super) struct Sought<'a, K: ?Sized, V> {
    request: Request,
    outcomes: Vec<Option<Result<Entry<V>>>>,
    missing: Missing<'a, K>,
}

/// Keys that a call has to load, each once, with the places in which the call named them.
struct Missing<'a, K: ?Sized> {
    keys: Vec<Hashed<&'a K>>,
    /// Each place, and the index of its key.
    places: Vec<(usize, usize)>,
    known: HashedMap<&'a K, usize>,
}

impl<K: ?Sized> Default for Missing<'_, K> {
    fn default() -> Self {
        Self { keys: Vec::new(), places: Vec::new(), known: HashedMap::default() }
    }
}

impl<'a, K: ?Sized + Eq> Missing<'a, K> {
    fn add(&mut self, key: Hashed<&'a K>, place: usize) {
        let index = *self.known.entry(key).or_insert(self.keys.len());
        if index == self.keys.len() {
            self.keys.push(key);
        }
        self.places.push((place, index));
    }

    /// Puts what was loaded for each key into its places.
    fn hand_out<O: Clone>(self, loaded: Few<O>, outcomes: &mut [Option<O>]) {
        let repeats = self.places.len() > loaded.len();
        let mut loaded: Few<_> = loaded.into_iter().map(Some).collect();
        for (place, index) in self.places {
            // Cloned only where the same key may come again.
            outcomes[place] = if repeats { loaded[index].clone() } else { loaded[index].take() };
        }
    }
}

impl<T, N> Inner<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    /// Looks up each key of a fetch of many.
    pub(super) fn seek<'a>(
        &self,
        keys: impl Iterator<Item = Hashed<&'a T::Key>>,
        options: &FetchOptions,
    ) -> Sought<'a, T::Key, T::Value> {
        let closed = self.check_open().err();
        let request = self.request(options);
        let mut missing = Missing::default();
        let outcome = |(place, key)| {
            if let Some(closed) = &closed {
                return Some(Err(closed.clone()));
            }
            let entry = self.look(key, options, request.floor);
            match &entry {
                Some(entry) => self.count_hit(entry),
                None => missing.add(key, place),
            }
            entry.map(Ok)
        };
        let outcomes = keys.enumerate().map(outcome).collect();
        Sought { request, outcomes, missing }
    }

    /// The answers to a fetch of many: the keys that are missing are loaded together.
    pub(super) async fn answer(
        self: &Arc<Self>,
        sought: Sought<'_, T::Key, T::Value>,
    ) -> Vec<Result<Entry<T::Value>>> {
        if sought.missing.keys.is_empty() {
            return sought.outcomes.into_iter().flatten().collect();
        }
        // Boxed, so that the future of hits stays small.
        Box::pin(self.complete(sought)).await
    }

    async fn complete(
        self: &Arc<Self>,
        sought: Sought<'_, T::Key, T::Value>,
    ) -> Vec<Result<Entry<T::Value>>> {
        let Sought { request, mut outcomes, missing } = sought;
        let loaded = self.board(&missing.keys, &request).landed().await;
        self.counters.coalesced.add((missing.places.len() - loaded.len()) as u64);
        missing.hand_out(loaded, &mut outcomes);
        outcomes.into_iter().flatten().collect()
    }
}
