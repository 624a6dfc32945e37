//! The suite of [`Tier`].

use super::{STRANGE_KEYS, TestTime};
use crate::{Entry, ErrorKind, Tier, Version};
use std::time::Duration;

fn found(text: &str) -> Entry<String> {
    Entry::found(text.to_owned())
}

async fn value<T: Tier<Key = str, Value = String>>(tier: &T, key: &str) -> Option<String> {
    tier.get(key).await.expect("the tier answers").and_then(Entry::into_value)
}

/// Each check is an async function of an async factory; this spares writing their bounds out.
macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident($tier:ident, $time:ident) $body:block)*) => { $(
        $(#[$doc])*
        ///
        /// # Panics
        /// If the promise is broken.
        pub async fn $name<T, F, W>(make: impl FnOnce(W) -> F)
        where
            T: Tier<Key = str, Value = String>,
            F: Future<Output = T>,
            W: TestTime,
        {
            let $time = W::start();
            let $tier = make($time.clone()).await;
            $body
        }
    )* };
}

checks! {
    /// A key that was never put is a miss, not an error (R7).
    a_miss_is_none(tier, _time) {
        assert!(tier.get("nothing").await.expect("a miss is no error").is_none());
    }

    /// A put is seen by the next get.
    what_was_put_is_there(tier, _time) {
        tier.put("a", &found("1")).await.expect("put");
        tier.put("b", &found("2")).await.expect("put");
        assert_eq!(value(&tier, "a").await.as_deref(), Some("1"));
        assert_eq!(value(&tier, "b").await.as_deref(), Some("2"));
    }

    /// "Absent" is kept, and told apart from a miss and from a value (R7).
    absent_is_kept_as_such(tier, _time) {
        tier.put("a", &Entry::absent()).await.expect("put");
        let entry = tier.get("a").await.expect("get").expect("absent is an answer");
        assert!(entry.is_absent());
        tier.put("a", &found("now there")).await.expect("put");
        assert_eq!(value(&tier, "a").await.as_deref(), Some("now there"));
        tier.put("a", &Entry::absent()).await.expect("put");
        assert!(tier.get("a").await.expect("get").expect("an answer").is_absent());
    }

    /// The later of two puts is the one that is seen.
    a_later_put_replaces_an_earlier_one(tier, _time) {
        tier.put("a", &found("1")).await.expect("put");
        tier.put("a", &found("2")).await.expect("put");
        assert_eq!(value(&tier, "a").await.as_deref(), Some("2"));
    }

    /// A removed entry is a miss; removing what is not there is fine.
    what_was_removed_is_gone(tier, _time) {
        for key in ["a", "b", "c", "d"] {
            tier.put(key, &found(key)).await.expect("put");
        }
        tier.remove("a").await.expect("remove");
        tier.remove("never there").await.expect("removing nothing is fine");
        tier.remove_many(&["b", "never there", "b", "c"]).await.expect("remove many");
        for key in ["a", "b", "c"] {
            assert_eq!(value(&tier, key).await, None);
        }
        assert_eq!(value(&tier, "d").await.as_deref(), Some("d"));
    }

    /// After a clear everything is a miss, and the tier can be used on.
    clear_removes_everything(tier, _time) {
        tier.put("a", &found("1")).await.expect("put");
        tier.put("b", &Entry::absent()).await.expect("put");
        tier.clear().await.expect("clear");
        assert!(tier.get("a").await.expect("get").is_none());
        assert!(tier.get("b").await.expect("get").is_none());
        tier.put("a", &found("2")).await.expect("put");
        assert_eq!(value(&tier, "a").await.as_deref(), Some("2"));
    }

    /// One outcome per key, in their order (R8).
    many_keys_are_answered_in_order_with_duplicates(tier, _time) {
        tier.put("a", &found("1")).await.expect("put");
        tier.put("b", &Entry::absent()).await.expect("put");
        let answers = tier.get_many(&["b", "no", "a", "a", "no", "b"]).await;
        let seen: Vec<Option<Option<String>>> = answers
            .into_iter()
            .map(|answer| answer.expect("get").map(Entry::into_value))
            .collect();
        let a = || Some(Some("1".to_owned()));
        assert_eq!(seen, [Some(None), None, a(), a(), None, Some(None)]);
    }

    /// A batch of puts is seen as a whole, one outcome per key (R8).
    many_puts_have_one_outcome_each(tier, _time) {
        let keys: Vec<String> = (0..500).map(|number| format!("key {number}")).collect();
        let entries: Vec<Entry<String>> = keys.iter().map(|key| found(key)).collect();
        let pairs: Vec<(&str, &Entry<String>)> =
            keys.iter().map(String::as_str).zip(&entries).collect();
        let outcomes = tier.put_many(&pairs).await;
        assert_eq!(outcomes.len(), 500);
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        for (key, answer) in keys.iter().zip(tier.get_many(&keys).await) {
            assert_eq!(answer.expect("get").and_then(Entry::into_value).as_deref(), Some(*key));
        }
    }

    /// Empty batches do nothing.
    no_keys_have_no_outcomes(tier, _time) {
        assert!(tier.get_many(&[]).await.is_empty());
        assert!(tier.put_many(&[]).await.is_empty());
        tier.remove_many(&[]).await.expect("removing nothing is fine");
    }

    /// No two keys are taken for each other, whatever is in them.
    strange_keys_are_told_apart(tier, _time) {
        let long = "k".repeat(10_000);
        let keys: Vec<&str> = STRANGE_KEYS.into_iter().chain([long.as_str()]).collect();
        for (number, key) in keys.iter().enumerate() {
            tier.put(key, &found(&number.to_string())).await.expect("put");
        }
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(value(&tier, key).await, Some(number.to_string()), "key {key:?}");
        }
    }

    /// A megabyte comes back as it went, and so does nothing at all.
    a_large_value_comes_back_whole(tier, _time) {
        let large = "0123456789abcdef".repeat(65_536);
        tier.put("large", &found(&large)).await.expect("put");
        tier.put("empty", &found("")).await.expect("put");
        assert!(value(&tier, "large").await.as_deref() == Some(large.as_str()));
        assert_eq!(value(&tier, "empty").await.as_deref(), Some(""));
    }

    /// An entry is a miss from the moment on at which its life ends (R5).
    an_entry_is_dead_when_its_life_is_over(tier, time) {
        let span = time.scaled(Duration::from_secs(10));
        let end = time.clock().now() + span;
        tier.put("a", &found("1").expires_at(end)).await.expect("put");
        tier.put("b", &Entry::absent().expires_at(end)).await.expect("put");
        tier.put("already dead", &found("1").expires_at(time.clock().now())).await.expect("put");
        assert!(tier.get("already dead").await.expect("get").is_none());
        time.pass(time.most_of(span)).await;
        assert_eq!(value(&tier, "a").await.as_deref(), Some("1"));
        assert!(tier.get("b").await.expect("get").is_some());
        time.pass(span - time.most_of(span)).await;
        assert!(tier.get("a").await.expect("get").is_none());
        assert!(tier.get("b").await.expect("get").is_none());
    }

    /// What comes out has no more life left than what went in (R5).
    a_life_is_never_lengthened(tier, time) {
        let end = time.clock().now() + time.scaled(Duration::from_secs(10));
        tier.put("a", &found("1").expires_at(end)).await.expect("put");
        time.pass(time.scaled(Duration::from_secs(4))).await;
        let entry = tier.get("a").await.expect("get").expect("it is alive");
        let expiry = entry.expiry().expect("its life has an end");
        assert!(expiry <= end, "{expiry:?} after {end:?}");
    }

    /// An entry of an older version does not replace a newer one; one without a version does.
    an_older_version_is_declined(tier, _time) {
        tier.put("a", &found("new").with_version(Version::new(2))).await.expect("put");
        tier.put("a", &found("old").with_version(Version::new(1))).await.expect("declined");
        assert_eq!(value(&tier, "a").await.as_deref(), Some("new"));
        tier.put("a", &found("newer").with_version(Version::new(3))).await.expect("put");
        assert_eq!(value(&tier, "a").await.as_deref(), Some("newer"));
        tier.put("a", &found("told by hand")).await.expect("put");
        assert_eq!(value(&tier, "a").await.as_deref(), Some("told by hand"));
    }

    /// Closing twice is fine; afterwards every call answers "closed" (R11).
    close_is_idempotent_and_final(tier, _time) {
        tier.put("a", &found("1")).await.expect("put");
        tier.close().await.expect("close");
        tier.close().await.expect("close again");
        let kinds = [
            tier.get("a").await.expect_err("get after close").kind(),
            tier.put("a", &found("1")).await.expect_err("put after close").kind(),
            tier.remove("a").await.expect_err("remove after close").kind(),
            tier.remove_many(&["a"]).await.expect_err("remove many after close").kind(),
            tier.clear().await.expect_err("clear after close").kind(),
            tier.get_many(&["a"]).await.remove(0).expect_err("get many after close").kind(),
        ];
        assert_eq!(kinds, [ErrorKind::Closed; 6]);
    }
}
