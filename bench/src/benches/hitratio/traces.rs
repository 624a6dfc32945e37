//! Traces: streams of requested keys.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest window of a compressed trace, as a power of two.
const WINDOW: u32 = 27;

/// A stream of requests; a clone shares it.
#[derive(Clone)]
pub(super) struct Trace {
    pub(super) name: String,
    pub(super) keys: Arc<[u64]>,
    pub(super) distinct: usize,
}

impl Trace {
    pub(super) fn new(name: impl Into<String>, keys: Vec<u64>) -> Self {
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        sorted.dedup();
        Self { name: name.into(), keys: keys.into(), distinct: sorted.len() }
    }
}

/// The traces of these files and folders.
pub(super) fn load(paths: &[PathBuf]) -> Vec<Trace> {
    let files: Vec<PathBuf> = paths.iter().flat_map(|path| files_of(path)).collect();
    assert!(!files.is_empty(), "there is no .u64.zst file in {paths:?}");
    files.iter().map(|file| read(file)).collect()
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

fn read(file: &Path) -> Trace {
    let bytes = decompressed(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let (keys, rest) = bytes.as_chunks();
    assert!(rest.is_empty(), "{}: a key of 8 bytes is cut short", file.display());
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    let name = name.trim_end_matches(".u64.zst");
    Trace::new(name, keys.iter().map(|key| u64::from_le_bytes(*key)).collect())
}

fn decompressed(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut decoder = zstd::Decoder::new(fs::File::open(file)?)?;
    decoder.window_log_max(WINDOW)?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut decoder, &mut bytes)?;
    Ok(bytes)
}
