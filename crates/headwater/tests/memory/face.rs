//! Bounds, order, batches, closing: what the faces promise without time.

use super::{Log, absent, face, get, put, seconds};
use headwater::testkit::ManualClock;
use headwater::{Entry, ErrorKind, LruCache, MemoryBuilder, MemoryCache, Tier, Version};
use std::time::Duration;

type Lru = LruCache<str, u32>;
type LruBuilder = MemoryBuilder<str, u32, Lru>;

fn fault<C>(
    builder: MemoryBuilder<str, u32, C>,
    build: impl FnOnce(MemoryBuilder<str, u32, C>) -> headwater::Result<C>,
) -> String {
    let Err(error) = build(builder) else { panic!("a faulty setting was accepted") };
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    error.to_string()
}

#[test]
fn faulty_settings_are_errors_that_name_the_setting() {
    let lru =
        |change: fn(LruBuilder) -> LruBuilder| fault(change(Lru::builder(1)), LruBuilder::build);
    let zero = Lru::new(0).unwrap_err();
    assert_eq!(zero.to_string(), "invalid configuration: capacity must be at least 1");
    assert_eq!(zero.kind(), ErrorKind::InvalidConfig);
    assert!(lru(|builder| builder.time_to_live(Duration::ZERO)).contains("time_to_live"));
    assert!(lru(|builder| builder.time_to_idle(Duration::ZERO)).contains("time_to_idle"));
    assert!(lru(|builder| builder.ttl_jitter(f64::NAN)).contains("ttl_jitter"));
    assert!(lru(|builder| builder.ttl_jitter(-0.1)).contains("ttl_jitter"));
    assert!(lru(|builder| builder.ttl_jitter(1.1)).contains("ttl_jitter"));
    let weighed = MemoryCache::<str, u32>::builder().weigher(|_, _| 1);
    assert!(
        fault(weighed, MemoryBuilder::<str, u32, MemoryCache<str, u32>>::build).contains("weigher")
    );
}

#[test]
fn settings_at_their_ends_are_accepted() {
    assert!(Lru::builder(u64::MAX).ttl_jitter(1.0).time_to_live(Duration::MAX).build().is_ok());
    assert!(Lru::builder(1).absent_capacity(0).absent_ttl(Duration::ZERO).build().is_ok());
    assert!(MemoryCache::<str, u32>::builder().ttl_jitter(0.0).build().is_ok());
}

#[test]
fn least_recently_used_entry_is_evicted_first() {
    let cache = Lru::new(3).unwrap();
    for key in ["a", "b", "c"] {
        put(&cache, key, 1);
    }
    get(&cache, "a");
    put(&cache, "d", 1);
    assert_eq!(get(&cache, "b"), None);
    put(&cache, "c", 2);
    put(&cache, "e", 1);
    assert_eq!(
        ["a", "c", "d", "e"].map(|key| get(&cache, key).is_some()),
        [false, true, true, true]
    );
    assert_eq!((cache.len(), cache.weight(), cache.stats().evicted), (3, 3, 2));
}

#[test]
fn peek_changes_no_order() {
    let cache = Lru::new(2).unwrap();
    for key in ["a", "b"] {
        put(&cache, key, 1);
    }
    assert_eq!(cache.peek("a").and_then(Entry::into_value), Some(1));
    assert!(cache.peek("z").is_none());
    put(&cache, "c", 1);
    assert_eq!((get(&cache, "a"), get(&cache, "b")), (None, Some(Some(1))));
}

#[test]
fn capacity_of_one_holds_the_last_entry() {
    let cache = Lru::new(1).unwrap();
    for n in 0..100 {
        put(&cache, &n.to_string(), n);
        assert_eq!((cache.len(), get(&cache, &n.to_string())), (1, Some(Some(n))));
    }
}

#[test]
fn weights_are_bounded_and_a_heavy_newcomer_evicts_several() {
    let cache = Lru::builder(10).weigher(|_, weight| u64::from(*weight)).build().unwrap();
    put(&cache, "a", 4);
    put(&cache, "b", 4);
    put(&cache, "c", 2);
    assert_eq!((cache.len(), cache.weight()), (3, 10));
    put(&cache, "d", 7);
    assert_eq!((cache.len(), cache.weight()), (2, 9));
    put(&cache, "d", 1);
    assert_eq!((cache.weight(), get(&cache, "c")), (3, Some(Some(2))));
}

