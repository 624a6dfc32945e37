//! Entries of small numbers: they stand in the index itself.
//!
//! A bucket is two cache lines, fetched together, with all that a hit needs: six keys and values of up to
//! 64 bits, and the entries' uses. What few entries have stands in their slots, as elsewhere. Whoever
//! changes a bucket counts its *version* up before and after, so that it is odd meanwhile; who looks does so
//! between two looks at the version, and once more if that was odd or has changed (a *sequence lock*, see
//! Boehm, "Can seqlocks get along with programming language memory models?", 2012). So a look sees a
//! bucket as it was at one moment, and entries may move within it. All of it is atomics, which on usual
//! processors cost no more than plain reads.
//!
//! Within a bucket entries are in the first places, so that what is left in others is never taken for
//! one of them: the first place of a key is looked for.

use super::super::policy::Uses;
use super::form::{Bucket, Form, IsIt, Sought, Turn};
use super::index::Index;
use super::prefetch::prefetch;
use super::slots::{Cell, Node, Slot, Slots};
use crate::sync::{AtomicU16, AtomicU32, AtomicU64, Ordering, pause};
use std::sync::atomic::{self, fence};

const WAYS: usize = 6;

/// How many places are used, in the lowest bits of what a bucket says.
const LEN: u16 = 0b111;

/// The bit of the first entry that is special.
const SPECIAL: u32 = 3;

/// Above these, how many are elsewhere because the bucket was full: those whose home it is, and those that
/// came later. A count that has come to its end stays there.
const HOME: u32 = SPECIAL + WAYS as u32;
const HOME_BITS: u32 = 4;
const LATER: u32 = HOME + HOME_BITS;
const LATER_BITS: u32 = u16::BITS - LATER;

/// Where a count is, and where it ends.
#[inline(always)]
fn count_of(turn: Turn) -> (u32, u16) {
    match turn {
        Turn::Home => (HOME, (1 << HOME_BITS) - 1),
        Turn::Later => (LATER, (1 << LATER_BITS) - 1),
    }
}

/// How many passed.
#[inline(always)]
fn passed(says: u16, turn: Turn) -> u16 {
    let (shift, most) = count_of(turn);
    says >> shift & most
}

/// Entries side by side.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(in crate::memory) struct Inlined {
    keys: [AtomicU64; WAYS],
    /// Odd while somebody changes it. A look would have to be interrupted for 2^31 changes of one bucket
    /// to take one for another.
    version: AtomicU32,
    /// How many entries are here, which are special, and how many are elsewhere.
    says: AtomicU16,
    uses: atomic::AtomicU16,
    slots: [AtomicU32; WAYS],
    values: [AtomicU64; WAYS],
}

/// What a glance sees.
pub(in crate::memory) enum Glance {
    /// The value of an entry that is found and has no end.
    Value(u64),
    Missing,
    /// It may be in a later bucket.
    Further,
    /// Somebody changes something here, or there is more to the entry.
    Unclear,
}

/// What is listed of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::memory) struct Listed {
    pub(super) slot: Slot,
    pub(super) key: u64,
    pub(super) value: u64,
    /// There is more to it, in its slot: it is absent, or its life has an end.
    pub(super) is_special: bool,
    pub(super) uses: u16,
}

/// What a look finds in a bucket.
#[derive(Clone, Copy)]
pub(in crate::memory) struct Seen<'a> {
    pub(super) key: u64,
    pub(super) value: u64,
    pub(super) is_special: bool,
    uses: Uses<'a>,
}

impl Inlined {
    /// The place of a key, the first if what is left elsewhere looks like it; `WAYS` if there is none.
    #[inline(always)]
    pub(super) fn place_of(&self, is_it: impl IsIt<u64>) -> usize {
        let mut first = WAYS;
        for (place, held) in self.keys.iter().enumerate().rev() {
            // Without branches: which place it is cannot be foretold.
            if is_it(&held.load(Ordering::Relaxed)) {
                first = place;
            }
        }
        first
    }

