//! Warm start: the entries of a cache in a file, and back.
//!
//! [`format`] is what stands in the file, [`file`](mod@file) how it gets there whole or not at all.

mod file;
mod format;

use std::path::Path;
use std::time::SystemTime;

use serde::{Serialize, de::DeserializeOwned};

use self::format::{Reader, Writer};
use super::cache::{LruCache, MemoryCache};
use super::memory::Memory;
use crate::{Entry, Error, ErrorKind, Hashed, Key, Moment, Resident, Result, Value, Version};
use std::time::Duration;

/// An entry in a file.
#[derive(Clone, Debug, PartialEq)]
struct Saved<K, V> {
    key: K,
    /// `None` if the key is absent at the source.
    value: Option<V>,
    /// What is left of the life, from when the file was begun; `None` if it has no end.
    life: Option<Duration>,
    version: Option<u64>,
}

impl<K, V> Saved<K, V> {
    fn new(key: K, entry: Entry<V>, now: Moment) -> Self {
        let (life, version) = (entry.remaining(now), entry.version().map(Version::get));
        Self { key, value: entry.into_value(), life, version }
    }

    /// The entry, `away` after the file was begun; `None` if its life was over by then.
    fn into_entry(self, now: Moment, away: Duration) -> Option<(K, Entry<V>)> {
        let mut entry = self.value.map_or_else(Entry::absent, Entry::found);
        if let Some(life) = self.life {
            let left = life.checked_sub(away).filter(|left| !left.is_zero())?;
            entry = entry.expires_at(now + left);
        }
        let entry = match self.version {
            Some(version) => entry.with_version(Version::new(version)),
            None => entry,
        };
        Some((self.key, entry))
    }
}

/// Writes all entries of a cache, at `time` by the wall clock; how many.
fn save<K, V>(memory: &Memory<K, V>, path: &Path, time: SystemTime) -> Result<u64>
where
    K: ?Sized + Key<Owned: Serialize>,
    V: Value + Serialize,
{
    memory.check_open()?;
    let now = memory.clock().now();
    let kind = kind::<K, V>();
    file::replace(path, |file| {
        let mut writer = Writer::begin(file, &kind, time)?;
        for (key, entry) in memory.iter() {
            writer.add(&Saved::new(key, entry, now))?;
        }
        writer.end()
    })
}

/// Puts what a file has into a cache, at `time` by the wall clock; how many entries.
fn load<K, V>(memory: &Memory<K, V>, path: &Path, time: SystemTime) -> Result<u64>
where
    K: ?Sized + Key<Owned: DeserializeOwned>,
    V: Value + DeserializeOwned,
{
    memory.check_open()?;
    let kind = kind::<K, V>();
    file::read(path, |file| {
        // Once to see that all of it is sound, and once more to use it.
        let mut reader = Reader::begin(&mut *file, &kind)?;
        reader.each(|_: Saved<K::Owned, V>| {})?;
        std::io::Seek::rewind(file).map_err(format::unreadable)?;
        let mut reader = Reader::begin(&mut *file, &kind)?;
        let away = time.duration_since(reader.time()).unwrap_or_default();
        let now = memory.clock().now();
        let mut count = 0;
        reader.each(|saved: Saved<K::Owned, V>| {
            let Some((key, entry)) = saved.into_entry(now, away) else { return };
            let prepared = memory.prepare(std::borrow::Borrow::borrow(&key), entry);
            drop(memory.put(Hashed::new(key), prepared));
            count += 1;
        })?;
        Ok(count)
    })
}

/// What keys and values are called: a file of others is refused.
fn kind<K: ?Sized + Key, V: Value>() -> String {
    format!("{} -> {}", std::any::type_name::<K::Owned>(), std::any::type_name::<V>())
}

fn refused(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::Codec, reason.into())
}

