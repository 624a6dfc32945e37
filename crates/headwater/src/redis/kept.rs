//! The connection of a [`Link`](super::link::Link): made when it is wanted, given up when it breaks or
//! falls silent, and looked after while the breaker is open.

use super::breaker::{Breaker, Limits};
use super::dial::{Dialer, Wire};
use super::error::{Health, code, from_redis, health};
use super::link::{Again, Call, send};
use super::script::is_unknown_error;
use crate::{Clock, Error, ErrorKind};
use ::redis::{RedisError, RedisResult, Value};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Between two probes of an open breaker, give or take a quarter.
const PROBE_EVERY: Duration = Duration::from_millis(250);
/// For a probe on a connection that is open.
const PROBE_WITHIN: Duration = Duration::from_millis(250);
/// So long may a connection be silent when it is asked.
const SILENCE: Duration = Duration::from_secs(1);

/// A connection that is kept up; see [`Link`](super::link::Link).
pub(super) struct Kept {
    pub(super) dialer: Arc<Dialer>,
    pub(super) breaker: Breaker,
    slot: Mutex<Slot>,
    /// Since when calls go unanswered; `None` after each answer.
    silent_since: Mutex<Option<Instant>>,
    pub(super) is_closed: AtomicBool,
    is_probing: AtomicBool,
    pub(super) counts: Counts,
}

/// What a link has counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) timeouts: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) refusals: AtomicU64,
    pub(super) connects: AtomicU64,
}

/// The connection, and which one it is: the number grows with each.
struct Slot {
    number: u64,
    since: Instant,
    state: State,
}

enum State {
    Empty,
    Dialing(Dialing),
    Open(Wire),
}

type Dialing = Shared<BoxFuture<'static, RedisResult<(Wire, u64)>>>;
impl Kept {
    pub(super) fn new(dialer: Arc<Dialer>) -> Self {
        Self {
            dialer,
            breaker: Breaker::new(Clock::system(), Limits::default()),
            slot: Mutex::new(Slot { number: 0, since: Instant::now(), state: State::Empty }),
            silent_since: Mutex::new(None),
            is_closed: AtomicBool::new(false),
            is_probing: AtomicBool::new(false),
            counts: Counts::default(),
        }
    }

    /// Gives the connection up.
    pub(super) fn give_up(&self) {
        let mut slot = self.slot();
        let gone = std::mem::replace(&mut slot.state, State::Empty);
        drop(slot);
        drop(gone);
    }

    pub(super) async fn attempt(
        self: &Arc<Self>,
        call: Call<'_>,
        again: Again,
    ) -> RedisResult<Vec<Value>> {
        let (wire, number) = self.wire().await?;
        let error = match send(wire, call).await {
            Ok(replies) => return Ok(replies),
            Err(error) => error,
        };
        if health(&error) != Health::Broken {
            return Err(error);
        }
        self.lost(number);
        // A connection that broke while it was idle is noticed only now.
        if again == Again::Never {
            return Err(error);
        }
        let (wire, number) = self.wire().await?;
        send(wire, call).await.inspect_err(|error| {
            if health(error) == Health::Broken {
                self.lost(number);
            }
        })
    }

    /// The open connection, or the one that is being made, or a new one.
    pub(super) async fn wire(self: &Arc<Self>) -> RedisResult<(Wire, u64)> {
        let dialing = {
            let mut slot = self.slot();
            match &slot.state {
                State::Open(wire) => return Ok((wire.clone(), slot.number)),
                State::Dialing(dialing) => dialing.clone(),
                State::Empty => {
                    slot.number += 1;
                    let dialing = self.dial(slot.number)?;
                    slot.state = State::Dialing(dialing.clone());
                    dialing
                }
            }
        };
        dialing.await
    }

    /// Makes a connection in a task of its own, because callers come and go.
    pub(super) fn dial(self: &Arc<Self>, number: u64) -> RedisResult<Dialing> {
        let runtime = Handle::try_current().map_err(|_| no_runtime())?;
        let kept = Arc::clone(self);
        let task = runtime.spawn(async move {
            let dialed = kept.dialer.dial().await;
            kept.dialed(number, &dialed);
            dialed.map(|wire| (wire, number))
        });
        Ok(async move { task.await.unwrap_or_else(|_| Err(no_runtime())) }.boxed().shared())
    }

