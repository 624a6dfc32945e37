//! Reads without a lock, while a writer replaces, removes and grows: nothing is freed too early, and
//! each look-up sees what was there at some moment of it.

#[path = "../../../headwater/src/memory/lists.rs"]
mod lists;
mod policy;
mod table;
#[path = "../../../headwater/src/memory/touches.rs"]
mod touches;

use crate::sync::Mutex;
use crate::{Cause, Removals};
use lists::List;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use shuttle::thread;
use table::{
    Apart, Form, Freeing, Glance, LANES, Lane, Limits, Node, Slot, Table, Within, Writer, pin,
};
use touches::{Noted, Touches};

/// How often at most another thread comes first, in schedules where that is seldom.
const CHANGES: usize = 3;

/// A value that is seen to be dropped.
#[derive(Clone)]
struct Watched(u32, std::sync::Arc<Life>);

struct Life(Arc<AtomicUsize>, std::sync::atomic::AtomicBool);

impl Drop for Life {
    fn drop(&mut self) {
        assert!(!self.1.swap(true, SeqCst), "dropped once");
        self.0.fetch_sub(1, SeqCst);
    }
}

/// A form of table, with values in it that are numbers.
trait Kind: Form<Key: From<u32>> {
    fn of(number: u32, alive: &Arc<AtomicUsize>) -> Self::Value;

    /// The number of a value that is read, looked at twice with others in between.
    fn number(value: &Self::Value) -> u32;
}

impl Kind for Apart<u32, Watched> {
    fn of(number: u32, alive: &Arc<AtomicUsize>) -> Watched {
        alive.fetch_add(1, SeqCst);
        Watched(number, std::sync::Arc::new(Life(Arc::clone(alive), false.into())))
    }

    fn number(value: &Watched) -> u32 {
        for _ in 0..2 {
            thread::yield_now();
            assert!(!value.1.1.load(SeqCst), "nothing is dropped that is read");
        }
        value.0
    }
}

impl Kind for Within {
    fn of(number: u32, _: &Arc<AtomicUsize>) -> u64 {
        number.into()
    }

    fn number(value: &u64) -> u32 {
        *value as u32
    }
}

struct World<F: Kind> {
    table: Table<F, ()>,
    alive: Arc<AtomicUsize>,
}

/// All keys have one hash, so that they meet in the same buckets. It is short as it is.
const HASH: u32 = 0x87;

impl<F: Kind> World<F> {
    fn new(patience: usize) -> Arc<Self> {
        let alive = Arc::new(AtomicUsize::new(0));
        let limits =
            Limits { most: 100, usual: 100, patience, are_slots_told: false, listens: false };
        Arc::new(Self { table: Table::new(limits, ()), alive })
    }

    fn put(&self, key: u32, value: u32) {
        let mut notes = [None; LANES];
        notes[Lane::Version as usize] = version(value);
        let value = F::of(value, &self.alive);
        let mut removals = Removals::none();
        {
            let mut locked = self.table.lock();
            let mut writer = locked.parts().0;
            if let Some(held) = writer.view().find(HASH, |held| *held == key.into()).map(Node::slot)
            {
                writer.lift(held, Cause::Replaced, |_| ());
            }
            let kept = writer.insert(HASH, key.into(), Some(value), List::Main, &notes);
            assert!(kept.is_ok());
            writer.settle(Freeing::Together, &mut removals);
        }
        drop(removals);
    }

    /// Stores an entry in the slot of another; whether that was done.
    fn swap(&self, old: u32, key: u32, value: u32) -> bool {
        let mut locked = self.table.lock();
        let writer = locked.parts().0;
        let view = writer.view();
        let held = view.find(HASH, |held| *held == old.into()).expect("it is there");
        let leaver = view.locate(held.slot()).expect("it is there");
        let value = F::of(value, &self.alive);
        view.swap(leaver, HASH, &key.into(), &value, List::Main).is_some()
    }

    /// Writes a value where that of an entry stands; whether that was done.
    fn rewrite(&self, key: u32, value: u32) -> bool {
        let mut locked = self.table.lock();
        let writer = locked.parts().0;
        let view = writer.view();
        let held = view.find(HASH, |held| *held == key.into()).expect("it is there");
        view.rewrite(&held, &F::of(value, &self.alive)).is_some()
    }

