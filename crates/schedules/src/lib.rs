//! Runs the library's own flights and its table in memory, file for file, under the schedule explorer `shuttle`: each test
//! body is executed many times, with every lock and atomic a point at which another thread may come
//! in.
#![cfg(test)]
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "the files are the library's: what is public there is not here, and not all is used"
)]

#[path = "../../headwater/src/clock.rs"]
mod clock;
#[path = "../../headwater/src/entry.rs"]
mod entry;
#[path = "../../headwater/src/error.rs"]
mod error;
mod fetcher;
#[path = "../../headwater/src/flight/mod.rs"]
mod flight;
#[path = "../../headwater/src/hashed.rs"]
mod hashed;
mod memory;
#[path = "../../headwater/src/tier/removals.rs"]
mod removals;
mod sync;

pub(crate) use clock::{Clock, Moment};
pub(crate) use entry::Entry;
pub(crate) use error::{Error, ErrorKind, Result};
pub(crate) use hashed::Hashed;
pub(crate) use removals::{Cause, Removals};

use flight::{Few, Flights, Landing, Request};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use shuttle::future::{block_on, yield_now};
use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use shuttle::thread;
use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::{Poll, Waker};
use sync::{Arc, Mutex};

/// Opens once; loads wait for it, and only its wake-up lets them go on.
#[derive(Default)]
struct Gate(Mutex<(bool, Vec<Waker>)>);

impl Gate {
    fn open(&self) {
        let wakers = {
            let mut gate = self.0.lock();
            gate.0 = true;
            std::mem::take(&mut gate.1)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn passed(&self) {
        poll_fn(|context| {
            let mut gate = self.0.lock();
            if gate.0 {
                return Poll::Ready(());
            }
            gate.1 = vec![context.waker().clone()];
            Poll::Pending
        })
        .await;
    }
}

/// A cache of the smallest kind over the library's flights: a map, and a source that is a number.
struct Cache {
    flights: Arc<Flights<u32, usize>>,
    tier: Mutex<HashMap<u32, usize>>,
    truth: AtomicUsize,
    loads: AtomicUsize,
    gate: Gate,
    /// The load of 1 needs 2, and that of 2 needs 1.
    is_circular: bool,
}

impl Cache {
    fn new() -> Arc<Self> {
        Arc::new(Self::closed())
    }

    fn closed() -> Self {
        Self {
            flights: Arc::new(Flights::new(None)),
            tier: Mutex::default(),
            truth: AtomicUsize::new(0),
            loads: AtomicUsize::new(0),
            gate: Gate::default(),
            is_circular: false,
        }
    }

    /// A cache whose loads wait for nothing.
    fn open() -> Arc<Self> {
        let cache = Self::new();
        cache.gate.open();
        cache
    }

    /// One poll of a fetch, which is then neither dropped nor polled again.
    fn begin_to_fetch(self: &Arc<Self>) -> BoxFuture<'static, Vec<Result<usize>>> {
        let cache = Arc::clone(self);
        let mut fetch: BoxFuture<'static, _> = Box::pin(async move { cache.fetch(&[1]).await });
        let _ = fetch.as_mut().now_or_never();
        fetch
    }

    fn look(&self, key: u32) -> Option<Entry<usize>> {
        self.tier.lock().get(&key).copied().map(Entry::found)
    }

    async fn fetch(self: &Arc<Self>, keys: &[u32]) -> Vec<Result<usize>> {
        let keys: Vec<Hashed<&u32>> = keys.iter().map(Hashed::new).collect();
        let request = Request { options: fetcher::FetchOptions::new(), floor: None, now: None };
        let mut boarding = self.flights.board(&keys, &request, |key| self.look(**key.key()));
        boarding.depart(|id, keys| Arc::clone(self).load(id, keys));
        let outcomes: Few<Result<Entry<usize>>> = match &keys[..] {
            [_] => Few::from([boarding.landed_alone().await]),
            _ => boarding.landed().await,
        };
        outcomes.into_iter().map(|entry| entry.and_then(Entry::into_outcome)).collect()
    }

    fn load(
        self: Arc<Self>,
        id: u64,
        keys: Arc<[Hashed<u32>]>,
    ) -> BoxFuture<'static, Landing<usize>> {
        Box::pin(async move {
            self.loads.fetch_add(1, SeqCst);
            let read = self.truth.load(SeqCst);
            self.gate.passed().await;
            yield_now().await;
            if self.is_circular
                && let Some(Err(error)) = self.fetch(&[3 - *keys[0].key()]).await.pop()
            {
                return Landing {
                    outcomes: Few::from([Err(error)]),
                    settled: Few::new(),
                    at: Moment::START,
                };
            }
            for key in keys.iter() {
                self.flights.commit(id, key, |key| self.tier.lock().insert(*key.key(), read));
            }
            let outcomes = keys.iter().map(|_| Ok(Entry::found(read))).collect();
            // As with a tier at hand: what was committed is registered no more.
            let settled = keys.iter().map(|_| true).collect();
            Landing { outcomes, settled, at: Moment::START }
        })
    }

