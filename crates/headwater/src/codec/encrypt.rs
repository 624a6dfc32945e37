//! Authenticated encryption of values (XChaCha20-Poly1305), with keys that can be rotated.
//!
//! An encrypted payload is the key's id (4 bytes, big-endian), a random nonce (24 bytes) and the
//! ciphertext with its tag (16 bytes). What a value belongs to is authenticated with it: the bytes of
//! one entry cannot be passed off as those of another.

use crate::{Error, ErrorKind, Result};
use chacha20poly1305::aead::{Aead, AeadCore, KeyInit, OsRng, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use std::fmt;

const ID: usize = 4;
const NONCE: usize = 24;

/// Keys for values at rest: one encrypts, all decrypt. Feature `encryption`.
///
/// To rotate, [add](Self::and_reads) the new key everywhere as one that only reads; then make it the
/// one that writes, and the old one the one that reads; drop the old one when everything written
/// with it has expired. Sizes grow by 44 bytes per value.
///
/// ```
/// use headwater::codec::EncryptionKeys;
///
/// let keys = EncryptionKeys::new(2, [0x22; 32]).and_reads(1, [0x11; 32]);
/// assert_eq!(format!("{keys:?}"), "EncryptionKeys { writes: 2, reads: [2, 1] }");
/// ```
#[derive(Clone)]
pub struct EncryptionKeys {
    /// The first one writes.
    keys: Vec<(u32, XChaCha20Poly1305)>,
}

impl EncryptionKeys {
    /// Encrypts with `key`, which is known as `id`: 32 random bytes, from a key store.
    #[must_use]
    pub fn new(id: u32, key: [u8; 32]) -> Self {
        Self { keys: vec![(id, XChaCha20Poly1305::new(&key.into()))] }
    }

    /// Also reads what was encrypted with another key.
    #[must_use]
    pub fn and_reads(mut self, id: u32, key: [u8; 32]) -> Self {
        self.keys.push((id, XChaCha20Poly1305::new(&key.into())));
        self
    }

    pub(crate) fn encrypt(&self, bytes: &[u8], belongs_to: &[u8]) -> Result<Vec<u8>> {
        let fault = || Error::new(ErrorKind::Codec, "a value cannot be encrypted");
        let (id, key) = self.keys.first().ok_or_else(fault)?;
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let payload = Payload { msg: bytes, aad: belongs_to };
        let sealed = key.encrypt(&nonce, payload).map_err(|_| fault())?;
        Ok([&id.to_be_bytes(), nonce.as_slice(), &sealed].concat())
    }

    pub(crate) fn decrypt(&self, bytes: &[u8], belongs_to: &[u8]) -> Result<Vec<u8>> {
        let fault = |what: &'static str| Error::new(ErrorKind::Codec, what);
        let (id, rest) =
            bytes.split_first_chunk::<ID>().ok_or(fault("an encrypted value is cut off"))?;
        let (nonce, sealed) =
            rest.split_first_chunk::<NONCE>().ok_or(fault("an encrypted value is cut off"))?;
        let id = u32::from_be_bytes(*id);
        let key = self.keys.iter().find(|(known, _)| *known == id);
        let (_, key) = key.ok_or(fault("a value was encrypted with a key that is not known"))?;
        key.decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: belongs_to })
            .map_err(|_| fault("an encrypted value was tampered with, or belongs elsewhere"))
    }
}

impl fmt::Debug for EncryptionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<u32> = self.keys.iter().map(|(id, _)| *id).collect();
        f.debug_struct("EncryptionKeys").field("writes", &ids[0]).field("reads", &ids).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_only_to_where_it_belongs() {
        let keys = EncryptionKeys::new(1, [1; 32]);
        let sealed = keys.encrypt(b"secret", b"a").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_ne!(sealed, keys.encrypt(b"secret", b"a").unwrap(), "each has its own nonce");
        assert_eq!(keys.decrypt(&sealed, b"a").unwrap(), b"secret");
        assert_eq!(keys.decrypt(&sealed, b"b").unwrap_err().kind(), ErrorKind::Codec);
    }

    #[test]
    fn keys_are_rotated() {
        let old = EncryptionKeys::new(1, [1; 32]);
        let new = EncryptionKeys::new(2, [2; 32]).and_reads(1, [1; 32]);
        assert_eq!(new.decrypt(&old.encrypt(b"x", b"").unwrap(), b"").unwrap(), b"x");
        assert!(old.decrypt(&new.encrypt(b"x", b"").unwrap(), b"").is_err());
    }

    #[test]
    fn damage_is_noticed_wherever_it_is() {
        let keys = EncryptionKeys::new(1, [1; 32]);
        let sealed = keys.encrypt(b"secret", b"").unwrap();
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone();
            bytes[at] ^= 1;
            assert!(keys.decrypt(&bytes, b"").is_err(), "byte {at}");
            assert!(keys.decrypt(&sealed[..at], b"").is_err(), "cut at {at}");
        }
    }
}
