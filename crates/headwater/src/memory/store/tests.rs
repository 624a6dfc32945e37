use super::super::bounds::UNBOUNDED;
use super::super::table::{Apart, Limits, Within};
use super::*;
use crate::Removals;
use crate::{Sleep, TimeSource, Version};
use std::time::Duration;

/// A clock that stands at one moment.
#[derive(Debug)]
struct At(Moment);

impl TimeSource for At {
    fn now(&self) -> Moment {
        self.0
    }

    fn sleep_until(&self, _: Moment) -> Sleep {
        Box::pin(std::future::pending())
    }
}

fn at(second: u64) -> Moment {
    Moment::START + Duration::from_secs(second)
}

const COUNTED: Bounds = Bounds {
    rule: Rule::Lru,
    capacity: 8,
    absent_capacity: 3,
    weighed: false,
    time_to_idle: None,
    listens: true,
};

/// Hashes of few values, so that keys collide.
fn arrival<F: Numbers>(key: u8, entry: Entry<u32>) -> Arrival<F::Key, F::Value> {
    Arrival { hash: u32::from(key % 4), key: key.into(), entry: entry.map(F::Value::from) }
}

/// Stores an entry as a cache does it.
fn put<F: Form>(
    store: &mut Store<'_, F>,
    new: Arrival<F::Key, F::Value>,
    weight: u64,
    now: &Now<'_>,
) -> Outcome<F::Key, F::Value> {
    let view = store.writer.view();
    match store.state.put_shortly(view, new.hash, &new.key, &new.entry) {
        None => Outcome::Kept,
        Some(begun) => store.put_further(begun, new, weight, now),
    }
}

/// A form whose keys and values can be numbers.
pub(in crate::memory) trait Numbers:
    Form<Key: From<u8> + Copy, Value: From<u32>>
{
}

impl<F: Form<Key: From<u8> + Copy, Value: From<u32>>> Numbers for F {}

/// A store, and what left it since somebody looked.
struct Shelf<F: Numbers = Apart<u8, u32>> {
    table: Table<F, State>,
    left: Removals<F::Key, F::Value>,
}

impl<F: Numbers> Shelf<F> {
    fn of(bounds: Bounds) -> Self {
        Self { table: table(bounds, None), left: Removals::none() }
    }

    /// Does something under the lock, and looks whether all is right after it.
    fn with<R>(&mut self, change: impl FnOnce(&mut Store<'_, F>) -> R) -> R {
        let mut locked = self.table.lock();
        let mut store = Store::new(locked.parts());
        let outcome = change(&mut store);
        store.validate();
        store.settle(Freeing::Now, &mut self.left);
        store.validate();
        outcome
    }

    /// How many left since the last call.
    fn left(&mut self) -> usize {
        std::mem::replace(&mut self.left, Removals::none()).len()
    }

    fn len(&self) -> usize {
        self.table.lock().state().len()
    }

    fn holds(&mut self, key: u8) -> bool {
        self.with(|store| {
            store.view().find(u32::from(key % 4), |held| *held == key.into()).is_some()
        })
    }

    /// Removes what is dead, a few at a time, and looks whether nothing dead is left.
    fn expire(&mut self, second: u64, at_once: usize) {
        while !self.with(|store| store.expire(at(second), at_once)).1 {}
        self.with(|store| {
            store.expire_presently(at(second));
            let nodes = store.view().slots(0).filter_map(|slot| store.view().node(slot));
            assert!(nodes.into_iter().all(|node| !node.is_dead(at(second))));
        });
    }

    /// What became of a put: whether it changed anything, and how many left.
    fn put(&mut self, key: u8, weight: u64) -> (bool, usize) {
        let new = arrival::<F>(key, Entry::found(1));
        let clock = Clock::new(At(at(0)));
        let outcome = self.with(|store| put(store, new, weight, &Now::new(&clock)));
        let own = usize::from(!matches!(outcome, Outcome::Kept));
        (!matches!(outcome, Outcome::Declined(_)), self.left() + own)
    }
}

impl Shelf<Within> {
    fn slot(&self, hash: u32, key: u64) -> Option<Slot> {
        self.table.lock().parts().0.view().find(hash, |held| *held == key).map(Node::slot)
    }
}

impl Shelf {
    fn new(bounds: Bounds) -> Self {
        Self::of(bounds)
    }
}

impl<F: Numbers> Store<'_, F> {
    /// Recounts everything.
    fn validate(&self) {
        let State { lists, weights, bounds, policy, .. } = &*self.state;
        let mut slots = Vec::new();
        for list in List::ALL {
            let order = lists.order(list);
            assert_eq!(
                order.iter().map(|slot| weights.get(*slot)).sum::<u64>(),
                lists.weight(list)
            );
            order.iter().for_each(|&slot| self.validate_node(list, slot));
            slots.extend(order);
        }
        assert!(self.state.weight() <= bounds.capacity);
        assert!(self.state.absent_len() as u64 <= bounds.absent_capacity);
        assert!(policy.is_some() || lists.len(List::Small) == 0);
        assert_eq!(self.view().len(), slots.len());
        let live = self.view().slots(0).filter(|slot| self.view().node(*slot).is_some());
        slots.sort_unstable();
        let has_end = |slot: &&Slot| self.view().node(**slot).is_some_and(Node::has_end);
        let (mortals, on_wheel) = (slots.iter().filter(has_end).count(), &self.state.wheel);
        assert_eq!(on_wheel.as_ref().map_or(0, |wheel| wheel.len()), mortals);
        assert!(live.eq(slots), "each entry is on one list");
    }

