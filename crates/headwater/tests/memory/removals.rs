//! What leaves: told once, with the right cause, and dropped where nothing is locked.

use super::{Log, absent, displaced, face, get, put, seconds};
use headwater::testkit::ManualClock;
use headwater::{Entry, LruCache, MemoryCache, Tier, Version};
use std::borrow::Borrow;
use std::cell::Cell;
use std::sync::{Arc, Mutex, OnceLock};

type Lru = LruCache<str, u32>;

#[tokio::test]
async fn each_removal_is_told_once_with_its_cause() {
    let time = ManualClock::new();
    let log = Log::default();
    let cache = log.listen(Lru::builder(2).clock(time.clock())).build().unwrap();
    put(&cache, "a", 1);
    put(&cache, "a", 2);
    assert_eq!(log.take(), ["a=1 Replaced"]);
    put(&cache, "b", 3);
    put(&cache, "c", Entry::found(4).expires_at(time.clock().now() + seconds(1)));
    assert_eq!(log.take(), ["a=2 Evicted"]);
    time.advance(seconds(1));
    assert_eq!(get(&cache, "c"), None);
    assert_eq!(log.take(), ["c=4 Expired"]);
    Tier::remove(&cache, "b").await.unwrap();
    assert_eq!(log.take(), ["b=3 Invalidated"]);
    put(&cache, "d", 5);
    Tier::clear(&cache).await.unwrap();
    assert_eq!(log.take(), ["d=5 Invalidated"]);
    put(&cache, "e", 6);
    cache.close().await.unwrap();
    assert_eq!(log.take(), ["e=6 Invalidated"]);
    put(&cache, "f", 7);
    cache.close().await.unwrap();
    assert!(log.take().is_empty());
}

#[test]
fn absent_entries_are_nobodys_business_and_declined_ones_neither() {
    let log = Log::default();
    let cache = log.listen(Lru::builder(1).absent_capacity(1)).build().unwrap();
    put(&cache, "a", absent());
    put(&cache, "b", absent());
    put(&cache, "b", Entry::found(1).with_version(Version::new(2)));
    assert!(log.take().is_empty());
    let declined = displaced(&cache, "b", Entry::found(2).with_version(Version::new(1)));
    assert_eq!(declined.len(), 1);
    drop(declined);
    assert!(log.take().is_empty());
    put(&cache, "b", absent().with_version(Version::new(3)));
    assert_eq!(log.take(), ["b=1 Replaced"]);
}

#[test]
fn entry_too_heavy_leaves_at_once_after_the_one_that_it_replaced() {
    let log = Log::default();
    let builder = Lru::builder(10).weigher(|_, weight| u64::from(*weight));
    let cache = log.listen(builder).build().unwrap();
    put(&cache, "a", 5);
    put(&cache, "a", 11);
    assert_eq!(log.take(), ["a=5 Replaced", "a=11 Evicted"]);
}

#[test]
fn listener_is_told_when_removals_are_dropped_not_before() {
    let log = Log::default();
    let cache = log.listen(MemoryCache::builder()).build().unwrap();
    put(&cache, "a", 1);
    let removals = face(&cache).remove("a");
    assert!(get(&cache, "a").is_none() && log.take().is_empty());
    drop(removals);
    assert_eq!(log.take(), ["a=1 Invalidated"]);
}

#[test]
fn listener_may_use_the_cache() {
    let own = Arc::new(OnceLock::<Lru>::new());
    let inside = Arc::clone(&own);
    let cache = Lru::builder(2)
        .on_removal(move |key: &String, _, _| {
            let cache = inside.get().unwrap();
            assert!(get(cache, key).is_none());
            drop(face(cache).remove("other"));
            assert!(cache.len() <= 2 && !key.is_empty());
            if !key.ends_with('!') {
                put(cache, &format!("{key}!"), 0);
            }
        })
        .build()
        .unwrap();
    own.set(cache.clone()).unwrap();
    (0..20).for_each(|n| put(&cache, &n.to_string(), n));
    drop(face(&cache).clear());
    assert!(cache.len() <= 2);
}

#[test]
fn panic_of_a_listener_is_its_own() {
    let cache = Lru::builder(2).on_removal(|_, _, _| panic!("on purpose")).build().unwrap();
    (0..5).for_each(|n| put(&cache, &n.to_string(), n));
    drop(face(&cache).remove("4"));
    put(&cache, "3", 7);
    assert_eq!((get(&cache, "3"), cache.len()), (Some(Some(7)), 1));
}

/// A value that looks into its cache when its last copy goes.
#[derive(Clone)]
struct Nosy(#[expect(dead_code, reason = "held for its drop")] Arc<Probe>);

struct Probe(Arc<OnceLock<LruCache<u32, Nosy>>>);

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(cache) = self.0.get() {
            assert!(cache.peek(&u32::MAX).is_none() && cache.len() <= 2);
            let _ = face(cache).get(&0);
        }
    }
}

