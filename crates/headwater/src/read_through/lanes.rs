//! Order among the writes of one key.
//!
//! Writes to a store that is not in this process take time, and two of one key that overlap may
//! arrive in either order. So each write takes the lanes of its keys first, and gets them in the
//! order in which it asked: for all of its keys at once, hence no two writes ever wait for each
//! other.

use crate::Hashed;
use crate::hashed::HashedMap;
use crate::sync::{Arc, Mutex};
use std::collections::VecDeque;
use tokio::sync::Notify;

/// Who writes which key, and who waits to.
pub(super) struct Lanes<K>(Mutex<HashedMap<K, VecDeque<Arc<Ticket>>>>);

/// One write's place in the lanes of its keys.
struct Ticket {
    /// In how many lanes others are before it; guarded by the lanes' mutex.
    behind: Mutex<usize>,
    ready: Notify,
}

impl<K: Eq + Clone> Lanes<K> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Waits for the lanes of all `keys`, which must not repeat.
    ///
    /// # Cancellation
    /// The places in the lanes are taken when this is called, in that order, and given up when the
    /// result is dropped, at whichever point.
    pub(super) fn enter(self: &Arc<Self>, keys: Arc<[Hashed<K>]>) -> InLane<K> {
        let ticket = Arc::new(Ticket { behind: Mutex::new(0), ready: Notify::new() });
        let mut lanes = self.0.lock();
        let mut behind = 0;
        for key in &*keys {
            let lane = lanes.entry(key.clone()).or_default();
            behind += usize::from(!lane.is_empty());
            lane.push_back(Arc::clone(&ticket));
        }
        *ticket.behind.lock() = behind;
        drop(lanes);
        InLane { lanes: Arc::clone(self), keys, ticket }
    }
}

/// Places in lanes; dropping it lets the next ones go.
pub(super) struct InLane<K: Eq + Clone> {
    lanes: Arc<Lanes<K>>,
    keys: Arc<[Hashed<K>]>,
    ticket: Arc<Ticket>,
}

impl<K: Eq + Clone> InLane<K> {
    /// Waits until no earlier write of the keys goes on.
    pub(super) async fn clear(&self) {
        loop {
            let ready = self.ticket.ready.notified();
            if *self.ticket.behind.lock() == 0 {
                return;
            }
            ready.await;
        }
    }
}

impl<K: Eq + Clone> Drop for InLane<K> {
    fn drop(&mut self) {
        let mut gone = Vec::with_capacity(self.keys.len());
        let mut lanes = self.lanes.0.lock();
        for key in &*self.keys {
            let Some(lane) = lanes.get_mut(key) else { continue };
            let Some(place) = lane.iter().position(|other| Arc::ptr_eq(other, &self.ticket)) else {
                continue;
            };
            lane.remove(place);
            match lane.front() {
                Some(next) if place == 0 => next.advance(),
                Some(_) => {}
                None => gone.extend(lanes.remove_entry(key)),
            }
        }
        drop(lanes);
    }
}

impl Ticket {
    /// One lane has become free.
    fn advance(&self) {
        let mut behind = self.behind.lock();
        *behind -= 1;
        if *behind == 0 {
            self.ready.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn enter(lanes: &Arc<Lanes<u32>>, keys: &[u32]) -> InLane<u32> {
        lanes.enter(keys.iter().copied().map(Hashed::new).collect())
    }

    fn is_clear(place: &InLane<u32>) -> bool {
        place.clear().now_or_never().is_some()
    }

    #[test]
    fn writes_of_one_key_go_in_the_order_in_which_they_came() {
        let lanes = Arc::new(Lanes::new());
        let first = enter(&lanes, &[1]);
        let second = enter(&lanes, &[1, 2]);
        let third = enter(&lanes, &[2]);
        assert!(is_clear(&first) && !is_clear(&second) && !is_clear(&third));
        drop(first);
        assert!(is_clear(&second) && !is_clear(&third));
        drop(second);
        assert!(is_clear(&third));
        drop(third);
        assert!(lanes.0.lock().is_empty());
    }

    #[test]
    fn a_write_that_gave_up_while_waiting_holds_up_nobody() {
        let lanes = Arc::new(Lanes::new());
        let first = enter(&lanes, &[1]);
        let second = enter(&lanes, &[1, 2]);
        let third = enter(&lanes, &[1, 2]);
        drop(second);
        assert!(!is_clear(&third));
        drop(first);
        assert!(is_clear(&third));
    }

    #[test]
    fn writes_of_other_keys_do_not_wait() {
        let lanes = Arc::new(Lanes::new());
        let _one = enter(&lanes, &[1]);
        assert!(is_clear(&enter(&lanes, &[2, 3])));
    }
}
