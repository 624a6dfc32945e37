//! The end of a chain: a fetcher, and what a chain does to protect it.

mod memo;

use crate::batch::{Ask, Batcher, WhenIdle};
use crate::fetcher::{FetchOptions, one_per_key};
use crate::flight::hold_while;
use crate::observe::Counter;
use crate::{
    Above, Batching, Cache, Clock, Entry, Error, ErrorKind, Fetcher, Hashed, Moment, Result,
    SourceStats, Stats,
};
use futures_util::future::Either;
use memo::Memo;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;

/// A fetcher as the end of a chain: [`Cache`] whose changes have nothing to change.
///
/// It stamps what comes with the time at which it was asked for, counts, and, where it is told to,
/// limits concurrent calls, gathers keys into batches, and remembers errors for a moment.
///
/// ```
/// use headwater::{fetch_fn, Batching, Fetcher, Source};
/// use std::time::Duration;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let source = Source::new(fetch_fn(async |key: u32| Ok(key * 2)))
///     .limit(64)
///     .batching(Batching::new().max_keys(500))
///     .error_memo(Duration::from_millis(200));
/// assert_eq!(source.fetch(&21).await?, 42);
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
pub struct Source<F: Fetcher> {
    inner: Arc<Inner<F>>,
    batcher: Option<Arc<Batcher<Arc<Inner<F>>>>>,
    batching: Option<Batching>,
}

struct Inner<F: Fetcher> {
    fetcher: F,
    clock: Clock,
    limit: Option<Arc<Semaphore>>,
    memo: Option<Memo<<F::Key as ToOwned>::Owned>>,
    counters: Counters,
    is_closed: AtomicBool,
}

#[derive(Default)]
struct Counters {
    calls: Counter,
    keys: Counter,
    absent: Counter,
    errors: Counter,
    remembered_errors: Counter,
}

impl<F: Fetcher> Source<F> {
    /// `fetcher` as the end of a chain: no limit, no batching, no memo of errors.
    pub fn new(fetcher: F) -> Self {
        let inner = Inner {
            fetcher,
            clock: Clock::system(),
            limit: None,
            memo: None,
            counters: Counters::default(),
            is_closed: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner), batcher: None, batching: None }
    }

    /// Reads time from `clock`. Default: the system's.
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        self.change(|inner| inner.clock = clock)
    }

    /// Allows at most `calls` calls of the fetcher at once; others wait for their turn, in order.
    /// A batch is one call. Default: no limit; 0 counts as 1.
    ///
    /// A load that fetches through the same chain goes on under its own place, and gives that up
    /// where it joins somebody else's load, so that no two ever wait for each other. A fetch from a
    /// task that the load spawned is not known to be the load's: it takes a place of its own, and a
    /// load that waits for such a task may wait for ever. A load goes on only while somebody who
    /// waits for it is polled, and keeps its place meanwhile.
    #[must_use]
    pub fn limit(self, calls: usize) -> Self {
        let limit = Arc::new(Semaphore::new(calls.clamp(1, Semaphore::MAX_PERMITS)));
        self.change(|inner| inner.limit = Some(limit))
    }

    /// Asks for many keys at a time wherever it can. Default: as the calls come.
    #[must_use]
    pub fn batching(mut self, batching: Batching) -> Self {
        self.batching = Some(batching);
        self.change(|_| ())
    }

    /// Answers fetches of a key whose load failed (unavailable, timed out, panicked) with the same
    /// error for `span`, without a call; or until any key is invalidated or inserted, or a call
    /// bounds the age. Default: no memo.
    #[must_use]
    pub fn error_memo(self, span: Duration) -> Self {
        self.change(|inner| inner.memo = Some(Memo::new(span)))
    }

    /// The fetcher that it was made of.
    pub fn fetcher(&self) -> &F {
        &self.inner.fetcher
    }

    /// Changes a source that is being set up, so that nobody shares it yet.
    fn change(mut self, edit: impl FnOnce(&mut Inner<F>)) -> Self {
        self.batcher = None;
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            edit(inner);
        }
        let batcher =
            |batching| Arc::new(Batcher::new(Arc::clone(&self.inner), batching, WhenIdle::Gather));
        self.batcher = self.batching.map(batcher);
        self
    }

    async fn one(&self, key: &F::Key, options: &FetchOptions) -> Result<Entry<F::Value>> {
        if let Some(answer) = self.inner.known(key, options) {
            return answer;
        }
        match &self.batcher {
            // Boxed, so that a source that is asked as calls come needs little memory.
            Some(batcher) => Box::pin(batcher.fetch(key)).await,
            None => self.inner.ask_one(key).await,
        }
    }

    async fn many(&self, keys: &[&F::Key], options: &FetchOptions) -> Vec<Result<Entry<F::Value>>> {
        let mut outcomes: Vec<_> = keys.iter().map(|key| self.inner.known(key, options)).collect();
        let unknown: Vec<usize> = (0..keys.len()).filter(|at| outcomes[*at].is_none()).collect();
        let asked: Vec<&F::Key> = unknown.iter().map(|place| keys[*place]).collect();
        let answers = match &self.batcher {
            _ if asked.is_empty() => Vec::new(),
            Some(batcher) => batcher.fetch_many(&asked).await,
            None => self.inner.ask(&asked).await,
        };
        for (place, answer) in unknown.into_iter().zip(answers) {
            outcomes[place] = Some(answer);
        }
        outcomes.into_iter().flatten().collect()
    }
}

