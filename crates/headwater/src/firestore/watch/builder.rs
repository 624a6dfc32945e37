use super::aim::Aim;
use super::attached::Attached;
use super::fleet::Fleet;
use super::job::{Job, Mode};
use super::status::Board;
use super::{DocumentKey, Watch};
use crate::firestore::builder::is_field_path;
use crate::firestore::listen::Patience;
use crate::firestore::source::Inner;
use crate::presence::{BoxPresence, Locks};
use crate::{Cache, Error, ErrorKind, Key, Result, Value};
#[cfg(feature = "redis")]
use crate::{presence::RedisPresence, redis::RedisStore};
use ::firestore::gcloud_sdk::google::firestore::v1::{self, value::ValueType};
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// The settings of a [`Watch`]; made by
/// [`FirestoreSource::watch`](super::super::FirestoreSource::watch).
///
/// ```no_run
/// use headwater::firestore::{self, FirestoreSource};
/// use headwater::{Headwater, LruCache};
/// use std::time::Duration;
///
/// # async fn example() -> headwater::Result<()> {
/// let db = firestore::connect("my-project").await?;
/// let source = FirestoreSource::<str, String>::new(db, "users")?;
/// let users = Headwater::source(source.clone()).through(LruCache::new(10_000)?).build();
/// let watch = source.watch().fill().silence(Duration::from_secs(10)).start(&users)?;
/// watch.caught_up().await?;
/// # Ok(()) }
/// ```
#[must_use = "a builder does nothing until `start`"]
pub struct WatchBuilder<K: ?Sized, V> {
    source: Arc<Inner>,
    mode: Mode,
    equal: Vec<Equal>,
    silence: Duration,
    takeover: Duration,
    fleet: Option<(Locks, BoxPresence<str, Vec<u8>>)>,
    builds: PhantomData<fn(&K) -> V>,
}

/// A field, and what it is to hold.
#[derive(Clone, Debug)]
pub(super) struct Equal {
    pub(super) field: String,
    pub(super) operand: Operand,
}

/// What a field of a document is compared with: text, a whole number or a truth value, made with
/// `into()`.
///
/// ```
/// use headwater::firestore::Operand;
/// let _: [Operand; 3] = ["NZ".into(), 7.into(), true.into()];
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operand(Scalar);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scalar {
    Text(String),
    Integer(i64),
    Bool(bool),
}

impl From<&str> for Operand {
    fn from(text: &str) -> Self {
        Self(Scalar::Text(text.to_owned()))
    }
}

impl From<String> for Operand {
    fn from(text: String) -> Self {
        Self(Scalar::Text(text))
    }
}

impl From<i64> for Operand {
    fn from(number: i64) -> Self {
        Self(Scalar::Integer(number))
    }
}

impl From<bool> for Operand {
    fn from(truth: bool) -> Self {
        Self(Scalar::Bool(truth))
    }
}

impl From<Operand> for v1::Value {
    fn from(operand: Operand) -> Self {
        let value = match operand.0 {
            Scalar::Text(text) => ValueType::StringValue(text),
            Scalar::Integer(number) => ValueType::IntegerValue(number),
            Scalar::Bool(truth) => ValueType::BooleanValue(truth),
        };
        Self { value_type: Some(value) }
    }
}

