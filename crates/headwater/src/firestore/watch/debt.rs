//! What has been heard and not yet passed on: the latest of each key, however long the tiers are in
//! trouble, and within bounds.

use crate::sync::Mutex;
use crate::{Entry, Key, Moment};
use std::collections::HashMap;
use tokio::sync::Notify;

/// More keys than this are everything.
const MOST: usize = 10_000;

/// What is to be done about a key.
#[derive(Debug)]
pub(super) enum Change<V> {
    Forget,
    Put(Entry<V>),
}

/// A place in a stream, up to which everything has been heard.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) token: Vec<u8>,
    pub(super) stream: u64,
    pub(super) heard: Moment,
}

/// A part of what is owed, or all of it.
pub(super) struct Due<K: ?Sized + Key, V> {
    /// Everything has to be forgotten, before anything else is done.
    pub(super) everything: bool,
    pub(super) changes: HashMap<K::Owned, Change<V>>,
    /// Where the stream was when all of this had been heard.
    pub(super) mark: Option<Mark>,
}

impl<K: ?Sized + Key, V> Due<K, V> {
    pub(super) fn nothing() -> Self {
        Self { everything: false, changes: HashMap::new(), mark: None }
    }

    fn is_nothing(&self) -> bool {
        !self.everything && self.changes.is_empty() && self.mark.is_none()
    }

    fn forget_all(&mut self) {
        self.everything = true;
        self.changes = HashMap::new();
    }
}

/// See the module. One adds to it, another takes from it.
pub(super) struct Debt<K: ?Sized + Key, V> {
    due: Mutex<Due<K, V>>,
    added: Notify,
}

impl<K: ?Sized + Key, V> Debt<K, V> {
    pub(super) fn new() -> Self {
        Self { due: Mutex::new(Due::nothing()), added: Notify::new() }
    }

    pub(super) fn change(&self, key: K::Owned, change: Change<V>) {
        let mut due = self.due.lock();
        due.changes.insert(key, change);
        if due.changes.len() > MOST {
            due.forget_all();
        }
        drop(due);
        self.added.notify_one();
    }

    pub(super) fn forget_all(&self) {
        self.due.lock().forget_all();
        self.added.notify_one();
    }

    pub(super) fn mark(&self, mark: Mark) {
        self.due.lock().mark = Some(mark);
        self.added.notify_one();
    }

    /// All that is owed, once there is something.
    ///
    /// # Cancellation
    /// Dropping it takes nothing.
    pub(super) async fn take(&self) -> Due<K, V> {
        loop {
            let due = std::mem::replace(&mut *self.due.lock(), Due::nothing());
            if !due.is_nothing() {
                return due;
            }
            self.added.notified().await;
        }
    }

    /// Owes it again, but for what has been overtaken since it was taken.
    pub(super) fn put_back(&self, old: Due<K, V>) {
        let mut due = self.due.lock();
        if !due.everything {
            let newer = std::mem::replace(&mut due.changes, old.changes);
            due.changes.extend(newer);
        }
        due.everything |= old.everything;
        due.mark = due.mark.take().or(old.mark);
        if due.changes.len() > MOST {
            due.forget_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Version;

    fn put(version: u64) -> Change<u8> {
        Change::Put(Entry::found(0).with_version(Version::new(version)))
    }

    fn version(change: &Change<u8>) -> Option<u64> {
        match change {
            Change::Put(entry) => entry.version().map(Version::get),
            Change::Forget => None,
        }
    }

    fn mark(stream: u64) -> Mark {
        Mark { token: Vec::new(), stream, heard: Moment::START }
    }

    #[tokio::test]
    async fn what_is_put_back_replaces_nothing_newer() {
        let debt = Debt::<u32, u8>::new();
        debt.change(1, put(1));
        debt.change(2, put(1));
        debt.mark(mark(1));
        let old = debt.take().await;
        debt.change(1, put(2));
        debt.put_back(old);
        let due = debt.take().await;
        assert_eq!((version(&due.changes[&1]), version(&due.changes[&2])), (Some(2), Some(1)));
        assert_eq!(due.mark.map(|mark| mark.stream), Some(1));
    }

    #[tokio::test]
    async fn everything_covers_what_came_before_it_and_not_what_comes_after() {
        let debt = Debt::<u32, u8>::new();
        debt.change(1, put(1));
        let old = debt.take().await;
        debt.forget_all();
        debt.change(2, put(2));
        debt.put_back(old);
        let due = debt.take().await;
        assert!(due.everything && due.changes.len() == 1 && due.changes.contains_key(&2));
        debt.put_back(due);
        debt.change(3, put(3));
        let due = debt.take().await;
        assert!(due.everything && due.changes.len() == 2);
    }

    #[tokio::test]
    async fn too_many_keys_are_everything() {
        let debt = Debt::<usize, u8>::new();
        (0..=MOST).for_each(|key| debt.change(key, Change::Forget));
        let due = debt.take().await;
        assert!(due.everything && due.changes.is_empty());
    }
}
