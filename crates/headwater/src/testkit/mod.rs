//! Tests for your own fetchers, caches and tiers: conformance suites, and the parts to build more.
//!
//! A suite is a list of checks, each of which proves promises of one trait by their numbers, on
//! whatever a factory makes. The macros turn a suite into tests:
//!
//! ```
//! use headwater::MemoryCache;
//! use headwater::testkit::ManualClock;
//!
//! # #[cfg(any())]
//! headwater::tier_conformance!(memory, async |time: ManualClock| {
//!     MemoryCache::builder().clock(time.clock()).build().unwrap()
//! });
//! ```
//!
//! makes a module `memory` with a `#[tokio::test]` for each check. There are
//! [`fetcher_conformance!`](crate::fetcher_conformance),
//! [`cache_conformance!`](crate::cache_conformance),
//! [`tier_conformance!`](crate::tier_conformance),
//! [`presence_conformance!`](crate::presence_conformance) and
//! [`roster_conformance!`](crate::roster_conformance); they need `tokio` with its macros among your
//! dependencies.
//!
//! The rest controls what tests must not leave to chance: [`ManualClock`] is time, [`Gate`] and
//! [`Tally`] are order, [`TestSource`], [`RemoteTier`] and [`Fleet`] are the world with its waiting,
//! failing and panicking, and [`Model`] is what a cache in front of a source may answer at all.

#[allow(clippy::expect_used, reason = "a check fails by panicking")]
pub mod cache;
mod clock;
#[allow(clippy::expect_used, reason = "a check fails by panicking")]
pub mod fetcher;
mod fleet;
mod model;
#[allow(clippy::expect_used, reason = "a check fails by panicking")]
pub mod presence;
mod remote;
#[allow(clippy::expect_used, reason = "a check fails by panicking")]
pub mod roster;
mod source;
#[allow(clippy::expect_used, reason = "a check fails by panicking")]
pub mod tier;
mod time;

pub use clock::{Gate, ManualClock, Tally};
pub use fleet::{Fleet, Member, unavailable};
pub use model::Model;
pub use remote::RemoteTier;
pub use source::{Behaviour, TestSource};
pub use time::{RealTime, TestTime};

/// Makes a module of tests that hold a [`Fetcher`](crate::Fetcher) to its promises.
///
/// The second argument makes the fetcher: an async function of a
/// [`TestSource<str, String>`](crate::testkit::TestSource) that the fetcher must answer from, and of
/// a [`ManualClock`](crate::testkit::ManualClock).
#[macro_export]
macro_rules! fetcher_conformance {
    ($name:ident, $make:expr) => {
        $crate::__conformance!(
            [],
            fetcher,
            $name,
            $make,
            [
                found_values_are_answered,
                absent_is_told_apart_from_failure,
                many_keys_are_answered_in_order_with_duplicates,
                a_bad_key_does_not_fail_its_neighbours,
                no_keys_have_no_outcomes,
                strange_keys_are_told_apart,
                entries_agree_with_values,
                a_dropped_fetch_disturbs_nobody,
                close_is_idempotent_and_final,
            ]
        );
    };
}

/// Makes a module of tests that hold a [`Cache`](crate::Cache) to its promises; beside these, hold
/// it to those of [`fetcher_conformance!`](crate::fetcher_conformance).
///
/// The second argument makes the cache: an async function of a
/// [`TestSource<str, String>`](crate::testkit::TestSource) that it reads through to, and of a
/// [`ManualClock`](crate::testkit::ManualClock) that it and its tiers go by. The cache must hold at
/// least 1,000 entries, absent ones too, for at least a minute.
#[macro_export]
macro_rules! cache_conformance {
    ($name:ident, $make:expr) => {
        $crate::__conformance!(
            [],
            cache,
            $name,
            $make,
            [
                a_second_fetch_does_not_ask_the_source,
                only_misses_go_down,
                absent_is_kept_as_an_answer,
                concurrent_fetches_share_one_load,
                fetch_and_fetch_many_share_one_load,
                a_failure_is_shared_and_not_kept,
                a_panic_is_an_error_for_all_and_poisons_nothing,
                a_dropped_leader_leaves_the_load_to_the_others,
                a_leader_that_is_not_polled_holds_up_nobody,
                a_load_that_everybody_left_does_not_block_the_key,
                invalidate_makes_the_next_fetch_ask_the_source,
                invalidate_beats_a_load_in_flight,
                invalidate_many_forgets_each_key,
                clear_forgets_everything,
                clear_beats_a_load_in_flight,
                an_inserted_value_is_answered,
                insert_beats_a_load_in_flight,
                the_last_of_two_inserts_wins_everywhere,
                max_age_zero_asks_the_source,
                an_answer_of_the_right_age_is_accepted,
                counters_account_for_every_lookup,
            ]
        );
    };
}

