//! Values as bytes, for stores outside of this process.

mod binary;
#[cfg_attr(not(feature = "compression"), path = "compress_off.rs")]
pub(crate) mod compress;
#[cfg_attr(not(feature = "encryption"), path = "encrypt_off.rs")]
pub(crate) mod encrypt;

#[cfg(feature = "messagepack")]
pub use binary::MessagePack;
#[cfg(feature = "postcard")]
pub use binary::Postcard;
#[cfg(feature = "encryption")]
pub use encrypt::EncryptionKeys;

use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How values become bytes and back.
///
/// # Semantics
/// - What `encode` wrote, `decode` reads, also years later and on another machine: change a
///   value's form only together with the store's schema id.
/// - `decode` is given whatever the store holds. It must fail, and not panic, on bytes that it did
///   not write; the store counts that as a miss.
///
/// # Example: a codec of your own
/// ```
/// use headwater::codec::Codec;
/// use headwater::{Error, ErrorKind, Result};
///
/// /// Text as it is.
/// #[derive(Clone, Debug)]
/// struct Text;
///
/// impl Codec<String> for Text {
///     fn id(&self) -> u8 { 200 }
///     fn encode(&self, value: &String) -> Result<Vec<u8>> { Ok(value.clone().into_bytes()) }
///     fn decode(&self, bytes: &[u8]) -> Result<String> {
///         String::from_utf8(bytes.to_vec())
///             .map_err(|error| Error::new(ErrorKind::Codec, "not text").with_source(error))
///     }
/// }
/// assert_eq!(Text.decode(&Text.encode(&"Boeing 737".to_owned())?)?, "Boeing 737");
/// # Ok::<(), Error>(())
/// ```
pub trait Codec<V>: Clone + Send + Sync + 'static {
    /// A number that tells this codec's bytes from those of others: 128 and above are yours.
    fn id(&self) -> u8;

    /// The bytes of a value.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the value has no such form.
    fn encode(&self, value: &V) -> Result<Vec<u8>>;

    /// The value of bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the bytes are no such value.
    fn decode(&self, bytes: &[u8]) -> Result<V>;
}

/// JSON, by serde: readable in `redis-cli`, and by everybody else. The default.
///
/// ```
/// use headwater::codec::{Codec, Json};
/// assert_eq!(Json.encode(&vec![1, 2])?, b"[1,2]");
/// assert_eq!(Codec::<Vec<u8>>::decode(&Json, b" [1, 2]")?, [1, 2]);
/// # Ok::<(), headwater::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl Json {
    /// The id of [`Json`].
    pub const ID: u8 = 1;
}

impl<V: Serialize + DeserializeOwned> Codec<V> for Json {
    fn id(&self) -> u8 {
        Self::ID
    }

    fn encode(&self, value: &V) -> Result<Vec<u8>> {
        serde_json::to_vec(value).map_err(|error| unwritable("JSON", error))
    }

    fn decode(&self, bytes: &[u8]) -> Result<V> {
        serde_json::from_slice(bytes).map_err(|error| unreadable("JSON", error))
    }
}

fn unwritable(form: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Codec, format!("a value cannot be written as {form}")).with_source(error)
}

fn unreadable(form: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Codec, format!("bytes are no value in {form}")).with_source(error)
}
