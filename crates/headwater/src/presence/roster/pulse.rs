//! The task that sends the heartbeats of a roster's connections and has reaped what expired.
//!
//! Heartbeats go every third of the TTL, a tenth earlier at random so that processes do not beat
//! together, all at once. What the store does not know joins again. Topics are reaped when their next
//! end comes, as the store says, and every third of the TTL at least while somebody here is in them
//! or watches them: so any process does it for those that died, and whoever removes logs it, once.

use super::connection::Held;
use super::roster::Inner;
use super::{RosterStore, Seat};
use crate::sync::{Arc, Mutex, Ordering};
use crate::{Moment, Result, runtime};
use futures_util::future::{join_all, select};
use futures_util::stream::{self, StreamExt};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::Notify;

/// Connections that join again at once.
const REJOINS: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Pulse {
    is_beating: AtomicBool,
    woken: Arc<Notify>,
    /// When each topic is to be reaped next.
    reaps: Mutex<HashMap<Arc<str>, Moment>>,
}

impl Pulse {
    /// Has a topic reaped at `end` at the latest.
    pub(crate) fn expect(&self, topic: &Arc<str>, end: Moment) {
        let mut reaps = self.reaps.lock();
        let due = reaps.entry(Arc::clone(topic)).or_insert(Moment::END);
        if end < *due {
            *due = end;
            drop(reaps);
            self.wake();
        }
    }

    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Starts the task, if it does not run.
    pub(crate) fn start<S: RosterStore>(roster: &Arc<Inner<S>>) -> Result<()> {
        if roster.pulse.is_beating.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let touch_at = roster.clock.now() + soon(roster.settings.ttl);
        let woken = Arc::clone(&roster.pulse.woken);
        runtime::spawn(pulse(Beating(Arc::downgrade(roster)), woken, touch_at)).map(drop)
    }

    fn due(&self, now: Moment) -> Vec<Arc<str>> {
        let mut reaps = self.reaps.lock();
        let due = reaps.iter_mut().filter(|(_, at)| **at <= now);
        due.map(|(topic, at)| {
            *at = Moment::END;
            Arc::clone(topic)
        })
        .collect()
    }

    fn next(&self) -> Moment {
        self.reaps.lock().values().min().copied().unwrap_or(Moment::END)
    }
}

/// The task's hold on its roster: should the task be dropped with its runtime, another may start.
struct Beating<S: RosterStore>(Weak<Inner<S>>);

impl<S: RosterStore> Drop for Beating<S> {
    fn drop(&mut self) {
        if let Some(roster) = self.0.upgrade() {
            roster.pulse.is_beating.store(false, Ordering::SeqCst);
        }
    }
}

impl<S: RosterStore> Beating<S> {
    fn roster(&self) -> Option<Arc<Inner<S>>> {
        self.0.upgrade().filter(|roster| !roster.is_closed())
    }
}

/// Heartbeats do not wait for what is reaped: that may take longer than a life.
async fn pulse<S: RosterStore>(hold: Beating<S>, woken: Arc<Notify>, touch_at: Moment) {
    select(pin!(touches(&hold, touch_at)), pin!(reaps(&hold, &woken))).await;
}

async fn touches<S: RosterStore>(hold: &Beating<S>, mut touch_at: Moment) {
    while let Some(clock) = hold.roster().map(|roster| roster.clock.clone()) {
        clock.sleep(touch_at - clock.now()).await;
        let Some(roster) = hold.roster() else { return };
        let (now, ttl) = (clock.now(), roster.settings.ttl);
        let all_well = roster.touch_all().await;
        touch_at = now + if all_well { soon(ttl) } else { ttl / 12 };
    }
}

/// Ends when the roster does, which wakes it.
async fn reaps<S: RosterStore>(hold: &Beating<S>, woken: &Notify) {
    while let Some(roster) = hold.roster() {
        let now = roster.clock.now();
        join_all(roster.pulse.due(now).iter().map(|topic| roster.reap(topic))).await;
        roster.forget_gone();
        let (clock, next) = (roster.clock.clone(), roster.pulse.next());
        drop(roster);
        let sleep = pin!(clock.sleep(next - clock.now()));
        let woken = pin!(woken.notified());
        select(sleep, woken).await;
    }
}

fn soon(ttl: Duration) -> Duration {
    (ttl / 3).mul_f64(0.9 + 0.1 * fastrand::f64())
}

impl<S: RosterStore> Inner<S> {
    /// Whether every heartbeat was heard.
    async fn touch_all(&self) -> bool {
        let held: Vec<Arc<Held<S>>> = self.seats.lock().values().cloned().collect();
        if held.is_empty() {
            return true;
        }
        let seats: Vec<&Seat<_>> = held.iter().map(|held| &held.seat).collect();
        let outcomes = self.store.touch(&seats, self.settings.ttl).await;
        let mut missing = Vec::new();
        let mut all_well = true;
        for (held, outcome) in held.iter().zip(outcomes) {
            match outcome {
                Ok(true) => drop(self.counts.heartbeats.fetch_add(1, Ordering::Relaxed)),
                Ok(false) => missing.push(Arc::clone(held)),
                Err(_) => {
                    all_well = false;
                    self.counts.failures.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        let joins = stream::iter(missing).map(async |held| {
            let joined = held.join_again(self).await;
            if let Ok(true) = joined {
                self.counts.rejoins.fetch_add(1, Ordering::Relaxed);
                self.pulse.expect(&held.seat.topic, self.clock.now() + self.settings.ttl);
            }
            joined.is_ok()
        });
        let joins = joins.buffer_unordered(REJOINS).all(std::future::ready).await;
        all_well && joins
    }

    async fn reap(&self, topic: &Arc<str>) {
        let (reaped, ttl) = (self.store.reap(topic).await, self.settings.ttl);
        let now = self.clock.now();
        match reaped {
            Ok(Some(Duration::ZERO)) => self.pulse.expect(topic, now),
            Ok(Some(left)) => {
                let jitter = (ttl / 20).min(Duration::from_millis(250)).mul_f64(fastrand::f64());
                // By a clock of its own the store may be a little slower.
                let left = if left < ttl / 3 { left + jitter } else { ttl / 3 };
                self.pulse.expect(topic, now + left);
            }
            Ok(None) if !self.bell.is_watched(topic) => {
                let mut reaps = self.pulse.reaps.lock();
                // Somebody may have joined meanwhile.
                if reaps.get(topic) == Some(&Moment::END) {
                    reaps.remove(topic);
                }
            }
            Ok(None) => self.pulse.expect(topic, now + ttl / 3),
            Err(_) => self.pulse.expect(topic, now + ttl / 12),
        }
    }
}
