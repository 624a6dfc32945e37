//! Gathers requests for single keys into batches, for sources and for tiers.

use crate::flight::{Node, current_node, enter, is_held, panicked};
use crate::runtime::spawn;
use crate::sync::Mutex;
use crate::{Error, ErrorKind, Result};
use futures_util::future::{Either, select};
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use std::borrow::Borrow;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How a source or a tier likes to be asked: with many keys at a time.
///
/// Requests for single keys that come while others are on their way are sent together. On an idle
/// source the first waits for company no longer than the present turn of the scheduler; on an idle
/// tier it goes at once.
///
/// A batch is one load: if its load fetches, through the same chain, a key of the same batch, that
/// fetch is refused with [`ErrorKind::Reentrant`].
///
/// ```
/// use headwater::Batching;
/// let batching = Batching::new().max_keys(500).max_concurrent(2);
/// # let _ = batching;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    pub(crate) max_keys: usize,
    pub(crate) max_concurrent: usize,
}

impl Default for Batching {
    fn default() -> Self {
        Self { max_keys: 100, max_concurrent: 4 }
    }
}

impl Batching {
    /// Batches of up to 100 keys, of which up to 4 are on their way at once.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The most keys in one call. Default: 100; 0 counts as 1.
    #[must_use]
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys.max(1);
        self
    }

    /// The most calls on their way at once; what comes meanwhile waits and goes together.
    /// Default: 4; 0 counts as 1.
    #[must_use]
    pub fn max_concurrent(mut self, calls: usize) -> Self {
        self.max_concurrent = calls.clamp(1, Semaphore::MAX_PERMITS);
        self
    }
}

/// Whoever answers batches.
pub(crate) trait Ask: Send + Sync + 'static {
    type Key: ?Sized + ToOwned<Owned: Send + Sync> + Sync + 'static;
    type Answer: Send + 'static;

    /// One answer per key, in their order.
    fn ask(&self, keys: &[&Self::Key]) -> impl Future<Output = Vec<Result<Self::Answer>>> + Send;
}

/// When the first request on an idle batcher goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenIdle {
    /// At once, by itself.
    Go,
    /// With those that come in the same turn of the scheduler.
    Gather,
}

/// Gathers requests for single keys into batches.
///
/// A request queues its key. A collector, started when the queue was empty, takes what is queued as
/// soon as a batch may go, and ends when nothing is left. It begins with the scheduler's next turn,
/// so that requests which start in the same one go together, and nobody waits on a timer.
pub(crate) struct Batcher<A: Ask> {
    other: A,
    batching: Batching,
    when_idle: WhenIdle,
    calls: Arc<Semaphore>,
    queue: Mutex<Queue<A>>,
}

struct Queue<A: Ask> {
    waiting: VecDeque<Asked<A>>,
    is_collected: bool,
}

/// One key that somebody waits for.
struct Asked<A: Ask> {
    key: <A::Key as ToOwned>::Owned,
    answer: oneshot::Sender<Result<A::Answer>>,
    /// The load that asks, if one does: it waits for the batch.
    asker: Option<Arc<Node>>,
}

impl<A: Ask> Batcher<A> {
    pub(crate) fn new(other: A, batching: Batching, when_idle: WhenIdle) -> Self {
        let queue = Queue { waiting: VecDeque::new(), is_collected: false };
        let calls = Arc::new(Semaphore::new(batching.max_concurrent));
        Self { other, batching, when_idle, calls, queue: Mutex::new(queue) }
    }

    /// Asks for one key, together with others.
    pub(crate) async fn fetch(self: &Arc<Self>, key: &A::Key) -> Result<A::Answer> {
        // A batch's own load goes on in the place of that batch, lest the two wait for each other.
        let is_nested = is_held(self.owner());
        let place = if is_nested { None } else { self.place_if_idle() };
        if is_nested || place.is_some() {
            // Boxed, so that those who wait for a batch need little memory.
            return Box::pin(self.other.ask(&[key])).await.remove(0);
        }
        let (answer, answered) = oneshot::channel();
        let asked = Asked { key: key.to_owned(), answer, asker: current_node() };
        if self.enqueue(asked) {
            spawn(Collector { batcher: Arc::clone(self), is_done: false }.run())?;
        }
        let lost = || Err(Error::new(ErrorKind::Unavailable, "the runtime shut down"));
        answered.await.unwrap_or_else(|_| lost())
    }