#[test]
fn weight_of_zero_counts_as_one_and_is_counted() {
    let cache = Lru::builder(3).weigher(|_, _| 0).build().unwrap();
    for key in ["a", "b", "c", "d"] {
        put(&cache, key, 0);
    }
    put(&cache, "none", absent());
    assert_eq!((cache.len(), cache.weight(), cache.stats().zero_weights), (3, 3, 4));
}

#[test]
fn entry_heavier_than_everything_is_not_kept_and_evicts_nobody_else() {
    let cache = Lru::builder(10).weigher(|_, weight| u64::from(*weight)).build().unwrap();
    put(&cache, "a", 5);
    put(&cache, "b", 5);
    put(&cache, "b", 11);
    assert_eq!((get(&cache, "a"), get(&cache, "b")), (Some(Some(5)), None));
    assert_eq!((cache.weight(), cache.stats().too_heavy, cache.stats().evicted), (5, 1, 0));
    put(&cache, "b", 10);
    assert_eq!((get(&cache, "a"), get(&cache, "b")), (None, Some(Some(10))));
}

#[test]
fn flood_of_absent_keys_leaves_found_entries_alone() {
    let cache = Lru::new(16).unwrap();
    (0..16).for_each(|n| put(&cache, &n.to_string(), n));
    (0..1_000).for_each(|n| put(&cache, &format!("made up {n}"), absent()));
    assert_eq!((cache.len(), cache.absent_len()), (16, 2));
    assert_eq!((cache.stats().evicted, cache.stats().absent_evicted), (0, 998));
    assert_eq!(get(&cache, "made up 999"), Some(None));
    assert_eq!(get(&cache, "made up 997"), None);
    (100..1_000).for_each(|n| put(&cache, &n.to_string(), n));
    assert_eq!((cache.len(), cache.absent_len()), (16, 2));
}

#[test]
fn absent_entries_are_bounded_by_default() {
    let flood = |cache: &Lru| (0..2_000).for_each(|n| put(cache, &n.to_string(), absent()));
    for (builder, bound) in [
        (Lru::builder(1), 1),
        (Lru::builder(80), 10),
        (Lru::builder(8).weigher(|_, _| 1), 1_024),
        (Lru::builder(8).absent_capacity(5), 5),
        (Lru::builder(8).absent_capacity(0), 0),
        (Lru::builder(8).absent_ttl(Duration::ZERO), 0),
    ] {
        let cache = builder.build().unwrap();
        flood(&cache);
        assert_eq!(cache.absent_len(), bound);
    }
}

#[test]
fn unbounded_cache_bounds_absent_entries_only() {
    let cache = MemoryCache::<str, u32>::new();
    (0..20_000).for_each(|n| put(&cache, &format!("absent {n}"), absent()));
    (0..20_000).for_each(|n| put(&cache, &n.to_string(), n));
    assert_eq!((cache.len(), cache.weight(), cache.absent_len()), (20_000, 20_000, 10_000));
    assert!((0..20_000).all(|n| get(&cache, &n.to_string()) == Some(Some(n))));
}

#[test]
fn absent_entry_that_is_asked_for_outlives_a_flood_of_others() {
    let unbounded = MemoryCache::<str, u32>::builder().absent_capacity(32).build().unwrap();
    let bounded = Lru::builder(8).absent_capacity(2).build().unwrap();
    for cache in [face(&unbounded), face(&bounded)] {
        drop(cache.put("asked for".to_owned(), cache.prepare("asked for", absent())));
        for n in 0..1_000 {
            drop(cache.put(n.to_string(), cache.prepare(&n.to_string(), absent())));
            assert!(cache.get("asked for").is_some_and(|entry| entry.is_absent()));
        }
    }
}

#[test]
fn found_and_absent_entries_of_a_key_take_each_others_place() {
    let cache = Lru::new(8).unwrap();
    put(&cache, "a", 1);
    put(&cache, "a", absent());
    assert_eq!((get(&cache, "a"), cache.len(), cache.absent_len()), (Some(None), 0, 1));
    put(&cache, "a", 2);
    assert_eq!((get(&cache, "a"), cache.len(), cache.absent_len()), (Some(Some(2)), 1, 0));
}

#[test]
fn absent_entry_that_is_not_kept_still_removes_the_found_one() {
    let cache = Lru::builder(8).absent_capacity(0).build().unwrap();
    put(&cache, "a", 1);
    put(&cache, "a", absent());
    assert_eq!((get(&cache, "a"), cache.len()), (None, 0));
}

