use super::{Gate, Tally};
use crate::sync::{Arc, Mutex};
use crate::{Batching, Entry, Error, Moment, Resident, Result, Shared, Tier};
use std::fmt;

/// Any tier as if it were on another machine: its operations may be made to wait and to fail, and
/// it hides its [`Resident`] face, so that the engine treats it as it treats a server.
///
/// Clones share what they are told, and the inner tier.
///
/// ```
/// use headwater::testkit::RemoteTier;
/// use headwater::{fetch_fn, Fetcher, Headwater, MemoryCache};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let remote = RemoteTier::new(MemoryCache::new());
/// let chain = Headwater::source(fetch_fn(async |key: u32| Ok(key))).through(remote.clone()).build();
/// assert_eq!(chain.fetch(&7).await?, 7);
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
pub struct RemoteTier<T> {
    inner: Arc<T>,
    control: Arc<Control>,
}

#[derive(Default)]
struct Control {
    failure: Mutex<Option<Error>>,
    batching: Mutex<Option<Batching>>,
    read_gate: Mutex<Option<Gate>>,
    write_gate: Mutex<Option<Gate>>,
    reads: Tally,
    writes: Tally,
    batches: Tally,
}

impl<T: Tier> RemoteTier<T> {
    /// `tier`, behind a network that works.
    pub fn new(tier: T) -> Self {
        Self { inner: Arc::new(tier), control: Arc::default() }
    }

    /// Has look-ups of single keys gathered; to be told before it becomes part of a chain.
    #[must_use]
    pub fn gathering(self, batching: Batching) -> Self {
        *self.control.batching.lock() = Some(batching);
        self
    }

    /// The tier itself, past the network.
    #[must_use]
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// Makes every operation fail, or no longer.
    pub fn fail(&self, error: Option<Error>) {
        *self.control.failure.lock() = error;
    }

    /// Has reads that begin from now on read at once but answer only when the gate opens.
    #[must_use]
    pub fn gate_reads(&self) -> Gate {
        let gate = Gate::new();
        *self.control.read_gate.lock() = Some(gate.clone());
        gate
    }

    /// Has puts that begin from now on take effect only when the gate opens.
    #[must_use]
    pub fn gate_puts(&self) -> Gate {
        let gate = Gate::new();
        *self.control.write_gate.lock() = Some(gate.clone());
        gate
    }

    /// Operations that read, begun so far.
    #[must_use]
    pub fn reads(&self) -> &Tally {
        &self.control.reads
    }

    /// Operations that write, begun so far.
    #[must_use]
    pub fn writes(&self) -> &Tally {
        &self.control.writes
    }

    /// Of all operations, those on many keys.
    #[must_use]
    pub fn batches(&self) -> &Tally {
        &self.control.batches
    }

    async fn pass_write(&self) -> Result<()> {
        let gate = self.control.write_gate.lock().clone();
        self.control.writes.add(1);
        if let Some(gate) = gate {
            gate.passed().await;
        }
        self.failure()
    }

    async fn pass_read<R>(&self, read: impl Future<Output = R>) -> Result<R> {
        let gate = self.control.read_gate.lock().clone();
        let answer = read.await;
        self.control.reads.add(1);
        if let Some(gate) = gate {
            gate.passed().await;
        }
        self.failure()?;
        Ok(answer)
    }

    fn failure(&self) -> Result<()> {
        self.control.failure.lock().clone().map_or(Ok(()), Err)
    }
}

impl<T: Tier> Tier for RemoteTier<T> {
    type Key = T::Key;
    type Value = T::Value;

    fn name(&self) -> &str {
        "remote"
    }

    async fn get(&self, key: &T::Key) -> Result<Option<Entry<T::Value>>> {
        self.pass_read(self.inner.get(key)).await?
    }

    async fn get_many(&self, keys: &[&T::Key]) -> Vec<Result<Option<Entry<T::Value>>>> {
        self.control.batches.add(1);
        match self.pass_read(self.inner.get_many(keys)).await {
            Ok(answers) => answers,
            Err(error) => keys.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn put(&self, key: &T::Key, entry: &Entry<T::Value>) -> Result<()> {
        self.pass_write().await?;
        self.inner.put(key, entry).await
    }

    async fn put_many(&self, entries: &[(&T::Key, &Entry<T::Value>)]) -> Vec<Result<()>> {
        self.control.batches.add(1);
        match self.pass_write().await {
            Ok(()) => self.inner.put_many(entries).await,
            Err(error) => entries.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn remove(&self, key: &T::Key) -> Result<()> {
        self.control.writes.add(1);
        self.failure()?;
        self.inner.remove(key).await
    }

    async fn remove_many(&self, keys: &[&T::Key]) -> Result<()> {
        self.control.writes.add(1);
        self.failure()?;
        self.inner.remove_many(keys).await
    }

    async fn clear(&self) -> Result<()> {
        self.failure()?;
        self.inner.clear().await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }

    fn life(&self, key: &T::Key, entry: &Entry<T::Value>) -> Option<Moment> {
        self.inner.life(key, entry)
    }

    fn batching(&self) -> Option<Batching> {
        *self.control.batching.lock()
    }

    fn resident(&self) -> Option<&dyn Resident<T::Key, T::Value>> {
        None
    }

    fn shared(&self) -> Option<&dyn Shared<T::Key, T::Value>> {
        None
    }
}

impl<T> Clone for RemoteTier<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), control: Arc::clone(&self.control) }
    }
}

impl<T> fmt::Debug for RemoteTier<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteTier").finish_non_exhaustive()
    }
}
