//! Which traces are replayed: FILES, or those that the variable `HEADWATER_TRACES` names, or those in
//! `../shared/traces` beside the repository, or else [`synthetic`] ones.
//!
//! A file is called `.u64` and has little-endian keys of eight bytes, or is a log with a key on each
//! line; either may be compressed, `.zst`. A folder stands for all `.u64.zst` files in it. Who gives
//! something else is told what is wrong with it.

mod files;
mod synthetic;

use crate::harness::Options;
use headwater_replay::Trace;
use std::env;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;

const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/traces");

/// Of each trace, in a quick run.
const QUICK: usize = 300_000;

/// A trace and what it is called; a clone shares it.
#[derive(Clone)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) trace: Arc<Trace>,
}

impl Named {
    pub(crate) fn new(name: impl Into<String>, trace: Trace) -> Self {
        Self { name: name.into(), trace: trace.into() }
    }
}

/// The traces that are to be replayed. If one cannot be, the program ends and says why.
pub(crate) fn all(options: &Options) -> Vec<Named> {
    let folder = || env::var_os("HEADWATER_TRACES").map(PathBuf::from);
    let shared = || Some(PathBuf::from(SHARED)).filter(|folder| folder.is_dir());
    let paths = match &options.files[..] {
        [] => folder().or_else(shared).into_iter().collect(),
        files => files.to_vec(),
    };
    if paths.is_empty() {
        return synthetic::traces(options);
    }
    files::read(&paths, options.scale(usize::MAX, QUICK)).unwrap_or_else(|fault| {
        eprintln!("error: {fault}");
        process::exit(2)
    })
}
