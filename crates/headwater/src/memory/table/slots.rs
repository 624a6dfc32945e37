//! Entries in numbered slots, which never move.
//!
//! Slots stand in segments that double in size, so that a cache grows without moving what somebody
//! reads, and a slot's number tells its segment. What few entries have (an end, a version) stands in
//! *lanes* beside the slots, of which a segment has memory only from the first entry that needs it.

use super::super::lists::{HEADS, List};
use super::super::policy::Queue;
use super::form::Form;
use super::index::Spot;
use super::prefetch::prefetch;
use crate::sync::{AtomicPtr, AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::sync::atomic;

/// The number of a slot. It stays an entry's own until the entry has left. The first ones are the
/// heads of the lists and hold nothing.
pub(in crate::memory) type Slot = u32;

/// The first segment has so many slots, each further one twice as many as the one before.
const FIRST: usize = 16;

/// From a slot to its place: the first slot's is the length of the first segment, so that a place's
/// highest bit is its segment.
const OFFSET: u32 = (FIRST - HEADS) as u32;

/// One per bit of a place.
const SEGMENTS: usize = u32::BITS as usize;

/// What an entry may have beside its key and value, 64 bits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::memory) enum Lane {
    /// When its life ends.
    Expiry = 0,
    /// When it dies if it is not used.
    IdleEnd = 1,
    /// When it was loaded.
    Loaded = 2,
    /// Its version.
    Version = 3,
}

pub(in crate::memory) const LANES: usize = 4;

impl Lane {
    pub(super) const ALL: [Self; LANES] =
        [Self::Expiry, Self::IdleEnd, Self::Loaded, Self::Version];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The entry has something in a lane that ends its life.
const HAS_END: u8 = Lane::Expiry.bit() | Lane::IdleEnd.bit();
/// The entry has something in any lane.
const IN_LANES: u8 = (1 << LANES) - 1;
/// The entry says that its key is absent: there is no value.
const IS_ABSENT: u8 = 1 << 4;
/// The slot holds an entry, be it one that has left and may still be read.
const IS_FULL: u8 = 1 << 5;
/// The entry has not left.
const IS_LIVE: u8 = 1 << 6;

/// The bits of a cell's place that say in which queue it is.
const QUEUE_BITS: u32 = 1;
const _: () = assert!(QUEUE_BITS + Spot::BITS <= u8::BITS);

/// What a slot of one [form](super::form) of table holds beside what all have.
pub(in crate::memory) trait Content: Default {
    /// Where an entry's uses are counted, if that is in its slot.
    type Uses: Default;

    fn forget_uses(uses: &Self::Uses);
}

impl Content for () {
    type Uses = ();

    fn forget_uses((): &()) {}
}

/// A slot with room for an entry: what all have, and what one form of table has.
pub(in crate::memory) struct Cell<C: Content> {
    /// The hash of its key in two halves, so that slots without content take six bytes each.
    hash: [AtomicU16; 2],
    pub(super) uses: C::Uses,
    /// In which queue it is, in the lowest bit, and above it, where it is listed. Only who holds the lock
    /// looks at this.
    place: atomic::AtomicU8,
    state: AtomicU8,
    pub(super) content: C,
}

impl<C: Content> Cell<C> {
    fn empty() -> Self {
        Self {
            hash: Default::default(),
            uses: C::Uses::default(),
            place: atomic::AtomicU8::new(0),
            state: AtomicU8::new(0),
            content: C::default(),
        }
    }
}

impl<C: Content> Cell<C> {
    #[inline(always)]
    fn state(&self) -> u8 {
        self.state.load(Ordering::Relaxed)
    }

    pub(super) fn hash(&self) -> u32 {
        let [low, high] = &self.hash;
        u32::from(low.load(Ordering::Relaxed))
            | u32::from(high.load(Ordering::Relaxed)) << u16::BITS
    }

    pub(super) fn set_hash(&self, hash: u32) {
        let [low, high] = &self.hash;
        low.store(hash as u16, Ordering::Relaxed);
        high.store((hash >> u16::BITS) as u16, Ordering::Relaxed);
    }

    pub(super) fn queue(&self) -> Queue<'_> {
        Queue::new(&self.place)
    }

    /// Where it is listed.
    pub(super) fn spot(&self) -> Spot {
        Spot::from_bits(self.place.load(atomic::Ordering::Relaxed) >> QUEUE_BITS)
    }

    /// Notes where it is listed.
    pub(super) fn note_spot(&self, spot: Spot) {
        let queue = self.place.load(atomic::Ordering::Relaxed) & ((1 << QUEUE_BITS) - 1);
        self.place.store(queue | spot.bits() << QUEUE_BITS, atomic::Ordering::Relaxed);
    }

