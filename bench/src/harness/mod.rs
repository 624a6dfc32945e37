//! What all benches share: interleaved rounds, tables, targets, the line about the machine.

pub(crate) mod instructions;
pub(crate) mod machine;
mod record;
mod rounds;
mod table;
mod targets;
mod tasks;
mod watchdog;
mod zipf;

pub(crate) use record::Record;
pub(crate) use rounds::{Contestant, interleave, median};
pub(crate) use table::{Cell, Row, Table};
pub(crate) use targets::Targets;
pub(crate) use tasks::{at_once, runtime};
pub(crate) use watchdog::Watchdog;
pub(crate) use zipf::Zipf;

use std::path::PathBuf;

/// What the command line asks of a bench.
pub(crate) struct Options {
    pub(crate) quick: bool,
    /// For benches that run for a time: how long, if not as long as they usually do.
    pub(crate) seconds: Option<u64>,
    pub(crate) seed: u64,
    /// For benches that replay traces: which. Empty for those that they bring themselves.
    pub(crate) files: Vec<PathBuf>,
}

impl Options {
    /// How much of something: in a full run, or in a quick one.
    pub(crate) fn scale<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}
