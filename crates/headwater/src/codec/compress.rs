//! Compression (LZ4), bounded on the way back.

use crate::{Error, ErrorKind, Result};

/// `bytes` with their length and compressed, if that is shorter.
pub(crate) fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    let packed = lz4_flex::block::compress_prepend_size(bytes);
    (packed.len() < bytes.len()).then_some(packed)
}

/// What [`compress`] was given, if it is no longer than `limit` bytes.
///
/// # Errors
/// [`ErrorKind::Codec`] if it is longer, or if `bytes` are damaged. Nothing longer than `limit` is
/// ever allocated, whatever the bytes claim.
pub(crate) fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>> {
    let fault = |what: &'static str| Error::new(ErrorKind::Codec, what);
    let (size, packed) = lz4_flex::block::uncompressed_size(bytes)
        .map_err(|_| fault("a compressed value is cut off"))?;
    if size > limit {
        return Err(fault("a compressed value is longer than allowed"));
    }
    lz4_flex::block::decompress(packed, size)
        .map_err(|error| fault("a compressed value is damaged").with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back() {
        let text = "the same words again and again. ".repeat(100);
        let packed = compress(text.as_bytes()).unwrap();
        assert!(packed.len() < text.len() / 5);
        assert_eq!(decompress(&packed, text.len()).unwrap(), text.as_bytes());
    }

    #[test]
    fn what_does_not_shrink_is_left_alone() {
        assert_eq!(compress(b"abc"), None);
    }

    #[test]
    fn a_bomb_does_not_go_off() {
        let packed = compress(&[0; 1 << 20]).unwrap();
        assert!(packed.len() < 8_000);
        assert_eq!(decompress(&packed, (1 << 20) - 1).unwrap_err().kind(), ErrorKind::Codec);
        let mut liar = packed;
        liar[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(decompress(&liar, 1 << 20).is_err());
        liar[..4].copy_from_slice(&10_u32.to_le_bytes());
        assert!(decompress(&liar, 1 << 20).is_err(), "more comes out than was said");
    }

    #[test]
    fn damage_is_noticed() {
        for bytes in [&b""[..], b"\x05", b"\x05\0\0\0", b"\x05\0\0\0\xff\xff"] {
            assert_eq!(decompress(bytes, 100).unwrap_err().kind(), ErrorKind::Codec, "{bytes:?}");
        }
    }
}
