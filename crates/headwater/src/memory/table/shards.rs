//! Tables side by side, so that who changes one does not keep others waiting.

use super::form::Form;
use super::shared::Table;

/// A table on cache lines of its own. Some processors fetch lines in pairs, hence 128 bytes.
#[repr(align(128))]
struct Shard<F: Form, S>(Table<F, S>);

/// A power of two of tables.
pub(in crate::memory) struct Shards<F: Form, S> {
    all: Box<[Shard<F, S>]>,
    /// One less than there are.
    mask: usize,
}

impl<F: Form, S> Shards<F, S> {
    /// So many tables, made by their numbers.
    pub(in crate::memory) fn new(count: usize, make: impl Fn(usize) -> Table<F, S>) -> Self {
        assert!(count.is_power_of_two(), "shards are chosen by masking");
        let all = (0..count).map(|number| Shard(make(number))).collect();
        Self { all, mask: count - 1 }
    }

    pub(in crate::memory) fn len(&self) -> usize {
        self.all.len()
    }

    /// The table of a hash, chosen by bits that the table itself does not go by.
    #[inline(always)]
    pub(in crate::memory) fn of(&self, hash: u64) -> &Table<F, S> {
        // SAFETY: what is masked is at most the mask, which is a number less than there are.
        unsafe { &self.all.get_unchecked((hash >> u32::BITS) as usize & self.mask).0 }
    }

    pub(in crate::memory) fn get(&self, number: usize) -> Option<&Table<F, S>> {
        self.all.get(number).map(|shard| &shard.0)
    }

    pub(in crate::memory) fn iter(&self) -> impl Iterator<Item = &Table<F, S>> {
        self.all.iter().map(|shard| &shard.0)
    }
}
