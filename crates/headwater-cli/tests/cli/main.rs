//! The program as its users see it: the built binary, its files, its exit codes and its words.
//!
//! No test sleeps or measures time: where two processes meet, they wait for each other's output.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(feature = "firestore")]
#[path = "../../../headwater/tests/firestore/emulator.rs"]
#[allow(
    clippy::expect_used,
    dead_code,
    unused_imports,
    unused_macros,
    reason = "made for the tests of the library"
)]
mod emulator;
#[cfg(feature = "firestore")]
mod firestore;
#[cfg(feature = "firestore")]
mod firestore_watch;
#[cfg(all(feature = "firestore", feature = "redis"))]
mod full_chain;
mod input;
mod output;
mod records;
#[cfg(feature = "redis")]
mod redis;
mod sample;
#[cfg(feature = "redis")]
mod server;
mod signals;
mod simulate;
mod source;
#[cfg(feature = "sqlite")]
mod sqlite;
mod support;
mod usage;
