use super::{Gate, Tally};
use crate::sync::{Arc, Mutex};
use crate::{Clock, Error, ErrorKind, Fetcher, Key, Result, Value};
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// What a [`TestSource`] does with a call before it answers.
#[derive(Clone, Debug, Default)]
pub enum Behaviour {
    /// Answers at once.
    #[default]
    Prompt,
    /// Reads its answers, and gives them when the gate opens.
    Gated(Gate),
    /// Reads its answers, and gives them after a while on this clock.
    Slow(Clock, Duration),
    /// Fails with this error.
    Failing(Error),
    /// Panics.
    Panicking,
}

/// A source of truth for tests: a map that counts how often it is asked, and that can be made to
/// wait, to fail and to panic.
///
/// Clones are the same source. Values are read when a call begins, and given when it ends, so that a
/// change in between makes a call's answer old.
///
/// ```
/// use headwater::Fetcher;
/// use headwater::testkit::{Behaviour, TestSource};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let source = TestSource::<str, u32>::new();
/// source.set("a", 1);
/// assert_eq!(source.fetch("a").await?, 1);
/// assert!(source.fetch("b").await.unwrap_err().is_not_found());
/// assert_eq!(source.calls().count(), 2);
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
pub struct TestSource<K: ?Sized + Key, V> {
    shared: Arc<Shared<K::Owned, V>>,
}

struct Shared<K, V> {
    values: Mutex<HashMap<K, V>>,
    errors: Mutex<HashMap<K, Error>>,
    behaviour: Mutex<Behaviour>,
    is_closed: Mutex<bool>,
    calls: Tally,
    keys: Tally,
    answered: Tally,
}

impl<K: ?Sized + Key, V: Value> TestSource<K, V> {
    /// An empty source that answers at once.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            values: Mutex::default(),
            errors: Mutex::default(),
            behaviour: Mutex::default(),
            is_closed: Mutex::default(),
            calls: Tally::new(),
            keys: Tally::new(),
            answered: Tally::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Sets the value of a key, for calls that begin from now on.
    pub fn set(&self, key: &K, value: V) {
        self.shared.values.lock().insert(key.to_owned(), value);
    }

    /// Makes a key absent.
    pub fn unset(&self, key: &K) {
        self.shared.values.lock().remove(key);
    }

    /// Makes one key fail with `error`, or no longer.
    pub fn fail_key(&self, key: &K, error: Option<Error>) {
        let mut errors = self.shared.errors.lock();
        match error {
            Some(error) => errors.insert(key.to_owned(), error),
            None => errors.remove(key),
        };
    }

    /// Decides how calls that begin from now on behave.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock() = behaviour;
    }

    /// Has calls that begin from now on wait for a gate, and returns it.
    #[must_use]
    pub fn gate(&self) -> Gate {
        let gate = Gate::new();
        self.behave(Behaviour::Gated(gate.clone()));
        gate
    }

    /// Calls begun; a batch is one.
    #[must_use]
    pub fn calls(&self) -> &Tally {
        &self.shared.calls
    }

    /// Keys asked for.
    #[must_use]
    pub fn keys(&self) -> &Tally {
        &self.shared.keys
    }

    /// Calls that ran to their end.
    #[must_use]
    pub fn answered(&self) -> &Tally {
        &self.shared.answered
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.shared.is_closed.lock()
    }

    fn read(&self, key: &K) -> Result<V> {
        if let Some(error) = self.shared.errors.lock().get(key) {
            return Err(error.clone());
        }
        self.shared.values.lock().get(key).cloned().ok_or(Error::not_found())
    }

    async fn answer(&self, keys: &[&K]) -> Vec<Result<V>> {
        if self.is_closed() {
            let closed = Error::new(ErrorKind::Closed, "the test source");
            return keys.iter().map(|_| Err(closed.clone())).collect();
        }
        let behaviour = self.shared.behaviour.lock().clone();
        let outcomes = keys.iter().map(|key| self.read(key)).collect();
        self.shared.keys.add(keys.len());
        self.shared.calls.add(1);
        let outcomes = match behaviour {
            Behaviour::Prompt => outcomes,
            Behaviour::Gated(gate) => {
                gate.passed().await;
                outcomes
            }
            Behaviour::Slow(clock, span) => {
                clock.sleep(span).await;
                outcomes
            }
            Behaviour::Failing(error) => keys.iter().map(|_| Err(error.clone())).collect(),
            Behaviour::Panicking => std::panic::panic_any("the test source panics, as it was told"),
        };
        self.shared.answered.add(1);
        outcomes
    }
}

impl<K: ?Sized + Key, V: Value> Default for TestSource<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: ?Sized + Key, V> Clone for TestSource<K, V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K: ?Sized + Key, V> fmt::Debug for TestSource<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestSource")
            .field("calls", &self.shared.calls.count())
            .finish_non_exhaustive()
    }
}

impl<K: ?Sized + Key, V: Value> Fetcher for TestSource<K, V> {
    type Key = K;
    type Value = V;

    async fn fetch(&self, key: &K) -> Result<V> {
        self.answer(&[key]).await.remove(0)
    }

    async fn fetch_many(&self, keys: &[&K]) -> Vec<Result<V>> {
        self.answer(keys).await
    }

    async fn close(&self) -> Result<()> {
        *self.shared.is_closed.lock() = true;
        Ok(())
    }
}
