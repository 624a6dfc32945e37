//! The hits of an exact LRU, put in order without a lock and applied under it.
//!
//! An exact order needs each hit's place in it, but not at once: only who changes the cache, or has to
//! choose who leaves, has to know. So a hit takes a *ticket*, the next number, and notes its slot in the
//! ticket's place of a ring. Whoever has the lock *applies* what was noted, in the order of tickets,
//! before anything else. None is lost: who finds the ring full takes the lock. This is the
//! read buffer of Caffeine, made exact; the ring is a bounded queue of many producers and, by the lock,
//! one consumer.
//!
//! A hit that has its ticket and did not note its slot yet leaves a gap. Those after it are applied all
//! the same: the one in the gap is still going on, so that it may as well come later.

use super::table::Slot;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Hits that can wait to be applied.
#[cfg(not(test))]
const PLACES: usize = 512;
#[cfg(test)]
const PLACES: usize = 4;

/// What is in a place that is not a slot: nothing yet; and what was applied, after a gap.
const NOTHING: u32 = 0;
const APPLIED: u32 = u32::MAX;

/// A number on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Apart(pub(super) AtomicU64);

/// Hits that were noted and not applied.
#[derive(Debug)]
pub(super) struct Touches {
    /// The ticket of the next hit.
    pub(super) next: Apart,
    /// The first ticket that may not be applied yet.
    first: Apart,
    pub(super) places: Box<[AtomicU32]>,
}

/// Whether a hit was noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    Done,
    /// And the ring is half full: if nobody has the lock, it is a good moment to apply.
    HalfFull,
    /// It was not, because the ring is full.
    Not,
}

fn place_of(ticket: u64) -> usize {
    ticket as usize % PLACES
}

impl Touches {
    pub(super) fn new() -> Self {
        let places = (0..PLACES).map(|_| AtomicU32::new(NOTHING)).collect();
        Self { next: Apart::default(), first: Apart::default(), places }
    }

    /// Notes a hit of the entry in a slot, which is not used for another entry before this is over.
    #[inline]
    pub(super) fn note(&self, slot: Slot) -> Noted {
        let mut ticket = self.next.0.load(Ordering::Relaxed);
        loop {
            // What was applied to free the place happened before (pairs with the store in `apply`). A
            // ticket that is taken by now may be smaller than that.
            let waiting = ticket.wrapping_sub(self.first.0.load(Ordering::Acquire));
            if waiting.cast_signed() >= PLACES as i64 {
                return Noted::Not;
            }
            let (now, after) = (Ordering::Relaxed, ticket + 1);
            match self.next.0.compare_exchange_weak(ticket, after, now, now) {
                Ok(_) => break,
                Err(next) => ticket = next,
            }
        }
        self.places[place_of(ticket)].store(slot, Ordering::Release);
        let is_half = (ticket + 1).is_multiple_of(PLACES as u64 / 2);
        if is_half { Noted::HalfFull } else { Noted::Done }
    }

    /// Has `touch` called for each hit that was noted, in order. By one thread at a time.
    pub(super) fn apply(&self, mut touch: impl FnMut(Slot)) {
        let first = self.first.0.load(Ordering::Relaxed);
        let next = self.next.0.load(Ordering::Relaxed);
        if first == next {
            return;
        }
        let (mut done, mut has_gap) = (first, false);
        for ticket in first..next {
            let place = &self.places[place_of(ticket)];
            match place.load(Ordering::Acquire) {
                NOTHING => has_gap = true,
                APPLIED => {}
                slot => {
                    place.store(APPLIED, Ordering::Relaxed);
                    touch(slot);
                }
            }
            if !has_gap {
                place.store(NOTHING, Ordering::Relaxed);
                done = ticket + 1;
            }
        }
        self.first.0.store(done, Ordering::Release);
    }
}