impl<K, V> WatchBuilder<K, V>
where
    K: ?Sized + Key + DocumentKey,
    V: Value + DeserializeOwned,
{
    pub(in crate::firestore) fn new(source: Arc<Inner>) -> Self {
        Self {
            source,
            mode: Mode::Invalidate,
            equal: Vec::new(),
            silence: Duration::from_secs(5),
            takeover: Duration::from_secs(5),
            fleet: None,
            builds: PhantomData,
        }
    }

    /// Puts changed documents into every tier, whether or not anybody had asked for them, and absent
    /// entries for deleted ones, each with its version, so that nothing newer is replaced. What was
    /// there when the watch began is not put anywhere. A document that does not fit the type of values
    /// is invalidated. Default: what changes is invalidated, and read by whoever asks next.
    pub fn fill(mut self) -> Self {
        self.mode = Mode::Fill;
        self
    }

    /// Watches only those documents whose `field` (a path, as those of
    /// [`fields`](super::super::FirestoreBuilder::fields)) is this; several such conditions hold
    /// together. A document that stops to fit is invalidated, and is not watched any more. Default: all
    /// documents of the collection.
    ///
    /// ```no_run
    /// # use headwater::firestore::FirestoreSource;
    /// # fn example(source: FirestoreSource<str, String>) {
    /// let watch = source.watch().only("country", "NZ").only("active", true);
    /// # }
    /// ```
    pub fn only(mut self, field: impl Into<String>, is: impl Into<Operand>) -> Self {
        self.equal.push(Equal { field: field.into(), operand: is.into() });
        self
    }

    /// After how long without a word a stream is taken for broken. Half of it before, a probe is sent,
    /// which has the server answer, and is billed as a read: with the default, on a collection in which
    /// nothing changes, some 35,000 a day. At least 100 ms. Default: 5 s.
    pub fn silence(mut self, limit: Duration) -> Self {
        self.silence = limit;
        self
    }

    /// Listens for all processes that share this Redis and namespace, whose chains have a tier there:
    /// one of them, elected by a lease, listens, and where it has got to is kept there for the next
    /// one. Default: this process listens for itself.
    #[cfg(feature = "redis")]
    pub fn fleet(self, store: &RedisStore) -> Self {
        let notes = RedisPresence::<str, Vec<u8>>::new(store);
        self.elected(Locks::redis(store), BoxPresence::new(notes))
    }

    /// As `fleet` (feature `redis`) does, on locks and a presence of any store that the processes
    /// share.
    pub fn elected(mut self, locks: Locks, notes: BoxPresence<str, Vec<u8>>) -> Self {
        self.fleet = Some((locks, notes));
        self
    }

    /// Within what time another process of the fleet takes over from one that died, or lost the store.
    /// The lease lasts for three quarters of it, and those who wait ask up to ten times in it. At least
    /// 500 ms. Default: 5 s.
    pub fn takeover(mut self, within: Duration) -> Self {
        self.takeover = within;
        self
    }

    /// Begins to watch for `chain`, whose source this is: a clone of it, any
    /// [`Cache`](crate::Cache). Does not wait for anything: [`Watch::caught_up`] does.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if a setting makes no sense; the message names it.
    /// [`ErrorKind::Unexpected`] outside of a tokio runtime.
    pub fn start<C>(self, chain: &C) -> Result<Watch>
    where
        C: Cache<Key = K, Value = V> + Clone + 'static,
    {
        if let Some(fault) = self.fault() {
            return Err(Error::new(ErrorKind::InvalidConfig, fault));
        }
        let aim = Aim::new(&self.source.collection, self.equal);
        let takeover = self.takeover;
        let fleet = self.fleet.map(|(locks, notes)| Fleet::new(locks, notes, aim.name(), takeover));
        let board = Arc::new(Board::new(self.source.caller.clock.clone()));
        let patience =
            Patience { first: self.source.caller.timeout.max(self.silence), later: self.silence };
        let job = Job {
            source: self.source,
            chain: Attached::new(chain.clone(), Arc::clone(&board)),
            aim,
            mode: self.mode,
            patience,
            board: Arc::clone(&board),
            fleet,
        };
        Watch::begin(job, board)
    }

    fn fault(&self) -> Option<String> {
        let wrong = self.equal.iter().find(|equal| !is_field_path(&equal.field));
        if let Some(Equal { field, .. }) = wrong {
            Some(format!("only: `{field}` is no field's path"))
        } else if self.mode == Mode::Fill && self.source.mask.is_some() {
            Some("fill: changes come with all fields, and the source asks for some".to_owned())
        } else if self.silence < Duration::from_millis(100) {
            Some("silence must be at least 100 ms".to_owned())
        } else if self.takeover < Duration::from_millis(500) {
            Some("takeover must be at least 500 ms".to_owned())
        } else {
            None
        }
    }
}

impl<K: ?Sized, V> fmt::Debug for WatchBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchBuilder")
            .field("collection", &self.source.collection)
            .field("mode", &self.mode)
            .field("only", &self.equal)
            .field("silence", &self.silence)
            .field("takeover", &self.takeover)
            .field("is_fleet", &self.fleet.is_some())
            .finish()
    }
}
