//! The server's time, as its answers tell it. A client's wall clock is compared with nothing.

use crate::sync::Mutex;
use crate::{Clock, Moment};
use ::firestore::gcloud_sdk::prost_types::Timestamp;
use std::time::{Duration, SystemTime};

/// A point in the server's time: microseconds since 1970, the finest that Firestore stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(i64);

impl Stamp {
    pub(crate) const START: Self = Self(0);
    pub(crate) const END: Self = Self(i64::MAX);

    pub(crate) fn micros(self) -> u64 {
        self.0.unsigned_abs()
    }

    /// How long after `earlier` it is; zero if it is not.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    pub(crate) fn timestamp(self) -> Timestamp {
        let nanos = i32::try_from(self.0.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
        Timestamp { seconds: self.0.div_euclid(1_000_000), nanos }
    }
}

impl From<&Timestamp> for Stamp {
    fn from(time: &Timestamp) -> Self {
        let micros = time.seconds.saturating_mul(1_000_000);
        Self(micros.saturating_add(i64::from(time.nanos) / 1_000))
    }
}

impl std::ops::Add<Duration> for Stamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// Clocks that disagree by more than this on how long ago something was do so because one was set, or
/// the machine slept.
const DRIFT: Duration = Duration::from_millis(100);

/// An answer's time, and when it was asked for and came.
#[derive(Clone, Copy, Debug)]
struct Observed {
    stamp: Stamp,
    asked: Moment,
    came: Moment,
    /// The wall clock when it was asked for: it goes on while the machine sleeps, which a monotonic
    /// clock may not.
    wall: SystemTime,
}

impl Observed {
    /// How long ago it was asked for, by the wall clock and by the other one.
    fn ago(&self, clock: &Clock) -> (Duration, Duration) {
        let by_wall = SystemTime::now().duration_since(self.wall).unwrap_or_default();
        (by_wall, clock.now() - self.asked)
    }
}

/// What is known of the server's time now: nothing before the first answer. Two bounds, which are
/// apart by what a call takes. They serve what need not be exact: when to look, and what a server's
/// garbage collector may go by.
#[derive(Debug, Default)]
pub(crate) struct ServerTime(Mutex<Option<Observed>>);

impl ServerTime {
    /// The server said `stamp` in answer to what was asked at `asked`.
    pub(crate) fn observe(&self, stamp: Stamp, asked: (Moment, SystemTime), clock: &Clock) {
        let came = clock.now();
        *self.0.lock() = Some(Observed { stamp, asked: asked.0, came, wall: asked.1 });
    }

    /// It is no later than this; by a clock that was set it may be too late, so it is for what that
    /// harms nobody.
    pub(crate) fn latest(&self, clock: &Clock) -> Option<Stamp> {
        let observed = (*self.0.lock())?;
        let (by_wall, by_clock) = observed.ago(clock);
        Some(observed.stamp + by_wall.max(by_clock))
    }

    /// As [`latest`](Self::latest); nothing if the clocks disagree, as only the server knows then.
    pub(crate) fn surely(&self, clock: &Clock) -> Option<Stamp> {
        let observed = (*self.0.lock())?;
        let (by_wall, by_clock) = observed.ago(clock);
        (by_wall <= by_clock + DRIFT).then_some(observed.stamp + by_wall.max(by_clock))
    }

    /// It is no earlier than this.
    pub(crate) fn earliest(&self, clock: &Clock) -> Option<Stamp> {
        let Observed { stamp, came, .. } = (*self.0.lock())?;
        Some(stamp + (clock.now() - came))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_timestamps_to_the_microsecond_and_back() {
        for (seconds, nanos) in [(0, 0), (1, 999_999_000), (-1, 1_000), (253_402_300_799, 0)] {
            let time = Timestamp { seconds, nanos };
            assert_eq!(Stamp::from(&time).timestamp(), time);
        }
        let late = Stamp::from(&Timestamp { seconds: i64::MAX, nanos: 0 });
        assert_eq!(late + Duration::MAX, Stamp(i64::MAX));
        assert_eq!(Stamp(5).since(Stamp(7)), Duration::ZERO);
        assert_eq!((Stamp(5) + Duration::from_millis(1)).since(Stamp(5)), Duration::from_millis(1));
    }

    #[test]
    fn the_time_lies_between_what_an_answer_says_when_asked_and_when_it_came() {
        let (clock, time) = (Clock::system(), ServerTime::default());
        assert_eq!((time.latest(&clock), time.earliest(&clock)), (None, None));
        let asked = (clock.now(), SystemTime::now());
        time.observe(Stamp(1_000), asked, &clock);
        let (earliest, latest) = (time.earliest(&clock), time.latest(&clock));
        assert!(Some(Stamp(1_000)) <= earliest && earliest <= latest);
        // A wall clock that is an hour behind by now changes nothing; one that jumped ahead, only
        // what nobody is harmed by.
        time.observe(
            Stamp(1_000),
            (clock.now(), SystemTime::now() + Duration::from_secs(3_600)),
            &clock,
        );
        assert!(time.latest(&clock) < Some(Stamp(1_000) + Duration::from_secs(60)));
        assert_eq!(time.surely(&clock).is_some(), time.latest(&clock).is_some());
        // Of a machine that slept for an hour, and of a clock that was set, only the server knows.
        time.observe(
            Stamp(1_000),
            (clock.now(), SystemTime::now() - Duration::from_secs(3_600)),
            &clock,
        );
        assert!(time.latest(&clock) > Some(Stamp(1_000) + Duration::from_secs(3_000)));
        assert_eq!(time.surely(&clock), None);
    }
}
