//! One call: attempts, the pauses between them, and the time that all of them have.

use super::budget::RetryBudget;
use super::error::{Pace, from_status, pace};
use super::stats::Counters;
use crate::{Clock, Error, ErrorKind, Moment, Result};
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;
use tonic::Status;

/// The longest pause before the first retry, and what none exceeds. Each next is twice as long.
const SOON: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
const LATE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What makes calls, for all who share a source.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) clock: Clock,
    /// How long a call may take, retries included.
    pub(super) timeout: Duration,
    /// How many attempts a call may make beyond its first.
    pub(super) retries: u32,
    pub(super) is_emulator: bool,
    pub(super) budget: RetryBudget,
    pub(super) counters: Counters,
}

impl Caller {
    /// Makes `attempt`s until one succeeds, another cannot help, or time is over.
    ///
    /// # Cancellation
    /// Dropping it drops the attempt that is under way.
    pub(super) async fn call<T, F>(&self, attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, Status>>,
    {
        self.call_again(pace, attempt).await
    }

    /// As [`call`](Self::call), where `pace` says after which failures another attempt may be made.
    pub(super) async fn call_again<T, F>(
        &self,
        pace: fn(&Status) -> Option<Pace>,
        attempt: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, Status>>,
    {
        self.counters.calls.add(1);
        self.budget.earn();
        let end = self.clock.now() + self.timeout;
        let work = pin!(self.attempts(pace, attempt, end));
        let outcome = match select(work, pin!(self.clock.sleep(self.timeout))).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => Err(self.no_answer()),
        };
        match outcome.as_ref().map_err(Error::kind) {
            Ok(_) => {}
            Err(ErrorKind::Timeout) => self.counters.timeouts.add(1),
            Err(_) => self.counters.failures.add(1),
        }
        outcome
    }

    async fn attempts<T, F>(
        &self,
        pace: fn(&Status) -> Option<Pace>,
        mut attempt: impl FnMut() -> F,
        end: Moment,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let mut made = 0;
        loop {
            let status = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(status) => status,
            };
            let Some(pause) = pace(&status).and_then(|pace| self.pause(pace, made, end)) else {
                return Err(from_status(status, self.is_emulator));
            };
            self.clock.sleep(pause).await;
            self.counters.retries.add(1);
            made += 1;
        }
    }

    /// How long to wait before the next attempt; `None` if there is none.
    fn pause(&self, pace: Pace, made: u32, end: Moment) -> Option<Duration> {
        let pause = pause(pace, made);
        if made >= self.retries || self.clock.now() + pause >= end {
            return None;
        }
        if !self.budget.spend() {
            self.counters.retries_refused.add(1);
            return None;
        }
        Some(pause)
    }

    fn no_answer(&self) -> Error {
        Error::new(ErrorKind::Timeout, format!("no answer within {:?}", self.timeout))
    }
}

/// How long to wait after so many attempts beyond the first. Any length up to the longest is as
/// likely, so that those who failed together do not come back together.
pub(super) fn pause(pace: Pace, made: u32) -> Duration {
    let (first, most) = match pace {
        Pace::Soon => SOON,
        Pace::Late => LATE,
    };
    first.saturating_mul(1 << made.min(16)).min(most).mul_f64(fastrand::f64())
}