    fn validate_node(&self, list: List, slot: Slot) {
        let node = self.view().node(slot).expect("a slot on a list holds a node");
        assert_eq!(list_of(&node.notes()), list);
        assert_eq!(
            self.view().find(node.hash(), |key| key == node.key()).map(Node::slot),
            Some(slot)
        );
        let (deadline, expiry) = (node.deadline(), node.notes().expiry());
        assert!(deadline <= expiry || expiry.is_none());
        let has_end = self.state.bounds.time_to_idle.is_some() || expiry.is_some();
        assert_eq!(deadline.is_some(), has_end);
    }
}

fn random_entry(second: u64) -> Entry<u32> {
    let mut entry =
        if fastrand::u8(..3) == 0 { Entry::absent() } else { Entry::found(fastrand::u32(..)) };
    if fastrand::bool() {
        entry = entry.expires_at(at(second + fastrand::u64(..20)));
    }
    if fastrand::bool() {
        entry = entry.with_version(Version::new(fastrand::u64(..4)));
    }
    entry
}

/// One random operation; `step` is also the time in quarters of a second.
fn operate<F: Numbers>(shelf: &mut Shelf<F>, step: u64) {
    let second = step / 4;
    let (key, clock) = (fastrand::u8(..24), Clock::new(At(at(second))));
    let hash = u32::from(key % 4);
    let is_it = |held: &F::Key| *held == key.into();
    let bounds = shelf.table.lock().state().bounds;
    match fastrand::u8(..20) {
        0..8 => {
            if matches!(shelf.with(|store| store.get(hash, is_it, &clock)), Look::Dead) {
                shelf.left();
                shelf.with(|store| store.remove_dead(hash, is_it, at(second)));
                // Where nobody listens, it is not told before it is freed.
                assert!(shelf.left() == 1 || !bounds.listens);
            }
        }
        8..16 => {
            let (new, weight) = (arrival::<F>(key, random_entry(second)), fastrand::u64(..24));
            let _ = shelf.with(|store| put(store, new, weight, &Now::new(&clock)));
        }
        16 => shelf.with(|store| store.remove(hash, is_it)),
        17 if bounds.capacity != UNBOUNDED => {
            let capacity = fastrand::u64(1..30);
            while !shelf.with(|store| store.resize(capacity, 2)) {}
        }
        17 | 18 => shelf.expire(second, fastrand::usize(1..4)),
        _ if step.is_multiple_of(50) => {
            let mut from = Some(0);
            while let Some(first) = from {
                from = shelf.with(|store| store.clear(first, 5));
            }
            assert_eq!(shelf.len(), 0);
        }
        _ => {}
    }
}

#[test]
fn random_operations_leave_every_count_and_link_right() {
    let weighed = Bounds { capacity: 20, weighed: true, ..COUNTED };
    let idle = Bounds { time_to_idle: Some(Duration::from_secs(5)), ..weighed };
    let unbounded = Bounds { capacity: UNBOUNDED, absent_capacity: 0, ..COUNTED };
    fastrand::seed(11);
    for bounds in [COUNTED, weighed, idle, unbounded] {
        for rule in [Rule::Lru, Rule::Adaptive] {
            let mut shelf = Shelf::new(Bounds { rule, ..bounds });
            (0..6_000).for_each(|step| operate(&mut shelf, step));
            for listens in [true, false] {
                let mut shelf = Shelf::<Within>::of(Bounds { rule, listens, ..bounds });
                (0..6_000).for_each(|step| operate(&mut shelf, step));
            }
        }
    }
}

