//! The one error of the crate: a kind to match on, and the story behind it.
//!
//! An [`Error`] is one word wide and cheap to clone, because every waiter of a shared load gets the
//! same one. "Not found" is an answer rather than a failure, so it carries nothing and costs no
//! allocation. `Display` never prints a key (keys may be personal data) and never repeats the
//! source, which reporters print by walking [`std::error::Error::source`].

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, for `match`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The source says that the key does not exist. An answer, not a failure.
    NotFound,
    /// A store or a source cannot be reached, or refused to answer for now.
    Unavailable,
    /// A time limit passed before the answer came.
    Timeout,
    /// Bytes could not be turned into a value, or a value into bytes.
    Codec,
    /// The fetcher, cache or tier was closed.
    Closed,
    /// A setting makes no sense; the message names it.
    InvalidConfig,
    /// A load asked, directly or through others, for the very key that it is loading, or loads are
    /// nested too deep. Not noticed where the load asks from a task that it spawned.
    Reentrant,
    /// The source panicked.
    Panicked,
    /// The other side broke its contract (a batch source that returned too few answers, say).
    Unexpected,
}

impl ErrorKind {
    /// The kind as a short lower-case phrase, as `Display` prints it.
    ///
    /// ```
    /// assert_eq!(headwater::ErrorKind::NotFound.as_str(), "not found");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not found",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timed out",
            Self::Codec => "cannot be decoded or encoded",
            Self::Closed => "closed",
            Self::InvalidConfig => "invalid configuration",
            Self::Reentrant => "load waits for itself",
            Self::Panicked => "source panicked",
            Self::Unexpected => "unexpected",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error of this crate: cloneable, one word wide.
///
/// ```
/// use headwater::{Error, ErrorKind};
///
/// let cause = std::io::Error::other("connection refused");
/// let error = Error::new(ErrorKind::Unavailable, "asking for planes").with_source(cause);
/// assert_eq!(error.kind(), ErrorKind::Unavailable);
/// assert_eq!(error.to_string(), "unavailable: asking for planes");
/// assert!(std::error::Error::source(&error).is_some());
/// ```
#[derive(Clone)]
pub struct Error(Option<Arc<Failure>>);

/// Everything but [`ErrorKind::NotFound`], which is the empty error.
#[derive(Clone)]
struct Failure {
    kind: ErrorKind,
    message: Cow<'static, str>,
    tier: Option<Cow<'static, str>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with a message for people. Do not put keys into it.
    ///
    /// ```
    /// use headwater::{Error, ErrorKind};
    /// assert!(Error::new(ErrorKind::Timeout, "no answer within 50 ms").is_retryable());
    /// ```
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        if kind == ErrorKind::NotFound {
            return Self::not_found();
        }
        Self(Some(Arc::new(Failure { kind, message: message.into(), tier: None, source: None })))
    }

    /// The answer of a source for a key that does not exist.
    ///
    /// ```
    /// assert!(headwater::Error::not_found().is_not_found());
    /// ```
    #[must_use]
    pub const fn not_found() -> Self {
        Self(None)
    }

    /// Keeps the error that caused this one. Has no effect on "not found".
    ///
    /// ```
    /// use headwater::{Error, ErrorKind};
    /// let error = Error::new(ErrorKind::Codec, "a plane").with_source(std::fmt::Error);
    /// assert!(std::error::Error::source(&error).is_some());
    /// ```
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source = Some(Arc::from(source.into()));
        self.change(|failure| failure.source = source)
    }

    /// Names the tier in which it happened, unless a lower one is named already.
    ///
    /// ```
    /// use headwater::{Error, ErrorKind};
    /// let error = Error::new(ErrorKind::Closed, "").with_tier("lru");
    /// assert_eq!(error.tier(), Some("lru"));
    /// ```
    #[must_use]
    pub fn with_tier(self, tier: impl Into<Cow<'static, str>>) -> Self {
        if self.tier().is_some() {
            return self;
        }
        let tier = Some(tier.into());
        self.change(|failure| failure.tier = tier)
    }

    /// Says of which file the message is.
    #[cfg(feature = "snapshot")]
    pub(crate) fn in_file(self, path: &std::path::Path) -> Self {
        self.change(|failure| {
            failure.message = format!("{}: {}", path.display(), failure.message).into();
        })
    }

    /// What went wrong.
    ///
    /// ```
    /// use headwater::{Error, ErrorKind};
    /// assert_eq!(Error::not_found().kind(), ErrorKind::NotFound);
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.as_ref().map_or(ErrorKind::NotFound, |failure| failure.kind)
    }

    /// Whether this is the answer "the key does not exist".
    ///
    /// ```
    /// assert!(headwater::Error::not_found().is_not_found());
    /// ```
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the same call may succeed a little later: unavailable or timed out.
    ///
    /// ```
    /// assert!(!headwater::Error::not_found().is_retryable());
    /// ```
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
    }

    /// The tier in which it happened, when one did.
    ///
    /// ```
    /// assert_eq!(headwater::Error::not_found().tier(), None);
    /// ```
    #[must_use]
    pub fn tier(&self) -> Option<&str> {
        self.0.as_ref()?.tier.as_deref()
    }

    fn change(self, edit: impl FnOnce(&mut Failure)) -> Self {
        Self(self.0.map(|mut failure| {
            edit(Arc::make_mut(&mut failure));
            failure
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(failure) = &self.0 else { return f.write_str("not found") };
        if let Some(tier) = &failure.tier {
            write!(f, "{tier}: ")?;
        }
        write!(f, "{}", failure.kind)?;
        if failure.message.is_empty() { Ok(()) } else { write!(f, ": {}", failure.message) }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug.field("kind", &self.kind());
        if let Some(failure) = &self.0 {
            debug.field("message", &failure.message).field("tier", &failure.tier);
            debug.field("source", &failure.source);
        }
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.as_ref()?.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
