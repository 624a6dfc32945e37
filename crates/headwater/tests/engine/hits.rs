//! R10: what a hit in the first tier does not do.

use super::{Origin, text};
use allocation_counter::measure;
use futures_util::FutureExt;
use headwater::{
    BoxCache, Clock, Error, FetchOptions, Fetcher, Headwater, LruCache, Moment, Sleep, TimeSource,
    fetch_fn,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

#[test]
fn a_hit_allocates_nothing_and_needs_no_runtime() {
    let origin = headwater::testkit::TestSource::<str, Arc<str>>::new();
    origin.set("a", Arc::from("value"));
    let chain = Headwater::source(origin).through(LruCache::new(10).unwrap()).build();
    chain.fetch("a").now_or_never().unwrap().unwrap();
    chain.fetch("absent").now_or_never().unwrap().unwrap_err();
    let allocations = measure(|| {
        for _ in 0..100 {
            assert!(chain.fetch("a").now_or_never().unwrap().is_ok());
            let absent = chain.fetch("absent").now_or_never().unwrap();
            assert!(absent.as_ref().is_err_and(Error::is_not_found));
        }
    });
    assert_eq!(allocations.count_total, 0, "{allocations:?}");
}

/// A clock that stands still and counts how often it is read.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched(pub(super) Arc<AtomicUsize>);

impl TimeSource for Watched {
    fn now(&self) -> Moment {
        self.0.fetch_add(1, Relaxed);
        Moment::START
    }

    fn sleep_until(&self, _: Moment) -> Sleep {
        Box::pin(std::future::pending())
    }
}

/// A chain, and how often its clock is read.
pub(super) fn watched() -> (Watched, BoxCache<u64, u64>) {
    let reads = Watched::default();
    let clock = Clock::new(reads.clone());
    let lru = LruCache::builder(10).clock(clock.clone()).build().unwrap();
    let source = fetch_fn(async |key: u64| Ok(key));
    (reads, BoxCache::new(Headwater::source(source).clock(clock).through(lru).build()))
}

#[test]
fn a_hit_of_an_entry_without_an_end_reads_no_clock_unless_its_age_matters() {
    let (reads, chain) = watched();
    chain.fetch(&1).now_or_never().unwrap().unwrap();
    let reads_of = |options: &FetchOptions| {
        reads.0.store(0, Relaxed);
        chain.fetch(&1).now_or_never().unwrap().unwrap();
        chain.fetch_entry(&1, options).now_or_never().unwrap().unwrap();
        reads.0.load(Relaxed)
    };
    assert_eq!(reads_of(&FetchOptions::new()), 0);
    assert_eq!(reads_of(&FetchOptions::new().max_age(Duration::from_secs(1))), 1);
}

#[test]
fn the_future_of_a_fetch_is_small() {
    let origin = Origin::new();
    origin.set("a", text(1));
    let lru: LruCache<str, String> = LruCache::new(10).unwrap();
    let chain = Headwater::source(origin).through(lru).build();
    let size = size_of_val(&chain.fetch("a"));
    assert!(size <= 96, "{size} bytes");
}

#[test]
fn what_a_service_holds_can_be_shared_between_threads() {
    fn is_shared<T: Send + Sync + 'static>(_: &T) {}
    let origin = Origin::new();
    let chain = Headwater::source(origin).through(LruCache::new(10).unwrap()).build();
    is_shared(&chain);
    is_shared(&headwater::BoxCache::new(chain));
    assert_eq!(size_of::<Error>(), size_of::<usize>());
    assert_eq!(size_of::<headwater::Result<()>>(), 2 * size_of::<usize>());
}
