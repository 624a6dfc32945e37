//! Which entry leaves a full cache: a scan-resistant policy that adapts itself.
//!
//! # The algorithm
//! The layout is that of S3-FIFO (Yang et al., SOSP 2023): two queues in order of arrival, *small*
//! for newcomers and *main* for entries that were wanted again, and *ghosts*, the keys of what was
//! evicted lately. A hit does nothing but bump a counter of the entry that ends at 3 ([`Mark`]). All
//! else happens when room is needed:
//!
//! - If small has its share of the capacity, its oldest entry leaves it: unused, it is evicted; used,
//!   it goes to main, if it wins its place there.
//! - Else main's hand turns: its oldest entry is evicted if it has no uses left, and otherwise spends
//!   one and goes to the back (CLOCK).
//! - A missed key that is a ghost goes to main at once, if it wins its place there.
//!
//! Five things are not S3-FIFO's:
//!
//! - *Small's share adapts*, as ARC has it (Megiddo and Modha, 2003): a key that comes back after it
//!   left small too early makes the share larger, one that came back after it left main makes it
//!   smaller, each by as much as its ghosts are rare.
//! - *A place in full main is won* against the entry that would leave for it, by a [sketch] of how
//!   often keys were wanted, as in TinyLFU. It takes note of misses, and of uses that are spent:
//!   never of a hit. A tie is lost, which is what stands up to long loops.
//! - *Ghosts of small live longer than the share heeds them.* A key that left small long ago would not
//!   have been kept by any share, so it does not change it; ARC has forgotten it by then. Here, it still
//!   may win a place in main: else keys that come back after more than the capacity would never get in,
//!   however often they come.
//! - *Main need not lose to be heard.* In ARC, all that speaks for a large main is what main has lost.
//!   Here, an entry of main that won its place against a newcomer, and then is used, counts as much.
//! - *Until the cache is full, what overflows small goes to main*, used or not: a cache that has room
//!   has no reason to judge.
//!
//! The numbers (how many ghosts, how fast the share moves, how many counters) were chosen by
//! simulation where the hit ratio hardly depends on them: halving or doubling any one changes its mean
//! over thirteen traces at five capacities by less than 0.004. What it does worst: it takes some twenty
//! rounds to settle in a loop of 1.5 times the capacity, with three of four hits that could be until
//! then; and where frequency says nothing, only how lately a key was wanted, LRU is ahead by up to 0.05.
//!
//! The policy is a data structure without locks and clocks. It knows entries by their slots, what
//! they weigh and a hash of their keys. Its memory beside the links, eight bytes per entry, is that
//! of the [history]: two bytes for the sketch and six for the ghosts, from when the cache is first full.

mod ghosts;
mod history;
mod mark;
mod sketch;

use self::ghosts::{Ghost, Returned};
use self::history::History;
use super::lists::{List, Lists};
use super::table::Slot;

pub(super) use self::mark::{Counts, Mark, Queue, Uses};

/// Small's share in the beginning, and within which bounds it adapts.
const FIRST_SHARE: f64 = 0.1;
const LEAST_SHARE: f64 = 0.002;
const MOST_SHARE: f64 = 0.9;

/// Evictions that are remembered, per entry.
const SMALL_GHOSTS: f64 = 2.0;
const MAIN_GHOSTS: f64 = 0.25;

/// After so many evictions from small, per entry, its ghosts are not heeded by its share any more.
const LATE: f64 = 0.75;

/// By how many entries a ghost of small moves the share. One of main moves it by as much more as
/// ghosts of main are fewer.
const STEP: f64 = 0.5;

/// After so many turns of main's hand each entry has spent all its uses, if it was not used since.
const MOST_TURNS: usize = 4;

/// So many places before main's hand slots are asked for, and at this one of them what is known of its
/// entry elsewhere.
const SIGHT: usize = 4;
const SOON: usize = 1;

