//! What is compared: Headwater and its rivals behind one face, each used as its own documentation
//! recommends for reading through.
//!
//! Every cache is built over the same [`Source`], keeps `Option<V>` (so that absent keys can be
//! cached by those that know no such thing) and has its defaults but for the capacity. The face is
//! resolved when compiling: it boxes nothing and adds nothing to a hit.

mod foyer;
mod headwater;
mod moka;
mod mutex_lru;
mod quick_cache;
mod shelf;
pub(crate) mod shelves;

pub(crate) use self::foyer::Foyer;
pub(crate) use self::headwater::{Headwater, TwoTiers};
pub(crate) use self::moka::Moka;
pub(crate) use self::mutex_lru::MutexLru;
pub(crate) use self::quick_cache::QuickCache;

use futures_util::future::join_all;
use std::fmt;
use std::sync::Arc;

/// The crates of all contenders.
pub(crate) const CRATES: &[&str] =
    &["headwater", "moka", "quick_cache", "foyer-memory", "lru", "tokio"];

/// Calls a generic function once for each contender that rivals are compared with or are.
macro_rules! for_each_contender {
    ($function:ident($($argument:expr),*)) => {
        vec![
            $function::<$crate::contenders::Headwater>($($argument),*),
            $function::<$crate::contenders::Moka>($($argument),*),
            $function::<$crate::contenders::QuickCache>($($argument),*),
            $function::<$crate::contenders::Foyer>($($argument),*),
            $function::<$crate::contenders::MutexLru>($($argument),*),
        ]
    };
}
pub(crate) use for_each_contender;

/// A value: found, or `None` if the source does not have the key.
pub(crate) type Outcome<V> = Result<Option<V>, Fault>;

/// Why there is no outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The source failed.
    Source,
    /// The cache refused, or failed on its own account.
    Cache(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source => f.write_str("the source failed"),
            Self::Cache(said) => f.write_str(said),
        }
    }
}

impl std::error::Error for Fault {}

/// What a cache can keep.
pub(crate) trait Value: Clone + Send + Sync + 'static {}

impl<V: Clone + Send + Sync + 'static> Value for V {}

/// Where values come from when they are not cached.
pub(crate) trait Source<V>: Send + Sync + 'static {
    fn load(&self, key: &str) -> impl Future<Output = Outcome<V>> + Send;
}

/// A cache in front of a [`Source`].
pub(crate) trait Cache<V: Value>: Send + Sync + 'static {
    fn fetch(&self, key: &str) -> impl Future<Output = Outcome<V>> + Send;

    fn invalidate(&self, key: &str) -> impl Future<Output = ()> + Send;

    fn insert(&self, key: &str, value: V) -> impl Future<Output = ()> + Send;

    /// Many at once; who knows no such call makes one for each.
    fn fetch_many(&self, keys: &[&str]) -> impl Future<Output = Vec<Outcome<V>>> + Send {
        join_all(keys.iter().map(|key| self.fetch(key)))
    }

    /// Does now what the cache would do some time later, if it puts work off.
    fn tidy(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Whoever takes part.
pub(crate) trait Contender: 'static {
    /// The heading of its column.
    const NAME: &'static str;
    /// Whether absent keys have room of their own, beside the capacity.
    const KEEPS_ABSENT_APART: bool = false;

    /// A cache of up to `capacity` entries.
    fn build<V: Value, S: Source<V>>(capacity: usize, source: Arc<S>) -> impl Cache<V>;
}
