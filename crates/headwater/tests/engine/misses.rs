//! What a miss that is answered at once does not do, and does not leave behind.

use super::hits::watched;
use super::{Origin, World, settle, text};
use allocation_counter::measure;
use futures_util::FutureExt;
use headwater::{FetchOptions, Fetcher, Headwater, LruCache, MemoryCache, fetch_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

#[test]
fn a_miss_allocates_seven_times_with_its_key_and_its_value() {
    let source = fetch_fn(async |_: String| Ok(Arc::<str>::from("value")));
    let memory = MemoryCache::with_capacity(1_000).unwrap();
    let chain = Headwater::source(source).through(memory).build();
    let keys: Vec<String> = (0..5_000).map(|key| format!("key/{key}")).collect();
    let miss = |key: &String| drop(chain.fetch(key).now_or_never().unwrap().unwrap());
    // Until the cache is full, its tables grow.
    let (warming, counted) = keys.split_at(4_000);
    warming.iter().for_each(miss);
    let allocations = measure(|| counted.iter().for_each(miss));
    // And a list of what has left, now and then.
    assert_eq!(allocations.count_total / counted.len() as u64, 7, "{allocations:?}");
}

#[test]
fn a_miss_reads_the_clock_once_unless_its_age_matters() {
    let (reads, chain) = watched();
    let reads_of = |key: u64, options: &FetchOptions| {
        reads.0.store(0, Relaxed);
        chain.fetch_entry(&key, options).now_or_never().unwrap().unwrap();
        reads.0.load(Relaxed)
    };
    assert_eq!(reads_of(1, &FetchOptions::new()), 1, "when the source was asked");
    assert_eq!(reads_of(2, &FetchOptions::new().max_age(Duration::from_secs(1))), 3);
}

/// Counts how often it is woken.
#[derive(Default)]
struct Counted(AtomicUsize);

impl Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn who_is_answered_at_once_is_not_woken_for_it() {
    let origin = Origin::new();
    origin.set("a", text(1));
    let chain = Headwater::source(origin).through(LruCache::new(10).unwrap()).build();
    let counted = Arc::new(Counted::default());
    let waker: Waker = Arc::clone(&counted).into();
    let context = &mut Context::from_waker(&waker);
    assert!(Box::pin(chain.fetch("a")).as_mut().poll(context).is_ready());
    assert!(Box::pin(chain.fetch_many(&["b", "a"])).as_mut().poll(context).is_ready());
    assert_eq!(counted.0.load(Relaxed), 0);
}

#[tokio::test]
async fn who_has_the_outcome_of_a_load_whose_fill_goes_on_leaves_nothing_behind() {
    let world = World::new();
    world.origin.set("a", text(1));
    let _goes_on = world.remote.gate_puts();
    let remote = world.chain.next();
    remote.fetch("a").await.unwrap();
    settle().await;
    let left = measure(|| {
        for _ in 0..1_000 {
            assert_eq!(remote.fetch("a").now_or_never().unwrap().unwrap(), text(1));
        }
    });
    assert_eq!(left.bytes_current, 0, "{left:?}");
    assert_eq!(world.origin.calls().count(), 1);
}