impl<F: Fetcher> Inner<F> {
    /// The answer that needs no call: the source is closed, or has just failed for this key.
    fn known(&self, key: &F::Key, options: &FetchOptions) -> Option<Result<Entry<F::Value>>> {
        if self.is_closed.load(Relaxed) {
            return Some(Err(Error::new(ErrorKind::Closed, "").with_tier("source")));
        }
        if options.bounds_age() {
            return None;
        }
        let error = self.memo.as_ref()?.recall(key, &self.clock)?;
        self.counters.remembered_errors.add(1);
        Some(Err(error))
    }

    /// Runs a call within the limit.
    fn within_limit<R>(
        &self,
        call: impl Future<Output = R> + Send,
    ) -> impl Future<Output = R> + Send {
        let Some(limit) = &self.limit else { return Either::Left(call) };
        let owner = Arc::as_ptr(limit) as usize;
        let place = async { Box::new(Arc::clone(limit).acquire_owned().await) as Box<_> };
        // Boxed, so that a source without a limit needs little memory.
        Either::Right(Box::pin(hold_while(owner, place, call)))
    }

    /// One call of the fetcher for one key, within the limit.
    async fn ask_one(&self, key: &F::Key) -> Result<Entry<F::Value>> {
        let call = async {
            let call = self.begin(1);
            let outcome = self.fetcher.fetch_entry(key, &FetchOptions::new()).await;
            self.end(&call, key, outcome)
        };
        self.within_limit(call).await
    }

    fn begin(&self, keys: usize) -> Call {
        self.counters.calls.add(1);
        self.counters.keys.add(keys as u64);
        Call { asked: self.clock.now(), changes: self.memo.as_ref().map(Memo::changes) }
    }

    /// What a call brought for a key, noted and stamped.
    fn end(
        &self,
        call: &Call,
        key: &F::Key,
        outcome: Result<Entry<F::Value>>,
    ) -> Result<Entry<F::Value>> {
        match outcome {
            Ok(entry) => {
                self.counters.absent.add(u64::from(entry.is_absent()));
                Ok(match entry.loaded() {
                    Some(_) => entry,
                    None => entry.loaded_at(call.asked),
                })
            }
            Err(error) => {
                self.counters.errors.add(1);
                // What came of the circumstances may go well the next time.
                let is_lasting = error.is_retryable() || error.kind() == ErrorKind::Panicked;
                if let (Some(memo), Some(changes), true) = (&self.memo, call.changes, is_lasting) {
                    memo.remember(key.to_owned(), error.clone(), changes, &self.clock);
                }
                Err(error)
            }
        }
    }
}