    /// Looks at it once, and notes a use of what it finds. It is what most hits are, and takes seven
    /// instructions less than in one piece with `find`, which looks in the same order.
    #[inline(always)]
    pub(super) fn glance(&self, turn: Turn, is_it: impl IsIt<u64>) -> Glance {
        // The other line is needed as soon as the place is known.
        prefetch(&self.values[WAYS - 1]);
        let version = self.version.load(Ordering::Acquire);
        let says = self.says();
        let place = self.place_of(is_it);
        let value = match self.values.get(place) {
            Some(value) if place < usize::from(says & LEN) => Some(value.load(Ordering::Relaxed)),
            _ => None,
        };
        if version & 1 == 1 || !self.is_still(version) {
            return Glance::Unclear;
        }
        match value {
            Some(_) if is_special(says, place) => Glance::Unclear,
            Some(value) => {
                Uses::new(&self.uses, place).bump();
                Glance::Value(value)
            }
            None if passed(says, turn) == 0 => Glance::Missing,
            None => Glance::Further,
        }
    }

    /// Whether nothing that was looked at before has changed since this was its version.
    #[inline(always)]
    fn is_still(&self, version: u32) -> bool {
        // Nothing of what was looked at is looked at after this.
        fence(Ordering::Acquire);
        self.version.load(Ordering::Relaxed) == version
    }

    #[inline(always)]
    fn says(&self) -> u16 {
        self.says.load(Ordering::Relaxed)
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.says() & LEN)
    }

    /// Changes it as one step.
    fn change(&self, change: impl FnOnce()) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        // Nothing of what follows is seen before the odd version.
        fence(Ordering::Release);
        change();
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    fn set(&self, place: usize, item: Listed) {
        self.keys[place].store(item.key, Ordering::Relaxed);
        self.values[place].store(item.value, Ordering::Relaxed);
        self.slots[place].store(item.slot, Ordering::Relaxed);
        let special = 1 << (SPECIAL as usize + place);
        let says = self.says() & !special | if item.is_special { special } else { 0 };
        self.says.store(says, Ordering::Relaxed);
        Uses::new(&self.uses, place).set(item.uses);
    }

    fn get(&self, place: usize) -> Listed {
        Listed {
            slot: self.slots[place].load(Ordering::Relaxed),
            key: self.keys[place].load(Ordering::Relaxed),
            value: self.values[place].load(Ordering::Relaxed),
            is_special: is_special(self.says(), place),
            uses: Uses::new(&self.uses, place).get(),
        }
    }
}

#[inline(always)]
fn is_special(says: u16, place: usize) -> bool {
    says >> (SPECIAL as usize + place) & 1 == 1
}

impl Bucket for Inlined {
    type Item = Listed;

    const FILL_OF_FOUR: usize = 19;

    fn insert(&self, _: u32, item: Listed) -> bool {
        let len = self.len();
        if len == WAYS {
            return false;
        }
        self.change(|| {
            self.set(len, item);
            self.says.store(self.says() + 1, Ordering::Relaxed);
        });
        true
    }

    fn place(&self, _: u32, slot: Slot) -> Option<usize> {
        // As in `place_of`.
        let mut first = WAYS;
        for (place, held) in self.slots.iter().enumerate().rev() {
            if held.load(Ordering::Relaxed) == slot {
                first = place;
            }
        }
        (first < self.len()).then_some(first)
    }

    fn replace(&self, place: usize, item: Listed) {
        self.change(|| self.set(place, item));
    }

    fn remove(&self, place: usize) {
        let last = self.len() - 1;
        self.change(|| {
            if place != last {
                self.set(place, self.get(last));
            }
            self.says.store(self.says() - 1, Ordering::Relaxed);
        });
    }

    fn items(&self) -> impl Iterator<Item = Listed> {
        (0..self.len()).map(|place| self.get(place))
    }

    fn slot(item: &Listed) -> Slot {
        item.slot
    }

    fn has_passed(&self, turn: Turn) -> bool {
        passed(self.says(), turn) > 0
    }

    fn let_pass(&self, turn: Turn) {
        let (says, (shift, most)) = (self.says(), count_of(turn));
        if passed(says, turn) < most {
            self.change(|| self.says.store(says + (1 << shift), Ordering::Relaxed));
        }
    }

