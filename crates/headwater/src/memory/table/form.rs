//! What differs between a table of entries of any kind and one of small numbers.
//!
//! The index, the slots, the writer and who waits for whom are the same. A [`Form`] says what a bucket of
//! the index holds, what a slot holds, and how an entry is looked at and taken out.

use super::super::policy::Uses;
use super::slots::{Cell, Content, Node, Slot, Slots};

/// Tells the key that is looked for from others.
pub(in crate::memory) trait IsIt<K>: Fn(&K) -> bool + Copy {}

impl<K, T: Fn(&K) -> bool + Copy> IsIt<K> for T {}

/// What became of a look into a bucket.
#[derive(Clone, Copy)]
pub(in crate::memory) enum Sought<T> {
    Found(T),
    Missing,
    /// It may be in a later one.
    Further,
}

/// Why one looks into a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::memory) enum Turn {
    /// It is the first one of a key.
    Home,
    /// It is a later one, because the first was full.
    Later,
}

/// Some places of an index. One thread at a time changes it; any number may look meanwhile.
pub(in crate::memory) trait Bucket: Default + Send + Sync {
    /// What is listed for one entry.
    type Item: Copy;

    /// Places that are used in four buckets on average, when the index is as full as it gets.
    const FILL_OF_FOUR: usize;

    /// Lists an item, if a place is free, which it then returns.
    fn insert(&self, hash: u32, item: Self::Item) -> Option<usize>;

    /// The place of a slot that is listed.
    fn place(&self, hash: u32, slot: Slot) -> Option<usize>;

    /// The slot that is listed in a place, or was last.
    fn slot_at(&self, place: usize) -> Slot;

    /// Lists an item in this place instead of what is there, whose key and hash it has.
    fn replace(&self, place: usize, hash: u32, item: Self::Item);

    /// Frees a place.
    fn remove(&self, place: usize);

    /// All that is listed.
    fn items(&self) -> impl Iterator<Item = Self::Item>;

    /// The slot of an item.
    fn slot(item: &Self::Item) -> Slot;

    /// Whether what is listed may be listed in another bucket instead: only if whoever looks further than in a
    /// bucket then knows whether [something changed there](Self::version).
    const CAN_MOVE: bool;

    /// A number that changes with every change, where anything can move.
    fn version(&self) -> u32;

    /// What is listed in a place.
    fn item(&self, place: usize) -> Self::Item;

    /// Whether something that may be of this hash is in a later bucket because this one was full at its
    /// turn.
    fn has_passed(&self, turn: Turn, hash: u32) -> bool;

    /// Counts one more of these.
    fn let_pass(&self, turn: Turn, hash: u32);

    /// Counts one less.
    fn take_back(&self, turn: Turn, hash: u32);

    /// Whether it is seen at once that nothing is listed of a hash whose first bucket it is.
    fn lacks(&self, hash: u32) -> bool;

    /// Whether no place is free.
    fn is_full(&self) -> bool;

    /// Has it fetched, all of it.
    fn foresee(&self);
}

/// A bucket of a form's index, and a place in it.
pub(in crate::memory) type Place<'a, F> = (&'a <F as Form>::Bucket, usize);

