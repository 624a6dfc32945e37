//! What stands for Firestore in a build without it: the same names, and a clear error.

use crate::args::LoadArgs;
use crate::enrich::{FirestoreSummary, WatchSummary};
use crate::json::Json;
use crate::load::{Loaded, Progressed};
use crate::redis;
use crate::rows::Rows;
use crate::source::Opened;
use crate::source::url::Documents;
use anyhow::{Result, bail};
use headwater::BoxCache;

const MISSING: &str =
    "this build has no Firestore support: build with `cargo build --release --features firestore`";

/// Says that it cannot.
pub(crate) async fn open_source(documents: &Documents) -> Result<Opened> {
    bail!("--source {documents}: {MISSING}")
}

/// Never exists.
pub(crate) enum Collection {}

impl Collection {
    /// Never called.
    pub(crate) fn watch(
        &self,
        _: &BoxCache<str, Json>,
        _: Option<&redis::Tier>,
    ) -> Result<Watching> {
        match *self {}
    }

    /// Never called.
    pub(crate) fn summary(&self) -> FirestoreSummary {
        match *self {}
    }
}

/// Never exists.
#[derive(Clone)]
pub(crate) enum Watching {}

impl Watching {
    /// Never called.
    pub(crate) async fn catch_up(&self) -> Option<String> {
        match *self {}
    }

    /// Never called.
    pub(crate) async fn tell(self, _: impl Fn(&str)) {
        match self {}
    }

    /// Never called.
    pub(crate) async fn end(&self) -> WatchSummary {
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
