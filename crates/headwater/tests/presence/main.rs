//! Presence in memory and in Redis, against servers that the tests start themselves.
//!
//! `redis-server` and `redis-cli` must be there: `./scripts/test` installs them.

#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod cache;
mod child;
mod conformance;
mod failover;
mod faults;
mod lock;
mod processes;
mod replay;
mod roster;
mod session;
mod stranger;
mod watch;

use headwater_servers as server;
