//! Entries of any kind: they stand in their slots, and a bucket lists the slots.
//!
//! A bucket is two cache lines that are fetched together. The first has a byte of the hash (the *tag*) for
//! each of its twelve places, compared all at once, and the slots' numbers. The second has the places of keys
//! in memory (*hints*): those of strings are not in their slots, and are fetched while the slots are, not
//! after them. A slot stays in its place as long as it is listed.

use super::super::policy::{Counts, Uses};
use super::form::{Bucket, Form, IsIt, Place, Sought, Turn};
use super::prefetch::{self, prefetch, prefetch_at};
use super::slots::{Cell, Content, Node, Slot, Slots};
use super::tags::matching_in_two;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use std::borrow::Borrow;
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic;

const WAYS: usize = 12;

/// One bit per place.
const ALL_WAYS: u32 = (1 << WAYS) - 1;

/// The tags that are in a bucket's first word. The others are in the second.
const FIRST_TAGS: usize = 8;

/// The tag of a place that is free. No slot's tag is that.
const FREE: u8 = 0;

/// What a count of those that passed ends at: it then stays there.
const MOST_PASSED: u64 = u16::MAX as u64;

#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(in crate::memory) struct Tagged {
    /// The tags of the first eight places.
    first: AtomicU64,
    /// The tags of the other four, and above them, how many are elsewhere because this one was full: those
    /// whose home it is, and those that came later.
    second: AtomicU64,
    slots: [AtomicU32; WAYS],
    hints: Hints,
}

/// Where keys are in memory, as far as it takes to have them fetched: [`Hint::BITS`] of the number
/// of a cache line each. The others are those of the bucket itself: on the systems of today, a process has
/// all of its own in one half of the memory that it can address.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Hints {
    low: [atomic::AtomicU32; WAYS],
    high: [atomic::AtomicU8; WAYS],
}

/// What is listed: a slot, and where its key is, of whose address nothing is asked but that it is not far
/// from the truth.
#[derive(Clone, Copy, Debug)]
pub(in crate::memory) struct Listed {
    slot: Slot,
    key: Hint,
}

#[cfg(test)]
impl Listed {
    /// A slot whose key is far from it.
    pub(super) fn far_from(slot: Slot) -> Self {
        Self { slot, key: Hint(u64::MAX >> Hint::LINE_BITS) }
    }
}

/// The number of a cache line.
#[derive(Clone, Copy, Debug)]
pub(in crate::memory) struct Hint(u64);

impl Hint {
    const LINE_BITS: u32 = 6;
    const BITS: u32 = u32::BITS + u8::BITS;

    fn of<T: ?Sized>(it: &T) -> Self {
        Self(std::ptr::from_ref(it).cast::<u8>().addr() as u64 >> Self::LINE_BITS)
    }

    /// Has the line fetched, and the next one, in which many keys end.
    #[inline(always)]
    fn follow(self) {
        for line in [self.0, self.0 + 1] {
            prefetch_at(std::ptr::without_provenance((line << Self::LINE_BITS) as usize));
        }
    }
}

impl Hints {
    #[inline(always)]
    fn get(&self, place: usize) -> Hint {
        let high = u64::from(self.high[place].load(atomic::Ordering::Relaxed));
        let low = u64::from(self.low[place].load(atomic::Ordering::Relaxed));
        let own = Hint::of(self).0 >> Hint::BITS << Hint::BITS;
        Hint(own | high << u32::BITS | low)
    }

    fn set(&self, place: usize, Hint(line): Hint) {
        self.low[place].store(line as u32, atomic::Ordering::Relaxed);
        self.high[place].store((line >> u32::BITS) as u8, atomic::Ordering::Relaxed);
    }
}

/// Where a second word has the count of those that passed at this turn.
#[inline(always)]
fn shift(turn: Turn) -> u32 {
    match turn {
        Turn::Home => 32,
        Turn::Later => 48,
    }
}

