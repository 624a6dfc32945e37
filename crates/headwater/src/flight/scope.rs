//! Loads that fetch: who waits for whom, so that a circle is refused instead of waiting for ever.
//!
//! A flight has a [`Node`], from when somebody asks for it: most loads fetch nothing. While a flight's
//! load is polled, it is this thread's current one; a fetch made by the load then waits *on behalf of* its
//! node, and says so to the flight that it waits for. A flight that is found among those that wait for the
//! current node, however far, would wait for itself.

use crate::sync::{Arc, AtomicU64, AtomicUsize, Mutex, Ordering, thread_local};
use hashbrown::{HashMap, HashSet};
use std::any::Any;
use std::cell::RefCell;

thread_local!(static CURRENT: RefCell<Option<Arc<dyn Loading>>> = const { RefCell::new(None) });

/// Something that loads.
pub(crate) trait Loading: Send + Sync {
    /// What it is among loads, always the same.
    fn node(self: Arc<Self>) -> Arc<Node>;
}

impl Loading for Node {
    fn node(self: Arc<Self>) -> Arc<Node> {
        self
    }
}

/// A load among loads.
#[derive(Default)]
pub(crate) struct Node {
    /// The loads that wait for this one, by their addresses, and how often each does.
    waited_by: Mutex<HashMap<usize, (Arc<Node>, usize)>>,
    /// How many loads at the most stand one inside the other above this one.
    depth: AtomicUsize,
    /// What the load holds while it runs: a source's permits, each with its owner's mark.
    held: Mutex<Vec<Held>>,
}

struct Held {
    id: u64,
    owner: usize,
    _thing: Box<dyn Any + Send>,
}

impl Node {
    /// A load on behalf of many, each waiting for it.
    pub(crate) fn for_askers(askers: impl Iterator<Item = Arc<Node>>) -> Self {
        let node = Self::default();
        askers.for_each(|asker| node.add_waiter(asker));
        node
    }

    /// Whether it holds a thing of `owner` itself.
    fn holds(&self, owner: usize) -> bool {
        self.held.lock().iter().any(|held| held.owner == owner)
    }

    fn add_waiter(&self, waiter: Arc<Node>) {
        self.depth.fetch_max(waiter.depth() + 1, Ordering::Relaxed);
        let mut waited_by = self.waited_by.lock();
        waited_by.entry(address(&waiter)).or_insert((waiter, 0)).1 += 1;
    }

    /// How many loads at the most stand one inside the other above this one.
    pub(crate) fn depth(&self) -> usize {
        self.depth.load(Ordering::Relaxed)
    }

    /// Has this load hold `thing` of `owner`, until the result is dropped or the load waits for one
    /// that may be queueing for such a thing.
    pub(crate) fn hold(self: &Arc<Self>, owner: usize, thing: Box<dyn Any + Send>) -> Holding {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        self.held.lock().push(Held { id, owner, _thing: thing });
        Holding { node: Arc::clone(self), id }
    }

    /// Every load that waits for `self`, itself first.
    fn ancestry(self: &Arc<Self>) -> Vec<Arc<Node>> {
        let mut known: HashSet<usize> = HashSet::from_iter([address(self)]);
        let mut found = vec![Arc::clone(self)];
        let mut next = 0;
        while let Some(node) = found.get(next).cloned() {
            next += 1;
            let waited_by = node.waited_by.lock();
            let waiters = waited_by.values().map(|(waiter, _)| waiter);
            found.extend(waiters.filter(|waiter| known.insert(address(waiter))).cloned());
        }
        found
    }
}

/// One load waiting for another; ends when dropped.
pub(crate) struct Waiting {
    waiter: Arc<Node>,
    on: Arc<Node>,
}

impl Waiting {
    /// Notes that one load waits for another until the result is dropped.
    pub(crate) fn new(waiter: Arc<Node>, on: Arc<Node>) -> Self {
        on.add_waiter(Arc::clone(&waiter));
        Self { waiter, on }
    }

    /// Whether the load that is waited for waits, directly or not, for the one that waits.
    pub(crate) fn is_circular(&self) -> bool {
        self.waiter.ancestry().iter().any(|node| Arc::ptr_eq(node, &self.on))
    }

    /// Gives up what the waiting loads hold: the load that they wait for may be queueing for it.
    pub(crate) fn release_held(&self) {
        for node in self.waiter.ancestry() {
            let held = std::mem::take(&mut *node.held.lock());
            drop(held);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waited_by = self.on.waited_by.lock();
        let address = address(&self.waiter);
        if let Some((_, times)) = waited_by.get_mut(&address) {
            *times -= 1;
            let gone = (*times == 0).then(|| waited_by.remove(&address));
            drop(waited_by);
            drop(gone);
        }
    }
}

fn address(node: &Arc<Node>) -> usize {
    Arc::as_ptr(node) as usize
}

/// The load that is being polled on this thread.
pub(crate) fn current_node() -> Option<Arc<Node>> {
    Some(CURRENT.with(|current| current.borrow().clone())?.node())
}

/// Makes a load the current one until the result is dropped.
pub(crate) fn enter(load: Arc<dyn Loading>) -> Entered {
    Entered(CURRENT.with(|current| current.replace(Some(load))))
}

/// Restores the load that was current before.
pub(crate) struct Entered(Option<Arc<dyn Loading>>);

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.0.take();
        drop(CURRENT.with(|current| current.replace(before)));
    }
}

/// Whether the current load, or one that waits for it, holds a thing of `owner`.
pub(crate) fn is_held(owner: usize) -> bool {
    let Some(node) = current_node() else { return false };
    // Most loads are nobody's but their callers'.
    let is_outermost = node.waited_by.lock().is_empty();
    match is_outermost {
        true => node.holds(owner),
        false => node.ancestry().iter().any(|node| node.holds(owner)),
    }
}

/// Has the current load hold what `take` brings while `work` runs; unless it goes on under what a
/// load that waits for it holds: were it to queue for a thing of its own, the two could wait for
/// each other.
pub(crate) async fn hold_while<R>(
    owner: usize,
    take: impl Future<Output = Box<dyn Any + Send>>,
    work: impl Future<Output = R>,
) -> R {
    if is_held(owner) {
        return work.await;
    }
    let thing = take.await;
    // Without a load there is nobody to give the thing up early, and it stays here.
    let (_holding, _thing) = match current_node() {
        Some(node) => (Some(node.hold(owner, thing)), None),
        None => (None, Some(thing)),
    };
    work.await
}

/// A thing held by a load.
pub(crate) struct Holding {
    node: Arc<Node>,
    id: u64,
}

impl Drop for Holding {
    fn drop(&mut self) {
        let mut held = self.node.held.lock();
        let place = held.iter().position(|held| held.id == self.id);
        let thing = place.map(|place| held.swap_remove(place));
        drop(held);
        drop(thing);
    }
}
