//! The suite of [`Cache`]. Races are forced with gates: no check depends on luck or on time.

use super::{Behaviour, TestSource, TestTime};
use crate::{Cache, Error, ErrorKind, FetchOptions};
use futures_util::FutureExt;
use futures_util::future::{Either, join, join_all, join4, select};
use std::pin::{Pin, pin};
use std::time::Duration;

/// Each check is an async function of an async factory; this spares writing their bounds out.
macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident($cache:ident, $source:ident, $time:ident) $body:block)*) => { $(
        $(#[$doc])*
        ///
        /// # Panics
        /// If the promise is broken.
        pub async fn $name<T, F, W>(make: impl FnOnce(TestSource<str, String>, W) -> F)
        where
            T: Cache<Key = str, Value = String>,
            F: Future<Output = T>,
            W: TestTime,
        {
            let $source = TestSource::<str, String>::new();
            let $time = W::start();
            let $cache = make($source.clone(), $time.clone()).await;
            $body
        }
    )* };
}

/// Drives a fetch until its load has asked the source, which is a while if a tier takes its time.
async fn until_asked(
    source: &TestSource<str, String>,
    fetch: Pin<&mut impl Future<Output = crate::Result<String>>>,
) {
    let asked = source.calls().reached(1);
    assert!(matches!(select(fetch, pin!(asked)).await, Either::Right(_)), "the gate is closed");
}

fn text(number: usize) -> String {
    number.to_string()
}

/// Waits until every tier has been filled once: fills may go on behind the caller's back.
async fn filled(cache: &impl Cache) {
    while cache.stats().tiers.iter().any(|tier| tier.fills == 0) {
        tokio::task::yield_now().await;
    }
}

