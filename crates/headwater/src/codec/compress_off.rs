//! The twin of `compress` while the feature `compression` is off.

use crate::{Error, ErrorKind, Result};

pub(crate) fn compress(_: &[u8]) -> Option<Vec<u8>> {
    None
}

pub(crate) fn decompress(_: &[u8], _: usize) -> Result<Vec<u8>> {
    Err(Error::new(ErrorKind::Codec, "a compressed value: switch on the feature `compression`"))
}
