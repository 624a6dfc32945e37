//! The example as people meet it: its page in a real Chromium, its WebSocket from a client that does
//! not keep to the rules, and its ends, on a real Redis.
//!
//! `chromium`, `redis-server` and `redis-cli` must be there: `./scripts/test` installs them.

#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod browser;
mod instance;
mod page;
mod pictures;
mod wire;

use std::time::Duration;

/// How long anything here may take: a guard against hanging, far above what it does take.
const PATIENCE: Duration = Duration::from_secs(60);