    pub(super) fn dialed(&self, number: u64, dialed: &RedisResult<Wire>) {
        let mut slot = self.slot();
        if slot.number != number {
            return;
        }
        slot.state = match dialed {
            Ok(wire) if !self.is_closed.load(Relaxed) => {
                self.counts.connects.fetch_add(1, Relaxed);
                slot.since = Instant::now();
                State::Open(wire.clone())
            }
            _ => State::Empty,
        };
        drop(slot);
        *lock(&self.silent_since) = None;
    }

    /// Forgets the connection of that number.
    pub(super) fn lost(&self, number: u64) {
        let mut slot = self.slot();
        let is_current = slot.number == number && matches!(slot.state, State::Open(_));
        let gone = is_current.then(|| std::mem::replace(&mut slot.state, State::Empty));
        drop(slot);
        drop(gone);
    }

    /// The server is no master (any more): a new connection may lead to another one. Not too often,
    /// because reads go well meanwhile.
    pub(super) fn demoted(&self) {
        let slot = self.slot();
        let (number, is_old) = (slot.number, slot.since.elapsed() >= SILENCE);
        drop(slot);
        if is_old {
            self.lost(number);
        }
    }

    /// Answers came.
    pub(super) fn heard(self: &Arc<Self>, unfit: bool) {
        *lock(&self.silent_since) = None;
        if unfit {
            self.note_failure();
        } else {
            self.breaker.succeeded();
        }
    }

    pub(super) fn failed(self: &Arc<Self>, error: RedisError) -> Error {
        match health(&error) {
            Health::Answers => {
                // A script that the server does not know (any more) is sent along next.
                if !is_unknown_error(&error) {
                    self.counts.refusals.fetch_add(1, Relaxed);
                }
                self.heard(false);
                if code(&error) == Some("READONLY") {
                    self.demoted();
                }
            }
            Health::Unfit => {
                self.counts.refusals.fetch_add(1, Relaxed);
                self.heard(true);
            }
            Health::Silent => {
                self.counts.timeouts.fetch_add(1, Relaxed);
                self.note_failure();
            }
            Health::Broken => {
                self.counts.failures.fetch_add(1, Relaxed);
                self.note_failure();
            }
        }
        from_redis(error)
    }

    pub(super) fn timed_out(self: &Arc<Self>, within: Duration) -> Error {
        self.counts.timeouts.fetch_add(1, Relaxed);
        self.note_silence();
        self.note_failure();
        Error::new(ErrorKind::Timeout, format!("no answer within {within:?}"))
    }

    /// Gives a connection up on which nothing came back for long.
    pub(super) fn note_silence(&self) {
        let mut since = lock(&self.silent_since);
        let now = Instant::now();
        if now.duration_since(*since.get_or_insert(now)) < SILENCE {
            return;
        }
        *since = None;
        drop(since);
        let number = self.slot().number;
        self.lost(number);
    }

    pub(super) fn note_failure(self: &Arc<Self>) {
        if self.breaker.failed() && !self.is_probing.swap(true, Relaxed) {
            match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(heal(Arc::downgrade(self)))),
                // Nobody would close it again.
                Err(_) => self.breaker.close(),
            }
        }
    }

    /// Whether the server answers, on the open connection or else on a new one.
    pub(super) async fn probe(self: &Arc<Self>) -> bool {
        let (open, number) = {
            let slot = self.slot();
            match &slot.state {
                State::Open(wire) => (Some(wire.clone()), slot.number),
                _ => (None, slot.number),
            }
        };
        if let Some(mut wire) = open {
            match tokio::time::timeout(PROBE_WITHIN, wire.ping()).await {
                Ok(Ok(())) => return true,
                Ok(Err(error)) if health(&error) == Health::Unfit => return false,
                _ => self.lost(number),
            }
        }
        self.wire().await.is_ok()
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        lock(&self.slot)
    }
}

/// Probes until the server answers or the link is gone.
async fn heal(link: Weak<Kept>) {
    loop {
        tokio::time::sleep(PROBE_EVERY.mul_f64(0.75 + 0.5 * fastrand::f64())).await;
        let Some(kept) = link.upgrade() else { return };
        if kept.is_closed.load(Relaxed) {
            return;
        }
        kept.breaker.probe();
        if kept.probe().await {
            *lock(&kept.silent_since) = None;
            kept.is_probing.store(false, Relaxed);
            kept.breaker.close();
            return;
        }
        kept.breaker.reopen();
    }
}
fn no_runtime() -> RedisError {
    (::redis::ErrorKind::Client, "this needs a running tokio runtime").into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
