//! Presence in Firestore: one document per entry, whose life the server's clock counts.

use super::{LEAST, Presence, PresenceCache, TIME_TO_LIVE};
use crate::firestore::{
    Collection, Condition, DocumentKey, Fate, Fields, FirestoreStore, Known, Misfit, Seen,
    from_document, from_value, life, patch, set, to_fields, to_value,
};
use crate::{Error, ErrorKind, Key, Result, Value};
use ::firestore::gcloud_sdk::google::firestore::v1::{Document, Write};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// The field that holds a value, unless its own fields are the document's.
const VALUE: &str = "value";
/// What a touch changes.
const LIFE: &[&str] = &[life::AFTER, life::AT];
/// Documents in a call that writes.
const WRITES: usize = 400;

/// A [`Presence`] that every process shares that uses the same collection.
///
/// The entry of key `ada` in the collection `online` is the document `online/ada`, with the value in
/// the field `value` and its life as [`FirestoreStore`] says. Keys that are no ids of documents are
/// escaped, and longer ones hashed (SHA-256), so that any key has a document of its own. With
/// [`go_compatible`](Self::go_compatible) it is what the Go package's `FirestorePresenceCache` has.
///
/// A value is any type of serde's, up to a megabyte. Whole numbers must fit `i64`; bytes are written as
/// such through `serde_bytes`; `SystemTime` and the client's `FirestoreTimestamp`,
/// `FirestoreReference`, `FirestoreLatLng` and `FirestoreVector` are what they are called; `None` is
/// null. What Firestore has no value for is [`ErrorKind::Codec`], as is a document that is no `V`.
///
/// # Cost
/// A fetch is one billed read, a set one write. A touch, a delete, a `set_if_absent` and a `delete_if`
/// are one read and, if they change something, one write or delete; more where many change one
/// document at once. Firestore takes about one change per second of one document for long: where a
/// process has many heartbeats to send, use a [`Roster`](crate::presence::Roster), which sends one
/// write for all.
///
/// Clones share the store. [`close`](PresenceCache::close) ends the store that it was made of, for
/// everybody who shares that.
///
/// ```no_run
/// use headwater::firestore::{self, FirestoreStore};
/// use headwater::presence::{FirestorePresence, PresenceCache};
/// use std::time::Duration;
///
/// # async fn example() -> headwater::Result<()> {
/// let store = FirestoreStore::new(firestore::connect("my-project").await?);
/// let online = FirestorePresence::<str, String>::new(&store, "online")?;
/// let online = online.ttl(Duration::from_secs(30));
/// online.set("ada", &"reading".to_owned()).await?;
/// # Ok(()) }
/// ```
pub struct FirestorePresence<K: ?Sized, V> {
    store: FirestoreStore,
    collection: Collection,
    is_go: bool,
    ttl: Duration,
    types: PhantomData<fn(&K) -> V>,
}