/// How many passed.
#[inline(always)]
fn passed(second: u64, turn: Turn) -> u64 {
    second >> shift(turn) & MOST_PASSED
}

/// The places that these bits are for.
fn places(mut matches: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = (matches != 0).then(|| matches.trailing_zeros() as usize);
        matches &= matches.wrapping_sub(1);
        place
    })
}

/// The places whose tags are `tag`, one bit each.
#[inline(always)]
fn matches(first: u64, second: u64, tag: u8) -> u32 {
    matching_in_two([first, second], tag) & ALL_WAYS
}

impl Tagged {
    /// Looks for a slot of which `at` says that it is the one, by what it makes of it. Keys are fetched
    /// ahead if they are `far` from their slots.
    #[inline(always)]
    fn find<T>(
        &self,
        turn: Turn,
        hash: u32,
        far: bool,
        at: impl Fn(Slot) -> Option<T>,
    ) -> Sought<T> {
        let far = far && prefetch::IS_DONE;
        if far {
            prefetch(&self.hints);
        }
        let second = self.second.load(Ordering::Acquire);
        let mut matches = matches(self.first.load(Ordering::Acquire), second, tag(hash));
        while matches != 0 {
            let place = matches.trailing_zeros() as usize;
            // SAFETY: there is one bit for each of the places.
            unsafe { std::hint::assert_unchecked(place < WAYS) };
            let slot = self.slots[place].load(Ordering::Acquire);
            if far {
                self.hints.get(place).follow();
            }
            if slot != 0
                && let Some(it) = at(slot)
            {
                return Sought::Found(it);
            }
            matches &= matches - 1;
        }
        if passed(second, turn) == 0 { Sought::Missing } else { Sought::Further }
    }

    fn set_tag(&self, place: usize, tag: u8) {
        let (word, at) = if place < FIRST_TAGS {
            (&self.first, place * 8)
        } else {
            (&self.second, (place - FIRST_TAGS) * 8)
        };
        let others = word.load(Ordering::Relaxed) & !(0xFF << at);
        word.store(others | u64::from(tag) << at, Ordering::Release);
    }

    /// The places whose tags are `tag`, one bit each, as the one writer sees them.
    fn matches(&self, tag: u8) -> u32 {
        let tags = [&self.first, &self.second].map(|tags| tags.load(Ordering::Relaxed));
        matches(tags[0], tags[1], tag)
    }
}

impl Bucket for Tagged {
    type Item = Listed;

    const FILL_OF_FOUR: usize = 32;

    fn insert(&self, hash: u32, item: Listed) -> Option<usize> {
        let place = places(self.matches(FREE)).find(|place| self.slot_at(*place) == 0)?;
        self.replace(place, hash, item);
        self.set_tag(place, tag(hash));
        Some(place)
    }

    fn place(&self, hash: u32, slot: Slot) -> Option<usize> {
        places(self.matches(tag(hash))).find(|place| self.slot_at(*place) == slot)
    }

    fn slot_at(&self, place: usize) -> Slot {
        self.slots[place].load(Ordering::Relaxed)
    }

    fn replace(&self, place: usize, _: u32, Listed { slot, key }: Listed) {
        self.hints.set(place, key);
        self.slots[place].store(slot, Ordering::Release);
    }

    /// Who looks something up would have to look at a version, too.
    const CAN_MOVE: bool = false;

    fn version(&self) -> u32 {
        0
    }

    fn item(&self, place: usize) -> Listed {
        Listed { slot: self.slot_at(place), key: self.hints.get(place) }
    }

    fn remove(&self, place: usize) {
        self.set_tag(place, FREE);
        self.slots[place].store(0, Ordering::Release);
    }

    fn items(&self) -> impl Iterator<Item = Listed> {
        let items =
            (0..WAYS).map(|place| Listed { slot: self.slot_at(place), key: self.hints.get(place) });
        items.filter(|item| item.slot != 0)
    }

    fn slot(item: &Listed) -> Slot {
        item.slot
    }

