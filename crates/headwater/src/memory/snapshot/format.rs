//! What stands in a file:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | [`MAGIC`] |
//! | 4 | the format's version, [`VERSION`]; all numbers are little-endian |
//! | block | the header: names of the types, time of the wall clock |
//! | block, ... | entries |
//! | 4 | 0: no more blocks |
//! | 8, 4 | the number of entries, and its checksum |
//!
//! A block is its length in bytes (4), the checksum of its content (CRC-32, 4), and its content:
//! MessagePack values, one after the other. A reader needs no more memory than one block has, and
//! believes no length before it has seen the bytes.

use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

use serde::{Serialize, de::DeserializeOwned};

use super::Saved;
use super::file::unwritable;
use super::refused;
use crate::{Error, ErrorKind, Result};

/// Told from all other files, and from those that a transfer as text has changed.
const MAGIC: [u8; 8] = *b"HWSNAP\r\n";

const VERSION: u32 = 1;

/// A block with so many bytes is written.
const BLOCK: usize = 64 * 1024;

/// The names of the types, and the time since the beginning of 1970.
type Header = (String, Duration);

/// A [`Saved`] as it comes back: key, value, life, version. Written are references to the same.
type Owned<K, V> = (K, Option<V>, Option<Duration>, Option<u64>);

/// Writes entries, block by block.
pub(super) struct Writer<W> {
    to: W,
    block: Vec<u8>,
    count: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn begin(mut to: W, kind: &str, time: SystemTime) -> Result<Self> {
        to.write_all(&MAGIC).map_err(unwritable)?;
        to.write_all(&VERSION.to_le_bytes()).map_err(unwritable)?;
        let time = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut writer = Self { to, block: Vec::new(), count: 0 };
        writer.push(&(kind, time))?;
        writer.end_block()?;
        Ok(writer)
    }

    pub(super) fn add<K: Serialize, V: Serialize>(&mut self, saved: &Saved<K, V>) -> Result<()> {
        self.push(&(&saved.key, &saved.value, saved.life, saved.version))?;
        self.count += 1;
        if self.block.len() >= BLOCK { self.end_block() } else { Ok(()) }
    }

    /// Ends the file; how many entries are in it.
    pub(super) fn end(mut self) -> Result<u64> {
        self.end_block()?;
        let count = self.count.to_le_bytes();
        let parts = [&[0; 4][..], &count, &crc32fast::hash(&count).to_le_bytes()];
        parts.iter().try_for_each(|part| self.to.write_all(part)).map_err(unwritable)?;
        Ok(self.count)
    }

    fn push(&mut self, value: &impl Serialize) -> Result<()> {
        rmp_serde::encode::write_named(&mut self.block, value)
            .map_err(|error| refused("a key or value cannot be written").with_source(error))
    }

    fn end_block(&mut self) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let len = u32::try_from(self.block.len());
        let len = len.map_err(|_| refused("an entry has more than 4 GiB"))?;
        let crc = crc32fast::hash(&self.block);
        let parts = [&len.to_le_bytes()[..], &crc.to_le_bytes(), &self.block];
        parts.iter().try_for_each(|part| self.to.write_all(part)).map_err(unwritable)?;
        self.block.clear();
        Ok(())
    }
}

/// Reads entries, block by block.
pub(super) struct Reader<R> {
    from: R,
    time: Duration,
}

impl<R: Read> Reader<R> {
    pub(super) fn begin(mut from: R, kind: &str) -> Result<Self> {
        let mut magic = [0; MAGIC.len()];
        let mut version = [0; 4];
        from.read_exact(&mut magic).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => refused("is no snapshot"),
            _ => unreadable(error),
        })?;
        if magic != MAGIC {
            return Err(refused("is no snapshot"));
        }
        from.read_exact(&mut version).map_err(cut_short)?;
        match u32::from_le_bytes(version) {
            VERSION => {}
            0 => return Err(corrupt()),
            newer => {
                let reason =
                    format!("is a snapshot of version {newer}; this program knows {VERSION}");
                return Err(refused(reason));
            }
        }
        let block = read_block(&mut from)?.ok_or_else(corrupt)?;
        let mut values = Values::<Header>::of(&block);
        let (written, time) = values.next().ok_or_else(corrupt)??;
        if written != kind {
            let reason = format!("is a snapshot of {written}, and this cache has {kind}");
            return Err(refused(reason));
        }
        Ok(Self { from, time })
    }

    /// When the file was begun, by the wall clock.
    pub(super) fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH.checked_add(self.time).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Calls `take` with each entry, until the end of the file, which has to be where it should.
    pub(super) fn each<K, V>(&mut self, mut take: impl FnMut(Saved<K, V>)) -> Result<()>
    where
        K: DeserializeOwned,
        V: DeserializeOwned,
    {
        let mut count: u64 = 0;
        while let Some(block) = read_block(&mut self.from)? {
            for value in Values::<Owned<K, V>>::of(&block) {
                let (key, value, life, version) = value?;
                take(Saved { key, value, life, version });
                count += 1;
            }
        }
        let (mut said, mut crc) = ([0; 8], [0; 4]);
        self.from.read_exact(&mut said).map_err(cut_short)?;
        self.from.read_exact(&mut crc).map_err(cut_short)?;
        let is_sound = crc32fast::hash(&said).to_le_bytes() == crc;
        let is_end = self.from.read(&mut [0]).map_err(unreadable)? == 0;
        let is_whole = is_sound && u64::from_le_bytes(said) == count && is_end;
        if is_whole { Ok(()) } else { Err(corrupt()) }
    }
}

/// The content of the next block; `None` where there are no more.
fn read_block(from: &mut impl Read) -> Result<Option<Vec<u8>>> {
    let (mut len, mut crc) = ([0; 4], [0; 4]);
    from.read_exact(&mut len).map_err(cut_short)?;
    let len = u32::from_le_bytes(len);
    if len == 0 {
        return Ok(None);
    }
    from.read_exact(&mut crc).map_err(cut_short)?;
    let mut block = Vec::new();
    let read = from.take(u64::from(len)).read_to_end(&mut block).map_err(unreadable)?;
    if read < len as usize {
        return Err(refused("is cut short"));
    }
    match crc32fast::hash(&block).to_le_bytes() == crc {
        true => Ok(Some(block)),
        false => Err(corrupt()),
    }
}

/// The values of a block.
struct Values<'a, T> {
    rest: &'a [u8],
    of: PhantomData<fn() -> T>,
}

impl<'a, T> Values<'a, T> {
    fn of(rest: &'a [u8]) -> Self {
        Self { rest, of: PhantomData }
    }
}

impl<T: DeserializeOwned> Iterator for Values<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        if self.rest.is_empty() {
            return None;
        }
        let value = rmp_serde::from_read(&mut self.rest);
        Some(value.map_err(|error| {
            // What follows could not be told apart.
            self.rest = &[];
            refused("has an entry that cannot be read").with_source(error)
        }))
    }
}

fn corrupt() -> Error {
    refused("is corrupt")
}

fn cut_short(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => refused("is cut short"),
        _ => unreadable(error),
    }
}

pub(super) fn unreadable(error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "cannot be read").with_source(error)
}
