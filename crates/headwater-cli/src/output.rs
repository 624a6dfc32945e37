//! Where records are written: whole lines only, in large pieces.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::{self, Stdout, Write};
use std::path::Path;

/// How much is gathered before it is written.
const CHUNK: usize = 256 * 1024;

/// A file, or stdout. What is gathered here are whole lines, so that whenever the run ends by itself
/// the output ends after a line.
pub(crate) struct Output {
    name: String,
    target: Target,
    lines: Vec<u8>,
}

enum Target {
    /// `end` is the length of what is written, if the file is one that can be cut there.
    File {
        file: File,
        end: Option<u64>,
    },
    Stdout(Stdout),
}

/// Why writing ended.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// Nobody reads any more.
    Closed,
    /// Anything else, with the output's name.
    Failed(anyhow::Error),
}

impl Output {
    /// Makes (or empties) a file; `-` is stdout.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        if path.as_os_str() == "-" {
            let target = Target::Stdout(io::stdout());
            return Ok(Self { name: "stdout".to_owned(), target, lines: Vec::new() });
        }
        let name = path.display().to_string();
        let file = File::create(path).map_err(crate::input::plain_words);
        let file = file.with_context(|| format!("{name}: cannot be written"))?;
        let regular = file.metadata().is_ok_and(|meta| meta.is_file());
        let target = Target::File { file, end: regular.then_some(0) };
        Ok(Self { name, target, lines: Vec::new() })
    }

    /// Where the next line goes; it must be ended by [`end_line`](Self::end_line).
    pub(crate) fn line(&mut self) -> &mut Vec<u8> {
        &mut self.lines
    }

    /// Ends a line, and writes what was gathered if that is enough.
    pub(crate) fn end_line(&mut self) -> Result<(), WriteError> {
        self.lines.push(b'\n');
        if self.lines.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    /// Writes what was gathered.
    pub(crate) fn flush(&mut self) -> Result<(), WriteError> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let outcome = self.target.write(&self.lines);
        // Also what could not be written: it must not be written later, after a gap.
        self.lines.clear();
        // One huge line must not hold its room for ever.
        self.lines.shrink_to(4 * CHUNK);
        outcome.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => WriteError::Closed,
            _ => WriteError::Failed(crate::input::plain_words(error).context(self.name.clone())),
        })
    }
}

impl Target {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.write_all(lines).and_then(|()| stdout.flush()),
            Self::File { file, end } => {
                let (written, outcome) = write_most(file, lines);
                let Some(end) = end else { return outcome };
                if outcome.is_err() && written > 0 {
                    // The disk took a part of a line: cut it off, so that what is there is whole.
                    let whole = memchr::memrchr(b'\n', &lines[..written]).map_or(0, |at| at + 1);
                    let _ = file.set_len(*end + whole as u64);
                }
                *end += written as u64;
                outcome
            }
        }
    }
}

/// As `write_all`, but says how much was written before an error.
fn write_most(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}