    fn has_passed(&self, turn: Turn, _: u32) -> bool {
        passed(self.second.load(Ordering::Relaxed), turn) > 0
    }

    fn let_pass(&self, turn: Turn, _: u32) {
        let second = self.second.load(Ordering::Relaxed);
        if passed(second, turn) < MOST_PASSED {
            self.second.store(second + (1 << shift(turn)), Ordering::Release);
        }
    }

    fn take_back(&self, turn: Turn, _: u32) {
        let second = self.second.load(Ordering::Relaxed);
        if passed(second, turn) < MOST_PASSED {
            self.second.store(second - (1 << shift(turn)), Ordering::Release);
        }
    }

    fn lacks(&self, hash: u32) -> bool {
        self.matches(tag(hash)) == 0 && !self.has_passed(Turn::Home, hash)
    }

    fn is_full(&self) -> bool {
        self.matches(FREE) == 0
    }

    fn foresee(&self) {
        prefetch(self);
        prefetch(&self.hints);
    }
}

/// A tag, of the low bits of a hash.
#[inline]
fn tag(hash: u32) -> u8 {
    (hash as u8).max(1)
}

/// A table of values of any type by the owned form of `K`.
pub(in crate::memory) struct Apart<K: ?Sized, V>(PhantomData<fn(&K) -> V>);

/// A key and a value, where there are any.
pub(in crate::memory) struct Pair<K, V> {
    key: UnsafeCell<MaybeUninit<K>>,
    value: UnsafeCell<MaybeUninit<V>>,
}

impl<K, V> Default for Pair<K, V> {
    fn default() -> Self {
        let (key, value) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        Self { key: UnsafeCell::new(key), value: UnsafeCell::new(value) }
    }
}

impl<K, V> Content for Pair<K, V> {
    type Uses = Counts;

    fn forget_uses(uses: &Counts) {
        Uses::new(uses, 0).set(0);
    }
}

