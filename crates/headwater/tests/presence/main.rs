//! Presence, on all stores. Those on servers start theirs: `redis-server` and `redis-cli` must be
//! there, and `./scripts/test` installs them.

#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

#[cfg(feature = "redis")]
mod faults;
mod roster;
#[cfg(feature = "redis")]
#[allow(dead_code, reason = "of the Redis tier's tests, which use all of it")]
#[path = "../redis/server.rs"]
mod server;