    /// Asks for many keys, in calls of the size that the other side likes.
    pub(crate) async fn fetch_many(&self, keys: &[&A::Key]) -> Vec<Result<A::Answer>> {
        let mut chunks = keys.chunks(self.batching.max_keys);
        let first = chunks.by_ref().take(self.batching.max_concurrent);
        let mut running: FuturesOrdered<_> = first.map(|keys| self.in_place(keys)).collect();
        let mut outcomes = Vec::with_capacity(keys.len());
        while let Some(answers) = running.next().await {
            outcomes.extend(answers);
            running.extend(chunks.next().map(|keys| self.in_place(keys)));
        }
        outcomes
    }

    /// One call, in its turn and as a load of its own: calls side by side must not take each other's
    /// places for their own.
    async fn in_place(&self, keys: &[&A::Key]) -> Vec<Result<A::Answer>> {
        let is_nested = is_held(self.owner());
        let node = Arc::new(Node::for_askers(current_node().into_iter()));
        let _holding = match is_nested {
            true => None,
            false => {
                let place = Arc::clone(&self.calls).acquire_owned().await;
                Some(node.hold(self.owner(), Box::new(place)))
            }
        };
        self.ask_as(&node, keys).await
    }

    /// A place for a call by itself, where that is wanted and nothing is under way. Never the only
    /// place: such a call goes on only while its caller is polled, and others must not wait for that.
    fn place_if_idle(&self) -> Option<OwnedSemaphorePermit> {
        let is_idle = self.calls.available_permits() == self.batching.max_concurrent;
        let is_only = self.batching.max_concurrent == 1;
        if self.when_idle == WhenIdle::Gather || is_only || !is_idle {
            return None;
        }
        Arc::clone(&self.calls).try_acquire_owned().ok()
    }

    /// What marks the places of this batcher's calls.
    fn owner(&self) -> usize {
        Arc::as_ptr(&self.calls) as usize
    }

    /// Queues a key; whether a collector is to be started for it.
    fn enqueue(&self, asked: Asked<A>) -> bool {
        let mut queue = self.queue.lock();
        queue.waiting.push_back(asked);
        !std::mem::replace(&mut queue.is_collected, true)
    }

    /// The next keys, without those that nobody waits for any more. If there are none, nobody
    /// collects from now on.
    fn take_batch(&self) -> Vec<Asked<A>> {
        let mut batch = Vec::new();
        let mut given_up = Vec::new();
        let mut queue = self.queue.lock();
        while batch.len() < self.batching.max_keys {
            let Some(asked) = queue.waiting.pop_front() else { break };
            if asked.answer.is_closed() { given_up.push(asked) } else { batch.push(asked) }
        }
        queue.is_collected = !batch.is_empty();
        drop(queue);
        batch
    }

    async fn answer(self: Arc<Self>, batch: Vec<Asked<A>>, place: OwnedSemaphorePermit) {
        let node = Arc::new(Node::for_askers(batch.iter().filter_map(|asked| asked.asker.clone())));
        let _holding = node.hold(self.owner(), Box::new(place));
        let (keys, mut answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|asked| (asked.key, asked.answer)).unzip();
        let keys: Vec<&A::Key> = keys.iter().map(Borrow::borrow).collect();
        let all_left = poll_fn(|context| {
            let is_left = |answer: &mut oneshot::Sender<_>| answer.poll_closed(context).is_ready();
            if answers.iter_mut().all(is_left) { Poll::Ready(()) } else { Poll::Pending }
        });
        let Either::Right((outcomes, _)) = select(all_left, pin!(self.ask_as(&node, &keys))).await
        else {
            return;
        };
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // Who asked may have left meanwhile.
            let _ = answer.send(outcome);
        }
    }

    /// One call, made by the load `node`.
    async fn ask_as(&self, node: &Arc<Node>, keys: &[&A::Key]) -> Vec<Result<A::Answer>> {
        let mut load = pin!(AssertUnwindSafe(self.other.ask(keys)).catch_unwind());
        let outcomes = poll_fn(|context| {
            let _entered = enter(Arc::clone(node) as _);
            load.as_mut().poll(context)
        });
        outcomes.await.unwrap_or_else(|panic| {
            let error = panicked(panic);
            keys.iter().map(|_| Err(error.clone())).collect()
        })
    }
}

/// Whoever sends off batches; there is one while keys are queued.
struct Collector<A: Ask> {
    batcher: Arc<Batcher<A>>,
    is_done: bool,
}

impl<A: Ask> Collector<A> {
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

impl<A: Ask> Drop for Collector<A> {
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
