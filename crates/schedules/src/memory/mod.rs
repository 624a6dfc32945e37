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
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use shuttle::thread;
use table::{Freeing, LANES, Node, Slot, Table, pin};
use touches::{Noted, Touches};

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

struct World {
    table: Table<u32, Watched, ()>,
    alive: Arc<AtomicUsize>,
}

impl World {
    fn new(patience: usize) -> Arc<Self> {
        let alive = Arc::new(AtomicUsize::new(0));
        Arc::new(Self { table: Table::new(100, patience, ()), alive })
    }

    /// All keys have one hash, so that they meet in the same buckets.
    fn put(&self, key: u32, value: u32) {
        self.alive.fetch_add(1, SeqCst);
        let life = std::sync::Arc::new(Life(Arc::clone(&self.alive), false.into()));
        let mut removals = Removals::none();
        {
            let mut locked = self.table.lock();
            let mut writer = locked.parts().0;
            if let Some(held) = writer.find(7, &key).map(Node::slot) {
                writer.lift(held, Cause::Replaced);
            }
            let kept = writer.insert(7, key, Some(Watched(value, life)), [None; LANES]);
            assert!(kept.is_ok());
            writer.settle(Freeing::Together, false, &mut removals);
        }
        drop(removals);
    }

    fn remove(&self, key: u32, freeing: Freeing) {
        let mut removals = Removals::none();
        {
            let mut locked = self.table.lock();
            let mut writer = locked.parts().0;
            if let Some(held) = writer.find(7, &key).map(Node::slot) {
                writer.remove(held, Cause::Invalidated);
            }
            writer.settle(freeing, false, &mut removals);
        }
        drop(removals);
    }

    /// What a reader sees, looked at twice with others in between.
    fn read(&self, key: u32) -> Option<u32> {
        let pin = pin()?;
        let node = self.table.find(7, &key, &pin)?;
        let value = node.value()?;
        for _ in 0..2 {
            thread::yield_now();
            assert!(!value.1.1.load(SeqCst), "nothing is dropped that is read");
            assert_eq!(*node.key(), key);
        }
        Some(value.0)
    }
}

/// As `shuttle::check_random`, with stacks that a table full of the explorer's atomics fits on.
fn explore(test: impl Fn() + Send + Sync + 'static, schedules: usize) {
    let mut config = shuttle::Config::new();
    config.stack_size = 1 << 20;
    let scheduler = shuttle::scheduler::RandomScheduler::new(schedules);
    shuttle::Runner::new(scheduler, config).run(test);
}

#[test]
fn nothing_is_freed_while_it_is_read() {
    explore(
        || {
            let world = World::new(1);
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

#[test]
fn a_key_that_is_replaced_is_never_away_and_never_goes_back() {
    explore(
        || {
            let world = World::new(2);
            world.put(1, 0);
            let writer = {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    for value in 1..4 {
                        world.put(1, value);
                        // The index grows, and buckets overflow.
                        (0..12).for_each(|key| world.put(value * 100 + key, 0));
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
        },
        300,
    );
}

#[test]
fn what_was_removed_is_not_seen_by_who_begins_after_that() {
    explore(
        || {
            let world = World::new(1);
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
        },
        3_000,
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
