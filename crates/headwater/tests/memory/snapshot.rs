//! Warm start: what comes back of a file, and what is refused.

use super::{absent, face, get, put, seconds};
use headwater::testkit::ManualClock;
use headwater::{Clock, Entry, ErrorKind, LruCache, MemoryCache, Tier, Version};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

type Lru = LruCache<str, u32>;

/// A folder of one test's own, gone when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("headwater-{}-{:x}", std::process::id(), fastrand::u64(..));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("cache.snap")
    }

    /// The file of a cache with two entries.
    fn with_file(&self) -> Vec<u8> {
        let cache = Lru::new(10).unwrap();
        put(&cache, "a", 1);
        put(&cache, "b", absent());
        cache.save(self.file()).unwrap();
        std::fs::read(self.file()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn wall(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// What a file is refused for; the cache is as it was.
#[track_caller]
fn refusal(file: &Path) -> String {
    let cache = Lru::new(10).unwrap();
    put(&cache, "before", 7);
    let error = cache.load(file).unwrap_err();
    assert_eq!((cache.len(), get(&cache, "before")), (1, Some(Some(7))));
    let said = error.to_string();
    let name = file.display().to_string();
    assert!(said.contains(&name), "{said}");
    said.replace(&name, "FILE")
}

#[test]
fn entries_come_back_with_their_values_lives_and_versions() {
    let folder = Folder::new();
    let clock = ManualClock::new();
    let lru = || Lru::builder(100).clock(clock.clock()).absent_ttl(seconds(1_000)).build().unwrap();
    let cache = lru();
    let now = clock.clock().now();
    put(&cache, "for ever", 1);
    put(&cache, "long", Entry::found(2).expires_at(now + seconds(100)));
    put(&cache, "short", Entry::found(3).expires_at(now + seconds(20)));
    put(&cache, "versioned", Entry::found(4).with_version(Version::new(9)));
    put(&cache, "absent", absent());
    clock.advance(seconds(10));
    assert_eq!(cache.save_at(folder.file(), wall(1_000)).unwrap(), 5);

    // 30 seconds by the wall clock, in which this process's own clock says nothing.
    let next = lru();
    assert_eq!(next.load_at(folder.file(), wall(1_030)).unwrap(), 4);
    let values = ["for ever", "long", "short", "versioned", "absent"].map(|key| get(&next, key));
    assert_eq!(values, [Some(Some(1)), Some(Some(2)), None, Some(Some(4)), Some(None)]);
    let now = clock.clock().now();
    let long = face(&next).get("long").unwrap();
    assert_eq!(long.remaining(now), Some(seconds(60)));
    put(&next, "versioned", Entry::found(5).with_version(Version::new(8)));
    assert_eq!(get(&next, "versioned"), Some(Some(4)), "an older version is declined");
}

#[test]
fn lives_do_not_grow_if_the_wall_clock_was_set_back() {
    let folder = Folder::new();
    let clock = ManualClock::new();
    let cache = Lru::builder(10).clock(clock.clock()).build().unwrap();
    put(&cache, "a", Entry::found(1).expires_at(clock.clock().now() + seconds(50)));
    cache.save_at(folder.file(), wall(1_000)).unwrap();
    let next = Lru::builder(10).clock(clock.clock()).build().unwrap();
    next.load_at(folder.file(), wall(10)).unwrap();
    let entry = face(&next).get("a").unwrap();
    assert_eq!(entry.remaining(clock.clock().now()), Some(seconds(50)));
}

#[test]
fn a_smaller_cache_keeps_to_its_capacity_and_its_lives() {
    let folder = Folder::new();
    let cache = MemoryCache::<u64, String>::new();
    for key in 0..5_000 {
        drop(face(&cache).put(key, face(&cache).prepare(&key, Entry::found(key.to_string()))));
    }
    assert_eq!(cache.save(folder.file()).unwrap(), 5_000);
    let next = MemoryCache::<u64, String>::builder()
        .capacity(100)
        .time_to_live(seconds(9))
        .build()
        .unwrap();
    assert_eq!(next.load(folder.file()).unwrap(), 5_000);
    assert_eq!(next.len(), 100);
    let now = Clock::system().now();
    assert!(next.iter().all(|(key, entry)| {
        entry.remaining(now).unwrap() <= seconds(9) && entry.value() == Some(&key.to_string())
    }));
}

#[test]
fn what_is_no_sound_snapshot_of_this_cache_is_refused_with_the_reason() {
    let folder = Folder::new();
    let file = folder.file();
    assert!(refusal(&file).starts_with("unavailable: FILE: cannot be read"));
    let sound = folder.with_file();
    let refused = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        refusal(&file).replace("cannot be decoded or encoded: FILE: ", "")
    };
    assert_eq!(refused(b""), "is no snapshot");
    assert_eq!(refused(b"{\"not\": \"a snapshot\"}"), "is no snapshot");
    let mut newer = sound.clone();
    newer[8] = 2;
    assert_eq!(refused(&newer), "is a snapshot of version 2; this program knows 1");
    assert_eq!(refused(&sound[..sound.len() - 1]), "is cut short");
    assert_eq!(refused(&[&sound[..], b"x"].concat()), "is corrupt");

    let other = LruCache::<u64, String>::new(10).unwrap();
    other.save(&file).unwrap();
    let said = refusal(&file);
    assert!(said.contains("is a snapshot of u64 -> alloc::string::String, and this"), "{said}");
}

#[test]
fn every_cut_and_every_changed_bit_is_noticed() {
    let folder = Folder::new();
    let sound = folder.with_file();
    for len in 0..sound.len() {
        std::fs::write(folder.file(), &sound[..len]).unwrap();
        refusal(&folder.file());
    }
    for bit in 0..sound.len() * 8 {
        let mut changed = sound.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(folder.file(), &changed).unwrap();
        refusal(&folder.file());
    }
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else() {
    let folder = Folder::new();
    let missing = folder.0.join("none").join("cache.snap");
    let error = Lru::new(1).unwrap().save(&missing).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("cache.snap: cannot be written"), "{error}");

    let sound = folder.with_file();
    let cache = LruCache::<str, Unwritable>::new(5).unwrap();
    let entry = face(&cache).prepare("x", Entry::found(Unwritable));
    drop(face(&cache).put("x".to_owned(), entry));
    let error = cache.save(folder.file()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Codec);
    assert_eq!(std::fs::read(folder.file()).unwrap(), sound);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1, "no parts are left");
}

#[tokio::test]
async fn a_closed_cache_neither_saves_nor_loads() {
    let folder = Folder::new();
    folder.with_file();
    let cache = Lru::new(5).unwrap();
    cache.close().await.unwrap();
    assert_eq!(cache.save(folder.file()).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(cache.load(folder.file()).unwrap_err().kind(), ErrorKind::Closed);
}

/// What serde cannot write.
#[derive(Clone)]
struct Unwritable;

impl serde::Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never"))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_cached_comes_back(
        entries in prop::collection::hash_map(".{0,12}", any::<Option<u32>>(), 0..200),
    ) {
        let folder = Folder::new();
        let lru = || Lru::builder(500).absent_capacity(500).build().unwrap();
        let cache = lru();
        for (key, value) in &entries {
            put(&cache, key, value.map_or_else(absent, Entry::found));
        }
        prop_assert_eq!(cache.save(folder.file()).unwrap(), entries.len() as u64);
        let next = lru();
        prop_assert_eq!(next.load(folder.file()).unwrap(), entries.len() as u64);
        for (key, value) in &entries {
            prop_assert_eq!(get(&next, key), Some(*value));
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused_and_never_panic(
        tail in prop::collection::vec(any::<u8>(), 0..300),
        kept in 0_usize..200,
    ) {
        let folder = Folder::new();
        let sound = folder.with_file();
        let bytes = [&sound[..kept.min(sound.len() - 1)], &tail].concat();
        prop_assume!(bytes != sound);
        std::fs::write(folder.file(), &bytes).unwrap();
        refusal(&folder.file());
    }
}
