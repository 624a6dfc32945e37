//! Which traces are replayed: FILES, or those that the variable `HEADWATER_TRACES` names, or those in
//! `../shared/traces` beside the repository, or else [`synthetic`] ones.
//!
//! A file is a `.u64.zst`: little-endian keys of eight bytes, compressed. A folder stands for all such
//! files in it.

mod synthetic;

use crate::harness::Options;
use headwater_replay::Trace;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest window of a compressed trace, as a power of two.
const WINDOW: u32 = 27;

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

/// The traces that are to be replayed.
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
    let files: Vec<PathBuf> = paths.iter().flat_map(|path| files_of(path)).collect();
    assert!(!files.is_empty(), "there is no .u64.zst file in {paths:?}");
    files.iter().map(|file| read(file, options.scale(usize::MAX, QUICK))).collect()
}

fn files_of(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let paths = entries.map(|entry| entry.expect("the folder can be read").path());
    let is_trace = |path: &PathBuf| path.to_string_lossy().ends_with(".u64.zst");
    let mut files: Vec<PathBuf> = paths.filter(is_trace).collect();
    files.sort_unstable();
    files
}

fn read(file: &Path, most: usize) -> Named {
    let bytes = decompressed(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let trace = Trace::from_le_bytes(&bytes);
    let trace = trace.unwrap_or_else(|cut| panic!("{}: {cut}", file.display()));
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    let is_long = trace.requests().len() > most;
    let trace = if is_long { trace.start(most) } else { trace };
    Named::new(name.trim_end_matches(".u64.zst"), trace)
}

fn decompressed(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut decoder = zstd::Decoder::new(fs::File::open(file)?)?;
    decoder.window_log_max(WINDOW)?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut decoder, &mut bytes)?;
    Ok(bytes)
}