#[test]
fn a_store_that_swaps_keeps_what_one_keeps_that_does_not() {
    let bounds = Bounds { rule: Rule::Adaptive, capacity: 60, listens: false, ..COUNTED };
    let mut shelves = [(); 2].map(|()| Shelf::<Within>::of(bounds));
    let hash = |key: u64| Within::short(key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32);
    let clock = Clock::new(At(at(0)));
    let mut random = fastrand::Rng::with_seed(7);
    let (mut swapped, mut rewritten) = (0, 0);
    for step in 0..6_000 {
        // Some are wanted often, most seldom.
        let most = random.u64(1..200);
        let key = random.u64(0..=most);
        let (action, version) = (random.u8(..20), random.u8(..20));
        // Now and then none, as a shard may have where there are more of them than entries.
        let capacity = if random.u8(..4) == 0 { 0 } else { random.u64(40..70) };
        let kept = [0, 1].map(|number| {
            shelves[number].with(|store| {
                let is_it = |held: &u64| *held == key;
                match action {
                    0 => store.remove(hash(key), is_it),
                    1 if step % 20 == 0 => while !store.resize(capacity, 2) {},
                    // Written once more.
                    _ if action > 3
                        && matches!(store.get(hash(key), is_it, &clock), Look::Live(_)) => {}
                    _ => {
                        let mut entry = Entry::found(key + step);
                        if version == 0 {
                            entry = entry.with_version(Version::new(step));
                        }
                        let new = Arrival { hash: hash(key), key, entry };
                        let now = Now::new(&clock);
                        let was_there = store.view().find(hash(key), is_it).is_some();
                        // One of them goes the long way only.
                        let view = store.writer.view();
                        let begun = match number {
                            0 => Some(Begun::Nothing),
                            _ => store.state.put_shortly(view, new.hash, &new.key, &new.entry),
                        };
                        match begun {
                            None if was_there => rewritten += 1,
                            None => swapped += 1,
                            Some(begun) => _ = store.put_further(begun, new, 1, &now),
                        }
                    }
                }
                let mut kept = Vec::new();
                store.copy(0, usize::MAX / 2, at(0), &mut |key, entry| kept.push((*key, entry)));
                kept.sort_by_key(|(key, _)| *key);
                (kept, store.state.stats)
            })
        });
        assert_eq!(kept[0], kept[1]);
    }
    assert!(swapped > 1_000 && rewritten > 200, "{swapped}, {rewritten}");
    assert!(shelves[1].with(|store| store.state.stats.too_heavy) > 0);
}

#[test]
fn no_room_for_one_more_evicts_from_the_same_list_or_declines() {
    let mut shelf = Shelf::new(Bounds { capacity: UNBOUNDED, ..COUNTED });
    shelf.with(|store| {
        store.writer.set_limits(Limits {
            most: 2,
            usual: 2,
            patience: 1,
            are_slots_told: true,
            listens: true,
        });
    });
    assert_eq!(shelf.put(1, 1), (true, 0));
    assert_eq!(shelf.put(2, 1), (true, 0));
    let clock = Clock::new(At(at(0)));
    let absent = arrival::<Apart<u8, u32>>(9, Entry::absent());
    let absent = shelf.with(|store| put(store, absent, 1, &Now::new(&clock)));
    assert!(matches!(absent, Outcome::Left(_, Cause::Evicted)));
    assert_eq!((shelf.len(), shelf.table.lock().state().absent_len()), (2, 0));
    assert_eq!(shelf.put(3, 1), (true, 1));
    assert!(!shelf.holds(1) && shelf.holds(3));
}

#[test]
fn lower_capacity_is_reached_in_steps_and_a_higher_one_at_once() {
    for rule in [Rule::Lru, Rule::Adaptive] {
        let mut shelf = Shelf::new(Bounds { rule, capacity: 20, ..COUNTED });
        (0..20).for_each(|key| assert!(shelf.put(key, 1).0));
        let capacity = |shelf: &Shelf| shelf.table.lock().state().bounds.capacity;
        assert!(!shelf.with(|store| store.resize(5, 10)));
        assert_eq!((capacity(&shelf), shelf.len(), shelf.left()), (10, 10, 10));
        assert!(shelf.with(|store| store.resize(5, 10)));
        assert_eq!((capacity(&shelf), shelf.len(), shelf.left()), (5, 5, 5));
        assert!(shelf.with(|store| store.resize(30, 1)));
        (100..125).for_each(|key| assert_eq!(shelf.put(key, 1), (true, 0)));
        assert_eq!(shelf.len(), 30);
    }
}