impl<K, V> Form for Apart<K, V>
where
    K: ?Sized + ToOwned<Owned: Eq + Clone> + 'static,
    V: Clone + 'static,
{
    type Key = K::Owned;
    type Value = V;
    type Bucket = Tagged;
    type Content = Pair<K::Owned, V>;
    type Seen<'a> = &'a Cell<Pair<K::Owned, V>>;
    type At<'a> = &'a Cell<Pair<K::Owned, V>>;
    type Left = ();
    type Whereabouts = Hint;

    const SLOT_BITS: u32 = 32;

    #[inline(always)]
    unsafe fn find<'a>(
        bucket: &'a Tagged,
        slots: &'a Slots<Pair<K::Owned, V>>,
        turn: Turn,
        hash: u32,
        is_it: impl IsIt<K::Owned>,
    ) -> Sought<Node<'a, Self>> {
        let far = std::mem::needs_drop::<K::Owned>();
        bucket.find(turn, hash, far, |slot| {
            // SAFETY: a slot in the index holds an entry (1), and the caller says that it stays.
            let node = Node { slot, slots, seen: unsafe { slots.cell(slot) } };
            is_it(node.key()).then_some(node)
        })
    }

    unsafe fn look<'a>(
        _: impl FnOnce() -> Option<Place<'a, Self>>,
        cell: &'a Cell<Pair<K::Owned, V>>,
    ) -> Option<Self::Seen<'a>> {
        Some(cell)
    }

    #[inline(always)]
    fn at<'a>(
        _: Option<Place<'a, Self>>,
        cell: &'a Cell<Pair<K::Owned, V>>,
    ) -> Option<Self::At<'a>> {
        Some(cell)
    }

    #[inline(always)]
    fn uses_of<'a>(cell: Self::At<'a>) -> Uses<'a> {
        Uses::new(&cell.uses, 0)
    }

    fn listed<'a>(_: Self::At<'a>) -> Option<Place<'a, Self>> {
        None
    }

    fn bare(_: Slot, _: &K::Owned, _: &V) -> Listed {
        unreachable!("it is not listed whole")
    }

    fn whereabouts(key: &K::Owned) -> Hint {
        // What a key has of its own stays where it is when the key is moved into its slot.
        Hint::of::<K>(key.borrow())
    }

    unsafe fn keep(
        cell: &Cell<Pair<K::Owned, V>>,
        slot: Slot,
        key: K::Owned,
        value: Option<V>,
        hint: Hint,
    ) -> Listed {
        // SAFETY: nobody else looks at the cell, and what is overwritten needs no drop.
        unsafe { (*cell.content.key.get()).write(key) };
        if let Some(value) = value {
            // SAFETY: as above.
            unsafe { (*cell.content.value.get()).write(value) };
        }
        Listed { slot, key: hint }
    }

    const IS_COPIED: bool = false;

    fn alone(_: &Node<'_, Self>) -> Option<(K::Owned, Option<V>)> {
        None
    }

    fn leave(_: &Node<'_, Self>) {}

    unsafe fn left<'a>(
        (): &'a (),
        cell: &'a Cell<Pair<K::Owned, V>>,
    ) -> (&'a K::Owned, Option<&'a V>) {
        // SAFETY: the caller says that an entry is there, whose key was written.
        let key = unsafe { (*cell.content.key.get()).assume_init_ref() };
        // SAFETY: as the key, where the entry is a found one.
        let value =
            cell.is_found().then(|| unsafe { (*cell.content.value.get()).assume_init_ref() });
        (key, value)
    }

    unsafe fn take((): (), cell: &Cell<Pair<K::Owned, V>>) -> (K::Owned, Option<V>) {
        // SAFETY: the entry's key was written, nobody else looks at it, and it is not read again.
        let key = unsafe { (*cell.content.key.get()).assume_init_read() };
        // SAFETY: as the key, where the entry is a found one.
        let value =
            cell.is_found().then(|| unsafe { (*cell.content.value.get()).assume_init_read() });
        (key, value)
    }

    unsafe fn discard(cell: &Cell<Pair<K::Owned, V>>) {
        // SAFETY: the caller says so.
        drop(unsafe { Self::take((), cell) });
    }

    #[inline(always)]
    fn key<'n>(node: &'n Node<'_, Self>) -> &'n K::Owned {
        // SAFETY: a node is made of a slot that holds an entry for as long as the node is there, whose
        // key was written before anybody could find it, and is not written again until it is gone.
        unsafe { (*node.seen.content.key.get()).assume_init_ref() }
    }

    #[inline(always)]
    unsafe fn value<'n>(node: &'n Node<'_, Self>) -> &'n V {
        // SAFETY: as the key; the caller says that it has a value.
        unsafe { (*node.seen.content.value.get()).assume_init_ref() }
    }

    #[inline(always)]
    fn is_plain(_: &Node<'_, Self>) -> bool {
        false
    }

    #[inline(always)]
    fn is_bare(_: &Node<'_, Self>) -> bool {
        false
    }

    #[inline(always)]
    fn cell<'a>(node: &Node<'a, Self>) -> &'a Cell<Pair<K::Owned, V>> {
        node.seen
    }

    #[inline(always)]
    fn uses<'a>(node: &Node<'a, Self>) -> Uses<'a> {
        Uses::new(&node.seen.uses, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_says_in_which_line_a_key_is() {
        let keys: Vec<String> = (0..WAYS).map(|at| "x".repeat(100 * (at + 1))).collect();
        let hints = Box::<Hints>::default();
        keys.iter().enumerate().for_each(|(at, key)| hints.set(at, Hint::of::<str>(key)));
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(hints.get(at).0, key.as_ptr().addr() as u64 >> Hint::LINE_BITS);
        }
        let all: Vec<usize> =
            (0..WAYS).map(|at| std::ptr::from_ref(&hints.high[at]).addr()).collect();
        assert!(
            all.iter().all(|at| at >> Hint::LINE_BITS == all[0] >> Hint::LINE_BITS),
            "one line"
        );
    }
}
