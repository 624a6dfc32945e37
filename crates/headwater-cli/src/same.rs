//! Writing to a file that is being read would destroy it: told before anything is opened.

use crate::args::{EnrichArgs, SimulateArgs};
use crate::source;
use anyhow::{Result, bail};
use same_file::Handle;
use std::io;
use std::path::{Path, PathBuf};

/// One end of the run.
struct End<'a> {
    option: &'static str,
    path: &'a Path,
    /// If it is a regular file that exists; devices and pipes may well be used twice.
    file: Option<Handle>,
}

impl<'a> End<'a> {
    fn new(option: &'static str, path: &'a Path, standard: fn() -> io::Result<Handle>) -> Self {
        let file = match path.as_os_str() == "-" {
            true => standard().ok().filter(|handle| is_file(handle.as_file().metadata())),
            // Asked by name first: opening a pipe would wait for its other end.
            false if is_file(std::fs::metadata(path)) => Handle::from_path(path).ok(),
            false => None,
        };
        Self { option, path, file }
    }

    fn is(&self, other: &Self) -> bool {
        match (&self.file, &other.file) {
            (Some(one), Some(other)) => one == other,
            (None, None) => {
                self.future_place().is_some_and(|place| other.future_place() == Some(place))
            }
            _ => false,
        }
    }

    /// Where a file would be made, if there is none yet.
    fn future_place(&self) -> Option<PathBuf> {
        if self.path.as_os_str() == "-" || self.path.exists() {
            return None;
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = std::fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
        Some(folder.join(self.path.file_name()?))
    }
}

fn is_file(meta: io::Result<std::fs::Metadata>) -> bool {
    meta.is_ok_and(|meta| meta.is_file())
}

/// Refuses a log that is to be drawn over, or two drawings in one file.
pub(crate) fn refuse_same_drawings(args: &SimulateArgs) -> Result<()> {
    let input = End::new("--input", &args.input, Handle::stdin);
    let svg = args.svg.as_deref().map(|path| End::new("--svg", path, Handle::stdout));
    let png = args.png.as_deref().map(|path| End::new("--png", path, Handle::stdout));
    refuse(&[
        (Some(&input), svg.as_ref()),
        (Some(&input), png.as_ref()),
        (svg.as_ref(), png.as_ref()),
    ])
}

/// Refuses a file that is to be read and written, or written twice.
pub(crate) fn refuse_same_files(args: &EnrichArgs) -> Result<()> {
    if args.rejects.as_deref().is_some_and(|path| path.as_os_str() == "-") {
        bail!("--rejects -: give a file; stdout is for records");
    }
    let source = source::file_of(&args.source);
    let source = source.as_deref().map(|path| End::new("--source", path, Handle::stdin));
    let rejects = args.rejects.as_deref();
    let rejects = rejects.map(|path| End::new("--rejects", path, Handle::stdout));
    let input = End::new("--input", &args.input, Handle::stdin);
    let output = End::new("-o", &args.output, Handle::stdout);
    refuse(&[
        (Some(&input), Some(&output)),
        (Some(&input), rejects.as_ref()),
        (source.as_ref(), Some(&output)),
        (source.as_ref(), rejects.as_ref()),
        (Some(&output), rejects.as_ref()),
    ])
}

/// Refuses pairs that are the same file.
fn refuse(pairs: &[(Option<&End<'_>>, Option<&End<'_>>)]) -> Result<()> {
    for (one, other) in pairs {
        let (Some(one), Some(other)) = (one, other) else { continue };
        if one.is(other) {
            let name = if one.path.as_os_str() == "-" { other.path } else { one.path };
            bail!("{}: cannot be {} and {} at once", name.display(), one.option, other.option);
        }
    }
    Ok(())
}
