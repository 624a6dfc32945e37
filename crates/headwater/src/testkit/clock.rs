use crate::sync::Arc;
use crate::{Clock, Moment, Sleep, TimeSource};
use std::time::Duration;
use tokio::sync::watch;

/// A clock that stands still until it is told to go on.
///
/// Clones show the same time. Sleeping on it ends when [`advance`](Self::advance) has passed the
/// moment, and never by itself.
///
/// ```
/// use headwater::testkit::ManualClock;
/// use std::time::Duration;
///
/// let time = ManualClock::new();
/// let clock = time.clock();
/// let before = clock.now();
/// time.advance(Duration::from_secs(3_600));
/// assert_eq!(clock.now() - before, Duration::from_secs(3_600));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<watch::Sender<Moment>>);

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl ManualClock {
    /// A clock that stands an hour after the beginning of time.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Moment::START + Duration::from_secs(3_600))))
    }

    /// The clock to hand to chains and tiers.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock::new(self.clone())
    }

    /// Lets `span` pass, and ends the sleeps that it covers.
    pub fn advance(&self, span: Duration) {
        self.0.send_modify(|now| *now = *now + span);
    }
}

impl TimeSource for ManualClock {
    fn now(&self) -> Moment {
        *self.0.borrow()
    }

    fn sleep_until(&self, moment: Moment) -> Sleep {
        let mut time = self.0.subscribe();
        Box::pin(async move {
            // The sender lives in the clock; without it time stands still for ever.
            if time.wait_for(|now| *now >= moment).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// Opens once and stays open: what a test waits on instead of sleeping.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use headwater::testkit::Gate;
/// let gate = Gate::new();
/// gate.open();
/// gate.passed().await;
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Lets everybody pass, now and later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until the gate is open.
    pub async fn passed(&self) {
        let mut gate = self.0.subscribe();
        // The sender lives as long as `self`.
        let _ = gate.wait_for(|is_open| *is_open).await;
    }
}

/// Counts up, and lets tests wait until a count is reached.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let tally = headwater::testkit::Tally::new();
/// tally.add(2);
/// tally.reached(2).await;
/// assert_eq!(tally.count(), 2);
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Tally(Arc<watch::Sender<usize>>);

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl Tally {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// Counts `amount` more.
    pub fn add(&self, amount: usize) {
        self.0.send_modify(|count| *count += amount);
    }

    /// The count so far.
    #[must_use]
    pub fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Waits until at least `count` were counted.
    pub async fn reached(&self, count: usize) {
        let mut tally = self.0.subscribe();
        // The sender lives as long as `self`.
        let _ = tally.wait_for(|counted| *counted >= count).await;
    }
}