/// What the policy has to know of the entries in slots.
pub(super) trait Entries<'e>: Copy {
    /// Where an entry is, for who is told of it.
    type Where: Copy;

    fn weight(self, slot: Slot) -> u64;

    /// The entry of a slot that is on a list.
    fn get(self, slot: Slot) -> Option<Held<'e, Self::Where>>;

    /// Has a slot fetched.
    fn foresee(self, slot: Slot);

    /// Has fetched what is known of the entry of a slot elsewhere, the slot being there; the hash of its key.
    fn foresee_entry(self, slot: Slot) -> Option<u32>;

    /// Hears of an entry that was used and stays for longer. Its mark may be elsewhere after that.
    fn stays(self, slot: Slot);
}

/// An entry, as the policy sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'e, W> {
    pub(super) slot: Slot,
    /// The hash of its key.
    pub(super) hash: u32,
    pub(super) mark: Mark<'e>,
    pub(super) at: W,
}

/// Spreads hashes evenly over `len` places by their high bits.
fn spread(hash: u32, len: usize) -> usize {
    ((u64::from(hash) * len as u64) >> 32) as usize
}

/// A history that begins now: of each entry it is known that it was wanted once.
#[cold]
fn begin<'e>(lists: &Lists, entries: impl Entries<'e>) -> History {
    let count = held(lists);
    let ghosts = |per_entry: f64| (count as f64 * per_entry).ceil() as usize;
    let mut history = History::new(count, ghosts(SMALL_GHOSTS), ghosts(MAIN_GHOSTS));
    let slots = [List::Main, List::Small].into_iter().flat_map(|list| lists.slots(list));
    slots.filter_map(|slot| entries.get(slot)).for_each(|held| history.note(held.hash));
    history
}

/// How many found entries there are.
fn held(lists: &Lists) -> usize {
    lists.len(List::Small) + lists.len(List::Main)
}

/// Goes before main's hand, where it turns on and on, and asks for what it will look at: entries that were
/// used come one after the other.
#[derive(Default)]
struct Scout {
    /// The slots before the hand, the nearest first.
    slots: [Slot; SIGHT],
    seen: usize,
}

impl Scout {
    /// Looks further, and a place on with the hand, which was at this slot; the hash of the entry that the
    /// hand will come to soon.
    fn go_on<'e>(&mut self, hand: Slot, lists: &Lists, entries: impl Entries<'e>) -> Option<u32> {
        // Two places for one, until it is as far ahead as it may be.
        for _ in 0..2.min(SIGHT - self.seen) {
            let last = self.seen.checked_sub(1).map_or(hand, |last| self.slots[last]);
            let Some(next) = lists.hotter(last) else { break };
            lists.rings().foresee(next);
            entries.foresee(next);
            self.slots[self.seen] = next;
            self.seen += 1;
        }
        let soon = self.slots[..self.seen].get(SOON).and_then(|slot| entries.foresee_entry(*slot));
        self.slots.rotate_left(1);
        self.seen = self.seen.saturating_sub(1);
        soon
    }
}

/// The policy of one store.
pub(super) struct Adaptive {
    /// What the entries may weigh together.
    capacity: u64,
    /// Small's share of the capacity.
    share: f64,
    /// The same as a weight, 1 at least.
    quota: u64,
    /// `None` until the first eviction.
    history: Option<History>,
    /// The hash of main's entry that last won its place against a newcomer. It is at the cold end, until
    /// the hand finds it used or it loses.
    defender: Option<u32>,
}

impl Adaptive {
    pub(super) fn new(capacity: u64) -> Self {
        let quota = quota(capacity, FIRST_SHARE);
        Self { capacity, share: FIRST_SHARE, quota, history: None, defender: None }
    }

    /// Changes the capacity. Whoever lowers it evicts what is too much.
    pub(super) fn set_capacity(&mut self, capacity: u64) {
        self.capacity = capacity;
        self.quota = quota(capacity, self.share);
    }

