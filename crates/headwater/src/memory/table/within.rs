//! Entries of small numbers: they stand in the index itself.
//!
//! A bucket is two cache lines, fetched together, with all that a hit needs: six keys and values of up to
//! 64 bits, and the entries' uses. What few entries have stands in their slots, as elsewhere. Which of the
//! six may be a key's is told by a byte of its hash each, its *tag*, all compared at once. Whoever
//! changes a bucket counts its *version* up before and after, so that it is odd meanwhile; who looks does so
//! between two looks at the version, and once more if that was odd or has changed (a *sequence lock*, see
//! Boehm, "Can seqlocks get along with programming language memory models?", 2012). So a look sees a
//! bucket as it was at one moment. All of it is atomics, which on usual processors cost no more than plain
//! reads.
//!
//! To fit, slots' numbers have 24 bits here: a table of more entries than [half of that](Form::SLOT_BITS)
//! keeps them apart.

use super::super::policy::{Counts, Uses};
use super::form::{Bucket, Form, IsIt, Place, Sought, Turn};
use super::prefetch::prefetch;
use super::slots::{Cell, Node, Slot, Slots};
use super::tags::{matching, place_of};
use crate::sync::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, pause};
use std::sync::atomic::fence;

const WAYS: usize = 6;

/// One bit per place.
const ALL_WAYS: u32 = (1 << WAYS) - 1;

/// The bits of a bucket's first word that are tags. Above them it counts those that are elsewhere because the
/// bucket was full.
const TAG_BITS: u32 = u8::BITS * WAYS as u32;

/// Those whose home it is are counted in so many classes, of which a hash is in one: so fewer who look for
/// what is not there look further.
const CLASSES: u32 = 4;
const COUNT_BITS: u32 = 3;
const LATER_BITS: u32 = u64::BITS - TAG_BITS - CLASSES * COUNT_BITS;

/// The tag of a place that is free.
const FREE: u32 = 0;

/// The bit of a tag that says that all there is to the entry stands in the bucket.
const PLAIN: u32 = 1 << 7;

/// The bit of a tag that says that there is more. Neither kind of tag is next to that of a free place, which
/// so is never taken for [one that matches](matching).
const SPECIAL: u32 = 1 << 1;

/// The tag of an entry to which there is nothing more: the lowest byte of this, as with all tags, and so that of a
/// hash that is [short](Form::short) already.
#[inline(always)]
fn plain(hash: u32) -> u32 {
    hash | PLAIN
}

/// The tag of one to which there is more in its slot.
#[inline(always)]
fn special(hash: u32) -> u32 {
    hash & !PLAIN | SPECIAL
}

/// Where a first word has the count of those of a hash that passed at this turn, and what it ends at: it
/// then stays there.
#[inline(always)]
fn count_of(turn: Turn, hash: u32) -> (u32, u64) {
    match turn {
        // By bits that no tag has.
        Turn::Home => (TAG_BITS + (hash >> u8::BITS) % CLASSES * COUNT_BITS, (1 << COUNT_BITS) - 1),
        Turn::Later => (u64::BITS - LATER_BITS, (1 << LATER_BITS) - 1),
    }
}

/// How many passed.
#[inline(always)]
fn passed(tags: u64, turn: Turn, hash: u32) -> u64 {
    let (shift, most) = count_of(turn, hash);
    tags >> shift & most
}

/// The places whose tags are `tag`, one bit each.
#[inline(always)]
fn matches(tags: u64, tag: u32) -> u32 {
    matching(tags, tag) & ALL_WAYS
}

/// The places of those that may be of a hash.
#[inline(always)]
fn candidates(tags: u64, hash: u32) -> u32 {
    matches(tags, plain(hash)) | matches(tags, special(hash))
}

/// The tag of a place.
#[inline(always)]
fn tag_of(tags: u64, place: usize) -> u32 {
    (tags >> (place as u32 * u8::BITS)) as u32 & 0xFF
}

#[derive(Debug, Default)]
#[repr(C)]
struct Pair {
    key: AtomicU64,
    value: AtomicU64,
}

/// How many slots' numbers have their high byte in the first line, which has room for no more.
const HIGH_IN_FIRST: usize = 2;

/// Entries side by side: three on the first line, where new ones go first, and three on the second.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(in crate::memory) struct Inlined {
    /// The tags of the entries, and how many entries are elsewhere.
    tags: AtomicU64,
    /// Odd while somebody changes it. A look would have to be interrupted for 2^31 changes of one bucket
    /// to take one for another.
    version: AtomicU32,
    uses: Counts,
    high_in_first: [AtomicU8; HIGH_IN_FIRST],
    pairs: [Pair; WAYS],
    low: [AtomicU16; WAYS],
    high: [AtomicU8; WAYS - HIGH_IN_FIRST],
}