#[test]
fn weights_near_the_end_of_numbers_do_not_overflow() {
    let mut shelf = Shelf::new(Bounds { capacity: u64::MAX, weighed: true, ..COUNTED });
    assert_eq!(shelf.put(1, u64::MAX), (true, 0));
    assert_eq!(shelf.put(2, u64::MAX), (true, 1));
    assert_eq!(shelf.put(3, 1), (true, 1));
    assert_eq!(shelf.put(4, u64::MAX - 1), (true, 0));
    let locked = shelf.table.lock();
    assert_eq!((locked.state().weight(), locked.state().stats().evicted), (u64::MAX, 2));
}

#[test]
fn what_is_dead_is_removed_a_few_at_a_time_and_to_the_last() {
    let mut shelf = Shelf::new(Bounds { capacity: UNBOUNDED, ..COUNTED });
    let clock = Clock::new(At(at(0)));
    for key in 0..10 {
        let entry = Entry::found(1).expires_at(at(u64::from(key % 2) + 1));
        let new = arrival::<Apart<u8, u32>>(key, entry);
        let _ = shelf.with(|store| put(store, new, 1, &Now::new(&clock)));
    }
    // Their tick is not over.
    assert_eq!(shelf.with(|store| store.expire(at(1), 3)), (0, true));
    let early = at(1) - at(0) - Duration::from_nanos(1);
    assert_eq!(shelf.with(|store| store.expire_presently(at(0) + early)), 0);
    assert_eq!(shelf.with(|store| store.expire_presently(at(1))), 5);
    assert_eq!(shelf.with(|store| store.expire(at(3), 3)), (3, false));
    assert_eq!(shelf.with(|store| store.expire(at(3), 3)), (2, true));
    assert_eq!((shelf.left(), shelf.len()), (10, 0));
}

#[test]
fn who_lives_for_ever_is_not_looked_out_for() {
    let mut shelf = Shelf::new(COUNTED);
    let clock = Clock::new(At(at(0)));
    for (key, end, is_mortal) in [(1, Moment::END, false), (2, at(1), true)] {
        let new = arrival::<Apart<u8, u32>>(key, Entry::found(1).expires_at(end));
        let _ = shelf.with(|store| put(store, new, 1, &Now::new(&clock)));
        assert_eq!(shelf.table.lock().state().has_mortals(), is_mortal);
    }
}

#[test]
fn closed_store_keeps_nothing() {
    let mut shelf = Shelf::new(COUNTED);
    shelf.put(1, 1);
    #[expect(clippy::redundant_closure_for_method_calls, reason = "it does not compile otherwise")]
    shelf.with(|store| store.close());
    assert_eq!(shelf.put(2, 1), (false, 1));
    assert!(!shelf.holds(2));
}

#[test]
fn closed_store_of_numbers_takes_no_slot() {
    let bounds = Bounds { rule: Rule::Adaptive, listens: false, ..COUNTED };
    let mut shelf = Shelf::<Within>::of(bounds);
    (0..20).for_each(|key| _ = shelf.put(key, 1));
    #[expect(clippy::redundant_closure_for_method_calls, reason = "it does not compile otherwise")]
    shelf.with(|store| store.close());
    assert!(!shelf.put(20, 1).0);
    assert!(!shelf.holds(20) && shelf.len() == 8);
}

#[test]
fn numbers_that_stay_in_a_full_store_come_home() {
    const WANTED: u64 = 30;
    let bounds = Bounds { rule: Rule::Adaptive, capacity: 60, ..COUNTED };
    let mut shelf = Shelf::<Within>::of(bounds);
    let hash = |key: u64| Within::short(key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32);
    let clock = Clock::new(At(at(0)));
    let mut random = fastrand::Rng::with_seed(5);
    let mut elsewhere = [0, 0];
    for round in 0..400 {
        // Those that are wanted come when the store is full of others.
        let wanted = if round == 0 { 0..0 } else { 0..WANTED };
        for key in wanted.chain((0..100).map(|_| random.u64(WANTED..4_000))) {
            let get =
                |store: &mut Store<'_, Within>| store.get(hash(key), |held| *held == key, &clock);
            if matches!(shelf.with(get), Look::Missing) {
                let new = Arrival { hash: hash(key), key, entry: Entry::found(key) };
                assert!(matches!(
                    shelf.with(|store| put(store, new, 1, &Now::new(&clock))),
                    Outcome::Kept
                ));
            }
        }
        elsewhere[usize::from(round > 20)] += (0..WANTED)
            .filter_map(|key| shelf.slot(hash(key), key))
            .filter(|slot| !shelf.table.lock().parts().0.view().is_at_home(*slot))
            .count();
    }
    // At first there is no room for some, and the others leave one after the other.
    assert!(elsewhere[0] > 0 && elsewhere[1] <= 10, "{elsewhere:?}");
}