    fn remove(&self, key: u32, freeing: Freeing) {
        let mut removals = Removals::none();
        {
            let mut locked = self.table.lock();
            let mut writer = locked.parts().0;
            if let Some(held) = writer.view().find(HASH, |held| *held == key.into()).map(Node::slot)
            {
                writer.remove(held, Cause::Invalidated, |_| ());
            }
            writer.settle(freeing, &mut removals);
        }
        drop(removals);
    }

    /// What a reader sees.
    fn read(&self, key: u32) -> Option<u32> {
        let pin = pin()?;
        let node = self.table.find(HASH, |held| *held == key.into(), &pin)?;
        let value = F::number(node.value()?);
        assert!(*node.key() == key.into());
        // What stands in the slot is the same entry's, though that may have left meanwhile.
        let is_bare = F::is_bare(&node);
        let seen = if is_bare { None } else { node.notes().note(Lane::Version) };
        assert_eq!(seen, version(value));
        Some(value)
    }
}

/// Every other entry has a version, which is its value.
fn version(value: u32) -> Option<u64> {
    (value % 2 == 1).then_some(value.into())
}

/// So many schedules take turns at random; in as many others a thread runs on until a few points at random,
/// so that others do much between two of its steps. Stacks are such that a table full of the explorer's
/// atomics fits on them.
fn explore(test: impl Fn() + Send + Sync + 'static, schedules: usize) {
    let mut config = shuttle::Config::new();
    config.stack_size = 1 << 20;
    let test = std::sync::Arc::new(test);
    let again = std::sync::Arc::clone(&test);
    let random = RandomScheduler::new(schedules);
    shuttle::Runner::new(random, config.clone()).run(move || test());
    let few = PctScheduler::new(CHANGES, schedules);
    shuttle::Runner::new(few, config).run(move || again());
}

#[test]
fn nothing_is_freed_while_it_is_read() {
    explore(
        || {
            let world = World::<Apart<u32, Watched>>::new(1);
            world.put(1, 0);
            let readers = [1, 2].map(|key| {
                let world = Arc::clone(&world);
                thread::spawn(move || (0..3).for_each(|_| _ = world.read(key)))
            });
            let writer = {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    world.put(2, 1);
                    world.put(1, 2);
                    world.remove(1, Freeing::Now);
                    world.put(3, 3);
                    world.put(2, 4);
                })
            };
            readers.into_iter().for_each(|reader| reader.join().unwrap());
            writer.join().unwrap();
            // Nobody reads any more, so what left is freed by the next who asks for it.
            world.remove(9, Freeing::Now);
            assert_eq!(world.alive.load(SeqCst), 2);
        },
        3_000,
    );
}

fn a_key_that_is_replaced_stays<F: Kind + Send + Sync>()
where
    Table<F, ()>: Send + Sync,
{
    let world = World::<F>::new(2);
    world.put(1, 0);
    let writer = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            for value in 1..4 {
                world.put(1, value);
                // The index grows, buckets overflow, and entries move within them.
                (0..12).for_each(|key| world.put(value * 100 + key, 0));
                world.remove(value * 100, Freeing::Together);
            }
        })
    };
    let mut last = 0;
    for _ in 0..6 {
        let seen = world.read(1).expect("it is there all the time");
        assert!(seen >= last);
        last = seen;
    }
    writer.join().unwrap();
    assert_eq!(world.read(1), Some(3));
}

#[test]
fn a_key_that_is_replaced_is_never_away_and_never_goes_back() {
    explore(a_key_that_is_replaced_stays::<Apart<u32, Watched>>, 300);
    explore(a_key_that_is_replaced_stays::<Within>, 300);
}

fn what_was_removed_is_not_seen<F: Kind + Send + Sync>()
where
    Table<F, ()>: Send + Sync,
{
    let world = World::<F>::new(1);
    world.put(1, 0);
    let gone = Arc::new(AtomicBool::new(false));
    let reader = {
        let (world, gone) = (Arc::clone(&world), Arc::clone(&gone));
        thread::spawn(move || {
            for _ in 0..4 {
                let is_gone = gone.load(SeqCst);
                assert!(!is_gone || world.read(1).is_none());
            }
        })
    };
    world.put(2, 0);
    world.remove(1, Freeing::Together);
    gone.store(true, SeqCst);
    world.put(3, 0);
    reader.join().unwrap();
}

