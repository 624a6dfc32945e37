//! Presence within one process: a map, and its ends in order, so that what is dead is found without
//! looking at what lives.

use super::{LEAST, Presence, PresenceCache, TIME_TO_LIVE};
use crate::sync::{Arc, Mutex};
use crate::{Clock, Error, ErrorKind, Key, Moment, Result, Value};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

/// So many dead entries each write drops: more than it adds, so that the dead never pile up.
const DROPPED: usize = 8;

/// A [`Presence`] of this process alone: for a single instance, and for tests.
///
/// Clones share entries and time to live. Each write drops up to eight dead entries, the longest dead
/// first, in O(log n) each; nothing else bounds the number of entries. Keys are stored twice.
///
/// ```
/// use headwater::presence::{MemoryPresence, PresenceCache};
/// use std::time::Duration;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let online = MemoryPresence::<u64, String>::new().ttl(Duration::from_secs(20));
/// online.set(&7, &"here".to_owned()).await?;
/// assert_eq!(online.len(), 1);
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
pub struct MemoryPresence<K: ?Sized + Key, V> {
    shared: Arc<Mutex<Entries<K::Owned, V>>>,
    clock: Clock,
    ttl: Duration,
}

struct Entries<K, V> {
    /// What lives, or has not been dropped yet.
    by_key: HashMap<K, Held<V>>,
    /// Those whose lives end, by their end; numbers tell those of one moment apart.
    by_end: BTreeMap<(Moment, u64), K>,
    next: u64,
    is_closed: bool,
}

struct Held<V> {
    value: V,
    /// [`Moment::END`]: never.
    end: Moment,
    number: u64,
}

impl<K: ?Sized + Key, V: Value> MemoryPresence<K, V> {
    /// An empty store whose entries live for 60 seconds.
    #[must_use]
    pub fn new() -> Self {
        let entries =
            Entries { by_key: HashMap::new(), by_end: BTreeMap::new(), next: 0, is_closed: false };
        Self { shared: Arc::new(Mutex::new(entries)), clock: Clock::system(), ttl: TIME_TO_LIVE }
    }

    /// How long entries live if nothing else is said; at least 1 ms, [`Duration::MAX`] is without
    /// end. Default: 60 seconds.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// The clock that counts lives. Default: the system's monotonic clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The number of entries, dead ones that were not dropped yet included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.lock().by_key.len()
    }

    /// Whether there is nothing, not even what is dead.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn end(&self, ttl: Option<Duration>) -> Moment {
        match ttl.unwrap_or(self.ttl) {
            Duration::MAX => Moment::END,
            ttl => self.clock.now() + ttl.max(LEAST),
        }
    }

    fn put(&self, key: &K, value: &V, ttl: Option<Duration>, only_if_absent: bool) -> Result<bool> {
        let (now, end) = (self.clock.now(), self.end(ttl));
        let (key, value) = (key.to_owned(), value.clone());
        // Dropped after the lock: a value's `Drop` is the user's code.
        let _displaced;
        let _dead;
        let mut entries = self.shared.lock();
        entries.check()?;
        if only_if_absent && entries.live::<K>(std::borrow::Borrow::borrow(&key), now).is_some() {
            return Ok(false);
        }
        _displaced = entries.take::<K>(std::borrow::Borrow::borrow(&key));
        _dead = entries.take_dead(now);
        entries.add(key, value, end);
        Ok(true)
    }
}

impl<K: Clone + Eq + std::hash::Hash, V> Entries<K, V> {
    fn check(&self) -> Result<()> {
        if self.is_closed {
            return Err(Error::new(ErrorKind::Closed, "").with_tier("memory"));
        }
        Ok(())
    }

    fn live<Q>(&self, key: &Q, now: Moment) -> Option<&Held<V>>
    where
        Q: ?Sized + Key<Owned = K>,
        K: std::borrow::Borrow<Q>,
    {
        self.by_key.get(key).filter(|held| held.end == Moment::END || held.end > now)
    }

    fn add(&mut self, key: K, value: V, end: Moment) {
        let number = self.next;
        self.next += 1;
        if end != Moment::END {
            self.by_end.insert((end, number), key.clone());
        }
        self.by_key.insert(key, Held { value, end, number });
    }

    fn take<Q>(&mut self, key: &Q) -> Option<(K, Held<V>)>
    where
        Q: ?Sized + Key<Owned = K>,
        K: std::borrow::Borrow<Q>,
    {
        let (key, held) = self.by_key.remove_entry(key)?;
        self.by_end.remove(&(held.end, held.number));
        Some((key, held))
    }

