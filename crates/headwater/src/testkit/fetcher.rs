//! The suite of [`Fetcher`].

use super::{ManualClock, STRANGE_KEYS, TestSource};
use crate::{Error, ErrorKind, FetchOptions, Fetcher};
use futures_util::FutureExt;

/// Each check is an async function of an async factory; this spares writing their bounds out.
macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident($fetcher:ident, $source:ident) $body:block)*) => { $(
        $(#[$doc])*
        ///
        /// # Panics
        /// If the promise is broken.
        pub async fn $name<T, F>(make: impl FnOnce(TestSource<str, String>, ManualClock) -> F)
        where
            T: Fetcher<Key = str, Value = String>,
            F: Future<Output = T>,
        {
            let $source = TestSource::<str, String>::new();
            let $fetcher = make($source.clone(), ManualClock::new()).await;
            $body
        }
    )* };
}

fn refused() -> Error {
    Error::new(ErrorKind::Unavailable, "refused by the test")
}

checks! {
    /// A value of the source is answered.
    found_values_are_answered(fetcher, source) {
        source.set("a", "1".to_owned());
        assert_eq!(fetcher.fetch("a").await.expect("found"), "1");
    }

    /// "Not found" is its own kind; a failure keeps its own (R7).
    absent_is_told_apart_from_failure(fetcher, source) {
        source.fail_key("broken", Some(refused()));
        assert_eq!(fetcher.fetch("nothing").await.map_err(|e| e.kind()), Err(ErrorKind::NotFound));
        assert_eq!(fetcher.fetch("broken").await.map_err(|e| e.kind()), Err(ErrorKind::Unavailable));
    }

    /// One outcome per key, in their order (R8).
    many_keys_are_answered_in_order_with_duplicates(fetcher, source) {
        source.set("a", "1".to_owned());
        source.set("b", "2".to_owned());
        let outcomes = fetcher.fetch_many(&["b", "no", "a", "b", "no"]).await;
        let values: Vec<Option<String>> = outcomes.into_iter().map(Result::ok).collect();
        let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
        assert_eq!(values, [Some("2"), None, Some("1"), Some("2"), None]);
    }

    /// Neighbours of a key that fails are answered (R8).
    a_bad_key_does_not_fail_its_neighbours(fetcher, source) {
        source.set("a", "1".to_owned());
        source.fail_key("broken", Some(refused()));
        let outcomes = fetcher.fetch_many(&["broken", "a", "no"]).await;
        let kinds: Vec<Option<ErrorKind>> =
            outcomes.iter().map(|outcome| outcome.as_ref().err().map(Error::kind)).collect();
        assert_eq!(kinds, [Some(ErrorKind::Unavailable), None, Some(ErrorKind::NotFound)]);
    }

    /// An empty batch is answered by nothing.
    no_keys_have_no_outcomes(fetcher, _source) {
        assert!(fetcher.fetch_many(&[]).await.is_empty());
        assert!(fetcher.fetch_entries(&[], &FetchOptions::new()).await.is_empty());
    }

    /// No two keys are taken for each other, whatever is in them.
    strange_keys_are_told_apart(fetcher, source) {
        let long = "k".repeat(10_000);
        let keys: Vec<&str> = STRANGE_KEYS.into_iter().chain([long.as_str()]).collect();
        for (number, key) in keys.iter().enumerate() {
            source.set(key, number.to_string());
        }
        for (number, outcome) in fetcher.fetch_many(&keys).await.into_iter().enumerate() {
            assert_eq!(outcome.expect("found"), number.to_string());
        }
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(fetcher.fetch(key).await.expect("found"), number.to_string());
        }
    }

    /// The entry of a key says what the fetch of it says.
    entries_agree_with_values(fetcher, source) {
        source.set("a", "1".to_owned());
        let options = FetchOptions::new();
        let entry = fetcher.fetch_entry("a", &options).await.expect("found");
        assert_eq!(entry.value().map(String::as_str), Some("1"));
        assert!(fetcher.fetch_entry("no", &options).await.expect("an answer").is_absent());
        let entries = fetcher.fetch_entries(&["no", "a"], &options).await;
        let absent: Vec<bool> =
            entries.into_iter().map(|entry| entry.expect("an answer").is_absent()).collect();
        assert_eq!(absent, [true, false]);
    }

    /// A fetch that was begun and dropped leaves everything as it was (R3).
    a_dropped_fetch_disturbs_nobody(fetcher, source) {
        source.set("a", "1".to_owned());
        let gate = source.gate();
        assert!(fetcher.fetch("a").now_or_never().is_none());
        assert!(fetcher.fetch_many(&["a", "b"]).now_or_never().is_none());
        gate.open();
        assert_eq!(fetcher.fetch("a").await.expect("found"), "1");
    }

    /// Closing twice is fine; afterwards every call answers "closed" (R11).
    close_is_idempotent_and_final(fetcher, source) {
        source.set("a", "1".to_owned());
        assert_eq!(fetcher.fetch("a").await.expect("found"), "1");
        fetcher.close().await.expect("close");
        fetcher.close().await.expect("close again");
        assert_eq!(fetcher.fetch("a").await.map_err(|e| e.kind()), Err(ErrorKind::Closed));
        let outcomes = fetcher.fetch_many(&["a", "b"]).await;
        let kinds: Vec<Option<ErrorKind>> =
            outcomes.iter().map(|outcome| outcome.as_ref().err().map(Error::kind)).collect();
        assert_eq!(kinds, [Some(ErrorKind::Closed); 2]);
    }
}