    fn take_back(&self, turn: Turn) {
        let (says, (shift, most)) = (self.says(), count_of(turn));
        if passed(says, turn) < most {
            self.change(|| self.says.store(says - (1 << shift), Ordering::Relaxed));
        }
    }

    fn foresee(&self) {
        prefetch(self);
        prefetch(&self.values[WAYS - 1]);
    }
}

/// A table of keys and values that are 64 bits each.
pub(in crate::memory) struct Within;

impl Form for Within {
    type Key = u64;
    type Value = u64;
    type Bucket = Inlined;
    type Content = ();
    type Seen<'a> = Seen<'a>;
    type Left = (u64, Option<u64>);

    #[inline(always)]
    unsafe fn find<'a>(
        bucket: &'a Inlined,
        slots: &'a Slots<()>,
        turn: Turn,
        _: u32,
        is_it: impl IsIt<u64>,
    ) -> Sought<Node<'a, Self>> {
        // The other line is needed as soon as the place is known.
        prefetch(&bucket.values[WAYS - 1]);
        let mut tries = 0;
        loop {
            let version = bucket.version.load(Ordering::Acquire);
            let says = bucket.says();
            let place = bucket.place_of(is_it);
            let is_there = place < usize::from(says & LEN);
            let (slot, seen) = if is_there {
                let number = bucket.keys[place].load(Ordering::Relaxed);
                let value = bucket.values[place].load(Ordering::Relaxed);
                let uses = Uses::new(&bucket.uses, place);
                let is_special = is_special(says, place);
                let slot = bucket.slots[place].load(Ordering::Relaxed);
                (slot, Some(Seen { key: number, value, is_special, uses }))
            } else {
                (0, None)
            };
            if version & 1 == 0 && bucket.is_still(version) {
                return match seen {
                    Some(seen) => Sought::Found(Node { slot, slots, seen }),
                    None if passed(says, turn) == 0 => Sought::Missing,
                    None => Sought::Further,
                };
            }
            pause(&mut tries);
        }
    }

    unsafe fn look<'a>(
        index: &'a Index<Inlined>,
        slot: Slot,
        cell: &'a Cell<()>,
    ) -> Option<Seen<'a>> {
        let (bucket, place) = index.place(cell.hash(), slot)?;
        let Listed { key, value, is_special, .. } = bucket.get(place);
        Some(Seen { key, value, is_special, uses: Uses::new(&bucket.uses, place) })
    }

    unsafe fn keep(cell: &Cell<()>, slot: Slot, key: u64, value: Option<u64>) -> Listed {
        let is_special = value.is_none() || cell.has_end();
        Listed { slot, key, value: value.unwrap_or(0), is_special, uses: 0 }
    }

    fn leave(node: &Node<'_, Self>) -> Self::Left {
        (node.seen.key, node.value().copied())
    }

    unsafe fn left<'a>(left: &'a Self::Left, _: &'a Cell<()>) -> (&'a u64, Option<&'a u64>) {
        (&left.0, left.1.as_ref())
    }

    unsafe fn take(left: Self::Left, _: &Cell<()>) -> Self::Left {
        left
    }

    unsafe fn discard(_: &Cell<()>) {}

    #[inline(always)]
    fn key<'n>(node: &'n Node<'_, Self>) -> &'n u64 {
        &node.seen.key
    }

    #[inline(always)]
    unsafe fn value<'n>(node: &'n Node<'_, Self>) -> &'n u64 {
        &node.seen.value
    }

    #[inline(always)]
    fn is_plain(node: &Node<'_, Self>) -> bool {
        !node.seen.is_special
    }

    fn cell<'a>(node: &Node<'a, Self>) -> &'a Cell<()> {
        // SAFETY: a node is made of a slot that holds an entry, which was taken.
        unsafe { node.slots.cell(node.slot) }
    }

    #[inline(always)]
    fn uses<'a>(node: &Node<'a, Self>) -> Uses<'a> {
        node.seen.uses
    }
}
