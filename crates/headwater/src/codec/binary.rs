#[cfg(any(feature = "messagepack", feature = "postcard"))]
use super::{Codec, unreadable, unwritable};
#[cfg(any(feature = "messagepack", feature = "postcard"))]
use crate::Result;
#[cfg(any(feature = "messagepack", feature = "postcard"))]
use serde::{Serialize, de::DeserializeOwned};

/// MessagePack, by serde, with field names: smaller than JSON, and fields may be added and left out
/// as in JSON. Feature `messagepack`.
///
/// ```
/// use headwater::codec::{Codec, MessagePack};
/// let bytes = MessagePack.encode(&("Boeing".to_owned(), 737))?;
/// let (maker, number): (String, u32) = MessagePack.decode(&bytes)?;
/// assert_eq!((maker.as_str(), number), ("Boeing", 737));
/// # Ok::<(), headwater::Error>(())
/// ```
#[cfg(feature = "messagepack")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessagePack;

#[cfg(feature = "messagepack")]
impl<V: Serialize + DeserializeOwned> Codec<V> for MessagePack {
    fn id(&self) -> u8 {
        2
    }

    fn encode(&self, value: &V) -> Result<Vec<u8>> {
        rmp_serde::to_vec_named(value).map_err(|error| unwritable("MessagePack", error))
    }

    fn decode(&self, bytes: &[u8]) -> Result<V> {
        let mut rest = bytes;
        let value =
            rmp_serde::from_read(&mut rest).map_err(|error| unreadable("MessagePack", error))?;
        if rest.is_empty() { Ok(value) } else { Err(trailing("MessagePack")) }
    }
}

/// Postcard, by serde: the smallest form, without names. Any change of the type is another schema:
/// give it a new schema id. Feature `postcard`.
///
/// ```
/// use headwater::codec::{Codec, Postcard};
/// let bytes = Postcard.encode(&("Boeing".to_owned(), 737_u32))?;
/// assert_eq!(bytes.len(), 9);
/// let (maker, number): (String, u32) = Postcard.decode(&bytes)?;
/// assert_eq!((maker.as_str(), number), ("Boeing", 737));
/// # Ok::<(), headwater::Error>(())
/// ```
#[cfg(feature = "postcard")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Postcard;

#[cfg(feature = "postcard")]
impl<V: Serialize + DeserializeOwned> Codec<V> for Postcard {
    fn id(&self) -> u8 {
        3
    }

    fn encode(&self, value: &V) -> Result<Vec<u8>> {
        postcard::to_stdvec(value).map_err(|error| unwritable("postcard", error))
    }

    fn decode(&self, bytes: &[u8]) -> Result<V> {
        match postcard::take_from_bytes(bytes) {
            Ok((value, [])) => Ok(value),
            Ok(_) => Err(trailing("postcard")),
            Err(error) => Err(unreadable("postcard", error)),
        }
    }
}

#[cfg(any(feature = "messagepack", feature = "postcard"))]
fn trailing(form: &str) -> crate::Error {
    crate::Error::new(crate::ErrorKind::Codec, format!("bytes follow a value in {form}"))
}
