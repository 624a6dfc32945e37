//! What a value is wrapped in: who wrote it, how, which version it is, and how old it was.
//!
//! | bytes | what |
//! |---|---|
//! | 0..3 | `FB 48 57`: no JSON, no UTF-8 begins so |
//! | 3 | 2, the version of this layout |
//! | 4 | flags: 1 absent, 2 compressed, 4 encrypted, 8 has a version, 16 has an age, 32 has a life |
//! | 5 | the codec's id |
//! | 6..8 | zero |
//! | 8..12 | the schema id |
//! | 12..20 | the version |
//! | 20..28 | ms between the load from the source and the arrival in Redis, at most |
//! | 28..36 | ms of life given at the write, at most |
//! | 36..44 | when that life ends, in ms of the server's clock; 0 if it has no end |
//! | 44.. | the payload |
//!
//! Numbers are big-endian. When the payload is encrypted, the 36 bytes that the writer knows are
//! authenticated. The end is put in by the server, which alone knows its clock: whoever reads many
//! entries asks for the time once instead of for each one's life.

use crate::Version;
use std::time::Duration;

/// Bytes before the payload.
pub(super) const HEADER: usize = 44;
/// Those of them that the writer fills in.
pub(super) const WRITTEN: usize = 36;
/// Where the flags stand, for the script that compares versions.
pub(super) const FLAGS_AT: usize = 4;
/// Where the version stands, for the same.
pub(super) const VERSION_AT: usize = 12;
pub(super) const HAS_VERSION: u8 = 8;

pub(super) const MAGIC: [u8; 4] = [0xFB, b'H', b'W', 2];
const ABSENT: u8 = 1;
const COMPRESSED: u8 = 2;
const ENCRYPTED: u8 = 4;
const HAS_AGE: u8 = 16;
const HAS_LIFE: u8 = 32;
const KNOWN: u8 = ABSENT | COMPRESSED | ENCRYPTED | HAS_VERSION | HAS_AGE | HAS_LIFE;

/// The head of an envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) absent: bool,
    pub(super) compressed: bool,
    pub(super) encrypted: bool,
    pub(super) codec: u8,
    pub(super) schema: u32,
    pub(super) version: Option<Version>,
    pub(super) age: Option<Duration>,
    pub(super) life: Option<Duration>,
    /// When the life ends, in ms of the server's clock.
    pub(super) end: Option<u64>,
}

/// Why bytes are no entry of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Written with another schema, codec or layout.
    OtherSchema,
    /// Not written by this library, or damaged.
    Corrupt,
}

impl Header {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.push(self.flags());
        out.extend_from_slice(&[self.codec, 0, 0]);
        out.extend_from_slice(&self.schema.to_be_bytes());
        out.extend_from_slice(&self.version.map_or(0, Version::get).to_be_bytes());
        out.extend_from_slice(&millis_up(self.age.unwrap_or_default()).to_be_bytes());
        out.extend_from_slice(&millis_up(self.life.unwrap_or_default()).to_be_bytes());
        out.extend_from_slice(&self.end.unwrap_or(0).to_be_bytes());
    }

    /// The head of `bytes`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let head = bytes.first_chunk::<HEADER>().ok_or(Fault::Corrupt)?;
        if head[..3] != MAGIC[..3] {
            return Err(Fault::Corrupt);
        }
        let flags = head[FLAGS_AT];
        if head[3] != MAGIC[3] || flags & !KNOWN != 0 {
            return Err(Fault::OtherSchema);
        }
        let number =
            |at: usize| head[at..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let optional = |flag: u8, at: usize| (flags & flag != 0).then(|| number(at));
        Ok(Self {
            absent: flags & ABSENT != 0,
            compressed: flags & COMPRESSED != 0,
            encrypted: flags & ENCRYPTED != 0,
            codec: head[5],
            schema: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
            version: optional(HAS_VERSION, VERSION_AT).map(Version::new),
            age: optional(HAS_AGE, 20).map(Duration::from_millis),
            life: optional(HAS_LIFE, 28).map(Duration::from_millis),
            end: Some(number(WRITTEN)).filter(|end| *end != 0),
        })
    }

    fn flags(&self) -> u8 {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        flag(self.absent, ABSENT)
            | flag(self.compressed, COMPRESSED)
            | flag(self.encrypted, ENCRYPTED)
            | flag(self.version.is_some(), HAS_VERSION)
            | flag(self.age.is_some(), HAS_AGE)
            | flag(self.life.is_some(), HAS_LIFE)
    }
}

/// Whole milliseconds, not less than `span`.
pub(super) fn millis_up(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let full = Header {
            absent: true,
            compressed: true,
            encrypted: true,
            codec: 3,
            schema: 0xDEAD_BEEF,
            version: Some(Version::new(u64::MAX)),
            age: Some(Duration::from_millis(7)),
            life: Some(Duration::from_millis(9)),
            end: Some(1_000),
        };
        for header in [full, Header::default()] {
            let mut bytes = Vec::new();
            header.write(&mut bytes);
            assert_eq!(bytes.len(), HEADER);
            assert_eq!(Header::read(&bytes), Ok(header));
        }
    }

    #[test]
    fn what_is_foreign_is_told_apart() {
        let mut bytes = Vec::new();
        Header::default().write(&mut bytes);
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            Header::read(&bytes)
        };
        assert_eq!(with(0, b'{'), Err(Fault::Corrupt));
        assert_eq!(with(3, 3), Err(Fault::OtherSchema), "a later layout");
        assert_eq!(with(4, 64), Err(Fault::OtherSchema), "a flag that nobody knows yet");
        assert_eq!(Header::read(&bytes[..43]), Err(Fault::Corrupt));
        assert_eq!(Header::read(b"{}"), Err(Fault::Corrupt));
        assert_eq!(Header::read(b""), Err(Fault::Corrupt));
    }

    #[test]
    fn spans_are_rounded_up() {
        assert_eq!(millis_up(Duration::from_nanos(1)), 1);
        assert_eq!(millis_up(Duration::from_millis(2)), 2);
        assert_eq!(millis_up(Duration::MAX), u64::MAX);
    }
}