/// A call that goes on.
struct Call {
    asked: Moment,
    /// The changes that the memo knew of when it began.
    changes: Option<u64>,
}

impl<F: Fetcher> Ask for Arc<Inner<F>> {
    type Key = F::Key;
    type Answer = Entry<F::Value>;

    /// One call of the fetcher, within the limit.
    async fn ask(&self, keys: &[&F::Key]) -> Vec<Result<Entry<F::Value>>> {
        if let [key] = keys {
            return vec![self.ask_one(key).await];
        }
        let call = async {
            let call = self.begin(keys.len());
            let outcomes = self.fetcher.fetch_entries(keys, &FetchOptions::new()).await;
            let outcomes = keys.iter().zip(one_per_key(keys.len(), outcomes));
            outcomes.map(|(key, outcome)| self.end(&call, key, outcome)).collect()
        };
        self.within_limit(call).await
    }
}

impl<F: Fetcher> Fetcher for Source<F> {
    type Key = F::Key;
    type Value = F::Value;

    async fn fetch(&self, key: &F::Key) -> Result<F::Value> {
        self.one(key, &FetchOptions::new()).await?.into_outcome()
    }

    async fn fetch_many(&self, keys: &[&F::Key]) -> Vec<Result<F::Value>> {
        let entries = self.many(keys, &FetchOptions::new()).await;
        entries.into_iter().map(|outcome| outcome.and_then(Entry::into_outcome)).collect()
    }

    async fn close(&self) -> Result<()> {
        if self.inner.is_closed.swap(true, Relaxed) {
            return Ok(());
        }
        self.inner.fetcher.close().await
    }

    async fn fetch_entry(&self, key: &F::Key, options: &FetchOptions) -> Result<Entry<F::Value>> {
        self.one(key, options).await
    }

    async fn fetch_entries(
        &self,
        keys: &[&F::Key],
        options: &FetchOptions,
    ) -> Vec<Result<Entry<F::Value>>> {
        self.many(keys, options).await
    }
}

/// The source of truth keeps nothing, so there is nothing to forget but recent errors.
impl<F: Fetcher> Cache for Source<F> {
    async fn invalidate(&self, _: &F::Key) -> Result<()> {
        self.inner.forget_errors()
    }

    async fn invalidate_many(&self, _: &[&F::Key]) -> Result<()> {
        self.inner.forget_errors()
    }

    async fn insert(&self, _: &F::Key, _: impl Into<Entry<F::Value>> + Send) -> Result<()> {
        self.inner.forget_errors()
    }

    async fn insert_through(
        &self,
        _: Hashed<&F::Key>,
        entry: Entry<F::Value>,
    ) -> Result<Entry<F::Value>> {
        self.inner.forget_errors().map(|()| entry)
    }

    async fn clear(&self) -> Result<()> {
        self.inner.forget_errors()
    }

    fn stats(&self) -> Stats {
        let Counters { calls, keys, absent, errors, remembered_errors } = &self.inner.counters;
        let source = SourceStats {
            calls: calls.get(),
            keys: keys.get(),
            absent: absent.get(),
            errors: errors.get(),
            remembered_errors: remembered_errors.get(),
        };
        Stats { tiers: Vec::new(), source }
    }

    /// A memo of errors is forgotten at once.
    fn keeps_nothing(&self) -> bool {
        true
    }

    /// A source tells nobody of its changes.
    fn attach(&self, _: Weak<dyn Above<F::Key>>) {}
}

impl<F: Fetcher> Inner<F> {
    fn forget_errors(&self) -> Result<()> {
        if let Some(memo) = &self.memo {
            memo.forget();
        }
        Ok(())
    }
}

impl<F: Fetcher> fmt::Debug for Source<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Source");
        debug.field("batching", &self.batching).field("stats", &self.stats().source);
        debug.finish_non_exhaustive()
    }
}
