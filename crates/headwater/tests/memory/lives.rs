//! Lives: per cache, per value, per entry, idle, absent; and what becomes of the dead.

use super::{Log, absent, face, get, put, seconds};
use headwater::testkit::ManualClock;
use headwater::{Cause, Clock, Entry, LruCache, MemoryBuilder, MemoryCache, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

type Lru = LruCache<str, u32>;

fn lru(
    time: &ManualClock,
    change: impl FnOnce(MemoryBuilder<str, u32, Lru>) -> MemoryBuilder<str, u32, Lru>,
) -> Lru {
    change(Lru::builder(8).clock(time.clock())).build().unwrap()
}

/// The life that the entry of `key` has left.
fn life(cache: &Lru, time: &ManualClock, key: &str) -> Option<Duration> {
    cache.peek(key)?.remaining(time.clock().now())
}

#[test]
fn entry_is_dead_exactly_at_its_time_to_live() {
    let time = ManualClock::new();
    let cache = lru(&time, |builder| builder.time_to_live(seconds(10)));
    put(&cache, "a", 1);
    time.advance(seconds(10) - Duration::from_nanos(1));
    assert_eq!(get(&cache, "a"), Some(Some(1)));
    time.advance(Duration::from_nanos(1));
    assert!(cache.peek("a").is_none());
    assert_eq!((cache.len(), cache.stats().expired), (1, 0));
    assert_eq!(get(&cache, "a"), None);
    assert_eq!((cache.len(), cache.stats().expired), (0, 1));
}

#[test]
fn get_does_not_lengthen_a_time_to_live_and_a_put_begins_a_new_one() {
    let time = ManualClock::new();
    let cache = lru(&time, |builder| builder.time_to_live(seconds(10)));
    put(&cache, "a", 1);
    time.advance(seconds(6));
    get(&cache, "a");
    put(&cache, "b", 1);
    put(&cache, "b", 2);
    time.advance(seconds(4));
    assert_eq!((get(&cache, "a"), get(&cache, "b")), (None, Some(Some(2))));
}

#[test]
fn life_that_an_entry_brings_is_shortened_never_lengthened() {
    let time = ManualClock::new();
    let cache = lru(&time, |builder| builder.time_to_live(seconds(10)));
    let now = time.clock().now();
    put(&cache, "short", Entry::found(1).expires_at(now + seconds(3)));
    put(&cache, "long", Entry::found(1).expires_at(now + seconds(30)));
    assert_eq!(life(&cache, &time, "short"), Some(seconds(3)));
    assert_eq!(life(&cache, &time, "long"), Some(seconds(10)));
    let plain = lru(&time, |builder| builder);
    put(&plain, "own", Entry::found(1).expires_at(now + seconds(30)));
    put(&plain, "endless", 1);
    assert_eq!(life(&plain, &time, "own"), Some(seconds(30)));
    assert_eq!(plain.peek("endless").unwrap().expiry(), None);
}

#[test]
fn life_may_depend_on_the_value() {
    let time = ManualClock::new();
    let by_value = |_: &str, value: &u32| (*value > 0).then(|| seconds(u64::from(*value)));
    let cache = lru(&time, |b| b.time_to_live_with(by_value).time_to_live(seconds(10)));
    put(&cache, "a", 3);
    put(&cache, "b", 20);
    put(&cache, "c", 0);
    assert_eq!(
        ["a", "b", "c"].map(|key| life(&cache, &time, key)),
        [3, 10, 10].map(|s| Some(seconds(s)))
    );
}

#[test]
fn entry_without_any_life_is_not_kept_and_takes_the_old_one_with_it() {
    let time = ManualClock::new();
    let log = Log::default();
    let cache = lru(&time, |builder| {
        log.listen(builder.time_to_live_with(|_, value| (*value == 0).then_some(Duration::ZERO)))
    });
    put(&cache, "a", 1);
    put(&cache, "a", 0);
    assert_eq!((cache.len(), get(&cache, "a")), (0, None));
    assert_eq!(log.take(), ["a=1 Replaced", "a=0 Expired"]);
}

#[test]
fn idle_entry_dies_and_a_used_one_lives_on() {
    let time = ManualClock::new();
    let cache = lru(&time, |builder| builder.time_to_idle(seconds(5)));
    for key in ["used", "peeked"] {
        put(&cache, key, 1);
    }
    for _ in 0..4 {
        time.advance(seconds(3));
        assert_eq!(get(&cache, "used"), Some(Some(1)));
        let _ = cache.peek("peeked");
    }
    assert_eq!(get(&cache, "peeked"), None);
    time.advance(seconds(5));
    assert_eq!(get(&cache, "used"), None);
}

#[test]
fn idle_life_never_passes_the_end_of_the_entry() {
    let time = ManualClock::new();
    let cache = lru(&time, |b| b.time_to_idle(seconds(5)).time_to_live(seconds(7)));
    put(&cache, "a", 1);
    time.advance(seconds(4));
    let entry = face(&cache).get("a").unwrap();
    assert_eq!(entry.remaining(time.clock().now()), Some(seconds(3)));
    time.advance(seconds(3));
    assert_eq!(get(&cache, "a"), None);
}

#[test]
fn entry_that_is_handed_out_carries_its_idle_end() {
    let time = ManualClock::new();
    let cache = lru(&time, |builder| builder.time_to_idle(seconds(5)));
    put(&cache, "a", 1);
    time.advance(seconds(2));
    assert_eq!(life(&cache, &time, "a"), Some(seconds(3)));
    get(&cache, "a");
    assert_eq!(life(&cache, &time, "a"), Some(seconds(5)));
}

#[test]
fn absent_entry_has_a_life_of_its_own() {
    let time = ManualClock::new();
    let usual = lru(&time, |builder| builder.time_to_live(seconds(1_000)).absent_capacity(2));
    let short = lru(&time, |builder| builder.absent_ttl(seconds(2)));
    put(&usual, "a", absent());
    put(&short, "a", absent());
    put(&usual, "b", absent().expires_at(time.clock().now() + seconds(1)));
    assert_eq!(life(&usual, &time, "a"), Some(seconds(60)));
    assert_eq!(life(&short, &time, "a"), Some(seconds(2)));
    assert_eq!(life(&usual, &time, "b"), Some(seconds(1)));
}

#[test]
fn jitter_shortens_within_its_fraction_and_spreads_lives() {
    let time = ManualClock::new();
    let cache = LruCache::<str, u32>::builder(1_000)
        .clock(time.clock())
        .time_to_live(seconds(100))
        .ttl_jitter(0.2)
        .build()
        .unwrap();
    (0..1_000).for_each(|n| put(&cache, &n.to_string(), n));
    let mut lives: Vec<Duration> =
        (0..1_000).filter_map(|n: u32| life(&cache, &time, &n.to_string())).collect();
    lives.sort_unstable();
    assert!(lives[0] >= seconds(80) && lives[999] <= seconds(100));
    lives.dedup();
    assert!(lives.len() > 900, "lives differ");
}

#[test]
fn jitter_leaves_alone_what_comes_from_below_and_idle_lives() {
    let time = ManualClock::new();
    let cache = lru(&time, |builder| builder.ttl_jitter(1.0).time_to_idle(seconds(50)));
    put(&cache, "a", Entry::found(1).expires_at(time.clock().now() + seconds(9)));
    put(&cache, "b", 1);
    assert_eq!(life(&cache, &time, "a"), Some(seconds(9)));
    assert_eq!(life(&cache, &time, "b"), Some(seconds(50)));
}

#[test]
fn newer_version_that_is_dead_keeps_nobody_out() {
    let time = ManualClock::new();
    let log = Log::default();
    let cache = lru(&time, |builder| log.listen(builder.time_to_live(seconds(5))));
    put(&cache, "a", Entry::found(1).with_version(Version::new(9)));
    time.advance(seconds(5));
    put(&cache, "a", Entry::found(2).with_version(Version::new(1)));
    assert_eq!(get(&cache, "a"), Some(Some(2)));
    assert_eq!(log.take(), ["a=1 Expired"]);
}

#[test]
fn puts_remove_what_is_dead_a_few_at_a_time_wherever_it_is() {
    let time = ManualClock::new();
    let cache = MemoryCache::<u64, u32>::builder().clock(time.clock()).shards(1);
    let cache = cache.absent_ttl(seconds(5)).build().unwrap();
    let put = |key: u64, life: u64| {
        let entry = if key.is_multiple_of(8) { Entry::absent() } else { Entry::found(1) };
        let entry = entry.expires_at(time.clock().now() + seconds(life));
        face(&cache).put(key, face(&cache).prepare(&key, entry)).len()
    };
    // Every second one is to stay, and is used again and again.
    let first: usize = (0..1_000).map(|key| put(key, 5 + key % 2 * 100)).sum();
    time.advance(seconds(6));
    (1..1_000).step_by(2).for_each(|key| assert!(face(&cache).get(&key).is_some()));
    let removed: Vec<usize> = (1_000..1_040).map(|key| put(key, 1_000)).collect();
    assert_eq!((first, removed.iter().sum::<usize>()), (0, 500));
    assert!(removed.iter().all(|removed| *removed <= 16), "{removed:?}");
    assert_eq!(cache.remove_expired(), 0);
}

#[test]
fn dead_entries_go_before_live_ones_at_the_cold_end() {
    let time = ManualClock::new();
    let log = Log::default();
    let cache = lru(&time, |builder| log.listen(builder));
    put(&cache, "dead", Entry::found(1).expires_at(time.clock().now() + seconds(1)));
    (0..7).for_each(|n| put(&cache, &n.to_string(), n));
    time.advance(seconds(1));
    put(&cache, "new", 1);
    assert_eq!(log.take(), ["dead=1 Expired"]);
    assert_eq!((cache.len(), cache.stats().evicted), (8, 0));
}

#[test]
fn sweep_removes_all_that_is_dead_and_nothing_else() {
    let time = ManualClock::new();
    let cache = MemoryCache::<str, u32>::builder().clock(time.clock()).build().unwrap();
    let now = time.clock().now();
    for n in 0..5_000 {
        let life = if n % 2 == 0 { seconds(1) } else { seconds(100) };
        put(&cache, &n.to_string(), Entry::found(n).expires_at(now + life));
    }
    put(&cache, "absent", absent());
    assert_eq!(cache.remove_expired(), 0);
    time.advance(seconds(1));
    assert_eq!((cache.remove_expired(), cache.len(), cache.absent_len()), (2_500, 2_500, 1));
    time.advance(seconds(99));
    assert_eq!((cache.remove_expired(), cache.len(), cache.absent_len()), (2_501, 0, 0));
    assert_eq!((cache.stats().expired, cache.remove_expired()), (5_001, 0));
}

#[test]
fn hit_on_an_endless_entry_reads_no_clock() {
    #[derive(Debug)]
    struct Counting(Arc<AtomicUsize>);
    impl headwater::TimeSource for Counting {
        fn now(&self) -> headwater::Moment {
            self.0.fetch_add(1, Ordering::Relaxed);
            headwater::Moment::START
        }

        fn sleep_until(&self, _: headwater::Moment) -> headwater::Sleep {
            Box::pin(std::future::pending())
        }
    }
    let reads = Arc::new(AtomicUsize::new(0));
    let clock = headwater::Clock::new(Counting(Arc::clone(&reads)));
    let cache = Lru::builder(8).clock(clock).build().unwrap();
    put(&cache, "endless", 1);
    put(&cache, "for ever", Entry::found(1).expires_at(headwater::Moment::END));
    put(&cache, "mortal", Entry::found(1).expires_at(headwater::Moment::START + seconds(60)));
    let before = reads.load(Ordering::Relaxed);
    assert!(get(&cache, "endless").is_some() && get(&cache, "missing").is_none());
    assert!(get(&cache, "for ever").is_some());
    assert_eq!(reads.load(Ordering::Relaxed), before);
    assert!(get(&cache, "mortal").is_some());
    assert_eq!(reads.load(Ordering::Relaxed), before + 1);
}

/// Waits for what another thread does; a test that hangs fails.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < seconds(60), "{what} within a minute");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_is_dead_is_freed_though_nobody_asks_for_anything() {
    let log = Log::default();
    let cache = MemoryCache::<str, u32>::builder().absent_ttl(Duration::from_millis(100));
    let cache = log.listen(cache).build().unwrap();
    put(&cache, "stays", 7);
    for round in 1..3 {
        // Twice, because the thread that does it ends when it has nothing to do.
        let end = Clock::system().now() + Duration::from_millis(100);
        put(&cache, "dies", Entry::found(round).expires_at(end));
        put(&cache, "absent", absent());
        let is_gone = || cache.len() == 1 && cache.absent_len() == 0;
        eventually("the dead are gone", || is_gone() && !log.0.lock().unwrap().is_empty());
        assert_eq!(log.take(), [format!("dies={round} Expired")]);
    }
    assert_eq!(get(&cache, "stays"), Some(Some(7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_of_the_dead_may_spawn() {
    let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let listener = move |key: &String, _: &u32, cause| {
        let (told, key) = (told.clone(), key.clone());
        tokio::spawn(async move { told.send((key, cause)) });
    };
    let cache = LruCache::<str, u32>::builder(8).on_removal(listener).build().unwrap();
    put(
        &cache,
        "dies",
        Entry::found(1).expires_at(Clock::system().now() + Duration::from_millis(50)),
    );
    assert_eq!(hears.recv().await, Some(("dies".to_owned(), Cause::Expired)));
}

#[test]
fn a_cache_that_is_dropped_is_not_kept_for_those_that_will_die() {
    let value = Arc::new(());
    let cache = MemoryCache::<str, Arc<()>>::new();
    let entry = Entry::found(Arc::clone(&value));
    let face = face(&cache);
    let entry = entry.expires_at(Clock::system().now() + seconds(1_000));
    drop(face.put("dies".to_owned(), face.prepare("dies", entry)));
    drop(cache);
    eventually("all is dropped", || Arc::strong_count(&value) == 1);
}