impl<K, V> FirestorePresence<K, V>
where
    K: ?Sized + Key + DocumentKey,
    V: Value + Serialize + DeserializeOwned,
{
    /// Presence in the collection at `path`, which is its own; entries live for 60 seconds.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if `path` is no collection's; the message names it.
    pub fn new(store: &FirestoreStore, path: impl AsRef<str>) -> Result<Self> {
        let collection = store.collection(path.as_ref())?;
        let (store, ttl) = (store.clone(), TIME_TO_LIVE);
        Ok(Self { store, collection, is_go: false, ttl, types: PhantomData })
    }

    /// Reads and writes what the Go package does: a key is an id as it is (or refused, where it is
    /// none), and the fields of a value, which must be a struct or a map, are the document's.
    ///
    /// Beside them stand `expires_after_ms` and `expires_at`, which Go's `DataTo` ignores unless it is
    /// given fields of these names, and which no value may have for its own. Go sees an entry also
    /// after its life until it is collected; it should ask whether `expires_at` is later than now. What
    /// Go sets has no end, unless it sets an `expires_at`.
    #[must_use]
    pub fn go_compatible(self) -> Self {
        Self { collection: self.collection.plain(), is_go: true, ..self }
    }

    /// How long entries live if nothing else is said; at least 1 ms, [`Duration::MAX`] is without
    /// end. Default: 60 seconds.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        Self { ttl, ..self }
    }

    fn name(&self, key: &K) -> Result<String> {
        self.collection.document(key).map_err(|error| {
            self.store.counters().bad_keys.add(1);
            self.store.named(error)
        })
    }

    fn misfit(&self, message: &'static str) -> impl FnOnce(Misfit) -> Error {
        move |misfit| self.store.error(ErrorKind::Codec, message).with_source(misfit)
    }

    /// The fields of a document for a value.
    fn encode(&self, value: &V) -> Result<Fields> {
        let fault = "a value cannot be written as a document";
        if !self.is_go {
            let value = to_value(value).map_err(self.misfit(fault))?;
            return Ok(Fields::from([(VALUE.to_owned(), value)]));
        }
        let fields = to_fields(value).map_err(self.misfit(fault))?;
        if LIFE.iter().any(|name| fields.contains_key(*name)) {
            let fault = "a value has a field `expires_at` or `expires_after_ms` of its own";
            return Err(self.store.error(ErrorKind::Codec, fault));
        }
        Ok(fields)
    }

    fn decode(&self, mut document: Document) -> Result<V> {
        let decoded = if self.is_go {
            life::strip(&mut document.fields);
            from_document(document)
        } else {
            let value = document.fields.remove(VALUE).unwrap_or_default();
            from_value(&document.name, value)
        };
        decoded.map_err(|misfit| {
            self.store.counters().undecodable.add(1);
            self.misfit("a document does not fit the type of values")(misfit)
        })
    }

    fn value(&self, seen: &Seen) -> Result<Option<V>> {
        seen.alive().cloned().map(|document| self.decode(document)).transpose()
    }

    /// The fields of a life that begins now.
    async fn life(&self, name: &str, ttl: Option<Duration>) -> Result<Fields> {
        let ttl = ttl.unwrap_or(self.ttl).max(LEAST);
        Ok(life::fields(self.store.now(name).await?, ttl))
    }

    /// All that `names` name, each once.
    async fn read(&self, names: &[Result<String>]) -> Known<Seen> {
        let mut distinct = HashSet::new();
        let known = names.iter().flatten().filter(|name| distinct.insert(name.as_str()));
        self.store.read(known.cloned().collect()).await
    }

    fn known<'s>(&self, known: &'s Known<Seen>, name: &str) -> Result<&'s Seen> {
        match known.get(name) {
            Some(Ok(seen)) => Ok(seen),
            Some(Err(error)) => Err(error.clone()),
            None => Err(self.store.strange()),
        }
    }

    /// Touches what lives of `names` at once; those of which somebody was faster.
    async fn touch_all(
        &self,
        names: Vec<String>,
        life: &Fields,
        missing: &mut HashSet<String>,
    ) -> Result<Vec<String>> {
        let mut writes: Vec<(String, Write)> = Vec::new();
        for (name, seen) in self.store.read(names).await {
            let seen = seen?;
            match seen.alive() {
                Some(document) => {
                    let condition = Condition::Unchanged(document.clone());
                    let write = patch(&name, life.clone(), LIFE, condition);
                    writes.push((name, write));
                }
                None => drop(missing.insert(name)),
            }
        }
        let mut others = Vec::new();
        for chunk in writes.chunks(WRITES) {
            let done =
                self.store.write_each(chunk.iter().map(|(_, write)| write.clone()).collect());
            for ((name, _), done) in chunk.iter().zip(done.await?) {
                others.extend(done.is_none().then(|| name.clone()));
            }
        }
        Ok(others)
    }

    async fn touch_one(&self, name: &str, life: &Fields) -> Result<bool> {
        let decide = |seen: &Seen| match seen.alive() {
            Some(_) => Ok((Fate::Patch(life.clone(), LIFE), true)),
            None => Ok((Fate::Keep, false)),
        };
        self.store.change(name, decide).await
    }
}