    /// Has fetched what is remembered of a key that is about to be [admitted](Self::admit), or evicted.
    #[inline(always)]
    pub(super) fn foresee(&self, hash: u32) {
        if let Some(history) = &self.history {
            history.foresee(hash);
        }
    }

    /// Has fetched what takes note of an eviction. An entry that is not unused takes more.
    #[inline(always)]
    pub(super) fn foresee_eviction(&self, hash: u32) {
        if let Some(history) = &self.history {
            history.foresee_ghost(hash);
        }
    }

    /// Where the entry of a key that was missed is to go, and which entry has to make room for it in
    /// any case.
    #[inline(always)]
    pub(super) fn admit<'e, E: Entries<'e>>(
        &mut self,
        hash: u32,
        weight: u64,
        lists: &mut Lists,
        entries: E,
    ) -> (List, Option<E::Where>) {
        let Some(history) = &mut self.history else { return (List::Small, None) };
        let Some(returned) = history.note_missed(hash) else { return (List::Small, None) };
        if !is_late(returned, history.entries()) {
            self.adapt(returned.ghost, lists);
        }
        let is_full = lists.weight(List::Small) + lists.weight(List::Main)
            > self.capacity.saturating_sub(weight);
        if !is_full || self.main_has_room(lists) {
            return (List::Main, None);
        }
        match self.turn(lists, entries) {
            None => (List::Main, None),
            Some(loser) if self.wins(hash, loser.hash) => {
                self.remember(loser.hash, Ghost::Main, lists, entries);
                (List::Main, Some(loser.at))
            }
            Some(winner) => {
                self.defender = Some(winner.hash);
                (List::Small, None)
            }
        }
    }

