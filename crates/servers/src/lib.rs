//! Servers that tests and benches start, stop, freeze and kill: processes of their own, on free ports.
//!
//! [`Server`] is a Redis, [`Cluster`] and [`Sentinels`] are made of several, [`Emulator`] is a
//! Firestore. All die with their values, and with the process. What cannot be started panics, and so
//! does what takes for ever: a missing server fails a test.

#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod cluster;
pub mod emulator;
mod process;
mod redis;

pub use cluster::{Cluster, Sentinels};
pub use emulator::Emulator;
pub use process::{free_port, until};
pub use redis::Server;
