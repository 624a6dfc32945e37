//! What callers have seen and a shared tier may not have, so that no key goes back in time.

use crate::hashed::HashedMap;
use crate::sync::{AtomicUsize, Mutex, Ordering};
use crate::{Entry, Hashed, Version};

/// Of so many keys it is known at most.
const MOST: usize = 10_000;

/// The versions of keys that were loaded past a shared tier, which could not be asked.
///
/// When it can be asked again, it may have kept older ones, from before: those that others could not
/// invalidate either, or have not yet. They are loaded past, and replaced, until it has one that is as
/// new. While the tier is well, nothing is in here.
#[derive(Debug)]
pub(super) struct Floors<K> {
    count: AtomicUsize,
    versions: Mutex<HashedMap<K, Version>>,
}

impl<K: Eq + Clone> Floors<K> {
    pub(super) fn new() -> Self {
        Self { count: AtomicUsize::new(0), versions: Mutex::default() }
    }

    /// Callers are about to see this entry, and the tier is not.
    pub(super) fn raise<V>(&self, key: &Hashed<K>, entry: &Entry<V>) {
        let Some(version) = entry.version() else { return };
        let mut versions = self.versions.lock();
        let has_room = versions.len() < MOST;
        match versions.get_mut(key) {
            Some(floor) => *floor = version.max(*floor),
            None if has_room => drop(versions.insert(key.clone(), version)),
            None => {}
        }
        self.count.store(versions.len(), Ordering::SeqCst);
    }

    /// Whether an entry that the tier has is as new as what callers have seen.
    pub(super) fn allow<V>(&self, key: &Hashed<K>, entry: &Entry<V>) -> bool {
        if self.count.load(Ordering::SeqCst) == 0 {
            return true;
        }
        let mut versions = self.versions.lock();
        match (versions.get(key), entry.version()) {
            (Some(floor), Some(version)) if version < *floor => return false,
            (Some(_), Some(_)) => drop(versions.remove(key)),
            _ => {}
        }
        self.count.store(versions.len(), Ordering::SeqCst);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(version: u64) -> Entry<u8> {
        Entry::found(0).with_version(Version::new(version))
    }

    #[test]
    fn older_versions_are_refused_until_a_newer_one_came() {
        let floors = Floors::new();
        let (a, b) = (Hashed::new("a"), Hashed::new("b"));
        assert!(floors.allow(&a, &entry(1)));
        floors.raise(&a, &entry(3));
        floors.raise(&a, &entry(2));
        assert!(!floors.allow(&a, &entry(2)));
        assert!(floors.allow(&b, &entry(2)), "another key");
        assert!(floors.allow(&a, &Entry::found(0)), "nobody knows how old");
        assert!(floors.allow(&a, &entry(3)));
        assert!(floors.allow(&a, &entry(2)), "the tier had it, and knows of its order");
    }

    #[test]
    fn they_are_bounded() {
        let floors = Floors::<usize>::new();
        (0..2 * MOST).for_each(|key| floors.raise(&Hashed::new(key), &entry(3)));
        assert!(!floors.allow(&Hashed::new(0), &entry(2)));
        assert!(floors.allow(&Hashed::new(2 * MOST - 1), &entry(2)));
    }
}
