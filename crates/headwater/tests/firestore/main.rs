//! The Firestore source: against emulators that the tests start themselves, and against a scripted
//! server for what emulators never do.
//!
//! `./scripts/test` builds the emulator `hidane`. Tests of its twins on Google's own emulator are
//! ignored, unless that is on the machine and the script says so.

#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

#[cfg(feature = "redis")]
mod chain;
#[cfg(feature = "sessions")]
#[path = "../presence/child.rs"]
mod child;
mod conformance;
mod documents;
mod fake;
mod go;
mod listener;
mod lock;
mod presence;
#[cfg(feature = "sessions")]
mod processes;
#[path = "../presence/replay.rs"]
mod replay;
mod roster;
mod scripted;
#[cfg(feature = "sessions")]
mod session;
#[cfg(feature = "sessions")]
#[path = "../presence/stranger.rs"]
mod stranger;
mod trouble;
mod watch;
mod watch_scripted;
mod world;

#[cfg(feature = "redis")]
use headwater_servers as server;
use headwater_servers::emulator;
