//! A file that is replaced whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Error, ErrorKind, Result};

/// Writes a new file beside `path`, has the disk keep it, and puts it in its place.
pub(super) fn replace<R>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<R>,
) -> Result<R> {
    let part = Part(beside(path));
    let written = part.write(write).map_err(|error| error.in_file(path))?;
    let moved = fs::rename(&part.0, path).and_then(|()| keep(path));
    moved.map_err(|error| unwritable(error).in_file(path))?;
    Ok(written)
}

/// Reads a file.
pub(super) fn read<R>(
    path: &Path,
    read: impl FnOnce(&mut BufReader<File>) -> Result<R>,
) -> Result<R> {
    let opened = File::open(path).map_err(super::format::unreadable);
    let outcome = opened.and_then(|file| read(&mut BufReader::new(file)));
    outcome.map_err(|error| error.in_file(path))
}

/// A file that is not in its place yet; removed if it does not get there.
struct Part(PathBuf);

impl Part {
    fn write<R>(&self, write: impl FnOnce(&mut BufWriter<File>) -> Result<R>) -> Result<R> {
        let file = OpenOptions::new().write(true).create_new(true).open(&self.0);
        let mut file = BufWriter::new(file.map_err(unwritable)?);
        let written = write(&mut file)?;
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(unwritable)?;
        Ok(written)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Once it is in its place there is nothing to remove.
        let _ = fs::remove_file(&self.0);
    }
}

/// A name in the same folder that nobody else has.
fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{:016x}.part", fastrand::u64(..)));
    path.with_file_name(name)
}

/// Has the disk keep the file's new name.
fn keep(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // Not every system can open a folder; the file is whole either way.
    match File::open(folder.unwrap_or(Path::new("."))) {
        Ok(folder) if cfg!(unix) => folder.sync_all(),
        _ => Ok(()),
    }
}

pub(super) fn unwritable(error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "cannot be written").with_source(error)
}
