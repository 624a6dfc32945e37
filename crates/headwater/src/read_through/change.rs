use super::lanes::InLane;
use super::{Inner, Owned};
use crate::hashed::{HashedSet, plain};
use crate::runtime::spawn;
use crate::{Above, Cache, Entry, Error, ErrorKind, Hashed, Result, Tier};
use futures_util::future::{Either, select};
use std::borrow::Borrow;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use tokio::sync::OwnedRwLockReadGuard;

/// The right to write some keys into a tier.
type Turn<K> = (InLane<K>, OwnedRwLockReadGuard<()>);

impl<T, N> Inner<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    pub(super) async fn invalidate(self: &Arc<Self>, keys: &[Hashed<&T::Key>]) -> Result<()> {
        self.check_open()?;
        let unique: Vec<_>;
        let keys = match keys {
            [] | [_] => keys,
            keys => {
                let mut seen = HashedSet::with_capacity_and_hasher(keys.len(), Default::default());
                unique = keys.iter().copied().filter(|key| seen.insert(*key)).collect();
                &unique
            }
        };
        if !self.is_all_at_hand() {
            // At once, because the slower tiers may take their time.
            self.supersede(keys);
        }
        let _turn = self.turn(keys).await?;
        let below = self.next.invalidate_through(keys).await;
        let own = self.remove_here(keys).await;
        // Whoever stands in front of this cache too, besides the one that this call came through.
        self.each_above(|above| above.forget(keys));
        below.and(own)
    }

    /// Whether the tier is at hand and nothing lies below that keeps anything: then what a change does to
    /// a key at last is one critical section, and no two can leave tiers that disagree.
    fn is_all_at_hand(&self) -> bool {
        self.tier.resident().is_some() && self.next.keeps_nothing()
    }

    /// Waits for this tier's earlier writes of `keys`, and holds off later ones, where there may be any
    /// that go on.
    async fn turn(&self, keys: &[Hashed<&T::Key>]) -> Result<Option<Turn<Owned<T>>>> {
        if self.is_all_at_hand() {
            return Ok(None);
        }
        // Boxed, so that who needs no turn needs little memory.
        Box::pin(self.unless_closed(async {
            let gate = Arc::clone(&self.gate).read_owned().await;
            let lane = self.lanes.enter(keys.iter().map(|key| key.to_stored()).collect());
            lane.clear().await;
            Some((lane, gate))
        }))
        .await
    }

    async fn unless_closed<R>(&self, wait: impl Future<Output = R>) -> Result<R> {
        match select(pin!(wait), pin!(self.fills.over())).await {
            Either::Left((done, _)) => Ok(done),
            Either::Right(_) => Err(self.closed()),
        }
    }

    /// Drops entries of this tier, and ends what was under way meanwhile: a load that began in
    /// between may have met the old entry in a slower tier, or on its way out of this one.
    async fn remove_here(&self, keys: &[Hashed<&T::Key>]) -> Result<()> {
        let own = match self.tier.resident() {
            Some(_) => Ok(()),
            None => self.tier.remove_many(&plain(keys)).await.map_err(|error| self.named(error)),
        };
        self.supersede(keys);
        own
    }

    /// Ends what is under way for `keys`, because this process changes them.
    fn supersede(&self, keys: &[Hashed<&T::Key>]) {
        if self.tier.shared().is_some() {
            self.epochs.advance(keys);
        }
        self.forget_here(keys);
    }

    /// Ends the flights of `keys`, and drops their entries if the tier is resident.
    fn forget_here(&self, keys: &[Hashed<&T::Key>]) {
        for key in keys {
            let removals = self
                .flights
                .void(*key, || self.tier.resident().map(|resident| resident.remove(*key)));
            drop(removals);
        }
    }

    /// Puts an entry into every tier, the slowest first; the entry with the life that it got there,
    /// or the newer one that is there instead.
    pub(super) async fn insert(
        self: &Arc<Self>,
        key: Hashed<&T::Key>,
        entry: Entry<T::Value>,
    ) -> Result<Entry<T::Value>> {
        self.check_open()?;
        let entry = match entry.loaded() {
            Some(_) => entry,
            None => entry.loaded_at(self.settings.clock.now()),
        };
        let held = |entry: &Entry<T::Value>| {
            let resident = self.tier.resident().filter(|_| entry.version().is_some())?;
            newer(entry, resident.get(key))
        };
        let newer = held(&entry);
        if newer.is_none() && !self.is_all_at_hand() {
            self.supersede(&[key]);
        }
        let turn = self.turn(&[key]).await?;
        let below = self.next.insert_through(key, entry.clone()).await;
        let mut entry = below.as_ref().map_or(entry, Clone::clone);
        if let Some(newer) = newer {
            return below.map(|_| newer);
        }
        if let Some(resident) = self.tier.resident() {
            let prepared = resident.prepare(key.key(), entry.clone());
            entry.shorten(prepared.entry.expiry());
            let own_key = key.to_stored();
            // Once more, together with the put: others may have been here meanwhile. What is not stored is
            // dropped outside of the critical section.
            let put = || match held(&entry) {
                Some(newer) => Err((newer, own_key, prepared)),
                None => Ok(resident.put(own_key, prepared)),
            };
            let newer = self.flights.void(key, put).err().map(|(newer, ..)| newer);
            self.each_above(|above| above.forget(&[key]));
            return below.map(|_| newer.unwrap_or(entry));
        }
        let kept = self.cut(key.key(), &mut entry);
        // A write that was sent cannot be called back: should this call be dropped, the next write
        // of the key must still wait for it, and whoever is in front must not keep the old entry.
        let (inner, own_key) = (Arc::clone(self), key.to_stored());
        let write = async move {
            let newer = match inner.put_alone(&own_key, &kept).await {
                Ok(()) => Ok(inner.newer_than(&kept, &own_key).await),
                Err(error) => Err(error),
            };
            drop(turn);
            newer
        };
        let lost =
            |error| Error::new(ErrorKind::Unavailable, "the runtime shut down").with_source(error);
        let newer = spawn(write)?.await.unwrap_or_else(|error| Err(lost(error)))?;
        below.map(|_| newer.unwrap_or(entry))
    }

    async fn put_alone(&self, key: &Hashed<Owned<T>>, entry: &Entry<T::Value>) -> Result<()> {
        let key = key.borrowed();
        let own = self.tier.put(key.key(), entry).await.map_err(|error| self.named(error));
        self.supersede(&[key]);
        self.each_above(|above| above.forget(&[key]));
        own
    }

    /// The entry of a newer version than the one that a tier that waits was just told to store: only
    /// the tier itself can compare as it writes, so it is asked once more.
    async fn newer_than(
        &self,
        entry: &Entry<T::Value>,
        key: &Hashed<Owned<T>>,
    ) -> Option<Entry<T::Value>> {
        entry.version()?;
        let held = self.tier.get(key.key().borrow()).await;
        newer(entry, held.map_err(|error| self.named(error)).ok()?)
    }

    pub(super) async fn clear(self: &Arc<Self>) -> Result<()> {
        self.check_open()?;
        let _gate = self.unless_closed(self.gate.write()).await?;
        let below = self.next.clear().await;
        self.epochs.advance_all();
        self.flights.void_all();
        let own = match self.tier.resident() {
            Some(resident) => {
                drop(resident.clear());
                Ok(())
            }
            None => self.tier.clear().await.map_err(|error| self.named(error)),
        };
        self.epochs.advance_all();
        self.flights.void_all();
        self.each_above(|above| above.forget_all());
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

/// What a tier holds, if that is of a newer version than `entry`.
fn newer<V>(entry: &Entry<V>, held: Option<Entry<V>>) -> Option<Entry<V>> {
    held.filter(|held| entry.is_older_than(held))
}

/// What others change below is forgotten here, then in front of here: a load further up may have
/// met it on its way out of this cache.
impl<T, N> Above<T::Key> for Inner<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    fn forget(&self, keys: &[Hashed<&T::Key>]) {
        self.forget_here(keys);
        self.each_above(|above| above.forget(keys));
        if self.keeps_news_waiting() {
            let keys: Arc<[Hashed<Owned<T>>]> = keys.iter().map(|key| key.to_stored()).collect();
            self.in_background(async move |inner| {
                let keys: Vec<Hashed<&T::Key>> = keys.iter().map(Hashed::borrowed).collect();
                // The tier's trouble is counted; its entries live no longer than they were given.
                let _ = inner.invalidate_here(&keys).await;
            });
        }
    }

    fn forget_all(&self) {
        self.flights.void_all();
        if let Some(resident) = self.tier.resident() {
            drop(resident.clear());
        }
        self.flights.void_all();
        self.each_above(|above| above.forget_all());
        if self.keeps_news_waiting() {
            self.in_background(async move |inner| {
                let _gate = inner.gate.write().await;
                let _ = inner.tier.clear().await.map_err(|error| inner.named(error));
                inner.flights.void_all();
                inner.each_above(|above| above.forget_all());
            });
        }
    }
}

impl<T, N> Inner<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    /// Whether the tier has no news of its own and cannot forget at once: one that waits, in front
    /// of a shared one.
    fn keeps_news_waiting(&self) -> bool {
        self.tier.resident().is_none() && self.tier.shared().is_none()
    }

    /// Drops entries of this tier and of those in front, in the keys' lane.
    async fn invalidate_here(self: &Arc<Self>, keys: &[Hashed<&T::Key>]) -> Result<()> {
        let _turn = self.turn(keys).await?;
        let own = self.remove_here(keys).await;
        self.each_above(|above| above.forget(keys));
        own
    }

    fn in_background<F>(&self, work: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(own) = self.own.upgrade() else { return };
        let active = self.work.begin(1);
        let work = work(own);
        // Outside of a runtime nobody can; the entries live no longer than they were given.
        let _ = spawn(async move {
            work.await;
            drop(active);
        });
    }
}

impl<T: Tier, N> Inner<T, N> {
    fn each_above(&self, tell: impl Fn(&dyn Above<T::Key>)) {
        let above: Vec<_> = self.above.lock().iter().filter_map(Weak::upgrade).collect();
        above.iter().for_each(|above| tell(&**above));
    }
}