#[test]
fn values_are_dropped_where_the_cache_can_be_used() {
    let time = ManualClock::new();
    let own = Arc::new(OnceLock::new());
    let cache = LruCache::<u32, Nosy>::builder(2)
        .clock(time.clock())
        .weigher(|key, _| if *key == 99 { 3 } else { 1 })
        .build()
        .unwrap();
    assert!(own.set(cache.clone()).is_ok());
    let nosy = || Entry::found(Nosy(Arc::new(Probe(Arc::clone(&own)))));
    let put = |key: u32, entry: Entry<Nosy>| {
        let prepared = face(&cache).prepare(&key, entry);
        drop(face(&cache).put(key, prepared));
    };
    for key in [1, 2, 3, 3, 99] {
        put(key, nosy());
    }
    put(3, nosy().with_version(Version::new(2)));
    put(3, nosy().with_version(Version::new(1)));
    put(3, Entry::absent());
    put(4, nosy().expires_at(time.clock().now() + seconds(1)));
    time.advance(seconds(1));
    assert!(face(&cache).get(&4).is_none());
    put(5, nosy().expires_at(time.clock().now() + seconds(1)));
    time.advance(seconds(1));
    assert!(cache.remove_expired() > 0);
    put(6, nosy());
    drop(face(&cache).remove(&6));
    put(7, nosy());
    drop(face(&cache).clear());
    assert!(cache.is_empty());
}

#[test]
fn panicking_weigher_or_clone_leaves_the_cache_whole() {
    #[derive(Debug)]
    struct Fragile(bool);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert!(!self.0, "on purpose");
            Self(self.0)
        }
    }
    let cache = LruCache::<u32, Fragile>::builder(2)
        .weigher(|key, _| if *key == 9 { panic!("on purpose") } else { 1 })
        .build()
        .unwrap();
    let put = |key: u32, value: bool| {
        drop(face(&cache).put(key, face(&cache).prepare(&key, Entry::found(Fragile(value)))));
    };
    let panics =
        |run: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err();
    put(1, true);
    put(2, false);
    assert!(panics(&|| _ = face(&cache).get(&1)));
    assert!(panics(&|| put(9, false)));
    put(3, false);
    assert_eq!((cache.len(), cache.weight()), (2, 2));
    // A hit is a hit, whatever becomes of the clone.
    assert!(face(&cache).get(&2).is_none() && face(&cache).get(&3).is_some());
}

thread_local! {
    /// Whether keys must not be borrowed.
    static IS_FRAGILE: Cell<bool> = const { Cell::new(false) };
}

/// A key as one looks it up, and as it is stored.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Asked(u32);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kept(Arc<Asked>);

impl ToOwned for Asked {
    type Owned = Kept;

    fn to_owned(&self) -> Kept {
        Kept(Arc::new(Self(self.0)))
    }
}

impl Borrow<Asked> for Kept {
    fn borrow(&self) -> &Asked {
        assert!(!IS_FRAGILE.get(), "on purpose");
        &self.0
    }
}

#[test]
fn keys_that_panic_when_they_are_borrowed_leave_the_cache_whole() {
    let cache = MemoryCache::<Asked, u32>::with_capacity(10).unwrap();
    let put = |number: u32, value: u32| {
        let key = Asked(number);
        let prepared = face(&cache).prepare(&key, Entry::found(value));
        drop(face(&cache).put(key.to_owned(), prepared));
    };
    (0..5).for_each(|number| put(number, 1));
    IS_FRAGILE.set(true);
    for number in [3, 7, 8] {
        let put = std::panic::AssertUnwindSafe(|| put(number, 2));
        std::panic::catch_unwind(put).expect_err("it panics");
    }
    IS_FRAGILE.set(false);
    let held = |number| face(&cache).get(&Asked(number)).map(|it| *it.value().unwrap());
    let all: Vec<Option<u32>> = (0..10).map(held).collect();
    let one = Some(1);
    // The one that was to be replaced is not there any more; nothing else has changed.
    assert_eq!(all, [one, one, one, None, one, None, None, None, None, None]);
    (0..100).for_each(|number| put(number, 3));
    assert_eq!(cache.len(), 10);
    drop(face(&cache).clear());
    assert_eq!((cache.len(), cache.weight()), (0, 0));
    (0..100).for_each(|number| put(number, 4));
    assert_eq!(cache.len(), 10);
}

#[test]
fn conservation_of_values_over_every_way_out() {
    let alive = Arc::new(());
    let told = Arc::new(Mutex::new(0));
    let count = Arc::clone(&told);
    let cache = LruCache::<u32, Arc<()>>::builder(10)
        .on_removal(move |_, _, _| *count.lock().unwrap() += 1)
        .build()
        .unwrap();
    for n in 0..1_000 {
        let prepared = face(&cache).prepare(&(n % 37), Entry::found(Arc::clone(&alive)));
        drop(face(&cache).put(n % 37, prepared));
        if n % 5 == 0 {
            drop(face(&cache).remove(&(n % 7)));
        }
        // What left may wait for threads that read, of other tests too.
        assert!(Arc::strong_count(&alive) > cache.len());
    }
    assert_eq!(*told.lock().unwrap() + cache.len(), 1_000);
    drop(cache);
    assert_eq!(Arc::strong_count(&alive), 1);
}
