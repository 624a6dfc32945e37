use super::background::spawn;
use super::{Inner, Owned};
use crate::{Above, Cache, Entry, Error, ErrorKind, Result, Tier};
use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

impl<T, N> Inner<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    pub(super) async fn invalidate(self: &Arc<Self>, keys: &[&T::Key]) -> Result<()> {
        self.check_open()?;
        let mut seen = HashSet::with_capacity(keys.len());
        let keys: Vec<&T::Key> = keys.iter().copied().filter(|key| seen.insert(*key)).collect();
        // At once, because the slower tiers may take their time.
        self.forget_here(&keys);
        let _gate = self.gate.read().await;
        let lane = self.lanes.enter(keys.iter().map(|key| (*key).to_owned()).collect());
        lane.clear().await;
        let below = self.next.invalidate_many(&keys).await;
        let own = match self.tier.resident() {
            Some(_) => Ok(()),
            None => self.tier.remove_many(&keys).await.map_err(|error| self.named(error)),
        };
        // Only now: a load that began meanwhile may have met the old entry in a slower tier, or on
        // its way out of this one.
        self.forget_here(&keys);
        below.and(own)
    }

    /// Ends the flights of `keys`, and drops their entries if the tier is resident.
    fn forget_here(&self, keys: &[&T::Key]) {
        for key in keys {
            let removals = self
                .flights
                .void(*key, || self.tier.resident().map(|resident| resident.remove(key)));
            drop(removals);
        }
    }

    pub(super) async fn insert(
        self: &Arc<Self>,
        key: &T::Key,
        entry: Entry<T::Value>,
    ) -> Result<()> {
        self.check_open()?;
        let entry = match entry.loaded() {
            Some(_) => entry,
            None => entry.loaded_at(self.settings.clock.now()),
        };
        self.forget_here(&[key]);
        let gate = Arc::clone(&self.gate).read_owned().await;
        let lane = self.lanes.enter(Arc::from([key.to_owned()]));
        lane.clear().await;
        let below = self.next.insert(key, entry.clone()).await;
        if let Some(resident) = self.tier.resident() {
            let prepared = resident.prepare(key, entry);
            let own_key = key.to_owned();
            let removals = self.flights.void(key, || resident.put(own_key, prepared));
            drop(removals);
            return below;
        }
        // A write that was sent cannot be called back: should this call be dropped, the next write
        // of the key must still wait for it.
        let (inner, own_key) = (Arc::clone(self), key.to_owned());
        let write = async move {
            let own = inner.put_alone(&own_key, &entry).await;
            drop((lane, gate));
            own
        };
        let lost =
            |error| Error::new(ErrorKind::Unavailable, "the runtime shut down").with_source(error);
        let own = spawn(write)?.await.unwrap_or_else(|error| Err(lost(error)));
        below.and(own)
    }

    async fn put_alone(&self, key: &Owned<T>, entry: &Entry<T::Value>) -> Result<()> {
        let key = std::borrow::Borrow::borrow(key);
        let own = self.tier.put(key, entry).await.map_err(|error| self.named(error));
        self.forget_here(&[key]);
        own
    }

    pub(super) async fn clear(self: &Arc<Self>) -> Result<()> {
        self.check_open()?;
        let _gate = self.gate.write().await;
        let below = self.next.clear().await;
        self.flights.void_all();
        let own = match self.tier.resident() {
            Some(resident) => {
                drop(resident.clear());
                Ok(())
            }
            None => self.tier.clear().await.map_err(|error| self.named(error)),
        };
        self.flights.void_all();
        below.and(own)
    }

    /// Ends this cache, then what lies below it.
    pub(super) async fn close(self: &Arc<Self>) -> Result<()> {
        self.is_closed.store(true, Relaxed);
        let close = async {
            let settings = &self.settings;
            let left = self.work.end(&settings.clock, settings.close_within).await;
            let dropped = self.fills.count();
            self.fills.end(&settings.clock, std::time::Duration::ZERO).await;
            self.counters.dropped_fills.add(dropped as u64);
            let own = self.tier.close().await.map_err(|error| self.named(error));
            let below = self.next.close().await;
            self.report(left, dropped).and(own).and(below)
        };
        self.closing.get_or_init(|| close).await.clone()
    }

    fn report(&self, left: usize, dropped: usize) -> Result<()> {
        if left == 0 {
            return Ok(());
        }
        let message = format!(
            "closed after {:?} with {} loads and {dropped} fills unfinished",
            self.settings.close_within,
            left - dropped.min(left),
        );
        Err(self.named(Error::new(ErrorKind::Timeout, message)))
    }

    fn named(&self, error: Error) -> Error {
        self.counters.errors.add(1);
        error.with_tier(self.tier.name().to_owned())
    }
}

/// What others change below is forgotten here, then in front of here: a load further up may have
/// met it on its way out of this cache.
impl<T, N> Above<T::Key> for Inner<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    fn forget(&self, keys: &[&T::Key]) {
        self.forget_here(keys);
        self.each_above(|above| above.forget(keys));
    }

    fn forget_all(&self) {
        self.flights.void_all();
        if let Some(resident) = self.tier.resident() {
            drop(resident.clear());
        }
        self.flights.void_all();
        self.each_above(|above| above.forget_all());
    }
}

impl<T: Tier, N> Inner<T, N> {
    fn each_above(&self, tell: impl Fn(&dyn Above<T::Key>)) {
        let above: Vec<_> = self.above.lock().iter().filter_map(Weak::upgrade).collect();
        above.iter().for_each(|above| tell(&**above));
    }
}
