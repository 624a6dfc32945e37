//! User code in the middle of things: keys that panic while they are copied, and wakers that use the
//! chain which wakes them.

use super::{Origin, ends, text};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use headwater::{
    BoxCache, ErrorKind, Fetcher, Headwater, LruCache, MemoryCache, Orphans, Result, fetch_fn,
};
use std::hash::{Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

type Fuse = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// A key with a fuse: the next copy of it runs what is in there, and panics.
struct Explosive(u32, Fuse);

impl Explosive {
    fn harmless(id: u32) -> Self {
        Self(id, Fuse::default())
    }

    fn after(id: u32, work: impl FnOnce() + Send + 'static) -> Self {
        Self(id, Arc::new(Mutex::new(Some(Box::new(work)))))
    }
}

impl Clone for Explosive {
    fn clone(&self) -> Self {
        let fuse = self.1.lock().unwrap().take();
        if let Some(work) = fuse {
            work();
            std::panic::panic_any("a key panics, as it was told");
        }
        Self(self.0, Arc::clone(&self.1))
    }
}

impl PartialEq for Explosive {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Explosive {}

impl Hash for Explosive {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

type Chain = BoxCache<Explosive, u32>;
type Joiner = Arc<Mutex<Option<BoxFuture<'static, Result<u32>>>>>;

fn chain(orphans: Orphans) -> Chain {
    let source = fetch_fn(async |key: Explosive| Ok(key.0));
    BoxCache::new(Headwater::source(source).orphans(orphans).through(MemoryCache::new()).build())
}

/// Has somebody join the load of key 1 while a fetch of keys 1 and 2 is still boarding, which then
/// panics; the joiner.
async fn panic_while_boarding(chain: &Chain) -> BoxFuture<'static, Result<u32>> {
    let joiner = Joiner::default();
    let (joins, own) = (Arc::clone(&joiner), chain.clone());
    let second = Explosive::after(2, move || {
        let mut fetch = async move { own.fetch(&Explosive::harmless(1)).await }.boxed();
        assert!(fetch.as_mut().now_or_never().is_none(), "it joins");
        *joins.lock().unwrap() = Some(fetch);
    });
    let first = Explosive::harmless(1);
    let keys = [&first, &second];
    assert!(AssertUnwindSafe(chain.fetch_many(&keys)).catch_unwind().await.is_err());
    let joined = joiner.lock().unwrap().take();
    joined.expect("the key ran it")
}

async fn a_panic_while_boarding_fails_its_joiner_and_nobody_else(orphans: Orphans) {
    let chain = chain(orphans);
    let joiner = panic_while_boarding(&chain).await;
    assert_eq!(ends(joiner).await.unwrap_err().kind(), ErrorKind::Panicked);
    assert_eq!(ends(chain.fetch(&Explosive::harmless(1))).await.unwrap(), 1);
    assert_eq!(ends(chain.fetch(&Explosive::harmless(2))).await.unwrap(), 2);
}

#[tokio::test]
async fn a_key_that_panics_while_boarding_fails_who_joined_meanwhile_and_nobody_else() {
    a_panic_while_boarding_fails_its_joiner_and_nobody_else(Orphans::Drop).await;
}

#[tokio::test]
async fn the_same_goes_where_orphans_are_finished() {
    a_panic_while_boarding_fails_its_joiner_and_nobody_else(Orphans::Finish).await;
}

/// Something to panic with that panics again when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::panic_any("and once more");
    }
}

#[tokio::test]
async fn what_a_load_panics_with_may_panic_itself() {
    let source = fetch_fn(async |key: u32| {
        tokio::task::yield_now().await;
        if key == 1 { std::panic::panic_any(Bomb) } else { Ok(key) }
    });
    let chain = Headwater::source(source).through(MemoryCache::<u32, u32>::new()).build();
    let both = async { tokio::join!(chain.fetch(&1), chain.fetch(&1)) };
    let (one, other) = ends(both).await;
    assert_eq!(one.unwrap_err().kind(), ErrorKind::Panicked);
    assert_eq!(other.unwrap_err().kind(), ErrorKind::Panicked);
    let many = ends(chain.fetch_many(&[&1, &2])).await;
    assert_eq!(many[0].as_ref().unwrap_err().kind(), ErrorKind::Panicked);
    assert_eq!(many[1].as_ref().unwrap(), &2);
}

/// A task that lives in its wakers, as that of a simple executor does, and holds a fetch.
struct Task {
    _fetch: Mutex<BoxFuture<'static, Result<String>>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

fn never_answered() -> BoxCache<str, String> {
    let origin = Origin::new();
    let _never_opened = origin.gate();
    BoxCache::new(Headwater::source(origin).through(LruCache::new(10).unwrap()).build())
}

/// Polls a fetch with a waker that owns another fetch of the same load, then with a second waker:
/// the first one is dropped in between, and the other fetch with it.
fn replace_a_waker_that_owns_a_fetch(chain: &BoxCache<str, String>) {
    let fetch = || {
        let chain = chain.clone();
        async move { chain.fetch("a").await }.boxed()
    };
    let (mut owned, mut moved) = (fetch(), fetch());
    assert!(owned.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let waker: Waker = Arc::new(Task { _fetch: Mutex::new(owned) }).into();
    assert!(moved.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert!(moved.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[tokio::test]
async fn a_waker_may_own_a_fetch_of_the_load_that_it_waits_for() {
    let (done, is_done) = tokio::sync::oneshot::channel();
    // On a thread of its own, because it would block for ever.
    std::thread::spawn(move || {
        replace_a_waker_that_owns_a_fetch(&never_answered());
        done.send(())
    });
    ends(is_done).await.unwrap();
}

/// A waker that fetches when it is woken.
struct Curious(BoxCache<str, String>, Mutex<Option<Poll<Result<String>>>>);

impl Wake for Curious {
    fn wake(self: Arc<Self>) {
        let answer = self.0.fetch("a").now_or_never().map_or(Poll::Pending, Poll::Ready);
        *self.1.lock().unwrap() = Some(answer);
    }
}

#[tokio::test]
async fn a_waker_may_fetch_the_key_whose_load_wakes_it() {
    let origin = Origin::new();
    origin.set("a", text(1));
    let gate = origin.gate();
    let lru = LruCache::<str, String>::new(10).unwrap();
    let chain = BoxCache::new(Headwater::source(origin.clone()).through(lru).build());
    let curious = Arc::new(Curious(chain.clone(), Mutex::default()));
    let waker: Waker = Arc::clone(&curious).into();
    let mut fetch = Box::pin(chain.fetch("a"));
    assert!(fetch.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    gate.open();
    let answer = curious.1.lock().unwrap().take();
    assert!(matches!(answer, Some(Poll::Ready(Ok(value))) if value == "1"));
    assert_eq!(ends(fetch).await.unwrap(), "1");
    assert_eq!(origin.calls().count(), 1);
}