/// What a quick look sees.
pub(in crate::memory) enum Glance {
    /// The value of an entry that is found and has no end.
    Value(u64),
    Missing,
    /// It may be another one, here or in a later bucket.
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
    pub(super) uses: u8,
}

/// What a look finds in a bucket.
#[derive(Clone, Copy)]
pub(in crate::memory) struct Seen<'a> {
    pub(super) key: u64,
    pub(super) value: u64,
    pub(super) is_special: bool,
    /// There is nothing in its slot that is more than the hash of its key.
    is_bare: bool,
    uses: Uses<'a>,
}

impl Inlined {
    /// The place of a key, among these.
    #[inline(always)]
    fn place_of(&self, matching: u32, is_it: impl IsIt<u64>) -> Option<usize> {
        place_of(matching, |place| {
            // SAFETY: there is one bit for each of the places.
            is_it(&unsafe { self.pairs.get_unchecked(place) }.key.load(Ordering::Relaxed))
        })
    }

    /// Looks once into the first bucket of a key, at the first entry that may be the one, and notes its use. It is
    /// all there is to most look-ups, and much shorter than `find`, which looks in the same order.
    #[inline(always)]
    pub(super) fn glance(&self, hash: u32, is_it: impl IsIt<u64>) -> Glance {
        debug_assert_eq!(hash, plain(hash), "it is short");
        prefetch(&self.low);
        let version = self.version.load(Ordering::Acquire);
        let found = matches(self.tags(), hash);
        if found == 0 {
            return self.glance_at_none(Turn::Home, hash, version);
        }
        self.glance_at(found, version, is_it).unwrap_or(Glance::Further)
    }

    /// The same, at all that may be the one.
    pub(super) fn glance_at_all(&self, turn: Turn, hash: u32, is_it: impl IsIt<u64>) -> Glance {
        debug_assert_eq!(hash, plain(hash), "it is short");
        let version = self.version.load(Ordering::Acquire);
        let mut found = matches(self.tags(), hash);
        while found != 0 {
            if let Some(seen) = self.glance_at(found, version, is_it) {
                return seen;
            }
            found &= found - 1;
        }
        self.glance_at_none(turn, hash, version)
    }

    /// Looks at the entry in the first of these places; `None` if it is another.
    #[inline(always)]
    fn glance_at(&self, found: u32, version: u32, is_it: impl IsIt<u64>) -> Option<Glance> {
        let place = found.trailing_zeros() as usize;
        // SAFETY: there is one bit for each of the places.
        let pair = unsafe { self.pairs.get_unchecked(place) };
        // Both before either is needed: so their place is worked out once.
        let (key, value) = (pair.key.load(Ordering::Relaxed), pair.value.load(Ordering::Relaxed));
        if !is_it(&key) {
            return None;
        }
        if !self.is_still(version) {
            return Some(Glance::Unclear);
        }
        self.uses.bump(found);
        Some(Glance::Value(value))
    }

    /// The slot and the value of an entry that the bucket has all of, if that is seen at once. Its use is not noted.
    pub(super) fn glance_for_slot(&self, hash: u32, is_it: impl IsIt<u64>) -> Option<(Slot, u64)> {
        debug_assert_eq!(hash, plain(hash), "it is short");
        prefetch(&self.low);
        let version = self.version.load(Ordering::Acquire);
        let place = self.place_of(matches(self.tags(), hash), is_it)?;
        let Listed { slot, value, .. } = self.get(place);
        self.is_still(version).then_some((slot, value))
    }

    /// What a look sees where no entry may be the one that the bucket has all of.
    #[inline(always)]
    fn glance_at_none(&self, turn: Turn, hash: u32, version: u32) -> Glance {
        let tags = self.tags();
        if matches(tags, special(hash)) != 0 || !self.is_still(version) {
            return Glance::Unclear;
        }
        if passed(tags, turn, hash) == 0 { Glance::Missing } else { Glance::Further }
    }

    /// Whether this version was no change's, and nothing that was looked at since has changed.
    #[inline(always)]
    fn is_still(&self, version: u32) -> bool {
        // Nothing of what was looked at is looked at after this.
        fence(Ordering::Acquire);
        // It never goes back, so it is not what it was before an odd one.
        self.version.load(Ordering::Relaxed) == version & !1
    }

    /// The place of a key.
    #[inline(always)]
    fn seek(&self, turn: Turn, hash: u32, is_it: impl IsIt<u64>) -> Sought<(usize, Listed)> {
        let tags = self.tags();
        match self.place_of(candidates(tags, hash), is_it) {
            Some(place) => Sought::Found((place, self.get(place))),
            None if passed(tags, turn, hash) == 0 => Sought::Missing,
            None => Sought::Further,
        }
    }

