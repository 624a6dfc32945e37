//! From an entry to the bytes of a Redis string, and back.

use super::envelope::{Fault, HEADER, Header, WRITTEN};
use crate::codec::encrypt::EncryptionKeys;
use crate::codec::{Codec, compress};
use crate::{Error, ErrorKind, Result, Version};
use std::time::Duration;

/// What bytes look like.
#[derive(Clone, Debug, Default)]
pub(super) struct Form {
    pub(super) schema: u32,
    pub(super) compress_above: Option<usize>,
    pub(super) keys: Option<EncryptionKeys>,
    /// The payload alone, without an envelope: what the Go package writes.
    pub(super) is_plain: bool,
}

/// An entry that was read.
#[derive(Debug, PartialEq)]
pub(super) struct Opened<V> {
    pub(super) value: Option<V>,
    pub(super) version: Option<Version>,
    pub(super) age: Option<Duration>,
    pub(super) life: Option<Duration>,
    /// When the life ends, in ms of the server's clock, if the server noted it.
    pub(super) end: Option<u64>,
}

/// An entry that is to be written.
#[derive(Debug)]
pub(super) struct Sealing<'a, V> {
    pub(super) value: Option<&'a V>,
    pub(super) version: Option<Version>,
    pub(super) age: Option<Duration>,
    pub(super) life: Option<Duration>,
}

impl Form {
    /// Whether it is another form than plain JSON in a plain envelope.
    pub(super) fn is_special(&self) -> bool {
        self.schema != 0 || self.compress_above.is_some() || self.keys.is_some()
    }

    /// The bytes of an entry under the Redis key `name`; its encoded value is not longer than
    /// `limit`.
    pub(super) fn seal<V, C: Codec<V>>(
        &self,
        codec: &C,
        name: &[u8],
        entry: &Sealing<'_, V>,
        limit: usize,
    ) -> Result<Vec<u8>> {
        let mut payload = entry.value.map_or(Ok(Vec::new()), |value| codec.encode(value))?;
        if payload.len() > limit {
            let message = format!("a value of {} bytes is longer than max_value", payload.len());
            return Err(Error::new(ErrorKind::Codec, message));
        }
        if self.is_plain {
            return Ok(payload);
        }
        let is_long = self.compress_above.is_some_and(|length| payload.len() > length);
        let compressed = if is_long { compress::compress(&payload) } else { None };
        let header = Header {
            absent: entry.value.is_none(),
            compressed: compressed.is_some(),
            encrypted: self.keys.is_some(),
            codec: codec.id(),
            schema: self.schema,
            version: entry.version,
            age: entry.age,
            life: entry.life,
            // The server's to fill in.
            end: None,
        };
        if let Some(compressed) = compressed {
            payload = compressed;
        }
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        header.write(&mut bytes);
        if let Some(keys) = &self.keys {
            payload = keys.encrypt(&payload, &place(name, &bytes[..WRITTEN]))?;
        }
        bytes.extend_from_slice(&payload);
        Ok(bytes)
    }

    /// The entry of bytes found under the Redis key `name`.
    pub(super) fn open<V, C: Codec<V>>(
        &self,
        codec: &C,
        name: &[u8],
        bytes: &[u8],
        limit: usize,
    ) -> std::result::Result<Opened<V>, Fault> {
        let decode = |bytes: &[u8]| codec.decode(bytes).map_err(|_| Fault::Corrupt);
        if self.is_plain {
            let value = Some(decode(bytes)?);
            return Ok(Opened { value, version: None, age: None, life: None, end: None });
        }
        let header = Header::read(bytes)?;
        let is_ours = header.schema == self.schema
            && header.codec == codec.id()
            && header.encrypted == self.keys.is_some();
        if !is_ours {
            return Err(Fault::OtherSchema);
        }
        let (head, payload) = bytes.split_at(HEADER);
        let opened = match &self.keys {
            Some(keys) => Some(
                keys.decrypt(payload, &place(name, &head[..WRITTEN]))
                    .map_err(|_| Fault::Corrupt)?,
            ),
            None => None,
        };
        let payload = opened.as_deref().unwrap_or(payload);
        let inflated = if header.compressed {
            Some(compress::decompress(payload, limit).map_err(|_| Fault::Corrupt)?)
        } else {
            None
        };
        let payload = inflated.as_deref().unwrap_or(payload);
        let value = if header.absent { None } else { Some(decode(payload)?) };
        let Header { version, age, life, end, .. } = header;
        Ok(Opened { value, version, age, life, end })
    }
}