#[test]
fn what_was_removed_is_not_seen_by_who_begins_after_that() {
    explore(what_was_removed_is_not_seen::<Apart<u32, Watched>>, 3_000);
    explore(what_was_removed_is_not_seen::<Within>, 3_000);
}

fn a_slot_is_used_again<F: Kind + Send + Sync>()
where
    Table<F, ()>: Send + Sync,
{
    let world = World::<F>::new(1);
    world.put(1, 0);
    let reader = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            for _ in 0..2 {
                assert!(world.read(1).is_none_or(|value| value == 0));
                assert!(world.read(2).is_none_or(|value| value == 1));
                assert!(world.read(3).is_none_or(|value| value == 2));
            }
        })
    };
    for (key, value) in [(2, 1), (3, 2)] {
        world.remove(key - 1, Freeing::Now);
        world.put(key, value);
    }
    reader.join().unwrap();
}

/// The same while somebody may look into an index that was replaced.
fn a_slot_is_used_again_when_the_index_has_grown<F: Kind + Send + Sync>()
where
    Table<F, ()>: Send + Sync,
{
    let world = World::<F>::new(1);
    (1..23).for_each(|key| world.put(key, 0));
    let reader = {
        let world = Arc::clone(&world);
        thread::spawn(move || _ = world.read(1))
    };
    world.put(23, 0);
    world.put(24, 0);
    world.remove(1, Freeing::Now);
    world.put(25, 1);
    reader.join().unwrap();
}

#[test]
fn what_stands_in_a_slot_is_not_taken_for_that_of_who_was_there_before() {
    explore(a_slot_is_used_again::<Apart<u32, Watched>>, 1_500);
    explore(a_slot_is_used_again::<Within>, 1_500);
    explore(a_slot_is_used_again_when_the_index_has_grown::<Within>, 5_000);
}

/// Values that say whose they are, in one bucket whose entries come, go and move.
#[test]
fn who_glances_at_a_number_sees_its_own_or_nothing() {
    explore(
        || {
            let world = World::<Within>::new(1);
            (1..4).for_each(|key| world.put(key, key * 10));
            let writer = {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    // All in the first place, where a glance looks if it is taken.
                    world.put(1, 11);
                    world.remove(1, Freeing::Now);
                    world.put(4, 40);
                    world.put(4, 41);
                    world.remove(3, Freeing::Now);
                })
            };
            let mut newest = [0; 5];
            for _ in 0..3 {
                for key in 1..5 {
                    let pin = pin().unwrap();
                    let seen = world.table.glance(HASH, |held| *held == u64::from(key), &pin);
                    let Glance::Value(seen) = seen else {
                        assert!(key != 2 || !matches!(seen, Glance::Missing), "it is there");
                        continue;
                    };
                    assert_eq!(seen as u32 / 10, key);
                    let newest = &mut newest[key as usize];
                    assert!(seen >= *newest, "it never goes back");
                    *newest = seen;
                }
            }
            writer.join().unwrap();
        },
        5_000,
    );
}

/// An entry that did not find room at home comes there when there is some.
#[test]
fn a_number_that_comes_home_is_never_away() {
    explore(
        || {
            let world = World::<Within>::new(1);
            // One more than a bucket has places.
            (1..8).for_each(|key| world.put(key, 70));
            let reader = {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    for _ in 0..3 {
                        assert_eq!(world.read(7), Some(70));
                        let pin = pin().unwrap();
                        let seen = world.table.glance_further(HASH, |held| *held == 7, &pin);
                        assert!(matches!(seen, Glance::Value(70) | Glance::Unclear));
                    }
                })
            };
            world.remove(1, Freeing::Together);
            let mut locked = world.table.lock();
            let writer = locked.parts().0;
            let find = |writer: &Writer<'_, Within>| {
                writer.view().find(HASH, |held| *held == 7).map(Node::slot).expect("it is there")
            };
            let slot = find(&writer);
            assert!(writer.view().bring_home(slot), "it was elsewhere, and there is room");
            assert!(!writer.view().bring_home(slot), "it is at home");
            assert_eq!(find(&writer), slot);
            drop(locked);
            reader.join().unwrap();
            world.remove(7, Freeing::Now);
            assert_eq!(world.read(7), None);
        },
        3_000,
    );
}

