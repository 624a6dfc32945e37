//! The program as its users see it: the built binary, its files, its exit codes and its words.
//!
//! No test sleeps or measures time: where two processes meet, they wait for each other's output.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

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