/// Makes a module of tests that hold a [`Tier`](crate::Tier) to its promises.
///
/// The second argument makes the tier, empty: an async function of a
/// [`ManualClock`](crate::testkit::ManualClock) that the tier goes by, or of
/// [`RealTime`](crate::testkit::RealTime) if a clock of its own counts its lives. Keys are `str`, values
/// `String`; it must hold at least 1,000 entries, absent ones too.
#[macro_export]
macro_rules! tier_conformance {
    ($name:ident, $make:expr) => {
        $crate::__conformance!(
            [],
            tier,
            $name,
            $make,
            [
                a_miss_is_none,
                what_was_put_is_there,
                absent_is_kept_as_such,
                a_later_put_replaces_an_earlier_one,
                what_was_removed_is_gone,
                clear_removes_everything,
                many_keys_are_answered_in_order_with_duplicates,
                many_puts_have_one_outcome_each,
                no_keys_have_no_outcomes,
                strange_keys_are_told_apart,
                a_large_value_comes_back_whole,
                an_entry_is_dead_when_its_life_is_over,
                a_life_is_never_lengthened,
                an_older_version_is_declined,
                close_is_idempotent_and_final,
            ]
        );
    };
}

/// Makes a module of tests that hold a [`RosterStore`](crate::presence::RosterStore), under a
/// [`Roster`](crate::presence::Roster), to its promises, watching included.
///
/// The second argument makes an empty store: an async function of a
/// [`ManualClock`](crate::testkit::ManualClock) that the store goes by, or of
/// [`RealTime`](crate::testkit::RealTime) if a clock of its own counts its lives. It returns a
/// function each of whose calls gives the store to another process. Keys are `str`, values `String`.
/// Attributes before the name are those of each test (`#[ignore = "needs a server"]`).
#[macro_export]
macro_rules! roster_conformance {
    ($(#[$attribute:meta])* $name:ident, $make:expr) => {
        $crate::__conformance!(
            [$($attribute),*],
            roster,
            $name,
            $make,
            [
                who_is_not_there_is_no_error,
                a_key_is_there_while_one_of_its_connections_is,
                many_keys_are_answered_in_order_with_duplicates,
                topics_and_strange_keys_are_told_apart,
                watches_of_strange_topics_and_keys_are_told_apart,
                pages_list_who_stays_exactly_once,
                heartbeats_keep_connections_alive,
                a_process_that_dies_is_seen_to_expire,
                a_dropped_connection_leaves,
                who_lingers_stays_for_a_while,
                who_leaves_now_is_gone_at_once,
                a_join_that_was_dropped_leaves_nothing,
                an_update_is_seen,
                a_watch_begins_with_who_is_there,
                a_watch_tells_each_change_once_and_in_order,
                a_watch_tells_of_expiry,
                a_slow_watcher_gets_a_snapshot_instead,
                many_join_at_once,
                a_close_is_told_as_leaves_also_of_who_lingers,
                close_has_all_leave_and_is_final,
            ]
        );
    };
}

/// Makes a module of tests that hold a [`Presence`](crate::presence::Presence) to its promises.
///
/// The second argument makes the store, empty: an async function of a
/// [`ManualClock`](crate::testkit::ManualClock) that the store goes by, or of
/// [`RealTime`](crate::testkit::RealTime) if a clock of its own counts its lives. Keys are `str`,
/// values `String`; entries live for a minute or so if nothing is said. Attributes before the name are
/// those of each test (`#[ignore = "needs a server"]`).
#[macro_export]
macro_rules! presence_conformance {
    ($(#[$attribute:meta])* $name:ident, $make:expr) => {
        $crate::__conformance!(
            [$($attribute),*],
            presence,
            $name,
            $make,
            [
                absent_is_none,
                what_was_set_is_there_until_deleted,
                many_keys_are_answered_in_order_with_duplicates,
                strange_keys_are_told_apart,
                a_large_value_comes_back_whole,
                an_entry_is_gone_when_its_life_is_over,
                remaining_life_is_told,
                a_touch_gives_a_new_life,
                one_of_many_sets_if_absent,
                only_what_is_meant_is_deleted,
                close_is_idempotent_and_final,
            ]
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance {
    ($attributes:tt, $suite:ident, $name:ident, $make:expr, [$($check:ident),* $(,)?]) => {
        mod $name {
            use super::*;
            $($crate::__conformance_check!($attributes, $suite, $make, $check);)*
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_check {
    ([$($attribute:meta),*], $suite:ident, $make:expr, $check:ident) => {
        $(#[$attribute])*
        #[tokio::test]
        async fn $check() {
            $crate::testkit::$suite::$check($make).await;
        }
    };
}

/// Keys that careless code takes for each other, or for something else.
pub(crate) const STRANGE_KEYS: [&str; 14] = [
    "",
    " ",
    "a",
    "A",
    "a ",
    "a:b",
    "a/b",
    "{a}",
    "{a",
    "a}b",
    "a\u{0}b",
    "a\r\nGET b",
    "ключ-鍵-🗝",
    "%7Ba%7D",
];