    /// Notes on which list it is, and where it is listed.
    pub(super) fn set_place(&self, list: List, spot: Spot) {
        let bits = Queue::bit(list) | spot.bits() << QUEUE_BITS;
        self.place.store(bits, atomic::Ordering::Relaxed);
    }

    /// Whether its entry has a value.
    #[inline(always)]
    pub(super) fn is_found(&self) -> bool {
        self.state() & IS_ABSENT == 0
    }

    /// Whether something ends its entry's life.
    #[inline(always)]
    pub(super) fn has_end(&self) -> bool {
        self.state() & HAS_END != 0
    }

    /// Whether its entry has a value, and nothing beside it and its key.
    #[inline(always)]
    pub(super) fn is_bare(&self) -> bool {
        self.state() & (IN_LANES | IS_ABSENT) == 0
    }
}

/// The slots of a cache. Pointers are those of the segments less the place of their first slot, so
/// that a place added to one is the place's cell.
pub(in crate::memory) struct Slots<C: Content> {
    segments: [AtomicPtr<Cell<C>>; SEGMENTS],
    lanes: [[AtomicPtr<AtomicU64>; SEGMENTS]; LANES],
}

/// What the one writer knows about the slots.
pub(super) struct Stock {
    /// The place after the last of each segment, or 0.
    ends: [u32; SEGMENTS],
    /// The place that was never used, and the end of the segment that it is in.
    fresh: u32,
    end: u32,
    free: Vec<Slot>,
    /// Slots in all segments.
    allocated: usize,
}

impl Stock {
    pub(super) fn new() -> Self {
        Self {
            ends: [0; SEGMENTS],
            fresh: FIRST as u32,
            end: FIRST as u32,
            free: Vec::new(),
            allocated: 0,
        }
    }

    /// The last slot that there is memory for.
    pub(super) fn last(&self) -> Slot {
        self.end.wrapping_sub(1).wrapping_sub(OFFSET)
    }

    pub(super) fn allocated(&self) -> usize {
        self.allocated
    }

    /// All slots that were ever used, from `first` on.
    pub(super) fn used(&self, first: usize) -> impl Iterator<Item = Slot> + use<> {
        let end = (self.fresh - OFFSET) as usize;
        (first + HEADS..end).map(|slot| slot as Slot)
    }

    /// Takes a slot that is free.
    pub(super) fn take(&mut self) -> Option<Slot> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        (self.fresh < self.end).then(|| {
            self.fresh += 1;
            self.fresh - 1 - OFFSET
        })
    }

    #[inline(always)]
    fn holds(&self, place: u32) -> bool {
        place < self.ends[segment_of(place)]
    }

    /// The slots in a segment.
    fn len(&self, segment: usize) -> usize {
        self.ends[segment].saturating_sub(1 << segment) as usize
    }
}

fn place_of(slot: Slot) -> u32 {
    slot.wrapping_add(OFFSET)
}

#[inline]
fn segment_of(place: u32) -> usize {
    (place | 1).ilog2() as usize
}

impl<C: Content> Slots<C> {
    pub(super) fn new() -> Self {
        Self {
            segments: std::array::from_fn(|_| AtomicPtr::default()),
            lanes: std::array::from_fn(|_| std::array::from_fn(|_| AtomicPtr::default())),
        }
    }

    /// Adds memory: the next segment; whether there was one left. It is cut to what is `wanted`, but
    /// only twice: the numbers of slots that a cut leaves out are never used, and must not become many.
    /// Numbers have so many `bits`; the last segment that they reach is whole, so that there are always
    /// slots for half of the numbers and more.
    pub(super) fn grow(&self, stock: &mut Stock, wanted: usize, bits: u32) -> bool {
        let last = stock.ends.iter().rposition(|end| *end > 0);
        let segment = last.map_or(FIRST.ilog2() as usize, |last| last + 1);
        let segments = SEGMENTS.min(bits as usize);
        if segment >= segments {
            return false;
        }
        let first: u32 = 1 << segment;
        // No place is the last number, which has no successor.
        let whole = (first as usize).min((u32::MAX - first) as usize);
        let is_whole = stock.allocated * 2 + FIRST < first as usize || segment + 1 == segments;
        let len = if is_whole || wanted == 0 { whole } else { whole.min(wanted) };
        let cells: Box<[Cell<C>]> = (0..len).map(|_| Cell::empty()).collect();
        let cells = Box::into_raw(cells).cast::<Cell<C>>();
        self.segments[segment].store(cells.wrapping_sub(first as usize), Ordering::Release);
        (stock.fresh, stock.end) = (first, first + len as u32);
        stock.ends[segment] = stock.end;
        stock.allocated += len;
        true
    }
}

