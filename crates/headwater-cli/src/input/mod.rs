//! Where records come from: a file or stdin, plain or compressed, NDJSON or CSV.
//!
//! Everything that reads files goes through [`open`]: the input of `enrich`, its file sources and
//! the file of `load`. All of them therefore take the same formats and complain alike.

mod batch;
mod csv;
mod decompress;
mod lines;
mod records;

pub(crate) use batch::{Batch, Feed, Reading, spawn_reader};
pub(crate) use csv::{Header, Row, list, not_utf8};
pub(crate) use records::{Format, Records, Span};

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{self, Read, Stdin};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much of a line is kept when it is only needed for a report.
pub(crate) const REPORTED_BYTES: usize = 1_000_000;

/// An opened input: decompressed bytes, and what is known about where they come from.
pub(crate) struct Input {
    /// As it is called in messages.
    pub(crate) name: String,
    /// The bytes, decompressed.
    pub(crate) reader: Box<dyn Read + Send>,
    /// What the bytes are.
    pub(crate) format: Format,
    /// Whether bytes may come at any time (a pipe): do not wait for more before going on.
    pub(crate) live: bool,
    /// How far the reading has got, in bytes as stored.
    pub(crate) progress: BytesRead,
}

/// How many bytes of the file itself were read, out of how many. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct BytesRead {
    read: Arc<AtomicU64>,
    /// `None` for what has no size, such as a pipe.
    pub(crate) total: Option<u64>,
}

impl BytesRead {
    /// The bytes read so far.
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

/// Opens a file, or stdin for `-`.
///
/// The compression is told by the first bytes. Without `format`, a name that ends in `.csv` (before
/// `.gz` or `.zst`) is CSV and every other is NDJSON.
pub(crate) fn open(path: &Path, format: Option<Format>) -> Result<Input> {
    let (name, raw, meta) = if path.as_os_str() == "-" {
        ("stdin".to_owned(), Raw::Stdin(io::stdin()), stdin_meta())
    } else {
        let name = path.display().to_string();
        let file = open_file(path).with_context(|| name.clone())?;
        let meta = file.metadata().ok();
        (name, Raw::File(file), meta)
    };
    let regular = meta.filter(std::fs::Metadata::is_file);
    let live = regular.is_none();
    let progress = BytesRead { read: Arc::default(), total: regular.map(|meta| meta.len()) };
    let counted = Counted { inner: raw, progress: progress.clone() };
    let reader = decompress::detect(counted, path).with_context(|| name.clone())?;
    let format = format.unwrap_or_else(|| Format::of_name(path));
    Ok(Input { name, reader, format, live, progress })
}

pub(crate) fn open_file(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(plain_words)?;
    if file.metadata().is_ok_and(|meta| meta.is_dir()) {
        bail!("is a directory, not a file");
    }
    Ok(file)
}

/// The commonest errors without the system's number.
pub(crate) fn plain_words(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NotFound => anyhow::anyhow!("no such file"),
        io::ErrorKind::PermissionDenied => anyhow::anyhow!("permission denied"),
        io::ErrorKind::IsADirectory => anyhow::anyhow!("is a directory, not a file"),
        io::ErrorKind::StorageFull => anyhow::anyhow!("no space left on the device"),
        _ => error.into(),
    }
}

#[cfg(unix)]
fn stdin_meta() -> Option<std::fs::Metadata> {
    use std::os::fd::AsFd;
    let file = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    file.metadata().ok()
}

#[cfg(not(unix))]
fn stdin_meta() -> Option<std::fs::Metadata> {
    None
}

/// The bytes as stored.
enum Raw {
    File(File),
    Stdin(Stdin),
}

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Stdin(stdin) => stdin.read(buffer),
        }
    }
}

/// Counts what is read through it.
struct Counted {
    inner: Raw,
    progress: BytesRead,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.progress.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
