use std::fmt;
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Why an entry left a tier.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Room was needed for another.
    Evicted,
    /// Its life was over.
    Expired,
    /// It was removed by `invalidate`, `remove` or `clear`.
    Invalidated,
    /// Another entry of the same key took its place.
    Replaced,
}

/// What is called with each found entry that leaves a tier: key, value, cause.
///
/// It is called outside every lock, by whoever caused the removal, and may use the cache. A panic
/// of it is caught and has no effect on anybody.
pub type RemovalListener<K, V> = Arc<dyn Fn(&K, &V, Cause) + Send + Sync>;

/// Entries that left a tier and wait for a moment without locks.
///
/// Dropping it calls the tier's listener for each, and then drops keys and values.
#[must_use = "bind it to a variable that is dropped after every lock is released"]
pub struct Removals<K, V> {
    first: Option<(K, Option<V>, Cause)>,
    more: Option<Box<More<K, V>>>,
    listener: Option<RemovalListener<K, V>>,
}

/// What seldom leaves with the first.
struct More<K, V> {
    rest: Vec<(K, Option<V>, Cause)>,
    /// What was told before, and only has to be dropped.
    told: Vec<(K, Option<V>)>,
}

impl<K, V> Removals<K, V> {
    /// Nothing left.
    pub const fn none() -> Self {
        Self { first: None, more: None, listener: None }
    }

    /// Notes that `key` left; `value` is `None` for an entry that said "absent".
    pub fn push(&mut self, key: K, value: Option<V>, cause: Cause) {
        match self.first {
            None => self.first = Some((key, value, cause)),
            Some(_) => self.more().rest.push((key, value, cause)),
        }
    }

    fn more(&mut self) -> &mut More<K, V> {
        self.more.get_or_insert_with(|| Box::new(More { rest: Vec::new(), told: Vec::new() }))
    }

    fn rest(&self) -> &[(K, Option<V>, Cause)] {
        self.more.as_ref().map_or(&[], |more| &more.rest)
    }

    /// Takes what only has to be dropped.
    pub(crate) fn discard(&mut self, key: K, value: Option<V>) {
        if needs_drop::<(K, V)>() {
            self.more().told.push((key, value));
        }
    }

    /// Has `listener` called for each on drop.
    pub fn notify(&mut self, listener: Option<&RemovalListener<K, V>>) {
        self.listener = listener.cloned();
    }

    /// How many entries wait. One of plain numbers that no listener is told of need not.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest().len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

impl<K, V> Drop for Removals<K, V> {
    #[inline]
    fn drop(&mut self) {
        if let Some(listener) = self.listener.take() {
            self.tell(&listener);
        }
    }
}

impl<K, V> Removals<K, V> {
    #[inline(never)]
    fn tell(&self, listener: &RemovalListener<K, V>) {
        for (key, value, cause) in self.first.iter().chain(self.rest()) {
            let Some(value) = value else { continue };
            // A listener is a bystander: its panic must not become a fetch's outcome.
            let _ = catch_unwind(AssertUnwindSafe(|| listener(key, value, *cause)));
        }
    }
}

impl<K, V> fmt::Debug for Removals<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Removals").field("len", &self.len()).finish_non_exhaustive()
    }
}
