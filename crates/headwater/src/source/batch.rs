use super::{Batching, Inner};
use crate::flight::{Node, current_node, enter, is_held, panicked};
use crate::read_through::spawn;
use crate::sync::Mutex;
use crate::{Entry, Error, ErrorKind, Fetcher, Result};
use futures_util::FutureExt;
use std::borrow::Borrow;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Gathers fetches of single keys into batches.
///
/// A fetch queues its key. A collector, started when the queue was empty, takes what is queued as
/// soon as a batch may go, and ends when nothing is left. It begins with the scheduler's next turn,
/// so that fetches which start in the same one go together, and nobody waits on a timer.
pub(super) struct Batcher<F: Fetcher> {
    source: Arc<Inner<F>>,
    max_keys: usize,
    calls: Arc<Semaphore>,
    queue: Mutex<Queue<F>>,
}

struct Queue<F: Fetcher> {
    waiting: VecDeque<Asked<F>>,
    is_collected: bool,
}

/// One key that somebody waits for.
struct Asked<F: Fetcher> {
    key: <F::Key as ToOwned>::Owned,
    answer: oneshot::Sender<Result<Entry<F::Value>>>,
    /// The load that asks, if one does: it waits for the batch.
    asker: Option<Arc<Node>>,
}

impl<F: Fetcher> Batcher<F> {
    pub(super) fn new(source: Arc<Inner<F>>, batching: Batching) -> Self {
        let queue = Queue { waiting: VecDeque::new(), is_collected: false };
        Self {
            source,
            max_keys: batching.max_keys,
            calls: Arc::new(Semaphore::new(batching.max_concurrent)),
            queue: Mutex::new(queue),
        }
    }

    /// Asks for one key, together with others.
    pub(super) async fn fetch(self: &Arc<Self>, key: &F::Key) -> Result<Entry<F::Value>> {
        if is_held(self.owner()) {
            // A batch's own load asks: it goes on in the place of that batch, lest the two wait
            // for each other.
            return self.source.ask(&[key]).await.remove(0);
        }
        let (answer, answered) = oneshot::channel();
        let asked = Asked { key: key.to_owned(), answer, asker: current_node() };
        if self.enqueue(asked) {
            spawn(Collector { batcher: Arc::clone(self), is_done: false }.run())?;
        }
        let lost = || Err(Error::new(ErrorKind::Unavailable, "the runtime shut down"));
        answered.await.unwrap_or_else(|_| lost())
    }

    /// What marks the places of this batcher's calls.
    fn owner(&self) -> usize {
        Arc::as_ptr(&self.calls) as usize
    }

    /// Queues a key; whether a collector is to be started for it.
    fn enqueue(&self, asked: Asked<F>) -> bool {
        let mut queue = self.queue.lock();
        queue.waiting.push_back(asked);
        !std::mem::replace(&mut queue.is_collected, true)
    }

    /// The next keys, without those that nobody waits for any more. If there are none, nobody
    /// collects from now on.
    fn take_batch(&self) -> Vec<Asked<F>> {
        let mut batch = Vec::new();
        let mut given_up = Vec::new();
        let mut queue = self.queue.lock();
        while batch.len() < self.max_keys {
            let Some(asked) = queue.waiting.pop_front() else { break };
            if asked.answer.is_closed() { given_up.push(asked) } else { batch.push(asked) }
        }
        queue.is_collected = !batch.is_empty();
        drop(queue);
        batch
    }

    async fn answer(self: Arc<Self>, batch: Vec<Asked<F>>, place: OwnedSemaphorePermit) {
        let node = Arc::new(Node::for_askers(batch.iter().filter_map(|asked| asked.asker.clone())));
        let _holding = node.hold(self.owner(), Box::new(place));
        let keys: Vec<&F::Key> = batch.iter().map(|asked| asked.key.borrow()).collect();
        let outcomes = self.ask_as(&node, &keys).await;
        for (asked, outcome) in batch.into_iter().zip(outcomes) {
            // Who asked may have left meanwhile.
            let _ = asked.answer.send(outcome);
        }
    }

    /// One call of the source, made by the load `node`.
    async fn ask_as(&self, node: &Arc<Node>, keys: &[&F::Key]) -> Vec<Result<Entry<F::Value>>> {
        let mut load = pin!(AssertUnwindSafe(self.source.ask(keys)).catch_unwind());
        let outcomes = poll_fn(|context| {
            let _entered = enter(node);
            load.as_mut().poll(context)
        });
        outcomes.await.unwrap_or_else(|panic| {
            let error = panicked(panic.as_ref());
            keys.iter().map(|_| Err(error.clone())).collect()
        })
    }
}

/// Whoever sends off batches; there is one while keys are queued.
struct Collector<F: Fetcher> {
    batcher: Arc<Batcher<F>>,
    is_done: bool,
}

impl<F: Fetcher> Collector<F> {
    async fn run(mut self) {
        loop {
            // One more turn for fetches that are being polled right now.
            tokio::task::yield_now().await;
            let Ok(place) = Arc::clone(&self.batcher.calls).acquire_owned().await else { return };
            let batch = self.batcher.take_batch();
            if batch.is_empty() {
                self.is_done = true;
                return;
            }
            let _ = spawn(Arc::clone(&self.batcher).answer(batch, place));
        }
    }
}

impl<F: Fetcher> Drop for Collector<F> {
    /// It ends before its time when the runtime shuts down: whoever waits must be told, and the
    /// next to come may do so on another runtime.
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let mut queue = self.batcher.queue.lock();
        queue.is_collected = false;
        let abandoned = std::mem::take(&mut queue.waiting);
        drop(queue);
        drop(abandoned);
    }
}