    /// What was found there, with what its slot says.
    ///
    /// # Safety
    /// There has to be memory for its slot.
    #[inline(always)]
    unsafe fn see<'a>(
        &'a self,
        sought: Sought<(usize, Listed)>,
        slots: &'a Slots<()>,
    ) -> Sought<Node<'a, Within>> {
        match sought {
            Sought::Found((place, listed)) => {
                let slot = listed.slot;
                // SAFETY: the caller says so.
                let seen = self.seen(place, listed, unsafe { slots.cell(slot) });
                Sought::Found(Node { slot, slots, seen })
            }
            Sought::Missing => Sought::Missing,
            Sought::Further => Sought::Further,
        }
    }

    #[inline(always)]
    fn seen(&self, place: usize, listed: Listed, cell: &Cell<()>) -> Seen<'_> {
        let Listed { key, value, is_special, .. } = listed;
        let uses = Uses::new(&self.uses, place);
        Seen { key, value, is_special, is_bare: cell.is_bare(), uses }
    }

    fn tags(&self) -> u64 {
        self.tags.load(Ordering::Relaxed)
    }

    /// Changes it as one step.
    #[inline(always)]
    fn change(&self, change: impl FnOnce()) {
        let version = self.begin();
        change();
        self.end(version);
    }

    /// Begins with a change; the version before it.
    #[inline(always)]
    fn begin(&self) -> u32 {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        // Nothing of what follows is seen before the odd version.
        fence(Ordering::Release);
        version
    }

    #[inline(always)]
    fn end(&self, version: u32) {
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    #[inline(always)]
    fn set(&self, place: usize, hash: u32, item: Listed) {
        let [low, middle, high, top] = item.slot.to_le_bytes();
        debug_assert_eq!(top, 0, "slots' numbers have 24 bits");
        self.low[place].store(u16::from_le_bytes([low, middle]), Ordering::Relaxed);
        self.high(place).store(high, Ordering::Relaxed);
        self.pairs[place].key.store(item.key, Ordering::Relaxed);
        self.pairs[place].value.store(item.value, Ordering::Relaxed);
        self.set_tag(place, if item.is_special { special(hash) } else { plain(hash) });
        Uses::new(&self.uses, place).set(item.uses);
    }

    fn set_tag(&self, place: usize, tag: u32) {
        let at = place as u32 * u8::BITS;
        let others = self.tags() & !(0xFF << at);
        self.tags.store(others | u64::from(tag & 0xFF) << at, Ordering::Relaxed);
    }

    /// The highest byte of the slot's number.
    #[inline(always)]
    fn high(&self, place: usize) -> &AtomicU8 {
        match place.checked_sub(HIGH_IN_FIRST) {
            None => &self.high_in_first[place],
            Some(place) => &self.high[place],
        }
    }

    fn get(&self, place: usize) -> Listed {
        Listed {
            slot: self.slot_at(place),
            key: self.pairs[place].key.load(Ordering::Relaxed),
            value: self.pairs[place].value.load(Ordering::Relaxed),
            is_special: tag_of(self.tags(), place) & PLAIN == 0,
            uses: Uses::new(&self.uses, place).get(),
        }
    }

    /// Counts one more or one less of those that passed, unless their count has ended.
    fn count(&self, turn: Turn, hash: u32, count: impl FnOnce(u64, u64) -> u64) {
        let (tags, (shift, most)) = (self.tags(), count_of(turn, hash));
        if passed(tags, turn, hash) < most {
            self.change(|| self.tags.store(count(tags, 1 << shift), Ordering::Relaxed));
        }
    }
}

impl Bucket for Inlined {
    type Item = Listed;

    const FILL_OF_FOUR: usize = 18;

    #[inline(always)]
    fn insert(&self, hash: u32, item: Listed) -> Option<usize> {
        let place = place_of(matches(self.tags(), FREE), |_| true)?;
        // Not by a closure: it would not be compiled into who lists something.
        let version = self.begin();
        self.set(place, hash, item);
        self.end(version);
        Some(place)
    }

    fn place(&self, hash: u32, slot: Slot) -> Option<usize> {
        place_of(candidates(self.tags(), hash), |place| self.slot_at(place) == slot)
    }

    #[inline(always)]
    fn slot_at(&self, place: usize) -> Slot {
        let [low, middle] = self.low[place].load(Ordering::Relaxed).to_le_bytes();
        Slot::from_le_bytes([low, middle, self.high(place).load(Ordering::Relaxed), 0])
    }

