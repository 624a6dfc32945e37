//! How long the look-ups in a tier take: a tier around a tier, with a histogram.
//!
//! The library counts outcomes but not time; the program adds what its summary shows.

use anyhow::Result;
use futures_util::future::{BoxFuture, ready};
use hdrhistogram::Histogram;
use headwater::{
    Above, Batching, Entry, Hashed, Key, Lease, Leased, Moment, Prepared, Removals, Resident,
    Shared, Tier, Value,
};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

/// The longest time told apart, in nanoseconds; longer ones count as this.
const LONGEST: u64 = 600_000_000_000;

/// Times of look-ups, to within one per cent. Clones share them.
#[derive(Clone)]
pub(crate) struct Latency(Arc<Mutex<Histogram<u64>>>);

impl Latency {
    /// Without any time so far.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Arc::new(Mutex::new(Histogram::new_with_bounds(1, LONGEST, 2)?))))
    }

    /// The time that the share `quantile` of all look-ups did not exceed, in microseconds.
    pub(crate) fn micros_at(&self, quantile: f64) -> f64 {
        self.lock().value_at_quantile(quantile) as f64 / 1_000.0
    }

    fn record(&self, since: Instant, lookups: usize) {
        let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(LONGEST);
        self.lock().saturating_record_n(nanos.max(1), lookups as u64);
    }

    fn lock(&self) -> MutexGuard<'_, Histogram<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latency").finish_non_exhaustive()
    }
}

/// A tier whose look-ups are timed.
#[derive(Debug)]
pub(crate) struct Timed<T> {
    inner: T,
    latency: Latency,
}

impl<T> Timed<T> {
    /// Times `inner` into `latency`.
    pub(crate) fn new(inner: T, latency: Latency) -> Self {
        Self { inner, latency }
    }
}

#[deny(clippy::missing_trait_methods)]
impl<T: Tier> Tier for Timed<T> {
    type Key = T::Key;
    type Value = T::Value;

    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn get(&self, key: &T::Key) -> headwater::Result<Option<Entry<T::Value>>> {
        let begun = Instant::now();
        let outcome = self.inner.get(key).await;
        self.latency.record(begun, 1);
        outcome
    }

    async fn get_many(&self, keys: &[&T::Key]) -> Vec<headwater::Result<Option<Entry<T::Value>>>> {
        let begun = Instant::now();
        let outcomes = self.inner.get_many(keys).await;
        // Each key waited for the whole round trip.
        self.latency.record(begun, keys.len());
        outcomes
    }

    async fn put(&self, key: &T::Key, entry: &Entry<T::Value>) -> headwater::Result<()> {
        self.inner.put(key, entry).await
    }

    async fn put_many(
        &self,
        entries: &[(&T::Key, &Entry<T::Value>)],
    ) -> Vec<headwater::Result<()>> {
        self.inner.put_many(entries).await
    }

    async fn remove(&self, key: &T::Key) -> headwater::Result<()> {
        self.inner.remove(key).await
    }

    async fn remove_many(&self, keys: &[&T::Key]) -> headwater::Result<()> {
        self.inner.remove_many(keys).await
    }

    async fn clear(&self) -> headwater::Result<()> {
        self.inner.clear().await
    }

    async fn close(&self) -> headwater::Result<()> {
        self.inner.close().await
    }

    fn life(&self, key: &T::Key, entry: &Entry<T::Value>) -> Option<Moment> {
        self.inner.life(key, entry)
    }

    fn batching(&self) -> Option<Batching> {
        self.inner.batching()
    }

    fn shared(&self) -> Option<&dyn Shared<T::Key, T::Value>> {
        self.inner.shared().map(|_| self as &dyn Shared<T::Key, T::Value>)
    }

    fn resident(&self) -> Option<&dyn Resident<T::Key, T::Value>> {
        self.inner.resident().map(|_| self as &dyn Resident<T::Key, T::Value>)
    }
}

/// Only reached through [`Tier::resident`], and so only where the inner tier is resident.
impl<T: Tier<Key = K, Value = V>, K: ?Sized + Key, V: Value> Resident<K, V> for Timed<T> {
    fn get(&self, key: Hashed<&K>) -> Option<Entry<V>> {
        let begun = Instant::now();
        let found = self.inner.resident()?.get(key);
        self.latency.record(begun, 1);
        found
    }

    fn value(&self, key: Hashed<&K>) -> Option<Option<V>> {
        let begun = Instant::now();
        let found = self.inner.resident()?.value(key);
        self.latency.record(begun, 1);
        found
    }

    fn prepare(&self, key: &K, entry: Entry<V>) -> Prepared<V> {
        match self.inner.resident() {
            Some(inner) => inner.prepare(key, entry),
            None => Prepared { entry, weight: 1 },
        }
    }

    fn put(&self, key: Hashed<K::Owned>, entry: Prepared<V>) -> Removals<K::Owned, V> {
        self.inner.resident().map_or(Removals::none(), |inner| inner.put(key, entry))
    }

    fn remove(&self, key: Hashed<&K>) -> Removals<K::Owned, V> {
        self.inner.resident().map_or(Removals::none(), |inner| inner.remove(key))
    }

    fn clear(&self) -> Removals<K::Owned, V> {
        self.inner.resident().map_or(Removals::none(), Resident::clear)
    }
}

/// Only reached through [`Tier::shared`], and so only where the inner tier is shared.
impl<T: Tier<Key = K, Value = V>, K: ?Sized + Key, V: Value> Shared<K, V> for Timed<T> {
    fn attach(&self, above: Weak<dyn Above<K>>) {
        if let Some(inner) = self.inner.shared() {
            inner.attach(above);
        }
    }

    fn lease<'a>(
        &'a self,
        keys: &'a [&'a K],
        look: bool,
    ) -> BoxFuture<'a, Vec<headwater::Result<Leased<V>>>> {
        let Some(inner) = self.inner.shared() else { return Box::pin(ready(Vec::new())) };
        if !look {
            return inner.lease(keys, look);
        }
        Box::pin(async move {
            let begun = Instant::now();
            let outcomes = inner.lease(keys, look).await;
            self.latency.record(begun, keys.len());
            outcomes
        })
    }

    fn fill<'a>(
        &'a self,
        fills: &'a [(&'a K, &'a Entry<V>, Lease)],
    ) -> BoxFuture<'a, Vec<headwater::Result<bool>>> {
        match self.inner.shared() {
            Some(inner) => inner.fill(fills),
            None => Box::pin(ready(Vec::new())),
        }
    }

    fn release<'a>(&'a self, leases: &'a [(&'a K, Lease)]) -> BoxFuture<'a, headwater::Result<()>> {
        match self.inner.shared() {
            Some(inner) => inner.release(leases),
            None => Box::pin(ready(Ok(()))),
        }
    }

    fn changed(&self, keys: &[&K]) -> BoxFuture<'static, ()> {
        match self.inner.shared() {
            Some(inner) => inner.changed(keys),
            None => Box::pin(ready(())),
        }
    }
}