checks! {
    /// What was fetched once is answered without the source (R1).
    a_second_fetch_does_not_ask_the_source(cache, source, _time) {
        source.set("a", text(1));
        for _ in 0..3 {
            assert_eq!(cache.fetch("a").await.expect("found"), "1");
        }
        assert_eq!(source.calls().count(), 1);
    }

    /// Of a batch only the misses go down, each once, in one call (R8).
    only_misses_go_down(cache, source, _time) {
        for (number, key) in ["a", "b", "c"].iter().enumerate() {
            source.set(key, text(number));
        }
        cache.fetch("b").await.expect("found");
        let outcomes = cache.fetch_many(&["a", "b", "c", "a", "no"]).await;
        let values: Vec<Option<String>> = outcomes.into_iter().map(Result::ok).collect();
        let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
        assert_eq!(values, [Some("0"), Some("1"), Some("2"), Some("0"), None]);
        assert_eq!((source.calls().count(), source.keys().count()), (2, 4));
    }

    /// "Absent" is an answer: it is cached, and told apart from failure (R7).
    absent_is_kept_as_an_answer(cache, source, _time) {
        for _ in 0..3 {
            assert!(cache.fetch("no").await.expect_err("absent").is_not_found());
        }
        assert_eq!(source.calls().count(), 1);
        source.set("no", text(1));
        cache.invalidate("no").await.expect("invalidate");
        assert_eq!(cache.fetch("no").await.expect("it is there now"), "1");
    }

    /// Many who miss one key at once cause one load, and all have its outcome (R2).
    concurrent_fetches_share_one_load(cache, source, _time) {
        source.set("a", text(1));
        let gate = source.gate();
        let fetches = join_all((0..100).map(|_| cache.fetch("a")));
        let (outcomes, ()) = join(fetches, async {
            source.calls().reached(1).await;
            gate.open();
        })
        .await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(value) if value == "1")));
        assert_eq!(source.calls().count(), 1);
    }

    /// Single and batched fetches share their loads, key by key (R2, R8).
    fetch_and_fetch_many_share_one_load(cache, source, _time) {
        for (number, key) in ["a", "b", "c"].iter().enumerate() {
            source.set(key, text(number));
        }
        let gate = source.gate();
        let mut single = pin!(cache.fetch("a"));
        assert!(single.as_mut().now_or_never().is_none());
        let mut first = pin!(cache.fetch_many(&["a", "b"]));
        assert!(first.as_mut().now_or_never().is_none());
        let mut second = pin!(cache.fetch_many(&["c", "b", "a"]));
        assert!(second.as_mut().now_or_never().is_none());
        let mut late = pin!(cache.fetch("c"));
        assert!(late.as_mut().now_or_never().is_none());
        gate.open();
        let (single, first, second, late) = join4(single, first, second, late).await;
        assert_eq!((single.expect("found"), late.expect("found")), (text(0), text(2)));
        let values = |outcomes: Vec<crate::Result<String>>| -> Vec<String> {
            outcomes.into_iter().map(|outcome| outcome.expect("found")).collect()
        };
        assert_eq!(values(first), ["0", "1"]);
        assert_eq!(values(second), ["2", "1", "0"]);
        assert_eq!(source.keys().count(), 3);
    }

    /// A failure is everybody's outcome, is not run again by each waiter, and is not cached (R2).
    a_failure_is_shared_and_not_kept(cache, source, _time) {
        source.set("a", text(1));
        source.fail_key("a", Some(Error::new(ErrorKind::Unavailable, "refused by the test")));
        let gate = source.gate();
        let fetches = join_all((0..50).map(|_| cache.fetch("a")));
        let (outcomes, ()) = join(fetches, async {
            source.calls().reached(1).await;
            gate.open();
        })
        .await;
        for outcome in outcomes {
            assert_eq!(outcome.map_err(|error| error.kind()), Err(ErrorKind::Unavailable));
        }
        assert_eq!(source.calls().count(), 1);
        source.fail_key("a", None);
        assert_eq!(cache.fetch("a").await.expect("it works again"), "1");
    }

    /// A panic of the source is an error for all who waited, and the key works on (R3).
    a_panic_is_an_error_for_all_and_poisons_nothing(cache, source, _time) {
        source.set("a", text(1));
        source.behave(Behaviour::Panicking);
        let outcomes = join_all((0..10).map(|_| cache.fetch("a"))).await;
        for outcome in outcomes {
            assert_eq!(outcome.map_err(|error| error.kind()), Err(ErrorKind::Panicked));
        }
        let outcomes = cache.fetch_many(&["a", "b"]).await;
        for outcome in outcomes {
            assert_eq!(outcome.map_err(|error| error.kind()), Err(ErrorKind::Panicked));
        }
        source.behave(Behaviour::Prompt);
        assert_eq!(cache.fetch("a").await.expect("found"), "1");
    }

    /// When who began a load is dropped, the load goes on for the others (R3).
    a_dropped_leader_leaves_the_load_to_the_others(cache, source, _time) {
        source.set("a", text(1));
        let gate = source.gate();
        let mut leader = Box::pin(cache.fetch("a"));
        assert!(leader.as_mut().now_or_never().is_none());
        let waiters = join_all((0..20).map(|_| cache.fetch("a")));
        let mut waiters = pin!(waiters);
        assert!(waiters.as_mut().now_or_never().is_none());
        drop(leader);
        gate.open();
        for outcome in waiters.await {
            assert_eq!(outcome.expect("found"), "1");
        }
        assert_eq!(source.calls().count(), 1);
    }

    /// Who began a load and is alive but not polled, as in an arm of a `select!`, is no leader to
    /// wait for (R2: never a hang).
    a_leader_that_is_not_polled_holds_up_nobody(cache, source, _time) {
        source.set("a", text(1));
        let gate = source.gate();
        let mut leader = pin!(cache.fetch("a"));
        assert!(leader.as_mut().now_or_never().is_none());
        gate.open();
        assert_eq!(cache.fetch("a").await.expect("found"), "1");
        assert_eq!(leader.await.expect("found"), "1");
        assert_eq!(source.calls().count(), 1);
    }

    /// A load that nobody waits for any more is in nobody's way (R3).
    a_load_that_everybody_left_does_not_block_the_key(cache, source, _time) {
        source.set("a", text(1));
        let _never_opened = source.gate();
        for _ in 0..3 {
            let mut fetch = Box::pin(cache.fetch("a"));
            assert!(fetch.as_mut().now_or_never().is_none());
            drop(fetch);
        }
        source.behave(Behaviour::Prompt);
        assert_eq!(cache.fetch("b").await.map_err(|error| error.kind()), Err(ErrorKind::NotFound));
        cache.invalidate("a").await.expect("invalidate");
        assert_eq!(cache.fetch("a").await.expect("found"), "1");
    }

    /// After an invalidation no tier has the old value (R4).
    invalidate_makes_the_next_fetch_ask_the_source(cache, source, _time) {
        source.set("a", text(1));
        assert_eq!(cache.fetch("a").await.expect("found"), "1");
        source.set("a", text(2));
        assert_eq!(cache.fetch("a").await.expect("found"), "1", "a cache keeps what it has");
        cache.invalidate("a").await.expect("invalidate");
        assert_eq!(cache.fetch("a").await.expect("found"), "2");
        cache.invalidate("never fetched").await.expect("invalidating nothing is fine");
    }

    /// A load that read the old value before an invalidation neither answers a fetch that starts
    /// after it, nor fills any tier (R4).
    invalidate_beats_a_load_in_flight(cache, source, _time) {
        source.set("a", text(1));
        let gate = source.gate();
        let mut early = pin!(cache.fetch("a"));
        until_asked(&source, early.as_mut()).await;
        source.set("a", text(2));
        source.behave(Behaviour::Prompt);
        cache.invalidate("a").await.expect("invalidate");
        assert_eq!(cache.fetch("a").await.expect("found"), "2", "while the old load is under way");
        gate.open();
        assert_eq!(early.await.expect("found"), "1", "it began before the invalidation");
        assert_eq!(cache.fetch("a").await.expect("found"), "2", "after the old load has ended");
        assert_eq!(source.calls().count(), 2);
    }

    /// Each key of a batch is forgotten, and no other: not even one whose entry is still on its way
    /// into a slower tier.
    invalidate_many_forgets_each_key(cache, source, _time) {
        let names: Vec<String> = (0..1_000).map(|at| format!("key {at}")).collect();
        let keys: Vec<&str> = names.iter().map(String::as_str).collect();
        keys.iter().for_each(|key| source.set(key, text(1)));
        cache.fetch_many(&keys).await;
        keys.iter().for_each(|key| source.set(key, text(2)));
        let even = keys.iter().copied().step_by(2);
        let to_forget: Vec<&str> = even.chain(["key 0", "never fetched"]).collect();
        cache.invalidate_many(&to_forget).await.expect("invalidate");
        cache.invalidate_many(&[]).await.expect("invalidating nothing is fine");
        let values: Vec<String> =
            cache.fetch_many(&keys).await.into_iter().map(|value| value.expect("found")).collect();
        let expected: Vec<String> = (0..1_000).map(|at| text(2 - at % 2)).collect();
        assert_eq!(values, expected);
    }

    /// After a clear the source is asked for everything (R4).
    clear_forgets_everything(cache, source, _time) {
        source.set("a", text(1));
        cache.fetch_many(&["a", "no"]).await;
        source.set("a", text(2));
        source.set("no", text(3));
        cache.clear().await.expect("clear");
        assert_eq!(cache.fetch("a").await.expect("found"), "2");
        assert_eq!(cache.fetch("no").await.expect("found"), "3");
    }

    /// A load that read the old value before a clear fills no tier (R4).
    clear_beats_a_load_in_flight(cache, source, _time) {
        source.set("a", text(1));
        let gate = source.gate();
        let mut early = pin!(cache.fetch("a"));
        until_asked(&source, early.as_mut()).await;
        source.set("a", text(2));
        source.behave(Behaviour::Prompt);
        cache.clear().await.expect("clear");
        gate.open();
        assert_eq!(early.await.expect("found"), "1");
        assert_eq!(cache.fetch("a").await.expect("found"), "2");
    }

    /// What was inserted is answered without the source.
    an_inserted_value_is_answered(cache, source, _time) {
        cache.insert("a", text(1)).await.expect("insert");
        assert_eq!(cache.fetch("a").await.expect("found"), "1");
        cache.insert("b", crate::Entry::absent()).await.expect("insert");
        assert!(cache.fetch("b").await.expect_err("absent").is_not_found());
        assert_eq!(source.calls().count(), 0);
    }

    /// A load that read the old value before an insert does not overwrite it (R4).
    insert_beats_a_load_in_flight(cache, source, _time) {
        source.set("a", text(1));
        let gate = source.gate();
        let mut early = pin!(cache.fetch("a"));
        until_asked(&source, early.as_mut()).await;
        cache.insert("a", text(2)).await.expect("insert");
        assert_eq!(cache.fetch("a").await.expect("found"), "2");
        gate.open();
        assert_eq!(early.await.expect("found"), "1");
        assert_eq!(cache.fetch("a").await.expect("found"), "2");
    }

    /// The later of two inserts is what every tier has.
    the_last_of_two_inserts_wins_everywhere(cache, source, _time) {
        cache.insert("a", text(1)).await.expect("insert");
        cache.insert("a", text(2)).await.expect("insert");
        assert_eq!(cache.fetch("a").await.expect("found"), "2");
        for tier in cache.stats().tiers {
            let options = FetchOptions::new().skip_tier(tier.name);
            let entry = cache.fetch_entry("a", &options).await.map(crate::Entry::into_value);
            let from_below = cache.stats().tiers.len() > 1;
            assert!(!from_below || matches!(&entry, Ok(Some(value)) if value == "2"), "{entry:?}");
            if from_below { break }
        }
        assert!(source.calls().count() <= 1);
    }

    /// A call that accepts no age is answered by a load of its own, which fills.
    max_age_zero_asks_the_source(cache, source, time) {
        source.set("a", text(1));
        cache.fetch("a").await.expect("found");
        source.set("a", text(2));
        time.pass(Duration::from_millis(1)).await;
        let options = FetchOptions::new().max_age(Duration::ZERO);
        let entry = cache.fetch_entry("a", &options).await.expect("found");
        assert_eq!(entry.value().map(String::as_str), Some("2"));
        // A tier that others share is filled behind the caller's back, and has the old one until then.
        let mut passed = 0;
        while cache.fetch("a").await.expect("found") != "2" {
            passed += 1;
            assert!(passed < 1_000, "it does not fill");
            time.pass(Duration::from_millis(1)).await;
        }
        assert_eq!(source.calls().count(), 2);
    }

    /// A call that bounds the age is answered from a tier as long as the entry is young enough.
    an_answer_of_the_right_age_is_accepted(cache, source, time) {
        source.set("a", text(1));
        cache.fetch("a").await.expect("found");
        filled(&cache).await;
        source.set("a", text(2));
        let age = time.scaled(Duration::from_secs(10));
        let options = FetchOptions::new().max_age(age);
        time.pass(time.most_of(age)).await;
        let entry = cache.fetch_entry("a", &options).await.expect("found");
        assert_eq!(entry.value().map(String::as_str), Some("1"));
        time.pass(age - time.most_of(age) + Duration::from_millis(1)).await;
        let entry = cache.fetch_entry("a", &options).await.expect("found");
        assert_eq!(entry.value().map(String::as_str), Some("2"));
    }

    /// Every look-up in the first tier is a hit, a miss or shared (S1).
    counters_account_for_every_lookup(cache, source, _time) {
        source.set("a", text(1));
        cache.fetch("a").await.expect("found");
        cache.fetch("a").await.expect("found");
        cache.fetch_many(&["a", "b", "b", "no"]).await;
        join_all((0..10).map(|_| cache.fetch("c"))).await;
        let stats = cache.stats();
        let first = &stats.tiers[0];
        assert_eq!(first.hits + first.misses + first.coalesced, 16, "{first:?}");
        assert_eq!(stats.source.keys, source.keys().count() as u64);
        assert_eq!(stats.source.calls, source.calls().count() as u64);
        assert_eq!(stats.source.absent, 3, "b, no and c");
    }
}