#[test]
fn older_version_is_declined_and_equal_or_unknown_ones_are_not() {
    let cache = Lru::new(8).unwrap();
    let versioned = |value, version| Entry::found(value).with_version(Version::new(version));
    put(&cache, "a", versioned(1, 5));
    put(&cache, "a", versioned(2, 4));
    put(&cache, "a", absent().with_version(Version::new(4)));
    assert_eq!((get(&cache, "a"), cache.stats().outdated), (Some(Some(1)), 2));
    put(&cache, "a", versioned(3, 5));
    assert_eq!(get(&cache, "a"), Some(Some(3)));
    put(&cache, "a", 4);
    put(&cache, "a", versioned(5, 1));
    assert_eq!(get(&cache, "a"), Some(Some(5)));
}

#[test]
fn entries_come_back_as_they_went_in() {
    let cache = MemoryCache::<str, u32>::new();
    let now = headwater::Clock::system().now();
    let entry = Entry::found(1).loaded_at(now).with_version(Version::new(3));
    put(&cache, "a", entry.clone());
    assert_eq!(cache.peek("a"), Some(entry));
}

#[test]
fn empty_key_is_a_key() {
    let cache = Lru::new(2).unwrap();
    put(&cache, "", 7);
    assert_eq!(get(&cache, ""), Some(Some(7)));
    let bytes = LruCache::<[u8], u32>::new(2).unwrap();
    let resident = face(&bytes);
    drop(resident.put(Vec::new(), resident.prepare(&[], Entry::found(8))));
    assert_eq!(resident.get(&[]).and_then(Entry::into_value), Some(8));
}

#[test]
fn clones_are_the_same_cache() {
    let cache = Lru::new(2).unwrap();
    put(&cache.clone(), "a", 1);
    assert_eq!((cache.len(), get(&cache, "a")), (1, Some(Some(1))));
}

#[test]
fn faces_are_shareable_and_show_no_keys() {
    fn assert_face<T: Tier + Clone + std::fmt::Debug>() {}
    assert_face::<LruCache<str, u32>>();
    assert_face::<MemoryCache<u64, String>>();
    let cache = Lru::builder(2).name("planes").build().unwrap();
    put(&cache, "N12345", 1);
    let debug = format!("{cache:?}");
    assert!(debug.contains("planes") && !debug.contains("N12345"), "{debug}");
    assert!(format!("{:?}", Lru::builder(2)).contains("capacity: Some(2)"));
    assert_eq!(
        (Tier::name(&cache), MemoryCache::<str, u32>::default().name()),
        ("planes", "memory")
    );
}

#[tokio::test]
async fn batches_answer_in_order_and_allow_duplicates() {
    let cache = Lru::new(8).unwrap();
    let (found, none) = (Entry::found(1), absent());
    let stored = cache.put_many(&[("a", &found), ("b", &none), ("a", &Entry::found(2))]).await;
    assert!(stored.len() == 3 && stored.iter().all(Result::is_ok));
    let answers = cache.get_many(&["b", "missing", "a", "a"]).await;
    let values: Vec<_> =
        answers.into_iter().map(|answer| answer.unwrap().map(Entry::into_value)).collect();
    assert_eq!(values, [Some(None), None, Some(Some(2)), Some(Some(2))]);
    cache.remove_many(&["a", "missing", "a"]).await.unwrap();
    assert_eq!((cache.len(), cache.absent_len()), (0, 1));
    assert!(cache.get_many(&[]).await.is_empty());
}

#[tokio::test]
async fn tier_verbs_store_drop_and_clear() {
    let cache = MemoryCache::<str, u32>::new();
    for key in ["a", "b", "c"] {
        Tier::put(&cache, key, &Entry::found(1)).await.unwrap();
    }
    Tier::remove(&cache, "a").await.unwrap();
    Tier::remove(&cache, "a").await.unwrap();
    assert_eq!((cache.len(), Tier::get(&cache, "a").await.unwrap()), (2, None));
    Tier::clear(&cache).await.unwrap();
    assert!(cache.is_empty());
    Tier::put(&cache, "d", &Entry::found(1)).await.unwrap();
    assert_eq!(cache.len(), 1);
}

