//! The suites, on a source over a server that answers from the suites' own source.
//!
//! Left out is what does not fit: keys that no document id is as long as, and a server's panic, which
//! is not the source's. Strange keys have a test of their own among the documents'.

use crate::fake::{Fake, Step, found_with, missing};
use headwater::firestore::FirestoreSource;
use headwater::testkit::{ManualClock, TestSource, cache, fetcher};
use headwater::{Entry, FetchOptions, Fetcher, Headwater, LruCache, ReadThrough, Result, Source};
use serde::Deserialize;
use tonic::Status;

#[derive(Clone, Debug, Deserialize)]
struct Text {
    text: String,
}

/// Documents as the suites' values.
struct Texts(FirestoreSource<str, Text>);

impl Fetcher for Texts {
    type Key = str;
    type Value = String;

    async fn fetch(&self, key: &str) -> Result<String> {
        self.0.fetch(key).await.map(|document| document.text)
    }

    async fn fetch_many(&self, keys: &[&str]) -> Vec<Result<String>> {
        let outcomes = self.0.fetch_many(keys).await;
        outcomes.into_iter().map(|outcome| outcome.map(|document| document.text)).collect()
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }

    async fn fetch_entry(&self, key: &str, options: &FetchOptions) -> Result<Entry<String>> {
        Ok(self.0.fetch_entry(key, options).await?.map(|document| document.text))
    }

    async fn fetch_entries(
        &self,
        keys: &[&str],
        options: &FetchOptions,
    ) -> Vec<Result<Entry<String>>> {
        let entries = self.0.fetch_entries(keys, options).await;
        let text = |entry: Entry<Text>| entry.map(|document| document.text);
        entries.into_iter().map(|entry| entry.map(text)).collect()
    }
}

/// Answers as the origin does. A key that fails ends the answer: the protocol has no errors of
/// single documents.
async fn reply(origin: TestSource<str, String>, names: Vec<String>) -> Vec<Step> {
    let id = |name: &String| name.rsplit('/').next().unwrap_or_default().to_owned();
    let ids: Vec<String> = names.iter().map(id).collect();
    let keys: Vec<&str> = ids.iter().map(String::as_str).collect();
    let (mut steps, mut failures) = (Vec::new(), Vec::new());
    for (name, outcome) in names.iter().zip(origin.fetch_many(&keys).await) {
        match outcome {
            Ok(value) => steps.push(found_with(name, "text", &value)),
            Err(error) if error.is_not_found() => steps.push(missing(name)),
            Err(error) => failures.push(Step::Fail(Status::unavailable(error.to_string()))),
        }
    }
    steps.into_iter().chain(failures).collect()
}

async fn firestore(origin: TestSource<str, String>, _: ManualClock) -> Texts {
    let script = move |_, names| Box::pin(reply(origin.clone(), names)) as _;
    let (_, db) = Fake::waiting(script).await;
    let texts = FirestoreSource::builder(db, "texts").retries(0).build();
    Texts(texts.expect("valid settings"))
}

type Chain = ReadThrough<LruCache<str, String>, Source<Texts>>;

async fn chain(origin: TestSource<str, String>, time: ManualClock) -> Chain {
    let lru = LruCache::builder(8_000).clock(time.clock()).build().expect("a capacity");
    let texts = firestore(origin, time.clone()).await;
    Headwater::source(texts).clock(time.clock()).through(lru).build()
}

macro_rules! held_to {
    ($module:ident, $suite:ident, $make:ident: $($check:ident)*) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $check() {
                    super::$suite::$check(super::$make).await;
                }
            )*
        }
    };
}

held_to! {
    as_a_fetcher, fetcher, firestore:
    found_values_are_answered
    absent_is_told_apart_from_failure
    many_keys_are_answered_in_order_with_duplicates
    a_bad_key_does_not_fail_its_neighbours
    no_keys_have_no_outcomes
    entries_agree_with_values
    a_dropped_fetch_disturbs_nobody
    close_is_idempotent_and_final
}

held_to! {
    below_a_cache, cache, chain:
    a_second_fetch_does_not_ask_the_source
    only_misses_go_down
    absent_is_kept_as_an_answer
    concurrent_fetches_share_one_load
    fetch_and_fetch_many_share_one_load
    a_failure_is_shared_and_not_kept
    a_dropped_leader_leaves_the_load_to_the_others
    a_leader_that_is_not_polled_holds_up_nobody
    a_load_that_everybody_left_does_not_block_the_key
    invalidate_makes_the_next_fetch_ask_the_source
    invalidate_beats_a_load_in_flight
    invalidate_many_forgets_each_key
    clear_forgets_everything
    clear_beats_a_load_in_flight
    an_inserted_value_is_answered
    insert_beats_a_load_in_flight
    the_last_of_two_inserts_wins_everywhere
    max_age_zero_asks_the_source
    an_answer_of_the_right_age_is_accepted
    counters_account_for_every_lookup
}
