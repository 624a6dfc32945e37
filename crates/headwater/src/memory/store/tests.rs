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
    Bounds { capacity: 8, absent_capacity: 3, weighed: false, time_to_idle: None };

/// Hashes of few values, so that keys collide.
fn node(key: u8, entry: Entry<u32>) -> Node<u8, u32> {
    Node { hash: u64::from(key % 4), key, entry }
}

fn put(store: &mut Store<u8, u32>, key: u8, weight: u64) -> (Outcome, usize) {
    let mut removals = Removals::none();
    let outcome = store.put(node(key, Entry::found(1)), weight, at(0), &mut removals);
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

#[test]
fn random_operations_leave_every_count_and_link_right() {
    let weighed = Bounds { capacity: 20, weighed: true, ..COUNTED };
    let idle = Bounds { time_to_idle: Some(Duration::from_secs(5)), ..weighed };
    let unbounded = Bounds { capacity: UNBOUNDED, absent_capacity: 0, ..COUNTED };
    fastrand::seed(11);
    for bounds in [COUNTED, weighed, idle, unbounded] {
        let mut store = Store::<u8, u32>::new(bounds);
        for step in 0..3_000 {
            let second = step / 4;
            let (key, clock) = (fastrand::u8(..24), Clock::new(At(at(second))));
            let mut removals = Removals::none();
            match fastrand::u8(..20) {
                0..8 => {
                    if let Look::Dead(slot) = store.get(u64::from(key % 4), &key, &clock) {
                        store.take_out(slot, Cause::Expired, &mut removals);
                    }
                }
                8..16 => {
                    let new = node(key, random_entry(second));
                    let _ = store.put(new, fastrand::u64(..24), at(second), &mut removals);
                }
                16..18 => store.remove(u64::from(key % 4), &key, &mut removals),
                18 => drop(store.sweep(fastrand::usize(..8), 4, at(second), &mut removals)),
                _ if step % 50 == 0 => drop(store.take_all()),
                _ => {}
            }
            store.validate();
        }
    }
}

#[test]
fn full_slab_evicts_from_the_same_list_or_declines() {
    let mut store = Store::<u8, u32>::new(Bounds { capacity: UNBOUNDED, ..COUNTED });
    store.slab = Slab::new(2);
    assert_eq!(put(&mut store, 1, 1), (Outcome::Accepted, 0));
    assert_eq!(put(&mut store, 2, 1), (Outcome::Accepted, 0));
    let mut removals = Removals::none();
    store.put(node(9, Entry::absent()), 1, at(0), &mut removals);
    store.validate();
    assert_eq!((removals.len(), store.len(List::Found), store.len(List::Absent)), (1, 2, 0));
    assert_eq!(put(&mut store, 3, 1), (Outcome::Accepted, 1));
    assert!(store.find(1, &1).is_none() && store.find(3, &3).is_some());
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
        store.put(node(key, entry), 1, at(0), &mut removals);
    }
    let mut removals = Removals::none();
    assert_eq!(store.sweep(0, 4, at(1), &mut removals), Some(4));
    assert_eq!(store.sweep(4, 4, at(1), &mut removals), Some(8));
    assert_eq!(store.sweep(8, 4, at(1), &mut removals), None);
    assert_eq!((removals.len(), store.len(List::Found)), (5, 5));
    store.validate();
}

#[test]
fn closed_store_keeps_nothing() {
    let mut store = Store::<u8, u32>::new(COUNTED);
    put(&mut store, 1, 1);
    assert_eq!(store.close().into_nodes().count(), 1);
    assert_eq!(put(&mut store, 2, 1), (Outcome::Declined, 1));
    assert_eq!(store.len(List::Found), 0);
}
