//! The twin of `plot.rs` in a build that draws nothing, and says so.

use super::replay::Outcome;
use super::report::Report;
use crate::args::SimulateArgs;
use anyhow::{Result, bail};

pub(super) fn check() -> Result<()> {
    bail!("this build cannot draw: build with `cargo build --release --features plot`")
}

pub(super) fn draw(_: &SimulateArgs, _: &Report, _: &Outcome) -> Result<()> {
    Ok(())
}