    fn take_dead(&mut self, now: Moment) -> Vec<(K, Held<V>)> {
        let mut dead = Vec::new();
        while dead.len() < DROPPED {
            let Some(first) = self.by_end.first_entry().filter(|first| first.key().0 <= now) else {
                break;
            };
            let key = first.remove();
            dead.extend(self.by_key.remove_entry(&key));
        }
        dead
    }
}

impl<K: ?Sized + Key, V: Value> PresenceCache for MemoryPresence<K, V> {
    type Key = K;
    type Value = V;

    async fn set(&self, key: &K, value: &V) -> Result<()> {
        self.put(key, value, None, false).map(drop)
    }

    async fn fetch(&self, key: &K) -> Result<Option<V>> {
        let entries = self.shared.lock();
        entries.check()?;
        Ok(entries.live(key, self.clock.now()).map(|held| held.value.clone()))
    }

    async fn delete(&self, key: &K) -> Result<bool> {
        self.delete_if(key, &|_| true).await
    }

    async fn close(&self) -> Result<()> {
        let mut entries = self.shared.lock();
        entries.is_closed = true;
        let values = std::mem::take(&mut entries.by_key);
        let ends = std::mem::take(&mut entries.by_end);
        drop(entries);
        drop((values, ends));
        Ok(())
    }
}

impl<K: ?Sized + Key, V: Value> Presence for MemoryPresence<K, V> {
    async fn set_for(&self, key: &K, value: &V, ttl: Option<Duration>) -> Result<()> {
        self.put(key, value, ttl, false).map(drop)
    }

    async fn set_if_absent(&self, key: &K, value: &V, ttl: Option<Duration>) -> Result<bool> {
        self.put(key, value, ttl, true)
    }

    async fn fetch_many(&self, keys: &[&K]) -> Vec<Result<Option<V>>> {
        let mut outcomes = Vec::with_capacity(keys.len());
        for key in keys {
            outcomes.push(self.fetch(key).await);
        }
        outcomes
    }

    async fn remaining(&self, key: &K) -> Result<Option<Duration>> {
        let now = self.clock.now();
        let entries = self.shared.lock();
        entries.check()?;
        let left = |end| if end == Moment::END { Duration::MAX } else { end - now };
        Ok(entries.live(key, now).map(|held| left(held.end)))
    }

    async fn touch(&self, key: &K, ttl: Option<Duration>) -> Result<bool> {
        let (now, end) = (self.clock.now(), self.end(ttl));
        let mut entries = self.shared.lock();
        entries.check()?;
        if entries.live(key, now).is_none() {
            return Ok(false);
        }
        if let Some((key, held)) = entries.take(key) {
            entries.add(key, held.value, end);
        }
        Ok(true)
    }

    async fn touch_many<'k>(&self, keys: &[&'k K], ttl: Option<Duration>) -> Result<Vec<&'k K>> {
        let mut missing = Vec::new();
        for key in keys {
            if !self.touch(key, ttl).await? {
                missing.push(*key);
            }
        }
        Ok(missing)
    }

    async fn delete_if(&self, key: &K, is_it: &(dyn Fn(&V) -> bool + Send + Sync)) -> Result<bool> {
        loop {
            let seen = {
                let entries = self.shared.lock();
                entries.check()?;
                let live = entries.live(key, self.clock.now());
                live.map(|held| (held.value.clone(), held.number))
            };
            let Some((value, number)) = seen else { return Ok(false) };
            // The user's code, outside the lock.
            if !is_it(&value) {
                return Ok(false);
            }
            let mut entries = self.shared.lock();
            if entries.by_key.get(key).is_some_and(|held| held.number == number) {
                let deleted = entries.take(key);
                drop(entries);
                return Ok(deleted.is_some_and(|(_, held)| held.end > self.clock.now()));
            }
        }
    }
}

impl<K: ?Sized + Key, V: Value> Default for MemoryPresence<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: ?Sized + Key, V> Clone for MemoryPresence<K, V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), clock: self.clock.clone(), ttl: self.ttl }
    }
}

impl<K: ?Sized + Key, V: Value> fmt::Debug for MemoryPresence<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("MemoryPresence");
        debug.field("entries", &self.len()).field("ttl", &self.ttl).finish()
    }
}
