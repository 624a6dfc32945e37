//! What stands for SQLite in a build without it: the same names, and a clear error.

use crate::input::Records;
use crate::load::{Loaded, Progressed};
use crate::source::url::Table;
use crate::source::{Opened, Wanted};
use anyhow::{Result, bail};

/// Says that it cannot.
pub(crate) fn open_source(table: &Table, _: &Wanted<'_>) -> Result<Opened> {
    bail!("{}: this build has no SQLite support (feature `sqlite`)", table.path.display())
}

/// Never exists.
pub(crate) enum Loader {}

impl Loader {
    /// Says that it cannot.
    pub(crate) fn open(table: &Table) -> Result<Self> {
        bail!("{}: this build has no SQLite support (feature `sqlite`)", table.path.display())
    }

    /// Never called.
    pub(crate) fn load(self, _: Records, _: &str, _: &Progressed) -> Result<Loaded> {
        match self {}
    }
}
