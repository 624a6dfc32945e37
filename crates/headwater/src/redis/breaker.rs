//! A circuit breaker: after repeated failures nobody is made to wait for the next one.
//!
//! Closed, it counts outcomes in a sliding window; it opens on a row of failures, or on a high
//! rate of them. Open, it admits nobody; its owner probes from time to time (half-open), and closes
//! it when a probe succeeds. It knows nothing of what it guards.

use crate::{Clock, Moment};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Into how many slices the window is divided.
const SLICES: usize = 10;

/// When a breaker opens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// So many failures in a row open it.
    pub(crate) in_a_row: u32,
    /// So large a part of the window's outcomes, from 0 to 1, opens it ...
    pub(crate) rate: f64,
    /// ... if the window has at least so many.
    pub(crate) at_least: u32,
    /// How long an outcome counts.
    pub(crate) window: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { in_a_row: 5, rate: 0.5, at_least: 5, window: Duration::from_secs(10) }
    }
}

/// What a circuit breaker does with calls just now.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Calls pass. The normal state.
    #[default]
    Closed,
    /// Calls fail at once, without a round trip.
    Open,
    /// Calls fail at once; a probe is under way that decides what comes next.
    HalfOpen,
}

/// A circuit breaker; see the module.
#[derive(Debug)]
pub(crate) struct Breaker {
    clock: Clock,
    limits: Limits,
    is_open: AtomicBool,
    opens: AtomicU64,
    rejected: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: BreakerState,
    in_a_row: u32,
    /// Outcomes by slice of the window, each with the number of the slice that it is for.
    slices: [Slice; SLICES],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    number: u64,
    outcomes: u32,
    failures: u32,
}

impl Breaker {
    pub(crate) fn new(clock: Clock, limits: Limits) -> Self {
        let inner =
            Inner { state: BreakerState::Closed, in_a_row: 0, slices: [Slice::default(); SLICES] };
        Self {
            clock,
            limits,
            is_open: AtomicBool::new(false),
            opens: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            inner: Mutex::new(inner),
        }
    }

    /// Whether a call may go ahead; if not, it is counted.
    pub(crate) fn admits(&self) -> bool {
        let admits = !self.is_open.load(Relaxed);
        if !admits {
            self.rejected.fetch_add(1, Relaxed);
        }
        admits
    }

    /// Notes a call that went well.
    pub(crate) fn succeeded(&self) {
        let mut inner = self.lock();
        inner.in_a_row = 0;
        let slice = self.slice(&mut inner);
        slice.outcomes += 1;
    }

    /// Notes a call that failed. True if that opened the breaker: its owner begins to probe.
    pub(crate) fn failed(&self) -> bool {
        let mut inner = self.lock();
        inner.in_a_row += 1;
        let slice = self.slice(&mut inner);
        slice.outcomes += 1;
        slice.failures += 1;
        if inner.state != BreakerState::Closed || !self.is_too_much(&inner) {
            return false;
        }
        inner.state = BreakerState::Open;
        self.is_open.store(true, Relaxed);
        self.opens.fetch_add(1, Relaxed);
        true
    }

    /// A probe begins.
    pub(crate) fn probe(&self) {
        let mut inner = self.lock();
        if inner.state == BreakerState::Open {
            inner.state = BreakerState::HalfOpen;
        }
    }

    /// The probe failed.
    pub(crate) fn reopen(&self) {
        let mut inner = self.lock();
        if inner.state == BreakerState::HalfOpen {
            inner.state = BreakerState::Open;
        }
    }

    /// The probe succeeded: calls pass again, and what was is forgotten.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.state = BreakerState::Closed;
        inner.in_a_row = 0;
        inner.slices = [Slice::default(); SLICES];
        self.is_open.store(false, Relaxed);
    }

    pub(crate) fn state(&self) -> BreakerState {
        self.lock().state
    }

    /// How often it opened.
    pub(crate) fn opens(&self) -> u64 {
        self.opens.load(Relaxed)
    }

    /// How many calls it did not admit.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.load(Relaxed)
    }

    fn is_too_much(&self, inner: &Inner) -> bool {
        if inner.in_a_row >= self.limits.in_a_row {
            return true;
        }
        let now = self.number();
        let recent = inner.slices.iter().filter(|slice| slice.number + SLICES as u64 > now);
        let (outcomes, failures) = recent.fold((0, 0), |(outcomes, failures), slice| {
            (outcomes + slice.outcomes, failures + slice.failures)
        });
        outcomes >= self.limits.at_least
            && f64::from(failures) >= self.limits.rate * f64::from(outcomes)
    }

    /// The slice for outcomes of this moment.
    fn slice<'a>(&self, inner: &'a mut Inner) -> &'a mut Slice {
        let number = self.number();
        let slice = &mut inner.slices[(number % SLICES as u64) as usize];
        if slice.number != number {
            *slice = Slice { number, ..Slice::default() };
        }
        slice
    }

    fn number(&self) -> u64 {
        let width = (self.limits.window / SLICES as u32).as_nanos().max(1);
        // Never 0, which is the number of a slice that was never used.
        u64::try_from((self.clock.now() - Moment::START).as_nanos() / width).unwrap_or(0) + 1
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, feature = "testkit"))]
mod tests {
    use super::*;
    use crate::testkit::ManualClock;

    fn breaker() -> (Breaker, ManualClock) {
        let time = ManualClock::new();
        (Breaker::new(time.clock(), Limits::default()), time)
    }

    #[test]
    fn failures_in_a_row_open_it() {
        let (breaker, _) = breaker();
        (0..100).for_each(|_| breaker.succeeded());
        let opened: Vec<bool> = (0..6).map(|_| breaker.failed()).collect();
        assert_eq!(opened, [false, false, false, false, true, false]);
        assert!(!breaker.admits());
        assert_eq!((breaker.state(), breaker.opens()), (BreakerState::Open, 1));
        assert_eq!(breaker.rejected(), 1);
    }

    #[test]
    fn a_rate_of_failures_opens_it_only_if_there_are_enough() {
        let (breaker, _) = breaker();
        for _ in 0..2 {
            breaker.succeeded();
            assert!(!breaker.failed());
        }
        breaker.succeeded();
        assert!(breaker.failed(), "three of six");
    }

    #[test]
    fn fewer_failures_than_the_rate_leave_it_closed() {
        let (breaker, _) = breaker();
        for _ in 0..100 {
            breaker.succeeded();
            breaker.succeeded();
            assert!(!breaker.failed());
        }
        assert!(breaker.admits());
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let time = ManualClock::new();
        let limits = Limits { in_a_row: 100, ..Limits::default() };
        let breaker = Breaker::new(time.clock(), limits);
        (0..4).for_each(|_| assert!(!breaker.failed()));
        time.advance(Duration::from_secs(10));
        assert!(!breaker.failed(), "one of one, the others are forgotten");
        time.advance(Duration::from_secs(9));
        (0..3).for_each(|_| assert!(!breaker.failed()));
        assert!(breaker.failed(), "five of five within the window");
    }

    #[test]
    fn a_probe_decides() {
        let (breaker, _) = breaker();
        assert!((0..5).any(|_| breaker.failed()));
        breaker.probe();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(!breaker.admits(), "a probe lets nobody else through");
        breaker.reopen();
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker.probe();
        breaker.close();
        assert!(breaker.admits());
        assert!(!breaker.failed(), "the past is forgotten");
        assert_eq!(breaker.opens(), 1);
    }
}