impl<C: Content> Slots<C> {
    /// The cell of a slot.
    ///
    /// # Safety
    /// There has to be memory for the slot: it was taken from this stock.
    #[inline]
    pub(super) unsafe fn cell(&self, slot: Slot) -> &Cell<C> {
        let place = place_of(slot);
        let segment = self.segments[segment_of(place)].load(Ordering::Relaxed);
        // SAFETY: the segment of a slot that was taken is allocated, is not freed before `self` is
        // dropped, and has the slot at this place of it.
        unsafe { &*segment.wrapping_add(place as usize) }
    }

    /// The cell of a slot, if an entry that has not left is in it.
    #[inline(always)]
    pub(super) fn live(&self, stock: &Stock, slot: Slot) -> Option<&Cell<C>> {
        if !stock.holds(place_of(slot)) {
            return None;
        }
        // SAFETY: the stock says that there is memory for the slot.
        let cell = unsafe { self.cell(slot) };
        (cell.state() & IS_LIVE != 0).then_some(cell)
    }

    /// Has a slot fetched.
    pub(super) fn prefetch(&self, stock: &Stock, slot: Slot) {
        if stock.holds(place_of(slot)) {
            // SAFETY: the stock says that there is memory for the slot.
            prefetch(unsafe { self.cell(slot) });
        }
    }

    /// Notes what an entry has beside its key and value, before these are kept, and on which list it will be.
    ///
    /// # Safety
    /// The slot was taken from the stock, holds nothing, and no other thread knows it; or only one that looks
    /// whether its entry is bare, and then finds that it has left.
    #[inline(always)]
    pub(super) unsafe fn begin(
        &self,
        stock: &Stock,
        slot: Slot,
        hash: u32,
        list: List,
        is_found: bool,
        notes: &[Option<u64>; LANES],
    ) -> &Cell<C> {
        // SAFETY: it was taken.
        let cell = unsafe { self.cell(slot) };
        cell.set_hash(hash);
        C::forget_uses(&cell.uses);
        cell.queue().enter(list);
        let mut state = IS_FULL | IS_LIVE | if is_found { 0 } else { IS_ABSENT };
        for lane in Lane::ALL {
            if let Some(note) = notes[lane as usize] {
                self.note(stock, slot, lane).store(note, Ordering::Relaxed);
                state |= lane.bit();
            }
        }
        // Who sees this, and looks at a bucket after that, sees there that the entry before has left.
        cell.state.store(state, Ordering::Release);
        cell
    }

    /// A slot's place in a lane. The slot was taken from the stock.
    fn note(&self, stock: &Stock, slot: Slot, lane: Lane) -> &AtomicU64 {
        let place = place_of(slot);
        assert!(stock.holds(place), "there is memory for a slot that was taken");
        let segment = segment_of(place);
        let lane = &self.lanes[lane as usize][segment];
        if lane.load(Ordering::Relaxed).is_null() {
            let notes: Box<[AtomicU64]> =
                (0..stock.len(segment)).map(|_| AtomicU64::new(0)).collect();
            let notes = Box::into_raw(notes).cast::<AtomicU64>();
            lane.store(notes.wrapping_sub(1 << segment), Ordering::Release);
        }
        // SAFETY: the lane of this segment is allocated, has as many places as the segment has
        // slots, and is not freed before `self` is dropped.
        unsafe { &*lane.load(Ordering::Relaxed).wrapping_add(place as usize) }
    }

    /// Notes that an entry has left. It can be read on.
    ///
    /// # Safety
    /// The slot has to hold an entry.
    pub(super) unsafe fn leave(&self, slot: Slot) {
        // SAFETY: a slot that holds an entry was taken.
        let cell = unsafe { self.cell(slot) };
        cell.state.store(cell.state() & !IS_LIVE, Ordering::Relaxed);
    }

    /// Has a slot free whose entry was taken out.
    ///
    /// # Safety
    /// The slot was taken from the stock, and nobody may look at more of it than whether it is bare.
    pub(super) unsafe fn empty(&self, stock: &mut Stock, slot: Slot) {
        // SAFETY: it was taken.
        unsafe { self.cell(slot) }.state.store(0, Ordering::Relaxed);
        stock.free.push(slot);
    }

