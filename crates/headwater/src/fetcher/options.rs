use crate::{Entry, Moment};
use std::borrow::Cow;
use std::time::Duration;

/// What one call asks for beyond its key. The default asks for nothing special.
///
/// Options bind the tiers of a chain; a source is always asked anew. A call with options shares a
/// load only with calls that ask for the same or more, and what it loads still fills every tier.
///
/// ```
/// use headwater::FetchOptions;
/// use std::time::Duration;
///
/// let fresh = FetchOptions::new().max_age(Duration::from_secs(1));
/// let past_memory = FetchOptions::new().skip_tier("lru");
/// # let _ = (fresh, past_memory);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchOptions {
    skipped: Vec<Cow<'static, str>>,
    max_age: Option<Duration>,
}

impl FetchOptions {
    /// Asks for nothing special.
    #[must_use]
    pub const fn new() -> Self {
        Self { skipped: Vec::new(), max_age: None }
    }

    /// Does not read the tier of that name; it is filled all the same. May be given repeatedly.
    #[must_use]
    pub fn skip_tier(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        if !self.skipped.contains(&name) {
            self.skipped.push(name);
            self.skipped.sort_unstable();
        }
        self
    }

    /// Accepts nothing that was loaded from the source longer ago than `age`.
    ///
    /// An entry whose load time nobody knows is not accepted. `Duration::ZERO` always asks the
    /// source. Default: any age.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Whether nothing special is asked for.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.skipped.is_empty() && self.max_age.is_none()
    }

    pub(crate) fn bounds_age(&self) -> bool {
        self.max_age.is_some()
    }

    /// Whether the tier called `name` is not to be read.
    #[must_use]
    pub fn skips(&self, name: &str) -> bool {
        self.skipped.iter().any(|skipped| skipped == name)
    }

    /// The earliest load time that is accepted by a call made at the time that `now` tells, which is
    /// asked only if it matters.
    pub(crate) fn floor_at(&self, now: impl FnOnce() -> Moment) -> Option<Moment> {
        let age = self.max_age?;
        Some(Moment::START + (now() - Moment::START).saturating_sub(age))
    }

    /// Whether a call that asked `self` is content with the result of one that asked `other`.
    pub(crate) fn skips_no_more_than(&self, other: &Self) -> bool {
        self.skipped.iter().all(|name| other.skips(name))
    }
}

/// Whether an entry is young enough for a call with this floor.
pub(crate) fn is_young<V>(entry: &Entry<V>, floor: Option<Moment>) -> bool {
    floor.is_none_or(|floor| entry.loaded().is_some_and(|loaded| loaded >= floor))
}
