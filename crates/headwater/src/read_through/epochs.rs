//! Whether this process changed a key while a load of it went on.

use crate::Hashed;
use crate::sync::{Arc, Mutex};
use hashbrown::hash_table::{Entry, HashTable};
use std::borrow::Borrow;

/// So many keys are looked at before others have their turn.
const AT_ONCE: usize = 1_000;

/// Counts the changes of those keys that somebody watches.
///
/// Fills of a shared tier go by these and not by the flight's registration: news of others end
/// registrations too, so that nobody joins, but whether the *store* may be filled is for the lease to
/// decide. News of a key's expiry, say, come at the very beginning of the load that replaces it.
pub(super) struct Epochs<K>(Mutex<Changes<K>>);

struct Changes<K> {
    /// Of every key at once.
    of_all: u64,
    watched: HashTable<Watched<K>>,
}

struct Watched<K> {
    key: Hashed<K>,
    /// How many watch it.
    by: usize,
    changes: u64,
}

impl<K: Eq + Clone> Epochs<K> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Changes { of_all: 0, watched: HashTable::new() }))
    }

    /// Watches `keys` until the result is dropped.
    pub(super) fn watch(self: &Arc<Self>, keys: &Arc<[Hashed<K>]>) -> Watch<K> {
        let of_all = self.0.lock().of_all;
        let began = Vec::with_capacity(keys.len());
        // Whole from the beginning: should a key's own code panic, those before it are left again.
        let mut watch = Watch { epochs: Arc::clone(self), keys: Arc::clone(keys), began, of_all };
        for keys in keys.chunks(AT_ONCE) {
            let mut changes = self.0.lock();
            watch.began.extend(keys.iter().map(|key| changes.watch(key)));
        }
        watch
    }

    /// These keys change now.
    pub(super) fn advance<Q: ?Sized + Eq>(&self, keys: &[Hashed<&Q>])
    where
        K: Borrow<Q>,
    {
        let mut changes = self.0.lock();
        for key in keys {
            if let Some(watched) =
                changes.watched.find_mut(key.hash(), |watched| watched.key.is(*key))
            {
                watched.changes += 1;
            }
        }
    }

    pub(super) fn advance_all(&self) {
        self.0.lock().of_all += 1;
    }
}

impl<K: Eq + Clone> Changes<K> {
    fn entry(&mut self, key: &Hashed<K>) -> Entry<'_, Watched<K>> {
        let is_it = |watched: &Watched<K>| watched.key == *key;
        self.watched.entry(key.hash(), is_it, |watched| watched.key.hash())
    }

    /// One more watches `key`; how often it has changed.
    fn watch(&mut self, key: &Hashed<K>) -> u64 {
        let new = || Watched { key: key.clone(), by: 0, changes: 0 };
        let mut entry = self.entry(key).or_insert_with(new);
        let watched = entry.get_mut();
        watched.by += 1;
        watched.changes
    }

    /// One fewer does; what nobody watches any more.
    fn leave(&mut self, key: &Hashed<K>) -> Option<Watched<K>> {
        let Entry::Occupied(mut entry) = self.entry(key) else { return None };
        entry.get_mut().by -= 1;
        (entry.get().by == 0).then(|| entry.remove().0)
    }
}

/// Keys that are watched since a load of them began.
pub(super) struct Watch<K: Eq + Clone> {
    epochs: Arc<Epochs<K>>,
    keys: Arc<[Hashed<K>]>,
    /// The changes of each key by then; of those that are watched already.
    began: Vec<u64>,
    of_all: u64,
}

/// Some of the keys of a watch.
pub(super) struct Part<K: Eq + Clone> {
    of: Arc<Watch<K>>,
    places: Box<[usize]>,
}

impl<K: Eq + Clone> Watch<K> {
    /// The keys in these places.
    pub(super) fn part(self: &Arc<Self>, places: &[usize]) -> Part<K> {
        Part { of: Arc::clone(self), places: places.into() }
    }
}