#[test]
fn nothing_is_swapped_before_an_index_is_freed_that_was_read() {
    explore(
        || {
            let world = World::<Within>::new(1);
            (1..3).for_each(|key| world.put(key, key * 10));
            let reader = {
                let world = Arc::clone(&world);
                thread::spawn(move || (0..3).for_each(|_| assert_eq!(world.read(2), Some(20))))
            };
            let pin = pin().unwrap();
            (3..50).for_each(|key| world.put(key, key * 10));
            assert!(!world.swap(1, 50, 500), "another index may be read");
            drop(pin);
            reader.join().unwrap();
            // Whatever comes now finds that nobody reads.
            world.put(51, 510);
            assert!(world.swap(1, 50, 500));
            assert_eq!([1, 2, 50].map(|key| world.read(key)), [None, Some(20), Some(500)]);
        },
        500,
    );
}

/// Values that say whose they are, of entries that take each other's slots.
#[test]
fn who_reads_what_is_swapped_sees_its_own_or_nothing() {
    explore(
        || {
            let world = World::<Within>::new(1);
            // One more than a bucket has places.
            (1..8).for_each(|key| world.put(key, key * 10));
            let writer = {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    assert!(world.swap(1, 8, 80));
                    assert!(world.swap(8, 1, 12));
                    assert!(world.rewrite(1, 14) && world.rewrite(2, 22));
                    assert!(world.swap(7, 8, 82), "it is elsewhere");
                    world.remove(8, Freeing::Now);
                    // In the same slot, with a version.
                    world.put(8, 83);
                    assert!(!world.swap(8, 9, 90), "there is more to it");
                    assert!(!world.rewrite(8, 84), "there is more to it");
                })
            };
            let mut newest = [0; 10];
            for _ in 0..2 {
                for key in [1, 2, 7, 8] {
                    let found = world.read(key);
                    assert!(key != 2 || found.is_some(), "it is there");
                    let is_it = |held: &u64| *held == u64::from(key);
                    let pin = pin().unwrap();
                    let glances = [
                        world.table.glance(HASH, is_it, &pin),
                        world.table.glance_further(HASH, is_it, &pin),
                    ];
                    drop(pin);
                    let glances = glances.into_iter().filter_map(|seen| match seen {
                        Glance::Value(seen) => Some(seen as u32),
                        _ => None,
                    });
                    for seen in found.into_iter().chain(glances) {
                        assert_eq!(seen / 10, key);
                        let newest = &mut newest[key as usize];
                        assert!(seen >= *newest, "it never goes back");
                        *newest = seen;
                    }
                }
            }
            writer.join().unwrap();
            let left = [1, 2, 7, 8, 9].map(|key| world.read(key));
            assert_eq!(left, [Some(14), Some(22), None, Some(83), None]);
        },
        5_000,
    );
}

/// Hits of a list that only remembers them.
struct Order {
    touches: Touches,
    applied: Mutex<Vec<Slot>>,
}

impl Order {
    /// As a cache does it.
    fn hit(&self, slot: Slot) {
        match self.touches.note(slot) {
            Noted::Done => {}
            Noted::HalfFull => {
                if let Some(mut applied) = self.applied.try_lock() {
                    self.touches.apply(|slot| applied.push(slot));
                }
            }
            Noted::Not => {
                let mut applied = self.applied.lock();
                self.touches.apply(|slot| applied.push(slot));
                applied.push(slot);
            }
        }
    }

    fn applied(&self) -> Vec<Slot> {
        let mut applied = self.applied.lock();
        self.touches.apply(|slot| applied.push(slot));
        applied.clone()
    }
}

#[test]
fn each_hit_is_applied_once_in_its_threads_order_as_soon_as_it_is_over() {
    explore(
        || {
            let order = Arc::new(Order { touches: Touches::new(), applied: Mutex::default() });
            let threads = [10, 20, 30].map(|first| {
                let order = Arc::clone(&order);
                thread::spawn(move || {
                    for slot in first..first + 4 {
                        order.hit(slot);
                        assert_eq!(order.applied().iter().filter(|it| **it == slot).count(), 1);
                    }
                })
            });
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let applied = order.applied();
            assert_eq!(applied.len(), 12);
            for first in [10, 20, 30] {
                let own = applied.iter().copied().filter(|slot| slot / 10 * 10 == first);
                assert!(own.eq(first..first + 4), "{applied:?}");
            }
        },
        20_000,
    );
}
