use super::{ManualClock, Tally};
use crate::sync::{Arc, Mutex};
use crate::{
    Above, Batching, Entry, Error, ErrorKind, Hashed, Key, Lease, Leased, Moment, Resident, Result,
    Shared, Tier, Value,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Weak;
use std::time::Duration;
use tokio::sync::watch;

/// A store that several processes share, played in one: each [`member`](Self::member) is the tier of
/// one process, with leases and news of what the others change, as a server would give them.
///
/// News may be held back and let go, so that a test decides in which order they come.
///
/// ```
/// use headwater::testkit::{Fleet, ManualClock};
/// use headwater::{fetch_fn, Fetcher, Headwater};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let fleet = Fleet::<u32, u32>::new(&ManualClock::new());
/// let process = || {
///     let source = fetch_fn(async |key: u32| Ok(key));
///     Headwater::source(source).through(fleet.member()).build()
/// };
/// let (one, other) = (process(), process());
/// assert_eq!(one.fetch(&7).await?, 7);
/// assert_eq!(other.fetch(&7).await?, 7);
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
pub struct Fleet<K: ?Sized + Key, V>(Arc<Store<K, V>>);

/// The tier of one process of a [`Fleet`].
pub struct Member<K: ?Sized + Key, V> {
    store: Arc<Store<K, V>>,
    id: usize,
}

struct Store<K: ?Sized + Key, V> {
    time: ManualClock,
    lease_for: Duration,
    state: Mutex<State<K, V>>,
    /// Grows with each change.
    changes: watch::Sender<u64>,
    leases: Tally,
    failure: Mutex<Option<Error>>,
}

struct State<K: ?Sized + Key, V> {
    entries: HashMap<K::Owned, Entry<V>>,
    leases: HashMap<K::Owned, (Lease, Moment)>,
    next: u128,
    attached: Vec<(usize, Weak<dyn Above<K>>)>,
    /// News that wait, if they are held back: who caused it, and of which key.
    held_back: Option<Vec<(usize, K::Owned)>>,
}

impl<K: ?Sized + Key, V: Value> Fleet<K, V> {
    /// An empty store whose leases last ten seconds of `time`.
    #[must_use]
    pub fn new(time: &ManualClock) -> Self {
        let state = State {
            entries: HashMap::new(),
            leases: HashMap::new(),
            next: 0,
            attached: Vec::new(),
            held_back: None,
        };
        Self(Arc::new(Store {
            time: time.clone(),
            lease_for: Duration::from_secs(10),
            state: Mutex::new(state),
            changes: watch::Sender::new(0),
            leases: Tally::new(),
            failure: Mutex::default(),
        }))
    }

    /// The tier of one more process.
    #[must_use]
    pub fn member(&self) -> Member<K, V> {
        let mut state = self.0.state.lock();
        state.next += 1;
        let id = state.next as usize;
        Member { store: Arc::clone(&self.0), id }
    }

    /// What is stored.
    #[must_use]
    pub fn peek(&self, key: &K) -> Option<Entry<V>> {
        self.0.state.lock().entries.get(key).cloned()
    }

    /// How many leases were given.
    #[must_use]
    pub fn leases(&self) -> &Tally {
        &self.0.leases
    }

    /// Makes every operation of every member fail, or no longer.
    pub fn fail(&self, error: Option<Error>) {
        *self.0.failure.lock() = error;
    }

    /// Holds back news from now on.
    pub fn hold_news(&self) {
        self.0.state.lock().held_back.get_or_insert_default();
    }

    /// Lets the news go that were held back.
    pub fn release_news(&self) {
        let news = self.0.state.lock().held_back.take().unwrap_or_default();
        news.into_iter().for_each(|(cause, key)| self.0.tell(cause, key));
    }

    /// Tells everybody that news may have been lost.
    pub fn lose_news(&self) {
        self.0.tell_all();
    }
}

impl<K: ?Sized + Key, V: Value> Store<K, V> {
    fn check(&self) -> Result<()> {
        self.failure.lock().clone().map_or(Ok(()), Err)
    }

    /// Tells everybody but `cause` that `key` was changed.
    fn tell(&self, cause: usize, key: K::Owned) {
        let attached = {
            let mut state = self.state.lock();
            if let Some(held_back) = &mut state.held_back {
                held_back.push((cause, key));
                return;
            }
            state.attached.clone()
        };
        let others = attached.iter().filter(|(id, _)| *id != cause);
        for above in others.filter_map(|(_, above)| above.upgrade()) {
            above.forget(&[Hashed::new(key.borrow())]);
        }
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Tells everybody that anything may have been changed.
    fn tell_all(&self) {
        let attached = self.state.lock().attached.clone();
        attached.iter().filter_map(|(_, above)| above.upgrade()).for_each(|a| a.forget_all());
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn live(&self, state: &State<K, V>, key: &K) -> Option<Entry<V>> {
        let now = self.time.clock().now();
        state.entries.get(key).filter(|entry| entry.is_live(now)).cloned()
    }

    /// Stores an entry; whoever loads the key is too late.
    fn put(&self, cause: usize, key: &K, entry: &Entry<V>) {
        let mut state = self.state.lock();
        state.entries.insert(key.to_owned(), entry.clone());
        state.leases.remove(key);
        drop(state);
        self.tell(cause, key.to_owned());
    }

    fn remove(&self, cause: usize, key: &K) {
        let mut state = self.state.lock();
        state.entries.remove(key);
        state.leases.remove(key);
        drop(state);
        self.tell(cause, key.to_owned());
    }

    fn lease(&self, key: &K, look: bool) -> Result<Leased<V>> {
        self.check()?;
        let now = self.time.clock().now();
        let mut state = self.state.lock();
        if let Some(entry) = self.live(&state, key).filter(|_| look) {
            return Ok(Leased::Found(entry));
        }
        if let Some((_, end)) = state.leases.get(key).filter(|(_, end)| now < *end) {
            return Ok(Leased::Held(*end));
        }
        state.next += 1;
        let lease = Lease::new(state.next);
        state.leases.insert(key.to_owned(), (lease, now + self.lease_for));
        self.leases.add(1);
        Ok(Leased::Granted(lease))
    }

    /// Ends a lease; whether it was valid.
    fn end(&self, key: &K, lease: Lease) -> bool {
        let now = self.time.clock().now();
        let mut state = self.state.lock();
        let valid = state.leases.get(key).is_some_and(|(own, end)| *own == lease && now < *end);
        if valid {
            state.leases.remove(key);
        }
        valid
    }

    fn fill(&self, cause: usize, key: &K, entry: &Entry<V>, lease: Lease) -> Result<bool> {
        self.check()?;
        let valid = self.end(key, lease);
        if valid {
            self.put(cause, key, entry);
        }
        Ok(valid)
    }
}

impl<K: ?Sized + Key, V: Value> Tier for Member<K, V> {
    type Key = K;
    type Value = V;

    fn name(&self) -> &str {
        "fleet"
    }

    async fn get(&self, key: &K) -> Result<Option<Entry<V>>> {
        self.store.check()?;
        Ok(self.store.live(&self.store.state.lock(), key))
    }

    async fn get_many(&self, keys: &[&K]) -> Vec<Result<Option<Entry<V>>>> {
        let state = self.store.state.lock();
        let get = |key: &&K| self.store.check().map(|()| self.store.live(&state, key));
        keys.iter().map(get).collect()
    }

    async fn put(&self, key: &K, entry: &Entry<V>) -> Result<()> {
        self.store.check()?;
        self.store.put(self.id, key, entry);
        Ok(())
    }

    async fn put_many(&self, entries: &[(&K, &Entry<V>)]) -> Vec<Result<()>> {
        let put = |key, entry| self.store.check().map(|()| self.store.put(self.id, key, entry));
        entries.iter().map(|(key, entry)| put(*key, *entry)).collect()
    }

    async fn remove(&self, key: &K) -> Result<()> {
        self.remove_many(&[key]).await
    }

    async fn remove_many(&self, keys: &[&K]) -> Result<()> {
        self.store.check()?;
        keys.iter().for_each(|key| self.store.remove(self.id, key));
        Ok(())
    }

    async fn clear(&self) -> Result<()> {
        self.store.check()?;
        let mut state = self.store.state.lock();
        state.entries.clear();
        state.leases.clear();
        drop(state);
        self.store.tell_all();
        Ok(())
    }

    fn life(&self, _: &K, entry: &Entry<V>) -> Option<Moment> {
        entry.expiry()
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    fn batching(&self) -> Option<Batching> {
        None
    }

    fn resident(&self) -> Option<&dyn Resident<K, V>> {
        None
    }

    fn shared(&self) -> Option<&dyn Shared<K, V>> {
        Some(self)
    }
}

impl<K: ?Sized + Key, V: Value> Shared<K, V> for Member<K, V> {
    fn attach(&self, above: Weak<dyn Above<K>>) {
        self.store.state.lock().attached.push((self.id, above));
    }

    fn lease<'a>(&'a self, keys: &'a [&'a K], look: bool) -> BoxFuture<'a, Vec<Result<Leased<V>>>> {
        async move { keys.iter().map(|key| self.store.lease(key, look)).collect() }.boxed()
    }

    fn fill<'a>(
        &'a self,
        fills: &'a [(&'a K, &'a Entry<V>, Lease)],
    ) -> BoxFuture<'a, Vec<Result<bool>>> {
        let fill = |(key, entry, lease): &(&K, &Entry<V>, Lease)| {
            self.store.fill(self.id, key, entry, *lease)
        };
        async move { fills.iter().map(fill).collect() }.boxed()
    }

    fn release<'a>(&'a self, leases: &'a [(&'a K, Lease)]) -> BoxFuture<'a, Result<()>> {
        async move {
            self.store.check()?;
            for (key, lease) in leases {
                self.store.end(key, *lease);
                self.store.tell(self.id, (*key).to_owned());
            }
            Ok(())
        }
        .boxed()
    }

    fn changed(&self, _: &[&K]) -> BoxFuture<'static, ()> {
        let mut changes = self.store.changes.subscribe();
        async move {
            if changes.changed().await.is_err() {
                // The store is gone, and with it whoever could change anything.
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }
}

impl<K: ?Sized + Key, V> fmt::Debug for Fleet<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").finish_non_exhaustive()
    }
}

impl<K: ?Sized + Key, V> fmt::Debug for Member<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A store gone wrong, for [`Fleet::fail`] and its like.
///
/// ```
/// assert!(headwater::testkit::unavailable().is_retryable());
/// ```
#[must_use]
pub fn unavailable() -> Error {
    Error::new(ErrorKind::Unavailable, "down, as the test wants it")
}