    /// While there is room, what overflows small goes to main.
    #[inline(always)]
    pub(super) fn settle<'e>(&self, lists: &mut Lists, entries: impl Entries<'e>) {
        while lists.weight(List::Small) > self.quota
            && lists.weight(List::Small) + lists.weight(List::Main) < self.capacity
        {
            let Some(slot) = lists.coldest(List::Small) else { return };
            lists.transfer(List::Small, List::Main, slot, entries.weight(slot));
            entries.get(slot).inspect(|held| held.mark.enter(List::Main));
        }
    }

    /// The entry that is to leave, still on its list; its key is a ghost from now on.
    #[inline(always)]
    pub(super) fn victim<'e, E: Entries<'e>>(
        &mut self,
        lists: &mut Lists,
        entries: E,
    ) -> Option<E::Where> {
        if self.is_small_over(lists)
            && let Some(oldest) = lists.coldest(List::Small).and_then(|slot| entries.get(slot))
            && !oldest.mark.is_used()
        {
            self.remember(oldest.hash, Ghost::Small, lists, entries);
            return Some(oldest.at);
        }
        let slot = self.victim_further(lists, entries)?;
        entries.get(slot).map(|held| held.at)
    }

    /// The same, whatever it takes.
    #[inline(never)]
    fn victim_further<'e>(&mut self, lists: &mut Lists, entries: impl Entries<'e>) -> Option<Slot> {
        loop {
            let is_smalls_turn = self.is_small_over(lists) || lists.len(List::Main) == 0;
            let small = lists.coldest(List::Small).filter(|_| is_smalls_turn);
            let Some(oldest) = small.and_then(|slot| entries.get(slot)) else {
                let victim = self.turn(lists, entries)?;
                self.remember(victim.hash, Ghost::Main, lists, entries);
                return Some(victim.slot);
            };
            if !oldest.mark.is_used() {
                self.remember(oldest.hash, Ghost::Small, lists, entries);
                return Some(oldest.slot);
            }
            if let Some(victim) = self.promote(oldest, lists, entries) {
                return Some(victim);
            }
        }
    }

    /// Moves an entry that was used from small to main; the one that has to leave for that, which is
    /// itself if it does not win a place, and none if there is room.
    fn promote<'e, W: Copy>(
        &mut self,
        held: Held<'e, W>,
        lists: &mut Lists,
        entries: impl Entries<'e, Where = W>,
    ) -> Option<Slot> {
        self.note(held.hash);
        let rival = if self.main_has_room(lists) { None } else { self.turn(lists, entries) };
        if let Some(rival) = rival
            && !self.wins(held.hash, rival.hash)
        {
            self.defender = Some(rival.hash);
            self.remember(held.hash, Ghost::Small, lists, entries);
            return Some(held.slot);
        }
        if let Some(rival) = rival {
            self.remember(rival.hash, Ghost::Main, lists, entries);
        }
        // It has to be wanted again to stay for a second turn.
        held.mark.begin_anew();
        lists.transfer(List::Small, List::Main, held.slot, entries.weight(held.slot));
        entries.stays(held.slot);
        rival.map(|rival| rival.slot)
    }

    /// Turns main's hand to the next entry that has no uses left; but not for ever, where hits that
    /// go on meanwhile see to it that there is none.
    fn turn<'e, E: Entries<'e>>(
        &mut self,
        lists: &mut Lists,
        entries: E,
    ) -> Option<Held<'e, E::Where>> {
        let mut scout = Scout::default();
        for _ in 0..lists.len(List::Main) * MOST_TURNS {
            let held = entries.get(lists.coldest(List::Main)?)?;
            if !held.mark.spend() {
                return Some(held);
            }
            if let Some(hash) = scout.go_on(held.slot, lists, entries) {
                self.foresee(hash);
            }
            self.note(held.hash);
            if self.defender == Some(held.hash) {
                self.defender = None;
                self.adapt(Ghost::Main, lists);
            }
            lists.touch(List::Main, held.slot);
            entries.stays(held.slot);
        }
        entries.get(lists.coldest(List::Main)?)
    }

    fn note(&mut self, hash: u32) {
        if let Some(history) = &mut self.history {
            history.note(hash);
        }
    }

    /// Whether a key is wanted more than another; a tie is lost.
    fn wins(&self, hash: u32, other: u32) -> bool {
        let estimate = |hash| self.history.as_ref().map_or(0, |h| h.estimate(hash));
        estimate(hash) > estimate(other)
    }

    /// Makes a key a ghost.
    #[inline(always)]
    fn remember<'e>(&mut self, hash: u32, ghost: Ghost, lists: &Lists, entries: impl Entries<'e>) {
        // Weights differ, and the capacity can change: a history that is far too short is begun anew.
        let is_too_short = |history: &History| held(lists) / 2 > history.entries();
        if self.history.as_ref().is_none_or(is_too_short) {
            self.history = Some(begin(lists, entries));
        }
        if let Some(history) = &mut self.history {
            history.remember(hash, ghost);
        }
    }

    fn adapt(&mut self, ghost: Ghost, lists: &Lists) {
        let step = STEP / held(lists).max(1) as f64;
        let step = match ghost {
            Ghost::Small => step,
            Ghost::Main => -step / MAIN_GHOSTS,
        };
        self.share = (self.share + step).clamp(LEAST_SHARE, MOST_SHARE);
        self.quota = quota(self.capacity, self.share);
    }

    fn is_small_over(&self, lists: &Lists) -> bool {
        lists.weight(List::Small) >= self.quota
    }

    fn main_has_room(&self, lists: &Lists) -> bool {
        lists.weight(List::Main) < self.capacity.saturating_sub(self.quota)
    }
}

/// Whether a key left small so long ago that no share of that many entries would have kept it.
fn is_late(returned: Returned, entries: usize) -> bool {
    returned.ghost == Ghost::Small && returned.evictions as f64 >= entries as f64 * LATE
}

/// A share of a capacity as a weight, 1 at least.
fn quota(capacity: u64, share: f64) -> u64 {
    ((capacity as f64 * share) as u64).max(1)
}

#[cfg(test)]
mod tests;
