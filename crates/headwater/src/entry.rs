//! What travels between tiers: a value (or the knowledge that there is none), with its life.

use crate::{Error, Moment, Result};
use std::time::Duration;

/// A source's own order of a key's values: the larger one is the newer (an update time, a row's
/// revision, a log offset).
///
/// ```
/// use headwater::Version;
/// assert!(Version::new(7) < Version::new(8));
/// assert_eq!(Version::new(7).get(), 7);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// A version that compares as `number` does.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number that it was made from.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// An answer on its way through a chain: found or absent, until when it may live, when it was
/// loaded from the source, and which version it is.
///
/// A tier that takes an entry over may shorten its life, never lengthen it (promise R5). Life is
/// held as a [`Moment`] of this process's clock, so that no time is lost or won while it travels;
/// a tier that shares entries between machines sends and receives *remaining* life.
///
/// ```
/// use headwater::{Clock, Entry};
/// use std::time::Duration;
///
/// let now = Clock::system().now();
/// let entry = Entry::found("Boeing 737").expires_at(now + Duration::from_secs(60));
/// assert_eq!(entry.value(), Some(&"Boeing 737"));
/// assert!(entry.is_live(now));
/// assert!(!entry.is_live(now + Duration::from_secs(60)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<V> {
    value: Option<V>,
    expiry: Option<Moment>,
    loaded: Option<Moment>,
    version: Option<Version>,
}

impl<V> Entry<V> {
    /// The source has `value`; its life is unlimited until something shortens it.
    #[must_use]
    pub const fn found(value: V) -> Self {
        Self { value: Some(value), expiry: None, loaded: None, version: None }
    }

    /// The source says that the key does not exist.
    ///
    /// ```
    /// assert!(headwater::Entry::<String>::absent().is_absent());
    /// ```
    #[must_use]
    pub const fn absent() -> Self {
        Self { value: None, expiry: None, loaded: None, version: None }
    }

    /// The entry that a store keeps in parts.
    #[inline]
    pub(crate) const fn of_parts(
        value: Option<V>,
        expiry: Option<Moment>,
        loaded: Option<Moment>,
        version: Option<Version>,
    ) -> Self {
        Self { value, expiry, loaded, version }
    }

    /// Its value, and all that it says beside it.
    pub(crate) fn split(self) -> (Option<V>, Entry<()>) {
        let Self { value, expiry, loaded, version } = self;
        (value, Entry { value: None, expiry, loaded, version })
    }

    /// Turns a fetch's outcome into an entry: "not found" becomes an absent one.
    ///
    /// # Errors
    /// Any other error is passed on.
    ///
    /// ```
    /// use headwater::{Entry, Error};
    /// assert!(Entry::<u8>::from_outcome(Err(Error::not_found())).unwrap().is_absent());
    /// ```
    pub fn from_outcome(outcome: Result<V>) -> Result<Self> {
        match outcome {
            Ok(value) => Ok(Self::found(value)),
            Err(error) if error.is_not_found() => Ok(Self::absent()),
            Err(error) => Err(error),
        }
    }

    /// Lets it live until `moment` at most: an earlier end that it has already stays.
    #[must_use]
    pub fn expires_at(mut self, moment: Moment) -> Self {
        self.shorten(Some(moment));
        self
    }

    /// Ends its life at `end` at the latest; no end leaves it as it is.
    pub(crate) fn shorten(&mut self, end: Option<Moment>) {
        self.expiry = self.expiry.into_iter().chain(end).min();
    }

    /// States when the source was asked for it.
    #[must_use]
    pub fn loaded_at(mut self, moment: Moment) -> Self {
        self.loaded = Some(moment);
        self
    }

    /// States its version.
    ///
    /// ```
    /// use headwater::{Entry, Version};
    /// let entry = Entry::found(1).with_version(Version::new(4));
    /// assert_eq!(entry.version(), Some(Version::new(4)));
    /// ```
    #[must_use]
    pub fn with_version(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }

    /// The value, or `None` if the key is absent.
    pub const fn value(&self) -> Option<&V> {
        self.value.as_ref()
    }

    /// The value, or `None` if the key is absent.
    pub fn into_value(self) -> Option<V> {
        self.value
    }

    /// The value as a fetch returns it: absent becomes the error "not found".
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if the key is absent.
    ///
    /// ```
    /// assert!(headwater::Entry::<u8>::absent().into_outcome().unwrap_err().is_not_found());
    /// ```
    pub fn into_outcome(self) -> Result<V> {
        self.value.ok_or(Error::not_found())
    }

    /// Whether it says that the key does not exist.
    pub const fn is_absent(&self) -> bool {
        self.value.is_none()
    }

    /// Whether it has a value, and nothing more.
    pub(crate) const fn is_bare(&self) -> bool {
        self.value.is_some()
            && self.expiry.is_none()
            && self.loaded.is_none()
            && self.version.is_none()
    }

    /// When its life ends; `None` if it has no end.
    pub const fn expiry(&self) -> Option<Moment> {
        self.expiry
    }

    /// Whether it may still be served at `now`.
    pub fn is_live(&self, now: Moment) -> bool {
        self.expiry.is_none_or(|expiry| now < expiry)
    }

    /// The life that is left at `now`; `None` if it has no end.
    pub fn remaining(&self, now: Moment) -> Option<Duration> {
        self.expiry.map(|expiry| expiry - now)
    }

    /// When the source was asked for it; `None` if nobody knows.
    pub const fn loaded(&self) -> Option<Moment> {
        self.loaded
    }

    /// Its version, if the source gives one.
    pub const fn version(&self) -> Option<Version> {
        self.version
    }

    /// Whether `self` is known to be older than `other`. Unversioned entries never are.
    pub fn is_older_than(&self, other: &Self) -> bool {
        matches!((self.version, other.version), (Some(mine), Some(theirs)) if mine < theirs)
    }

    /// The same entry with another value.
    ///
    /// ```
    /// use headwater::Entry;
    /// assert_eq!(Entry::found("7").map(str::len).value(), Some(&1));
    /// ```
    pub fn map<U>(self, change: impl FnOnce(V) -> U) -> Entry<U> {
        Entry {
            value: self.value.map(change),
            expiry: self.expiry,
            loaded: self.loaded,
            version: self.version,
        }
    }
}

impl<V> From<V> for Entry<V> {
    fn from(value: V) -> Self {
        Self::found(value)
    }
}