/// What an encrypted value belongs to: its key, and of its head what the writer knew.
fn place(name: &[u8], head: &[u8]) -> Vec<u8> {
    [name, head].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Json;

    fn sealing(value: Option<&String>) -> Sealing<'_, String> {
        let ms = Duration::from_millis;
        Sealing { value, version: Some(Version::new(3)), age: Some(ms(5)), life: Some(ms(9)) }
    }

    fn there_and_back(form: &Form, value: Option<String>) -> Vec<u8> {
        let bytes = form.seal(&Json, b"n:k", &sealing(value.as_ref()), 1 << 20).unwrap();
        let opened = form.open(&Json, b"n:k", &bytes, 1 << 20).unwrap();
        let (version, ms) = (Some(Version::new(3)), Duration::from_millis);
        assert_eq!(
            opened,
            Opened { value, version, age: Some(ms(5)), life: Some(ms(9)), end: None }
        );
        bytes
    }

    #[test]
    fn entries_come_back() {
        for value in [None, Some(String::new()), Some("text".repeat(1_000))] {
            there_and_back(&Form::default(), value.clone());
            there_and_back(
                &Form { schema: 9, compress_above: Some(100), ..Form::default() },
                value,
            );
        }
    }

    #[test]
    fn another_schema_or_codec_is_no_entry_of_ours() {
        let bytes = there_and_back(&Form { schema: 1, ..Form::default() }, Some("x".to_owned()));
        let open = |form: &Form, bytes: &[u8]| form.open::<String, _>(&Json, b"n:k", bytes, 100);
        assert_eq!(open(&Form::default(), &bytes), Err(Fault::OtherSchema));
        let mut other = there_and_back(&Form::default(), Some("x".to_owned()));
        other[5] = 77;
        assert_eq!(open(&Form::default(), &other), Err(Fault::OtherSchema));
        let bytes = there_and_back(&Form::default(), Some("x".to_owned()));
        assert_eq!(open(&Form::default(), &bytes[..bytes.len() - 1]), Err(Fault::Corrupt));
        assert_eq!(open(&Form::default(), b"\"plain\""), Err(Fault::Corrupt));
    }

    #[test]
    fn a_long_value_is_refused() {
        let long = "x".repeat(100);
        let error = Form::default().seal(&Json, b"", &sealing(Some(&long)), 101).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Codec);
        assert!(error.to_string().contains("max_value"), "{error}");
    }

    #[cfg(feature = "compression")]
    #[test]
    fn long_values_are_compressed_and_bombs_are_not_opened() {
        let form = Form { compress_above: Some(100), ..Form::default() };
        let bytes = there_and_back(&form, Some("text".repeat(1_000)));
        assert!(bytes.len() < 200);
        assert_eq!(form.open::<String, _>(&Json, b"n:k", &bytes, 1_000), Err(Fault::Corrupt));
    }

    #[cfg(feature = "encryption")]
    #[test]
    fn encrypted_entries_stay_where_they_belong() {
        let keys = Some(EncryptionKeys::new(1, [7; 32]));
        let form = Form { keys, compress_above: Some(100), ..Form::default() };
        let bytes = there_and_back(&form, Some("text".repeat(1_000)));
        there_and_back(&form, None);
        let open = |name: &[u8], bytes: &[u8]| form.open::<String, _>(&Json, name, bytes, 1 << 20);
        assert_eq!(open(b"n:other", &bytes), Err(Fault::Corrupt), "swapped between keys");
        let mut younger = bytes.clone();
        younger[27] ^= 1;
        assert_eq!(open(b"n:k", &younger), Err(Fault::Corrupt), "the head is authenticated");
        let plain = there_and_back(&Form::default(), Some("x".to_owned()));
        assert_eq!(open(b"n:k", &plain), Err(Fault::OtherSchema), "not encrypted");
        let unkeyed = Form::default().open::<String, _>(&Json, b"n:k", &bytes, 1 << 20);
        assert_eq!(unkeyed, Err(Fault::OtherSchema));
    }
}
