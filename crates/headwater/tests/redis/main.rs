//! The Redis tier, against servers that the tests start themselves.
//!
//! `redis-server` and `redis-cli` must be there: `./scripts/test` installs them.

#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod chain;
mod cluster;
mod conformance;
mod entries;
mod go;
mod listening;
mod news;
mod processes;
mod proxy;
mod shared;
mod stress;
mod tls;
mod trouble;

use headwater_servers as server;
