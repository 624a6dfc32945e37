//! The suite of [`Presence`].

use super::{STRANGE_KEYS, TestTime};
use crate::ErrorKind;
use crate::presence::{Presence, PresenceCache};
use std::time::Duration;

async fn value<P>(presence: &P, key: &str) -> Option<String>
where
    P: PresenceCache<Key = str, Value = String>,
{
    presence.fetch(key).await.expect("the store answers")
}

fn text(text: &str) -> String {
    text.to_owned()
}

/// Each check is an async function of an async factory; this spares writing their bounds out.
macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident($presence:ident, $time:ident) $body:block)*) => { $(
        $(#[$doc])*
        ///
        /// # Panics
        /// If the promise is broken.
        pub async fn $name<P, F, W>(make: impl FnOnce(W) -> F)
        where
            P: Presence<Key = str, Value = String>,
            F: Future<Output = P>,
            W: TestTime,
        {
            let $time = W::start();
            let $presence = make($time.clone()).await;
            $body
        }
    )* };
}

checks! {
    /// What was never set is absent, not an error (P1).
    absent_is_none(presence, _time) {
        assert_eq!(value(&presence, "a").await, None);
        assert!(!presence.delete("a").await.expect("delete"));
        assert_eq!(presence.remaining("a").await.expect("remaining"), None);
        assert!(!presence.touch("a", None).await.expect("touch"));
    }

    /// What was set is fetched until it is deleted; the later of two sets wins (P1).
    what_was_set_is_there_until_deleted(presence, _time) {
        presence.set("a", &text("1")).await.expect("set");
        presence.set("b", &text("2")).await.expect("set");
        presence.set("a", &text("3")).await.expect("set");
        assert_eq!(value(&presence, "a").await.as_deref(), Some("3"));
        assert!(presence.delete("a").await.expect("delete"));
        assert!(!presence.delete("a").await.expect("delete again"));
        assert_eq!(value(&presence, "a").await, None);
        assert_eq!(value(&presence, "b").await.as_deref(), Some("2"));
    }

    /// One outcome per key, in order; duplicates are allowed (P1).
    many_keys_are_answered_in_order_with_duplicates(presence, _time) {
        presence.set("a", &text("1")).await.expect("set");
        presence.set("b", &text("2")).await.expect("set");
        let found = presence.fetch_many(&["b", "no", "a", "b"]).await;
        let found: Vec<_> = found.into_iter().map(|found| found.expect("an answer")).collect();
        assert_eq!(found, [Some(text("2")), None, Some(text("1")), Some(text("2"))]);
        assert!(presence.fetch_many(&[]).await.is_empty());
        assert!(presence.touch_many(&[], None).await.expect("touch").is_empty());
    }

    /// No two keys are taken for each other, whatever is in them (P1).
    strange_keys_are_told_apart(presence, _time) {
        let long = "k".repeat(10_000);
        let keys: Vec<&str> = STRANGE_KEYS.into_iter().chain([long.as_str()]).collect();
        for (number, key) in keys.iter().enumerate() {
            presence.set(key, &number.to_string()).await.expect("set");
        }
        let found = presence.fetch_many(&keys).await;
        for ((number, key), found) in keys.iter().enumerate().zip(found) {
            assert_eq!(found.expect("an answer"), Some(number.to_string()), "key {key:?}");
            assert_eq!(value(&presence, key).await, Some(number.to_string()), "key {key:?}");
        }
        assert!(presence.touch_many(&keys, None).await.expect("touch").is_empty());
    }

    /// A million bytes come back as they went, and so does nothing at all.
    a_large_value_comes_back_whole(presence, _time) {
        let large = "0123456789abcdef".repeat(62_500);
        presence.set("large", &large).await.expect("set");
        presence.set("empty", &text("")).await.expect("set");
        assert!(value(&presence, "large").await.as_deref() == Some(large.as_str()));
        assert_eq!(value(&presence, "empty").await.as_deref(), Some(""));
    }

    /// An entry is gone from the end of its life on, for every way to look at it (P2).
    an_entry_is_gone_when_its_life_is_over(presence, time) {
        let span = time.scaled(Duration::from_secs(10));
        presence.set_for("a", &text("1"), Some(span)).await.expect("set");
        presence.set_for("b", &text("2"), Some(Duration::MAX)).await.expect("set");
        time.pass(time.most_of(span)).await;
        assert_eq!(value(&presence, "a").await.as_deref(), Some("1"));
        time.pass(span - time.most_of(span)).await;
        assert_eq!(value(&presence, "a").await, None);
        let found = presence.fetch_many(&["a"]).await.remove(0).expect("an answer");
        assert_eq!(found, None);
        assert_eq!(presence.remaining("a").await.expect("remaining"), None);
        assert!(!presence.touch("a", None).await.expect("touch"), "the dead stay dead");
        assert!(!presence.delete("a").await.expect("delete"));
        assert!(presence.set_if_absent("a", &text("3"), None).await.expect("set"));
        assert_eq!(value(&presence, "b").await.as_deref(), Some("2"));
    }

    /// What is left of a life only shrinks, and a set begins a new one (P2).
    remaining_life_is_told(presence, time) {
        let span = time.scaled(Duration::from_secs(10));
        presence.set_for("a", &text("1"), Some(span)).await.expect("set");
        let first = presence.remaining("a").await.expect("remaining").expect("it lives");
        assert!(first <= span && first > span / 2, "{first:?}");
        time.pass(span / 10).await;
        let second = presence.remaining("a").await.expect("remaining").expect("it lives");
        assert!(second <= first - span / 20, "{second:?} after {first:?}");
        presence.set_for("a", &text("1"), Some(Duration::MAX)).await.expect("set");
        assert_eq!(presence.remaining("a").await.expect("remaining"), Some(Duration::MAX));
        presence.set("a", &text("1")).await.expect("set");
        assert!(presence.remaining("a").await.expect("remaining") < Some(Duration::MAX));
    }

    /// A touch gives a new life, longer or shorter (P2).
    a_touch_gives_a_new_life(presence, time) {
        let span = time.scaled(Duration::from_secs(10));
        for key in ["a", "b", "c"] {
            presence.set_for(key, &text(key), Some(span)).await.expect("set");
        }
        assert!(presence.touch("a", Some(span * 4)).await.expect("touch"));
        assert!(presence.touch("b", Some(Duration::MAX)).await.expect("touch"));
        let left = presence.remaining("b").await.expect("remaining");
        assert_eq!(left, Some(Duration::MAX));
        time.pass(span).await;
        let keys = ["c", "a", "no", "b"];
        let missing = presence.touch_many(&keys, Some(span)).await.expect("touch");
        assert_eq!(missing, ["c", "no"]);
        assert!(presence.remaining("b").await.expect("remaining") <= Some(span));
        time.pass(span).await;
        assert_eq!(value(&presence, "b").await, None);
    }

    /// Of all that set if absent at once, one does (P1).
    one_of_many_sets_if_absent(presence, _time) {
        let names: Vec<String> = (0..20).map(|name| name.to_string()).collect();
        let all = names.iter().map(|name| presence.set_if_absent("a", name, None));
        let won = futures_util::future::join_all(all).await;
        let won: Vec<bool> = won.into_iter().map(|won| won.expect("an answer")).collect();
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        let winner = won.iter().position(|won| *won).map(|at| names[at].clone());
        assert_eq!(value(&presence, "a").await, winner);
    }

    /// A delete of what is meant leaves alone what is not, also if it comes in between (P1).
    only_what_is_meant_is_deleted(presence, _time) {
        presence.set("a", &text("mine")).await.expect("set");
        assert!(!presence.delete_if("a", &|held| held == "theirs").await.expect("delete"));
        assert_eq!(value(&presence, "a").await.as_deref(), Some("mine"));
        assert!(presence.delete_if("a", &|held| held == "mine").await.expect("delete"));
        assert!(!presence.delete_if("a", &|_| true).await.expect("nothing is there"));
    }

    /// Closing twice is fine; afterwards every call answers "closed".
    close_is_idempotent_and_final(presence, _time) {
        presence.set("a", &text("1")).await.expect("set");
        presence.close().await.expect("close");
        presence.close().await.expect("close again");
        let kinds = [
            presence.set("a", &text("1")).await.expect_err("set").kind(),
            presence.fetch("a").await.expect_err("fetch").kind(),
            presence.delete("a").await.expect_err("delete").kind(),
            presence.set_if_absent("a", &text("1"), None).await.expect_err("set").kind(),
            presence.fetch_many(&["a"]).await.remove(0).expect_err("fetch many").kind(),
            presence.remaining("a").await.expect_err("remaining").kind(),
            presence.touch("a", None).await.expect_err("touch").kind(),
            presence.touch_many(&["a"], None).await.expect_err("touch many").kind(),
            presence.delete_if("a", &|_| true).await.expect_err("delete").kind(),
        ];
        assert_eq!(kinds, [ErrorKind::Closed; 9]);
    }
}