impl<K, V> PresenceCache for FirestorePresence<K, V>
where
    K: ?Sized + Key + DocumentKey,
    V: Value + Serialize + DeserializeOwned,
{
    type Key = K;
    type Value = V;

    async fn set(&self, key: &K, value: &V) -> Result<()> {
        self.set_for(key, value, None).await
    }

    async fn fetch(&self, key: &K) -> Result<Option<V>> {
        self.store.check_open()?;
        self.value(&self.store.read_one(&self.name(key)?).await?)
    }

    async fn delete(&self, key: &K) -> Result<bool> {
        let decide = |seen: &Seen| match seen.alive() {
            Some(_) => Ok((Fate::Delete, true)),
            None => Ok((Fate::Keep, false)),
        };
        self.store.change(&self.name(key)?, decide).await
    }

    async fn close(&self) -> Result<()> {
        self.store.close();
        Ok(())
    }
}

impl<K, V> Presence for FirestorePresence<K, V>
where
    K: ?Sized + Key + DocumentKey,
    V: Value + Serialize + DeserializeOwned,
{
    async fn set_for(&self, key: &K, value: &V, ttl: Option<Duration>) -> Result<()> {
        self.store.check_open()?;
        let (name, mut fields) = (self.name(key)?, self.encode(value)?);
        fields.extend(self.life(&name, ttl).await?);
        self.store.commit(vec![set(&name, fields, Condition::Any)]).await.map(drop)
    }

    async fn set_if_absent(&self, key: &K, value: &V, ttl: Option<Duration>) -> Result<bool> {
        self.store.check_open()?;
        let (name, mut fields) = (self.name(key)?, self.encode(value)?);
        fields.extend(self.life(&name, ttl).await?);
        let decide = |seen: &Seen| match seen.alive() {
            Some(_) => Ok((Fate::Keep, false)),
            None => Ok((Fate::Set(fields.clone()), true)),
        };
        self.store.change(&name, decide).await
    }

    async fn fetch_many(&self, keys: &[&K]) -> Vec<Result<Option<V>>> {
        if let Err(closed) = self.store.check_open() {
            return keys.iter().map(|_| Err(closed.clone())).collect();
        }
        let names: Vec<Result<String>> = keys.iter().map(|key| self.name(key)).collect();
        let known = self.read(&names).await;
        let answer = |name: Result<String>| self.value(self.known(&known, &name?)?);
        names.into_iter().map(answer).collect()
    }

    async fn remaining(&self, key: &K) -> Result<Option<Duration>> {
        self.store.check_open()?;
        let seen = self.store.read_one(&self.name(key)?).await?;
        let left = |document| life::end(document).map_or(Duration::MAX, |end| end.since(seen.at));
        Ok(seen.alive().map(left))
    }

    async fn touch(&self, key: &K, ttl: Option<Duration>) -> Result<bool> {
        self.store.check_open()?;
        let name = self.name(key)?;
        self.touch_one(&name, &self.life(&name, ttl).await?).await
    }

    async fn touch_many<'k>(&self, keys: &[&'k K], ttl: Option<Duration>) -> Result<Vec<&'k K>> {
        self.store.check_open()?;
        let names = keys.iter().map(|key| self.name(key)).collect::<Result<Vec<_>>>()?;
        let Some(first) = names.first() else { return Ok(Vec::new()) };
        let life = self.life(first, ttl).await?;
        let mut distinct = HashSet::new();
        let known = names.iter().filter(|name| distinct.insert(name.as_str())).cloned().collect();
        let mut missing = HashSet::new();
        for name in self.touch_all(known, &life, &mut missing).await? {
            if !self.touch_one(&name, &life).await? {
                missing.insert(name);
            }
        }
        let is_missing = |(key, name): (&&'k K, String)| missing.contains(&name).then_some(*key);
        Ok(keys.iter().zip(names).filter_map(is_missing).collect())
    }

    async fn delete_if(&self, key: &K, is_it: &(dyn Fn(&V) -> bool + Send + Sync)) -> Result<bool> {
        let decide = |seen: &Seen| match self.value(seen)? {
            Some(value) if is_it(&value) => Ok((Fate::Delete, true)),
            _ => Ok((Fate::Keep, false)),
        };
        self.store.change(&self.name(key)?, decide).await
    }
}

impl<K: ?Sized, V> Clone for FirestorePresence<K, V> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            collection: self.collection.clone(),
            is_go: self.is_go,
            ttl: self.ttl,
            types: PhantomData,
        }
    }
}

impl<K: ?Sized, V> fmt::Debug for FirestorePresence<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("FirestorePresence");
        debug.field("store", &self.store).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}
