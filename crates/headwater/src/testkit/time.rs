use super::ManualClock;
use crate::Clock;
use std::time::Duration;

/// How time passes for what a suite tests. The factory that a suite is given takes one, and so
/// declares which it needs.
///
/// [`ManualClock`] is for everything that asks a [`Clock`]: nothing waits and nothing is left to
/// chance. [`RealTime`] is for stores that count lives by a clock of their own: a server's.
pub trait TestTime: Clone + Send + 'static {
    /// The beginning of a test.
    fn start() -> Self;

    /// The clock to hand to chains and tiers.
    fn clock(&self) -> Clock;

    /// So much time as a test calls `span`: the same, or less where waiting costs real time.
    fn scaled(&self, span: Duration) -> Duration;

    /// How much of a span of [scaled](Self::scaled) time may pass so that it is surely not over.
    fn most_of(&self, span: Duration) -> Duration;

    /// Ends when `span` of unscaled time, which is the clock's own, has passed.
    fn pass(&self, span: Duration) -> impl Future<Output = ()> + Send;
}

impl TestTime for ManualClock {
    fn start() -> Self {
        Self::new()
    }

    fn clock(&self) -> Clock {
        Self::clock(self)
    }

    fn scaled(&self, span: Duration) -> Duration {
        span
    }

    fn most_of(&self, span: Duration) -> Duration {
        span - Duration::from_millis(1)
    }

    async fn pass(&self, span: Duration) {
        self.advance(span);
    }
}

/// Time as it is: tests wait, a fifth of what they would wait on a [`ManualClock`].
///
/// ```
/// use headwater::testkit::{RealTime, TestTime};
/// use std::time::Duration;
/// assert_eq!(RealTime.scaled(Duration::from_secs(10)), Duration::from_secs(2));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RealTime;

impl TestTime for RealTime {
    fn start() -> Self {
        Self
    }

    fn clock(&self) -> Clock {
        Clock::system()
    }

    fn scaled(&self, span: Duration) -> Duration {
        span / 5
    }

    fn most_of(&self, span: Duration) -> Duration {
        span / 4
    }

    async fn pass(&self, span: Duration) {
        // A little more, because servers count whole milliseconds.
        self.clock().sleep(span + Duration::from_millis(2)).await;
    }
}
