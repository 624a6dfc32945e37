//! Whether this process changed a key while a load of it went on.

use crate::Hashed;
use crate::sync::{Arc, Mutex};
use hashbrown::hash_table::{Entry, HashTable};
use std::borrow::Borrow;

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
        let mut changes = self.0.lock();
        let began = keys.iter().map(|key| changes.watch(key)).collect();
        let of_all = changes.of_all;
        drop(changes);
        Watch { epochs: Arc::clone(self), keys: Arc::clone(keys), began, of_all }
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
    /// The changes of each key by then.
    began: Box<[u64]>,
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
        let mut changes = self.epochs.0.lock();
        // Keys are dropped outside of the lock.
        let gone: Vec<_> = self.keys.iter().filter_map(|key| changes.leave(key)).collect();
        drop(changes);
        drop(gone);
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
