use super::{Attempt, LockStore, Told};
use crate::sync::Mutex;
use crate::{Clock, Moment};
use futures_util::FutureExt;
use futures_util::future::ready;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// Locks of this process.
pub(super) struct MemoryLocks {
    clock: Clock,
    state: Mutex<State>,
    releases: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    held: HashMap<Box<str>, Held>,
    /// At so many locks those that are over are dropped, so that this costs little per lock.
    sweep_at: usize,
    /// The last fencing token, of all names.
    fence: u64,
}

#[derive(Clone, Copy)]
struct Held {
    owner: u128,
    fence: u64,
    end: Moment,
}

impl MemoryLocks {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default(), releases: watch::Sender::new(()) }
    }

    fn take(&self, name: &str, owner: u128, ttl: Duration) -> Attempt {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let present = state.live(name, now).copied();
        let fence = match present {
            Some(held) if held.owner != owner => return Attempt::Held(held.end - now),
            Some(held) => held.fence,
            None => state.next_fence(),
        };
        state.sweep(now);
        state.held.insert(Box::from(name), Held { owner, fence, end: now + ttl });
        Attempt::Taken(fence)
    }
}

impl State {
    fn live(&self, name: &str, now: Moment) -> Option<&Held> {
        self.held.get(name).filter(|held| held.end > now)
    }

    /// More than the last one, and than those of an earlier run of this process.
    fn next_fence(&mut self) -> u64 {
        let wall = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |wall| wall.as_micros());
        self.fence = self.fence.max(u64::try_from(wall).unwrap_or(0)) + 1;
        self.fence
    }

    fn sweep(&mut self, now: Moment) {
        if self.held.len() >= self.sweep_at {
            self.held.retain(|_, held| held.end > now);
            self.sweep_at = self.held.len() * 2 + 16;
        }
    }
}

impl LockStore for MemoryLocks {
    fn acquire<'a>(&'a self, name: &'a str, owner: u128, ttl: Duration) -> Told<'a, Attempt> {
        ready(Ok(self.take(name, owner, ttl))).boxed()
    }

    fn extend<'a>(&'a self, name: &'a str, owner: u128, ttl: Duration) -> Told<'a, bool> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let ours = state.held.get_mut(name).filter(|held| held.owner == owner && held.end > now);
        let is_ours = ours.map(|held| held.end = now + ttl).is_some();
        ready(Ok(is_ours)).boxed()
    }

    fn release<'a>(&'a self, name: &'a str, owner: u128) -> Told<'a, bool> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let is_ours = state.live(name, now).is_some_and(|held| held.owner == owner);
        if is_ours {
            state.held.remove(name);
        }
        drop(state);
        self.releases.send_replace(());
        ready(Ok(is_ours)).boxed()
    }

    fn releases(&self) -> Option<watch::Receiver<()>> {
        Some(self.releases.subscribe())
    }
}