    fn write_and_invalidate(&self, value: usize) {
        self.truth.store(value, SeqCst);
        self.flights.void(Hashed::new(&1), || self.tier.lock().remove(&1));
    }
}

#[test]
fn many_threads_share_one_load() {
    shuttle::check_random(
        || {
            let cache = Cache::open();
            let threads: Vec<_> = (0..3)
                .map(|number| {
                    let cache = Arc::clone(&cache);
                    let keys: Vec<u32> = if number == 0 { vec![1] } else { vec![2, 1] };
                    thread::spawn(move || block_on(cache.fetch(&keys)))
                })
                .collect();
            for thread in threads {
                assert!(thread.join().unwrap().into_iter().all(|outcome| matches!(outcome, Ok(0))));
            }
            // At most one load for the first key alone, and one for what is left of the pair.
            assert!(cache.loads.load(SeqCst) <= 2);
        },
        2_000,
    );
}

#[test]
fn a_load_that_cannot_be_made_strands_nobody() {
    shuttle::check_random(
        || {
            let cache = Cache::open();
            let own = Arc::clone(&cache);
            let other = thread::spawn(move || block_on(own.fetch(&[1])));
            let failed = catch_unwind(AssertUnwindSafe(|| {
                let request =
                    Request { options: fetcher::FetchOptions::new(), floor: None, now: None };
                let keys = [Hashed::new(&1)];
                let look = |key: Hashed<&u32>| cache.look(**key.key());
                // Without the hook that would print it.
                cache
                    .flights
                    .board(&keys, &request, look)
                    .depart(|_, _| resume_unwind(Box::new(())))
            }));
            let is_panic = |outcome: &Result<usize>| {
                outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Panicked)
            };
            let outcome = other.join().unwrap().remove(0);
            assert!(matches!(outcome, Ok(0)) || failed.is_err() && is_panic(&outcome));
            assert!(matches!(block_on(cache.fetch(&[1]))[..], [Ok(0)]));
        },
        2_000,
    );
}

#[test]
fn loads_that_need_each_other_are_refused() {
    shuttle::check_random(
        || {
            let cache = Arc::new(Cache { is_circular: true, ..Cache::closed() });
            cache.gate.open();
            let fetch = |key: u32| {
                let cache = Arc::clone(&cache);
                thread::spawn(move || block_on(cache.fetch(&[key])).remove(0))
            };
            for fetching in [1, 2, 1].map(fetch) {
                let error = fetching.join().unwrap().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Reentrant);
            }
        },
        2_000,
    );
}

#[test]
fn one_key_is_loaded_once() {
    shuttle::check_random(
        || {
            let cache = Cache::open();
            let fetch = |cache: &Arc<Cache>| {
                let cache = Arc::clone(cache);
                thread::spawn(move || block_on(cache.fetch(&[1])))
            };
            let threads = [fetch(&cache), fetch(&cache), fetch(&cache)];
            threads.into_iter().for_each(|thread| assert!(thread.join().unwrap()[0].is_ok()));
            assert_eq!(cache.loads.load(SeqCst), 1);
        },
        2_000,
    );
}

/// Somebody begins a fetch and does `then` with it; somebody else waits for the same key, while the
/// load is being let go on. Whatever the order, who waits is answered.
fn with_a_bad_companion(
    then: impl Fn(BoxFuture<'static, Vec<Result<usize>>>) + Copy + Send + 'static,
) {
    let cache = Cache::new();
    let companion = {
        let cache = Arc::clone(&cache);
        thread::spawn(move || then(cache.begin_to_fetch()))
    };
    let opener = {
        let cache = Arc::clone(&cache);
        thread::spawn(move || cache.gate.open())
    };
    let seen = block_on(cache.fetch(&[1])).remove(0);
    assert!(matches!(seen, Ok(0)));
    companion.join().unwrap();
    opener.join().unwrap();
    assert!(cache.loads.load(SeqCst) <= 2);
}

#[test]
fn a_rider_that_leaves_at_any_moment_strands_nobody() {
    shuttle::check_random(|| with_a_bad_companion(drop), 5_000);
}

#[test]
fn a_rider_that_is_never_polled_again_strands_nobody() {
    shuttle::check_random(|| with_a_bad_companion(std::mem::forget), 5_000);
}

#[test]
fn what_was_loaded_before_an_invalidation_is_never_seen_after_it() {
    shuttle::check_random(
        || {
            let cache = Cache::open();
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    let cache = Arc::clone(&cache);
                    thread::spawn(move || block_on(cache.fetch(&[1])))
                })
                .collect();
            let writer = {
                let cache = Arc::clone(&cache);
                thread::spawn(move || {
                    for value in 1..3 {
                        cache.write_and_invalidate(value);
                        let seen = block_on(cache.fetch(&[1])).remove(0);
                        assert!(matches!(seen, Ok(seen) if seen == value), "{seen:?}");
                    }
                })
            };
            readers.into_iter().for_each(|reader| assert!(reader.join().unwrap()[0].is_ok()));
            writer.join().unwrap();
            assert_eq!(cache.tier.lock().get(&1), Some(&2));
        },
        3_000,
    );
}
