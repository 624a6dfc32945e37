use super::budget::RetryBudget;
use super::call::Caller;
use super::error::is_emulated;
use super::key::{Collection, DocumentKey};
use super::source::{FirestoreSource, Inner};
use super::stats::Counters;
use crate::{Clock, Error, ErrorKind, Key, Result, Value};
use ::firestore::FirestoreDb;
use ::firestore::gcloud_sdk::google::firestore::v1::DocumentMask;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The most documents that a call may ask for.
const MAX_BATCH: usize = 1_000;

/// The settings of a [`FirestoreSource`]; made by [`FirestoreSource::builder`].
///
/// ```no_run
/// use headwater::firestore::{self, FirestoreSource};
/// use std::time::Duration;
///
/// # async fn example() -> headwater::Result<()> {
/// let db = firestore::connect("my-project").await?;
/// let orders: FirestoreSource<u64, String> = FirestoreSource::builder(db, "users/123/orders")
///     .fields(["state", "address.city"])
///     .timeout(Duration::from_secs(5))
///     .name("orders")
///     .build()?;
/// # Ok(()) }
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct FirestoreBuilder<K: ?Sized, V> {
    db: FirestoreDb,
    path: String,
    fields: Option<Vec<String>>,
    is_escaping: bool,
    name: Cow<'static, str>,
    clock: Clock,
    timeout: Duration,
    retries: u32,
    batch: usize,
    lanes: usize,
    builds: PhantomData<fn(&K) -> V>,
}

impl<K, V> FirestoreBuilder<K, V>
where
    K: ?Sized + Key + DocumentKey,
    V: Value + DeserializeOwned,
{
    pub(super) fn new(db: FirestoreDb, path: String) -> Self {
        Self {
            db,
            path,
            fields: None,
            is_escaping: false,
            name: Cow::Borrowed("firestore"),
            clock: Clock::system(),
            timeout: Duration::from_secs(10),
            retries: 4,
            batch: 100,
            lanes: 4,
            builds: PhantomData,
        }
    }

    /// Asks for these fields only, each by its path (`name`, `address.city`; parts that are not made
    /// of letters, digits and `_` stand in backticks). What it leaves out is missing to the value's
    /// type, and is billed all the same. Default: all fields.
    pub fn fields<F: Into<String>>(mut self, fields: impl IntoIterator<Item = F>) -> Self {
        self.fields = Some(fields.into_iter().map(Into::into).collect());
        self
    }

    /// Writes keys that are no ids of documents (with a `/`, empty, `.`, `..`, `__x__`) in a way
    /// that is one, and that no other key has; `%` is written as `%25` then. Only what was written
    /// with ids of the same form is found. Default: such keys are refused, each with an error.
    pub fn escape_keys(mut self) -> Self {
        self.is_escaping = true;
        self
    }

    /// How long one call may take, retries included: a fetch is one call, and each
    /// [`batch`](Self::batch) of a `fetch_many` is one. Of a `fetch_many`, what has not been asked
    /// for when a call ran out of time fails with it. Default: 10 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// How many attempts a call may make beyond its first, where another may help. The pauses between
    /// them grow from at most 100 ms, or 1 s where the server has too much to do. All calls together
    /// make at most one retry per ten calls, and a burst of ten. Default: 4.
    pub fn retries(mut self, most: u32) -> Self {
        self.retries = most;
        self
    }

    /// How many documents a call asks for at most, from 1 to 1,000. Default: 100.
    pub fn batch(mut self, documents: usize) -> Self {
        self.batch = documents;
        self
    }

    /// How many calls one `fetch_many` makes at once. At least 1. Default: 4.
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.lanes = calls;
        self
    }

    /// The clock that timeouts and pauses go by. Default: the system's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The source's name in errors. Default: `"firestore"`.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Makes the source. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if the path is no collection's, a field's path is malformed, or
    /// a number is out of its range; the message names it.
    pub fn build(self) -> Result<FirestoreSource<K, V>> {
        let mut collection = Collection::new(self.db.get_database_path(), &self.path)?;
        collection.is_escaping = self.is_escaping;
        if let Some(fault) = self.fault() {
            return Err(Error::new(ErrorKind::InvalidConfig, fault));
        }
        let caller = Caller {
            clock: self.clock,
            timeout: self.timeout,
            retries: self.retries,
            is_emulator: is_emulated(self.db.get_options()),
            budget: RetryBudget::new(),
            counters: Counters::default(),
        };
        Ok(FirestoreSource::of(Inner {
            db: self.db,
            collection,
            mask: self.fields.map(|field_paths| DocumentMask { field_paths }),
            name: self.name,
            caller,
            batch: self.batch,
            lanes: self.lanes,
            is_closed: AtomicBool::new(false),
        }))
    }

    fn fault(&self) -> Option<String> {
        let fields = self.fields.as_deref();
        let wrong = fields.unwrap_or_default().iter().find(|path| !is_field_path(path));
        if let Some(path) = wrong {
            Some(format!("fields: `{path}` is no field's path"))
        } else if fields.is_some_and(<[_]>::is_empty) {
            Some("fields: at least one is needed".to_owned())
        } else if self.timeout.is_zero() {
            Some("timeout must be longer than zero".to_owned())
        } else if !(1..=MAX_BATCH).contains(&self.batch) {
            Some(format!("batch must be from 1 to {MAX_BATCH}, not {}", self.batch))
        } else if self.lanes == 0 {
            Some("concurrency must be at least 1".to_owned())
        } else {
            None
        }
    }
}

/// Whether `path` is parts with dots between them, each a plain word or anything in backticks.
pub(super) fn is_field_path(path: &str) -> bool {
    let mut rest = path;
    loop {
        let Some(after) = after_part(rest) else { return false };
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None => return after.is_empty(),
        }
    }
}

/// What follows the first part of a field's path; `None` if it begins with no part.
fn after_part(path: &str) -> Option<&str> {
    let Some(quoted) = path.strip_prefix('`') else {
        let is_word = |letter: char| letter == '_' || letter.is_ascii_alphanumeric();
        let rest = path.trim_start_matches(is_word);
        let begins_well = path.starts_with(|first| is_word(first) && !first.is_ascii_digit());
        return begins_well.then_some(rest);
    };
    let mut is_escaped = false;
    let end = quoted.find(|letter| {
        let ends = letter == '`' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        ends
    })?;
    (end > 0).then(|| &quoted[end + 1..])
}

impl<K: ?Sized, V> fmt::Debug for FirestoreBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirestoreBuilder")
            .field("database", self.db.get_database_path())
            .field("path", &self.path)
            .field("fields", &self.fields)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_fields_are_told_from_others() {
        for path in ["name", "_a1", "address.city", "`first name`.x", "a.`b.c`", r"`a\`b`", r"`\\`"]
        {
            assert!(is_field_path(path), "{path}");
        }
        for path in ["", ".", "a.", ".a", "a..b", "1a", "first name", "`a", "``", "`a`b", "a-b"] {
            assert!(!is_field_path(path), "{path}");
        }
    }
}
