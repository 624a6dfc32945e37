//! Linearizability: what threads see of a key can be put into one order that a single value obeys.

use super::face;
use headwater::{Entry, MemoryCache};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was done with the key, and what came of it.
#[derive(Clone, Copy, Debug)]
enum Act {
    Put(u64),
    Remove,
    Get(Option<u64>),
}

/// An act, and the moments between which it took place.
#[derive(Clone, Copy, Debug)]
struct Event {
    begun: u64,
    ended: u64,
    act: Act,
}

/// Whether some order of the events, in which none comes before one that had ended when it began,
/// explains all that was read.
fn is_explained(events: &[Event], left: u64, value: Option<u64>) -> bool {
    if left == 0 {
        return true;
    }
    let open = || (0..events.len()).filter(|at| left >> at & 1 == 1);
    let first_end = open().map(|at| events[at].ended).min().unwrap_or(u64::MAX);
    open().filter(|at| events[*at].begun < first_end).any(|at| {
        let rest = left & !(1 << at);
        match events[at].act {
            Act::Put(new) => is_explained(events, rest, Some(new)),
            Act::Remove => is_explained(events, rest, None),
            Act::Get(read) => read == value && is_explained(events, rest, value),
        }
    })
}

/// A value that is a number, whatever else it is.
trait Number: From<u64> + Into<u64> + Clone + Send + Sync + 'static {}

impl<V: From<u64> + Into<u64> + Clone + Send + Sync + 'static> Number for V {}

/// One that does not fit where a number does.
#[derive(Clone)]
struct Boxed(Box<u64>);

impl From<u64> for Boxed {
    fn from(number: u64) -> Self {
        Self(Box::new(number))
    }
}

impl From<Boxed> for u64 {
    fn from(boxed: Boxed) -> Self {
        *boxed.0
    }
}

/// What three threads do with one key, at random, while others grow and clear the cache around it.
fn history<V: Number>(cache: &MemoryCache<u64, V>, round: u64) -> Vec<Event> {
    let (clock, start) = (AtomicU64::new(0), Barrier::new(4));
    let now = || clock.fetch_add(1, Ordering::SeqCst);
    let act = |thread: u64| {
        let mut random = fastrand::Rng::with_seed(round * 10 + thread);
        start.wait();
        let event = |step: u64| {
            let (begun, choice) = (now(), random.u8(..10));
            let act = match choice {
                0..3 => {
                    let value = thread * 100 + step;
                    drop(face(cache).put(0, face(cache).prepare(&0, Entry::found(V::from(value)))));
                    Act::Put(value)
                }
                3 => {
                    drop(face(cache).remove(&0));
                    Act::Remove
                }
                4..7 => Act::Get(face(cache).get(&0).and_then(Entry::into_value).map(V::into)),
                _ => Act::Get(face(cache).value(&0).flatten().map(V::into)),
            };
            Event { begun, ended: now(), act }
        };
        (0..8).map(event).collect::<Vec<Event>>()
    };
    let grow = || {
        start.wait();
        for key in 1 + round * 40..1 + (round + 1) * 40 {
            drop(face(cache).put(key, face(cache).prepare(&key, Entry::found(V::from(key)))));
            drop(face(cache).remove(&(key / 2 + 1)));
        }
    };
    std::thread::scope(|scope| {
        let act = &act;
        let threads: Vec<_> = (1..4).map(|thread| scope.spawn(move || act(thread))).collect();
        scope.spawn(grow);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn a_history_that_no_order_explains_is_found_out() {
    let event = |begun, ended, act| Event { begun, ended, act };
    let stale =
        [event(0, 1, Act::Put(1)), event(2, 3, Act::Put(2)), event(4, 5, Act::Get(Some(1)))];
    assert!(!is_explained(&stale, 0b111, None));
    let overlapping = [stale[0], event(2, 6, Act::Put(2)), stale[2]];
    assert!(is_explained(&overlapping, 0b111, None));
    let gap = [event(0, 1, Act::Put(1)), event(2, 5, Act::Put(2)), event(3, 4, Act::Get(None))];
    assert!(!is_explained(&gap, 0b111, None), "a replaced entry is never away");
}

fn what_is_seen_has_one_order<V: Number>() {
    let cache = MemoryCache::<u64, V>::builder().shards(1).build().unwrap();
    for round in 0..300 {
        drop(face(&cache).remove(&0));
        let events = history(&cache, round);
        assert!(is_explained(&events, (1 << events.len()) - 1, None), "{events:#?}");
    }
}

#[test]
fn what_threads_see_of_a_key_has_one_order() {
    what_is_seen_has_one_order::<u64>();
    what_is_seen_has_one_order::<Boxed>();
}
