use super::*;
use crate::{Sleep, TimeSource, Version};

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

const COUNTED: Bounds =
    Bounds { rule: Rule::Lru, capacity: 8, absent_capacity: 3, weighed: false, time_to_idle: None };

/// Hashes of few values, so that keys collide.
fn arrival(key: u8, entry: Entry<u32>) -> Arrival<u8, u32> {
    Arrival { hash: u64::from(key % 4), key, entry }
}

impl Store<u8, u32> {
    /// Recounts everything.
    fn validate(&self) {
        let mut slots = Vec::new();
        for list in List::ALL {
            let order = self.lists.order(list);
            let weight = |slot: &Slot| self.held.weight(*slot);
            assert_eq!(order.iter().map(weight).sum::<u64>(), self.lists.weight(list));
            order.iter().for_each(|&slot| self.validate_node(list, slot));
            slots.extend(order);
        }
        assert!(self.weight() <= self.bounds.capacity);
        assert!(self.absent_len() as u64 <= self.bounds.absent_capacity);
        assert!(self.policy.is_some() || self.lists.len(List::Small) == 0);
        assert_eq!((self.table.len(), self.held.slab.len()), (slots.len(), slots.len()));
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots.len(), self.held.slab.len(), "each slot is on one list");
    }

    fn validate_node(&self, list: List, slot: Slot) {
        let node = self.held.slab.get(slot).expect("a slot on a list holds a node");
        assert_eq!(node.list(), list);
        let found = self.find(node.hash().into(), node.key()).map(|(slot, _)| slot);
        assert_eq!(found, Some(slot));
        let (deadline, expiry) = (self.held.lanes.deadline(slot), self.held.lanes.expiry.get(slot));
        assert!(deadline <= expiry || expiry.is_none());
        let has_end = self.bounds.time_to_idle.is_some() || expiry.is_some();
        assert_eq!(deadline.is_some(), has_end);
    }
}

fn put(store: &mut Store<u8, u32>, key: u8, weight: u64) -> (Outcome, usize) {
    let mut removals = Removals::none();
    let outcome = store.put(arrival(key, Entry::found(1)), weight, at(0), &mut removals);
    store.validate();
    (outcome, removals.len())
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
fn operate(store: &mut Store<u8, u32>, step: u64) {
    let second = step / 4;
    let (key, clock) = (fastrand::u8(..24), Clock::new(At(at(second))));
    let hash = u64::from(key % 4);
    let mut removals = Removals::none();
    match fastrand::u8(..20) {
        0..8 => {
            let look = if store.bounds.hits_are_shared() {
                store.get_shared(hash, &key, &clock)
            } else {
                store.get(hash, &key, &clock)
            };
            if matches!(look, Look::Dead) {
                store.remove_dead(hash, &key, at(second), &mut removals);
                assert_eq!(removals.len(), 1);
            }
        }
        8..16 => {
            let new = arrival(key, random_entry(second));
            let _ = store.put(new, fastrand::u64(..24), at(second), &mut removals);
        }
        16 => store.remove(hash, &key, &mut removals),
        17 if store.bounds.capacity != UNBOUNDED => {
            let capacity = fastrand::u64(1..30);
            while !store.resize(capacity, 2, &mut removals) {
                store.validate();
            }
        }
        17 | 18 => drop(store.sweep(fastrand::usize(..8), 4, at(second), &mut removals)),
        _ if step.is_multiple_of(50) => drop(store.take_all()),
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
            let mut store = Store::<u8, u32>::new(Bounds { rule, ..bounds });
            for step in 0..6_000 {
                operate(&mut store, step);
                store.validate();
            }
        }
    }
}

#[test]
fn full_slab_evicts_from_the_same_list_or_declines() {
    let mut store = Store::<u8, u32>::new(Bounds { capacity: UNBOUNDED, ..COUNTED });
    store.held.slab = Slab::new(2);
    assert_eq!(put(&mut store, 1, 1), (Outcome::Accepted, 0));
    assert_eq!(put(&mut store, 2, 1), (Outcome::Accepted, 0));
    let mut removals = Removals::none();
    store.put(arrival(9, Entry::absent()), 1, at(0), &mut removals);
    store.validate();
    assert_eq!((removals.len(), store.len(), store.absent_len()), (1, 2, 0));
    assert_eq!(put(&mut store, 3, 1), (Outcome::Accepted, 1));
    assert!(store.find(1, &1).is_none() && store.find(3, &3).is_some());
}

#[test]
fn lower_capacity_is_reached_in_steps_and_a_higher_one_at_once() {
    for rule in [Rule::Lru, Rule::Adaptive] {
        let mut store = Store::<u8, u32>::new(Bounds { rule, capacity: 20, ..COUNTED });
        (0..20).for_each(|key| assert_eq!(put(&mut store, key, 1).0, Outcome::Accepted));
        let mut removals = Removals::none();
        assert!(!store.resize(5, 10, &mut removals));
        assert_eq!((store.bounds.capacity, store.len(), removals.len()), (10, 10, 10));
        store.validate();
        assert!(store.resize(5, 10, &mut removals));
        assert_eq!((store.bounds.capacity, store.len(), removals.len()), (5, 5, 15));
        assert!(store.resize(30, 1, &mut removals));
        (100..125).for_each(|key| assert_eq!(put(&mut store, key, 1), (Outcome::Accepted, 0)));
        assert_eq!(store.len(), 30);
    }
}

#[test]
fn weights_near_the_end_of_numbers_do_not_overflow() {
    let bounds = Bounds { capacity: u64::MAX, weighed: true, ..COUNTED };
    let mut store = Store::<u8, u32>::new(bounds);
    assert_eq!(put(&mut store, 1, u64::MAX), (Outcome::Accepted, 0));
    assert_eq!(put(&mut store, 2, u64::MAX), (Outcome::Accepted, 1));
    assert_eq!(put(&mut store, 3, 1), (Outcome::Accepted, 1));
    assert_eq!(put(&mut store, 4, u64::MAX - 1), (Outcome::Accepted, 0));
    assert_eq!((store.weight(), store.stats().evicted), (u64::MAX, 2));
}

#[test]
fn sweep_goes_on_where_it_stopped() {
    let mut store = Store::<u8, u32>::new(Bounds { capacity: UNBOUNDED, ..COUNTED });
    for key in 0..10 {
        let mut removals = Removals::none();
        let entry = Entry::found(1).expires_at(at(u64::from(key % 2) + 1));
        store.put(arrival(key, entry), 1, at(0), &mut removals);
    }
    let mut removals = Removals::none();
    assert_eq!(store.sweep(0, 4, at(1), &mut removals), Some(4));
    assert_eq!(store.sweep(4, 4, at(1), &mut removals), Some(8));
    assert_eq!(store.sweep(8, 4, at(1), &mut removals), None);
    assert_eq!((removals.len(), store.len()), (5, 5));
    store.validate();
}

#[test]
fn closed_store_keeps_nothing() {
    let mut store = Store::<u8, u32>::new(COUNTED);
    put(&mut store, 1, 1);
    assert_eq!(store.close().into_items().count(), 1);
    assert_eq!(put(&mut store, 2, 1), (Outcome::Declined, 1));
    assert_eq!(store.len(), 0);
}