impl<K: Eq + Clone> Part<K> {
    /// Whether nobody has changed them, one by one.
    pub(super) fn unchanged(&self) -> Vec<bool> {
        let Watch { epochs, keys, began, of_all } = &*self.of;
        let changes = epochs.0.lock();
        let is_unchanged = |place: &usize| {
            let key = &keys[*place];
            let watched = changes.watched.find(key.hash(), |watched| watched.key == *key);
            watched.is_some_and(|watched| watched.changes == began[*place])
        };
        let is_any = changes.of_all == *of_all;
        self.places.iter().map(|place| is_any && is_unchanged(place)).collect()
    }
}

impl<K: Eq + Clone> Drop for Watch<K> {
    fn drop(&mut self) {
        for keys in self.keys[..self.began.len()].chunks(AT_ONCE) {
            let mut changes = self.epochs.0.lock();
            // Keys are dropped outside of the lock.
            let gone: Vec<_> = keys.iter().filter_map(|key| changes.leave(key)).collect();
            drop(changes);
            drop(gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[u32]) -> Arc<[Hashed<u32>]> {
        keys.iter().copied().map(Hashed::new).collect()
    }

    fn watch(epochs: &Arc<Epochs<u32>>, numbers: &[u32]) -> Part<u32> {
        let places: Vec<usize> = (0..numbers.len()).collect();
        Arc::new(epochs.watch(&keys(numbers))).part(&places)
    }

    fn advance(epochs: &Epochs<u32>, key: u32) {
        epochs.advance(&[Hashed::new(&key)]);
    }

    #[test]
    fn a_change_counts_for_its_own_key_only() {
        let epochs = Arc::new(Epochs::new());
        let all: Vec<u32> = (0..1_000).collect();
        let watch = watch(&epochs, &all);
        (0..1_000).step_by(2).for_each(|key| advance(&epochs, key));
        let odd: Vec<bool> = (0..1_000).map(|key| key % 2 == 1).collect();
        assert_eq!(watch.unchanged(), odd);
    }

    #[test]
    fn a_watch_knows_of_no_change_from_before_it_began() {
        let epochs = Arc::new(Epochs::new());
        let early = watch(&epochs, &[1, 2]);
        advance(&epochs, 1);
        let late = watch(&epochs, &[2, 1]);
        assert_eq!(early.unchanged(), [false, true]);
        assert_eq!(late.unchanged(), [true, true]);
        drop(late);
        assert_eq!(early.unchanged(), [false, true], "the other one's end changes nothing");
        epochs.advance_all();
        assert_eq!(early.unchanged(), [false, false]);
        assert_eq!(watch(&epochs, &[1]).unchanged(), [true]);
    }

    /// A key that cannot be cloned if it is 7.
    #[derive(PartialEq, Eq, Hash)]
    struct Fragile(u32);

    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert!(self.0 != 7, "on purpose");
            Self(self.0)
        }
    }

    #[test]
    fn a_key_that_panics_leaves_nothing_watched() {
        let epochs = Arc::new(Epochs::new());
        let keys: Arc<[_]> = (0..10).map(|key| Hashed::new(Fragile(key))).collect();
        let watch = std::panic::AssertUnwindSafe(|| drop(epochs.watch(&keys)));
        std::panic::catch_unwind(watch).expect_err("it panics");
        assert!(epochs.0.lock().watched.is_empty());
        assert_eq!(Arc::strong_count(&epochs), 1);
    }

    #[test]
    fn many_keys_are_watched_and_left() {
        let epochs = Arc::new(Epochs::new());
        let all: Vec<u32> = (0..2 * AT_ONCE as u32 + 1).collect();
        let watch = watch(&epochs, &all);
        advance(&epochs, 2 * AT_ONCE as u32);
        let unchanged = watch.unchanged();
        assert!(unchanged[..2 * AT_ONCE].iter().all(|is| *is) && !unchanged[2 * AT_ONCE]);
        drop(watch);
        assert!(epochs.0.lock().watched.is_empty());
    }

    #[test]
    fn what_nobody_watches_takes_no_memory() {
        let epochs = Arc::new(Epochs::new());
        let watches = [watch(&epochs, &[1, 2]), watch(&epochs, &[2, 3])];
        advance(&epochs, 4);
        assert_eq!(epochs.0.lock().watched.len(), 3);
        drop(watches);
        assert!(epochs.0.lock().watched.is_empty());
    }
}