/// The common face of the two caches.
macro_rules! face_of_snapshots {
    ($Cache:ident) => {
        impl<K: ?Sized + Key, V: Value> $Cache<K, V> {
            /// Writes all live entries into a file, with what is left of their lives and their
            /// versions, for [`load`](Self::load) after a restart; how many entries they were. Feature
            /// `snapshot`.
            ///
            /// The file is written beside its place and then takes it: whoever reads it meanwhile, or
            /// after a crash, finds the old one or the new one, whole. The cache stays in use: what is
            /// written is what [`iter`](Self::iter) shows. Keys and values are written as serde has them, as
            /// MessagePack with names of fields. The call waits for the disk: give it a thread that may
            /// wait, as tokio's `spawn_blocking` does.
            ///
            /// # Errors
            /// [`Unavailable`](ErrorKind::Unavailable) if the file cannot be written,
            /// [`Codec`](ErrorKind::Codec) if a key or value cannot, each with the file's name;
            /// [`Closed`](ErrorKind::Closed) after a close. The file is then as it was.
            ///
            /// ```
            #[doc = concat!("use headwater::{Entry, ", stringify!($Cache), ", Tier};")]
            ///
            /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            /// let file = std::env::temp_dir().join(format!("planes-{}", std::process::id()));
            #[doc = concat!("let make = || ", stringify!($Cache), "::<str, u32>::builder", example!($Cache))]
            ///
            /// let cache = make()?;
            /// cache.put("N14228", &Entry::found(737)).await?;
            /// assert_eq!(cache.save(&file)?, 1);
            ///
            /// let next = make()?; // after the restart
            /// assert_eq!(next.load(&file)?, 1);
            /// assert_eq!(next.get("N14228").await?.and_then(Entry::into_value), Some(737));
            /// # std::fs::remove_file(&file).unwrap();
            /// # Ok::<(), headwater::Error>(())
            /// # }).unwrap();
            /// ```
            pub fn save(&self, path: impl AsRef<Path>) -> Result<u64>
            where
                K::Owned: Serialize,
                V: Serialize,
            {
                save(&self.0, path.as_ref(), SystemTime::now())
            }

            /// The same as [`save`](Self::save), as if the wall clock showed `time`.
            ///
            /// # Errors
            /// Those of `save`.
            pub fn save_at(&self, path: impl AsRef<Path>, time: SystemTime) -> Result<u64>
            where
                K::Owned: Serialize,
                V: Serialize,
            {
                save(&self.0, path.as_ref(), time)
            }

            /// Puts the entries of a file that [`save`](Self::save) wrote into the cache; how many they
            /// were. Feature `snapshot`.
            ///
            /// Each is put as by a chain: within the capacity, and with its life cut to what this cache
            /// gives. Lives go on by the machine's wall clock, which the file has the time of: what was
            /// over meanwhile is left out. If that clock was set back, lives are as they were when the
            /// file was written; they never grow. When an entry was loaded from its source is not kept.
            ///
            /// Changes that the cache missed while it was in the file it does not know of: where entries have
            /// no end and something else invalidates them, a warm start is not for you.
            ///
            /// # Errors
            /// [`Unavailable`](ErrorKind::Unavailable) if the file cannot be read;
            /// [`Codec`](ErrorKind::Codec) if it is not one of `save`'s, of a newer version, of other
            /// types, truncated or corrupt; each with the file's name and the reason. The whole file is checked
            /// first: the cache is then as it was. [`Closed`](ErrorKind::Closed) after a close.
            pub fn load(&self, path: impl AsRef<Path>) -> Result<u64>
            where
                K::Owned: DeserializeOwned,
                V: DeserializeOwned,
            {
                load(&self.0, path.as_ref(), SystemTime::now())
            }

            /// The same as [`load`](Self::load), as if the wall clock showed `time`.
            ///
            /// # Errors
            /// Those of `load`.
            pub fn load_at(&self, path: impl AsRef<Path>, time: SystemTime) -> Result<u64>
            where
                K::Owned: DeserializeOwned,
                V: DeserializeOwned,
            {
                load(&self.0, path.as_ref(), time)
            }
        }
    };
}

/// How a cache is made in the example.
macro_rules! example {
    (LruCache) => {
        "(1_000).build();"
    };
    (MemoryCache) => {
        "().build();"
    };
}

face_of_snapshots!(LruCache);
face_of_snapshots!(MemoryCache);
