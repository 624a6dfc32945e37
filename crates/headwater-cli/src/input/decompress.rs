//! Gzip and zstd, told by their first bytes and not by the name: a name only has to agree.

use anyhow::{Result, bail};
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

/// As many bytes as the longest magic number below.
const MAGIC: usize = 6;

/// How much compressed data is read at once.
const CHUNK: usize = 64 * 1024;

/// A way of storing bytes: those that we read, and those that we only know by sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Plain,
    Gzip,
    Zstd,
    Foreign(&'static str),
}

const MAGICS: [(&[u8], Coding); 7] = [
    (&[0x1f, 0x8b], Coding::Gzip),
    (&[0x28, 0xb5, 0x2f, 0xfd], Coding::Zstd),
    // A skippable zstd frame, which parallel compressors write first.
    (&[0x50, 0x2a, 0x4d, 0x18], Coding::Zstd),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], Coding::Foreign("xz")),
    (b"BZh", Coding::Foreign("bzip2")),
    (b"PK\x03\x04", Coding::Foreign("zip")),
    (b"PAR1", Coding::Foreign("Parquet")),
];

/// Decompresses `raw` if it is compressed. `path` is only asked whether its name agrees.
pub(super) fn detect(
    mut raw: impl Read + Send + 'static,
    path: &Path,
) -> Result<Box<dyn Read + Send>> {
    let head = read_head(&mut raw).map_err(super::plain_words)?;
    let coding = coding_of(&head);
    let named = match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Coding::Gzip,
        Some("zst") => Coding::Zstd,
        _ => coding,
    };
    match (named, coding) {
        (Coding::Gzip, found) if found != Coding::Gzip => {
            bail!("not gzip data although its name says so")
        }
        (Coding::Zstd, found) if found != Coding::Zstd => {
            bail!("not zstd data although its name says so")
        }
        (_, Coding::Foreign(what)) => {
            bail!("is {what} data; give it plain or compressed by gzip or zstd")
        }
        _ => {}
    }
    let stored = Cursor::new(head).chain(raw);
    Ok(match coding {
        Coding::Gzip => {
            let decoder = MultiGzDecoder::new(BufReader::with_capacity(CHUNK, stored));
            Box::new(Explained { inner: decoder, coding: "gzip" })
        }
        Coding::Zstd => {
            let decoder = zstd::stream::read::Decoder::new(stored).map_err(super::plain_words)?;
            Box::new(Explained { inner: decoder, coding: "zstd" })
        }
        _ => Box::new(stored),
    })
}

/// Reads only until the coding is known: a pipe may hold less than a magic number for a long time.
fn read_head(raw: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(MAGIC);
    let mut byte = [0];
    while is_start_of_magic(&head) {
        match raw.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => head.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(head)
}

fn is_start_of_magic(head: &[u8]) -> bool {
    MAGICS.iter().any(|(magic, _)| head.len() < magic.len() && magic.starts_with(head))
}

fn coding_of(head: &[u8]) -> Coding {
    let found = MAGICS.iter().find(|(magic, _)| head.starts_with(magic));
    found.map_or(Coding::Plain, |(_, coding)| *coding)
}

/// Says in plain words how compressed data broke.
struct Explained<R> {
    inner: R,
    coding: &'static str,
}

impl<R: Read> Read for Explained<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| explain(error, self.coding))
    }
}

fn explain(error: io::Error, coding: &str) -> io::Error {
    // The disk's own trouble has a number; the decoder's has not.
    if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Interrupted {
        return error;
    }
    let what = match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("the {coding} data ends too early (truncated?)"),
        _ => format!("the {coding} data is corrupt ({error})"),
    };
    io::Error::new(error.kind(), what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_no_further_than_needed() {
        let mut plain: &[u8] = b"{}\n";
        assert_eq!(read_head(&mut plain).unwrap(), b"{");
        let mut zstd: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd, 0x04];
        assert_eq!(coding_of(&read_head(&mut zstd).unwrap()), Coding::Zstd);
        assert_eq!(zstd, [0x04]);
    }

    #[test]
    fn what_only_begins_like_a_magic_number_is_plain() {
        let mut short: &[u8] = &[0x1f];
        assert_eq!(coding_of(&read_head(&mut short).unwrap()), Coding::Plain);
        let mut text: &[u8] = b"PKa,b\n";
        assert_eq!(coding_of(&read_head(&mut text).unwrap()), Coding::Plain);
    }
}
