//! What stands for Firestore in a build without it: the same names, and a clear error.

use crate::args::LoadArgs;
use crate::enrich::FirestoreSummary;
use crate::load::{Loaded, Progressed};
use crate::rows::Rows;
use crate::source::Opened;
use crate::source::url::Documents;
use anyhow::{Result, bail};

const MISSING: &str =
    "this build has no Firestore support: build with `cargo build --release --features firestore`";

/// Says that it cannot.
pub(crate) async fn open_source(documents: &Documents) -> Result<Opened> {
    bail!("--source {documents}: {MISSING}")
}

/// Never exists.
pub(crate) enum Counted {}

impl Counted {
    /// Never called.
    pub(crate) fn summary(&self) -> FirestoreSummary {
        match *self {}
    }
}

/// Never exists.
pub(crate) enum Loader {}

impl Loader {
    /// Says that it cannot.
    pub(crate) fn open(
        documents: &Documents,
        _: &LoadArgs,
        _: &str,
    ) -> Result<(Self, Vec<String>)> {
        bail!("{documents}: {MISSING}")
    }

    /// Never called.
    pub(crate) fn load(
        self,
        _: &mut Rows,
        _: &Progressed,
        _: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Loaded> {
        match self {}
    }
}