    fn replace(&self, place: usize, hash: u32, item: Listed) {
        self.change(|| self.set(place, hash, item));
    }

    const CAN_MOVE: bool = true;

    fn version(&self) -> u32 {
        self.version.load(Ordering::Acquire)
    }

    fn item(&self, place: usize) -> Listed {
        self.get(place)
    }

    fn remove(&self, place: usize) {
        self.change(|| self.set_tag(place, FREE));
    }

    fn items(&self) -> impl Iterator<Item = Listed> {
        let tags = self.tags();
        let is_listed = move |place: &usize| tag_of(tags, *place) != FREE;
        (0..WAYS).filter(is_listed).map(|place| self.get(place))
    }

    fn slot(item: &Listed) -> Slot {
        item.slot
    }

    fn has_passed(&self, turn: Turn, hash: u32) -> bool {
        passed(self.tags(), turn, hash) > 0
    }

    fn let_pass(&self, turn: Turn, hash: u32) {
        self.count(turn, hash, |tags, one| tags + one);
    }

    fn take_back(&self, turn: Turn, hash: u32) {
        self.count(turn, hash, |tags, one| tags - one);
    }

    #[inline(always)]
    fn lacks(&self, hash: u32) -> bool {
        let tags = self.tags();
        candidates(tags, hash) == 0 && passed(tags, Turn::Home, hash) == 0
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        matches(self.tags(), FREE) == 0
    }

    fn foresee(&self) {
        prefetch(self);
        prefetch(&self.low);
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
    type At<'a> = Place<'a, Self>;
    type Left = (u64, Option<u64>);
    type Whereabouts = ();

    const SLOT_BITS: u32 = 24;

    /// Its lowest byte is a tag as it is.
    #[inline(always)]
    fn short(hash: u64) -> u32 {
        plain(hash as u32)
    }

    #[inline(always)]
    unsafe fn find<'a>(
        bucket: &'a Inlined,
        slots: &'a Slots<()>,
        turn: Turn,
        hash: u32,
        is_it: impl IsIt<u64>,
    ) -> Sought<Node<'a, Self>> {
        let mut tries = 0;
        loop {
            let version = bucket.version.load(Ordering::Acquire);
            let sought = bucket.seek(turn, hash, is_it);
            // Before its slot is looked at: it may be two halves of different ones.
            if bucket.is_still(version) {
                // SAFETY: it was listed, so there is memory for it.
                let sought = unsafe { bucket.see(sought, slots) };
                // If the entry has left, another may be in the slot.
                if bucket.is_still(version) {
                    return sought;
                }
            }
            pause(&mut tries);
        }
    }

    #[inline(always)]
    unsafe fn find_still<'a>(
        bucket: &'a Inlined,
        slots: &'a Slots<()>,
        turn: Turn,
        hash: u32,
        is_it: impl IsIt<u64>,
    ) -> Sought<Node<'a, Self>> {
        // SAFETY: it is listed.
        unsafe { bucket.see(bucket.seek(turn, hash, is_it), slots) }
    }

    unsafe fn look<'a>(
        listed: impl FnOnce() -> Option<Place<'a, Self>>,
        cell: &'a Cell<()>,
    ) -> Option<Seen<'a>> {
        let (bucket, place) = listed()?;
        Some(bucket.seen(place, bucket.get(place), cell))
    }

    #[inline(always)]
    fn at<'a>(listed: Option<Place<'a, Self>>, _: &'a Cell<()>) -> Option<Place<'a, Self>> {
        listed
    }

    #[inline(always)]
    fn uses_of<'a>((bucket, place): Self::At<'a>) -> Uses<'a> {
        Uses::new(&bucket.uses, place)
    }

    #[inline(always)]
    fn listed<'a>(at: Self::At<'a>) -> Option<Place<'a, Self>> {
        Some(at)
    }

    #[inline(always)]
    fn bare(slot: Slot, key: &u64, value: &u64) -> Listed {
        Listed { slot, key: *key, value: *value, is_special: false, uses: 0 }
    }

    fn whereabouts(_: &u64) {}

    unsafe fn keep(cell: &Cell<()>, slot: Slot, key: u64, value: Option<u64>, (): ()) -> Listed {
        let is_special = value.is_none() || cell.has_end();
        Listed { slot, key, value: value.unwrap_or(0), is_special, uses: 0 }
    }

    const IS_COPIED: bool = true;

    fn alone(node: &Node<'_, Self>) -> Option<(u64, Option<u64>)> {
        node.seen.is_bare.then(|| Self::leave(node))
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

    #[inline(always)]
    fn is_bare(node: &Node<'_, Self>) -> bool {
        node.seen.is_bare
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