/// Which part of an entry is kept where.
pub(in crate::memory) trait Form: Sized + 'static {
    type Key: Eq + Clone + 'static;
    type Value: Clone + 'static;

    /// What an index is made of.
    type Bucket: Bucket;

    /// What a slot holds beside what all of them hold.
    type Content: Content;

    /// What a look finds beside the number of the slot.
    type Seen<'a>: Copy;

    /// By what an entry that the writer chose is reached: where its uses are counted, for one.
    type At<'a>: Copy;

    /// What has to be kept of an entry that is not listed any more, until it is freed.
    type Left;

    /// What is listed of where a key is.
    type Whereabouts: Copy;

    /// The bits of a slot's number. A table has entries in half of the slots that they tell apart at most, so
    /// that there are enough of them for what left and may still be read.
    const SLOT_BITS: u32;

    /// The most entries of a table.
    const MOST_ENTRIES: usize = 1 << (Self::SLOT_BITS - 1);

    /// The bits of a hash that a table goes by. The high half chooses the shard.
    #[inline(always)]
    fn short(hash: u64) -> u32 {
        hash as u32
    }

    /// Looks for the entry of a key in a bucket.
    ///
    /// # Safety
    /// What is listed in the bucket has to stay in its slot for `'a`, unless it is [alone](Self::alone).
    unsafe fn find<'a>(
        bucket: &'a Self::Bucket,
        slots: &'a Slots<Self::Content>,
        turn: Turn,
        hash: u32,
        is_it: impl IsIt<Self::Key>,
    ) -> Sought<Node<'a, Self>>;

    /// The same for who holds the lock, and so knows that nothing changes meanwhile.
    ///
    /// # Safety
    /// As of [`find`](Self::find), and nobody may change the bucket meanwhile.
    #[inline(always)]
    unsafe fn find_still<'a>(
        bucket: &'a Self::Bucket,
        slots: &'a Slots<Self::Content>,
        turn: Turn,
        hash: u32,
        is_it: impl IsIt<Self::Key>,
    ) -> Sought<Node<'a, Self>> {
        // SAFETY: the caller says so.
        unsafe { Self::find(bucket, slots, turn, hash, is_it) }
    }

    /// What is seen of the entry in a cell, which is listed there.
    ///
    /// # Safety
    /// It has to stay in its slot for `'a`.
    unsafe fn look<'a>(
        listed: impl FnOnce() -> Option<Place<'a, Self>>,
        cell: &'a Cell<Self::Content>,
    ) -> Option<Self::Seen<'a>>;

    /// Where the entry in a cell is, which is listed there, if all of it [is](Self::IS_COPIED).
    fn at<'a>(
        listed: Option<Place<'a, Self>>,
        cell: &'a Cell<Self::Content>,
    ) -> Option<Self::At<'a>>;

    /// Where its uses are counted.
    fn uses_of<'a>(at: Self::At<'a>) -> Uses<'a>;

    /// Where all of it is listed if it is bare; `None` if [none is](Self::IS_COPIED).
    fn listed<'a>(at: Self::At<'a>) -> Option<Place<'a, Self>>;

    /// What is listed of a bare entry in this slot.
    fn bare(slot: Slot, key: &Self::Key, value: &Self::Value) -> <Self::Bucket as Bucket>::Item;

    /// Where a key is, as far as that is not its slot. May panic, as what users have written may.
    fn whereabouts(key: &Self::Key) -> Self::Whereabouts;

    /// Keeps an entry: in the cell, or in what is to be listed.
    ///
    /// # Safety
    /// The cell has to be empty, and known to nobody else.
    unsafe fn keep(
        cell: &Cell<Self::Content>,
        slot: Slot,
        key: Self::Key,
        value: Option<Self::Value>,
        whereabouts: Self::Whereabouts,
    ) -> <Self::Bucket as Bucket>::Item;

    /// Whether who looks at a bare entry copies all that there is to it, and never looks into its slot.
    const IS_COPIED: bool;

    /// Key and value of an entry that nobody needs the slot of any more as soon as no index lists it. Who looks
    /// it up has copied all that there is to it.
    fn alone(node: &Node<'_, Self>) -> Option<(Self::Key, Option<Self::Value>)>;

    /// What has to be kept when it is not listed any more.
    fn leave(node: &Node<'_, Self>) -> Self::Left;

    /// Key and value of an entry that has left.
    ///
    /// # Safety
    /// It has to be the one of this cell, and to stay in it for `'a`.
    unsafe fn left<'a>(
        left: &'a Self::Left,
        cell: &'a Cell<Self::Content>,
    ) -> (&'a Self::Key, Option<&'a Self::Value>);

    /// Takes key and value of an entry that has left.
    ///
    /// # Safety
    /// It has to be the one of this cell, which nobody looks at any more, and is not taken again.
    unsafe fn take(
        left: Self::Left,
        cell: &Cell<Self::Content>,
    ) -> (Self::Key, Option<Self::Value>);

    /// Drops key and value of an entry that did not leave.
    ///
    /// # Safety
    /// The cell has to hold one that nobody looks at any more, and that is not taken again.
    unsafe fn discard(cell: &Cell<Self::Content>);

    fn key<'n>(node: &'n Node<'_, Self>) -> &'n Self::Key;

    /// The value.
    ///
    /// # Safety
    /// The entry has to be a found one.
    unsafe fn value<'n>(node: &'n Node<'_, Self>) -> &'n Self::Value;

    /// Whether it is known without a look into the cell that the entry is found and has no end.
    fn is_plain(node: &Node<'_, Self>) -> bool;

    /// Whether it is known that there is nothing to it but key and value; then only who holds the lock may look
    /// into the cell.
    fn is_bare(node: &Node<'_, Self>) -> bool;

    fn cell<'a>(node: &Node<'a, Self>) -> &'a Cell<Self::Content>;

    fn uses<'a>(node: &Node<'a, Self>) -> Uses<'a>;
}
