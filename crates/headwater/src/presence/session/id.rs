use crate::{Error, ErrorKind, Result};
use std::fmt::{self, Write};

/// Hexadecimal digits of the part that stays.
const HANDLE: usize = 16;
/// Hexadecimal digits of the secret: 128 bits.
const SECRET: usize = 32;

/// What a client shows to have its session: random, and as good as a password. `Debug` shows only the
/// part that stays when the session is [rotated](super::Sessions::rotate) and opens nothing; there is
/// no `Display`, so that no id gets into a log by itself.
///
/// ```
/// use headwater::presence::SessionId;
/// assert!(SessionId::parse("not of ours").is_none());
/// let id = SessionId::parse("00112233445566778899aabbccddeeff0011223344556677").unwrap();
/// assert_eq!(id.as_str().len(), 48); // for the cookie
/// assert_eq!(format!("{id:?}"), "SessionId(0011223344556677)");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId(Box<str>);

impl SessionId {
    /// The id of a text, as it comes from a client; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_id = text.len() == HANDLE + SECRET && text.bytes().all(is_digit);
        is_id.then(|| Self(text.into()))
    }

    /// The text that a client keeps. Do not log it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn new() -> Result<Self> {
        random((HANDLE + SECRET) / 2).map(|digits| Self(digits.into()))
    }

    /// The same session with another secret.
    pub(super) fn rotated(&self) -> Result<Self> {
        random(SECRET / 2).map(|secret| Self((self.handle().to_owned() + &secret).into()))
    }

    /// What stays, and names the session in its store.
    pub(super) fn handle(&self) -> &str {
        &self.0[..HANDLE]
    }

    pub(super) fn secret(&self) -> &str {
        &self.0[HANDLE..]
    }
}

/// So many random bytes of the operating system, as hexadecimal digits.
fn random(count: usize) -> Result<String> {
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes).map_err(|error| {
        let message = "the system gives no random numbers";
        Error::new(ErrorKind::Unavailable, message).with_source(error)
    })?;
    Ok(bytes.iter().fold(String::new(), |mut digits, byte| {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    }))
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({})", self.handle())
    }
}