#[tokio::test]
async fn closed_cache_is_empty_and_says_so() {
    let cache = Lru::new(8).unwrap();
    put(&cache, "a", 1);
    cache.close().await.unwrap();
    cache.close().await.unwrap();
    assert_eq!((cache.len(), get(&cache, "a")), (0, None));
    put(&cache, "a", 1);
    assert_eq!((cache.len(), get(&cache, "a")), (0, None));

    let entry = Entry::found(1);
    let failures = [
        Tier::get(&cache, "a").await.unwrap_err(),
        cache.get_many(&["a"]).await.remove(0).unwrap_err(),
        Tier::put(&cache, "a", &entry).await.unwrap_err(),
        cache.put_many(&[("a", &entry)]).await.remove(0).unwrap_err(),
        Tier::remove(&cache, "a").await.unwrap_err(),
        cache.remove_many(&["a"]).await.unwrap_err(),
        Tier::clear(&cache).await.unwrap_err(),
    ];
    for error in failures {
        assert_eq!((error.kind(), error.tier()), (ErrorKind::Closed, Some("lru")));
    }
}

#[test]
fn iteration_shows_each_live_entry_once_and_changes_nothing() {
    let cache = MemoryCache::<str, u32>::builder().shards(4).build().unwrap();
    for n in 0..5_000 {
        put(&cache, &n.to_string(), n);
    }
    put(&cache, "absent", absent());
    put(&cache, "gone", 1);
    drop(face(&cache).remove("gone"));
    let mut seen: Vec<(String, Option<u32>)> =
        cache.iter().map(|(key, entry)| (key, entry.into_value())).collect();
    seen.sort();
    let mut expected: Vec<_> = (0..5_000).map(|n| (n.to_string(), Some(n))).collect();
    expected.push(("absent".to_owned(), None));
    expected.sort();
    assert_eq!(seen, expected);

    let lru = Lru::new(2).unwrap();
    put(&lru, "a", 1);
    put(&lru, "b", 2);
    assert_eq!(lru.iter().count(), 2);
    put(&lru, "c", 3);
    assert_eq!((get(&lru, "a"), get(&lru, "b")), (None, Some(Some(2))));
}

#[test]
fn entries_may_come_and_go_during_iteration() {
    let cache = MemoryCache::<str, u32>::builder().shards(1).build().unwrap();
    for n in 0..3_000 {
        put(&cache, &n.to_string(), n);
    }
    let mut stayed = 0;
    for (step, (_, entry)) in cache.iter().enumerate() {
        stayed += usize::from(entry.into_value() < Some(3_000));
        // The last hundred go before they are reached; others come.
        drop(face(&cache).remove(&(2_900 + step % 100).to_string()));
        put(&cache, &format!("new {step}"), 5_000);
        if step > 5_000 {
            break;
        }
    }
    assert_eq!(stayed, 2_900);
}

#[test]
fn a_value_is_inserted_by_the_rules_of_the_cache() {
    let (time, log) = (ManualClock::new(), Log::default());
    let builder = log.listen(Lru::builder(5).clock(time.clock()));
    let builder = builder.weigher(|_, value| u64::from(*value)).time_to_live(seconds(10));
    let cache = builder.build().unwrap();
    for (key, value) in [("a", 3), ("a", 4), ("b", 9), ("c", 2)] {
        cache.insert(key.to_owned(), value).unwrap();
    }
    assert_eq!(log.take(), ["a=3 Replaced", "b=9 Evicted", "a=4 Evicted"]);
    assert_eq!((cache.weight(), cache.value("c")), (2, Some(2)));
    time.advance(seconds(10));
    assert_eq!(cache.value("c"), None);
}

#[tokio::test]
async fn a_value_is_inserted_where_there_are_no_rules_and_nothing_after_a_close() {
    let (log, idle) = (Log::default(), seconds(3));
    let time = ManualClock::new();
    let builder = log.listen(Lru::builder(2).clock(time.clock()).time_to_idle(idle));
    let cache = builder.build().unwrap();
    for (key, value) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
        cache.insert(key.to_owned(), value).unwrap();
    }
    assert_eq!(log.take(), ["a=1 Replaced", "b=2 Evicted"]);
    assert_eq!(["a", "b", "c"].map(|key| cache.value(key)), [Some(3), None, Some(4)]);
    time.advance(idle);
    assert_eq!(["a", "c"].map(|key| cache.value(key)), [None, None]);
    cache.close().await.unwrap();
    let closed = cache.insert("d".to_owned(), 5).unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
    assert_eq!((cache.len(), cache.value("d")), (0, None));
}
