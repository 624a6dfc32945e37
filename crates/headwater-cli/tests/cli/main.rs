//! The program as its users see it: the built binary, its files, its exit codes and its words.
//!
//! No test sleeps or measures time: where two processes meet, they wait for each other's output.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

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
mod signals;
mod simulate;
mod source;
#[cfg(feature = "sqlite")]
mod sqlite;
mod support;
mod usage;
