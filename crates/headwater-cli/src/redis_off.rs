//! What stands for Redis in a build without it: the same names, and a clear error.

use crate::args::{DoctorArgs, EnrichArgs, LoadArgs};
use crate::enrich::RedisSummary;
use crate::exit::{Exit, complain};
use crate::json::Json;
use crate::load::{Loaded, Progressed};
use crate::rows::Rows;
use crate::source::url::Server;
use crate::source::{Opened, Wanted};
use crate::timed::Latency;
use anyhow::{Result, bail};
use headwater::{BoxCache, ChainBuilder, Fetcher, Source, TierStats};

const MISSING: &str =
    "this build has no Redis support: build with `cargo build --release --features redis`";

/// Says that it cannot.
pub(crate) fn run_doctor(_: &DoctorArgs) -> Exit {
    complain(&MISSING);
    Exit::Unusable
}

/// Says that it cannot.
pub(crate) async fn open_source(server: &Server, _: &Wanted<'_>) -> Result<Opened> {
    bail!("--source {server}: {MISSING}")
}

/// Never exists.
#[derive(Clone)]
pub(crate) enum Tier {}

impl Tier {
    /// Says that it cannot.
    pub(crate) async fn open(_: &str, _: &EnrichArgs) -> Result<(Self, Vec<String>)> {
        bail!("--redis: {MISSING}")
    }

    /// Never called.
    pub(crate) fn before<F>(&self, _: ChainBuilder<Source<F>>, _: Latency) -> BoxCache<str, Json>
    where
        F: Fetcher<Key = str, Value = Json>,
    {
        match *self {}
    }

    /// Never called.
    pub(crate) async fn ready(&self) {
        match *self {}
    }

    /// Never called.
    pub(crate) async fn watch(self, _: impl Fn(&str)) {
        match self {}
    }

    /// Never called.
    pub(crate) fn summary(&self, _: &TierStats) -> RedisSummary {
        match *self {}
    }
}

/// Never exists.
pub(crate) enum Loader {}

impl Loader {
    /// Says that it cannot.
    pub(crate) fn open(server: &Server, _: &LoadArgs) -> Result<Self> {
        bail!("{server}: {MISSING}")
    }

    /// Never called.
    pub(crate) fn load(&self, _: &mut Rows, _: &str, _: &Progressed) -> Result<Loaded> {
        match *self {}
    }
}