    /// Frees all memory, after `discard` has dropped what is in cells that hold an entry.
    ///
    /// # Safety
    /// Nobody may look at any of it any more.
    pub(super) unsafe fn free(&mut self, stock: &mut Stock, discard: impl Fn(&Cell<C>)) {
        for slot in stock.used(0) {
            if stock.holds(place_of(slot)) {
                // SAFETY: the slot was taken at least once.
                let cell = unsafe { self.cell(slot) };
                if cell.state() & IS_FULL != 0 {
                    discard(cell);
                }
            }
        }
        for segment in 0..SEGMENTS {
            let (len, first) = (stock.len(segment), 1 << segment);
            stock.ends[segment] = 0;
            let cells = std::mem::take(self.segments[segment].get_mut());
            // SAFETY: it is what `grow` made, and is forgotten with this.
            unsafe { free_slice(cells, first, len) };
            for lane in &mut self.lanes {
                // SAFETY: it is what `note` made, and is forgotten with this.
                unsafe { free_slice(std::mem::take(lane[segment].get_mut()), first, len) };
            }
        }
    }
}

/// Frees the slice of `len` items whose pointer, less `first`, this is; null is none.
///
/// # Safety
/// It has to come from a box, and not be used again.
unsafe fn free_slice<T>(less: *mut T, first: usize, len: usize) {
    if !less.is_null() {
        let items = std::ptr::slice_from_raw_parts_mut(less.wrapping_add(first), len);
        // SAFETY: the caller says so.
        drop(unsafe { Box::from_raw(items) });
    }
}

/// An entry where it is stored.
pub(in crate::memory) struct Node<'a, F: Form> {
    pub(super) slot: Slot,
    pub(super) slots: &'a Slots<F::Content>,
    pub(super) seen: F::Seen<'a>,
}

impl<F: Form> Clone for Node<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Form> Copy for Node<'_, F> {}

impl<'a, F: Form> Node<'a, F> {
    #[inline]
    pub(in crate::memory) fn slot(self) -> Slot {
        self.slot
    }

    pub(in crate::memory) fn hash(self) -> u32 {
        F::cell(&self).hash()
    }

    #[inline]
    pub(in crate::memory) fn key(&self) -> &F::Key {
        F::key(self)
    }

    /// The value; `None` for an entry that says "absent".
    #[inline(always)]
    pub(in crate::memory) fn value(&self) -> Option<&F::Value> {
        let is_found = F::is_plain(self) || F::cell(self).is_found();
        // SAFETY: it is a found one.
        is_found.then(|| unsafe { F::value(self) })
    }

    /// Notes a use.
    #[inline(always)]
    pub(in crate::memory) fn bump(self) {
        F::uses(&self).bump();
    }

    /// Whether something ends its life.
    #[inline(always)]
    pub(in crate::memory) fn has_end(self) -> bool {
        !F::is_plain(&self) && F::cell(&self).has_end()
    }

    /// What it says beside key and value.
    #[inline(always)]
    pub(in crate::memory) fn notes(self) -> Notes<'a, F::Content> {
        Notes { slot: self.slot, slots: self.slots, cell: F::cell(&self) }
    }
}

/// What an entry says beside its key and value.
pub(in crate::memory) struct Notes<'a, C: Content> {
    pub(super) slot: Slot,
    pub(super) slots: &'a Slots<C>,
    pub(super) cell: &'a Cell<C>,
}

impl<'a, C: Content> Notes<'a, C> {
    pub(in crate::memory) fn is_absent(&self) -> bool {
        !self.cell.is_found()
    }

    /// Whether something ends its life.
    pub(in crate::memory) fn has_end(&self) -> bool {
        self.cell.has_end()
    }

    /// Which queue a found entry is in.
    pub(in crate::memory) fn queue(&self) -> Queue<'a> {
        self.cell.queue()
    }

    /// What it has in a lane.
    #[inline]
    pub(in crate::memory) fn note(&self, lane: Lane) -> Option<u64> {
        self.lane(lane).map(|note| note.load(Ordering::Relaxed))
    }

    /// Raises what it has in a lane, if it has that.
    pub(in crate::memory) fn raise(&self, lane: Lane, to: u64) {
        if let Some(note) = self.lane(lane) {
            note.fetch_max(to, Ordering::Relaxed);
        }
    }

    #[inline]
    fn lane(&self, lane: Lane) -> Option<&'a AtomicU64> {
        if self.cell.state() & lane.bit() == 0 {
            return None;
        }
        let place = place_of(self.slot);
        let notes = self.slots.lanes[lane as usize][segment_of(place)].load(Ordering::Relaxed);
        // SAFETY: the state says that the entry has a note there, so the lane of its segment is
        // allocated, and it is not freed before `slots` is dropped.
        Some(unsafe { &*notes.wrapping_add(place as usize) })
    }
}
