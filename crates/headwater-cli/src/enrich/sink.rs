//! The end of the line: answered records become output, rejects and counts, in input order.
//!
//! What the rules are for a record that cannot be enriched or used is decided here and nowhere else,
//! because only here everything before that record is known to be written.

use super::answer::{Answered, Outcome, Plan, Record};
use super::summary::Tally;
use crate::args::OnMissing;
use crate::output::{Output, WriteError};
use crate::rejects::Rejects;
use anyhow::anyhow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;

/// Why a run ended before its input did.
#[derive(Debug)]
pub(super) enum Stop {
    /// Something failed.
    Failed(anyhow::Error),
    /// `--on-missing fail` met a record that it was for.
    Missing(anyhow::Error),
    /// Nobody reads our output any more.
    Closed,
}

impl From<WriteError> for Stop {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Closed => Self::Closed,
            WriteError::Failed(error) => Self::Failed(error),
        }
    }
}

/// Writes answered batches.
pub(super) struct Sink {
    pub(super) plan: Arc<Plan>,
    pub(super) output: Output,
    pub(super) rejects: Option<Rejects>,
    pub(super) on_missing: OnMissing,
    pub(super) tally: Arc<Tally>,
    /// The input's name, for messages.
    pub(super) input: String,
}

impl Sink {
    /// Writes all that comes; blocks. Whatever ends it, what came before is written.
    pub(super) fn run(mut self, mut answers: Receiver<Answered>) -> Result<(), Stop> {
        let outcome = self.write_all(&mut answers);
        let written = self.flush();
        outcome.and(written)
    }

    fn write_all(&mut self, answers: &mut Receiver<Answered>) -> Result<(), Stop> {
        loop {
            let next = match answers.try_recv() {
                Ok(next) => Some(next),
                Err(TryRecvError::Disconnected) => None,
                Err(TryRecvError::Empty) => {
                    // Somebody may be waiting for the last record as we are for the next.
                    self.flush()?;
                    answers.blocking_recv()
                }
            };
            let Some(answered) = next else { return Ok(()) };
            for record in &answered.records {
                self.write(&answered, record)?;
            }
        }
    }

    fn flush(&mut self) -> Result<(), Stop> {
        let output = self.output.flush();
        let rejects = self.rejects.as_mut().map_or(Ok(()), Rejects::flush);
        rejects.map_err(Stop::Failed).and(Ok(output?))
    }

    fn write(&mut self, answered: &Answered, record: &Record) -> Result<(), Stop> {
        match &record.outcome {
            Outcome::Found(value) => {
                let body = answered.body(record);
                self.plan.splice.write(body, value, self.output.line());
                self.output.end_line()?;
                count(&self.tally.enriched);
            }
            Outcome::Absent => {
                self.write_missing(answered, record, "the source does not have its key")?;
                count(&self.tally.absent);
            }
            Outcome::NoKey => {
                let what = format!("it has no key `{}`", self.plan.key);
                self.write_missing(answered, record, &what)?;
                count(&self.tally.no_key);
            }
            Outcome::Rejected(reason) => {
                self.reject(answered, record, reason)?;
                count(&self.tally.rejected);
            }
            Outcome::Failed(error) => {
                let place = self.place(record);
                let error = anyhow::Error::from(error.clone());
                return Err(Stop::Failed(error.context(format!("{place}: looking up its key"))));
            }
        }
        count(&self.tally.records);
        Ok(())
    }

    fn write_missing(
        &mut self,
        answered: &Answered,
        record: &Record,
        what: &str,
    ) -> Result<(), Stop> {
        match self.on_missing {
            OnMissing::Drop => count(&self.tally.dropped),
            OnMissing::Pass => {
                self.output.line().extend_from_slice(answered.body(record));
                self.output.end_line()?;
            }
            OnMissing::Fail => {
                let place = self.place(record);
                return Err(Stop::Missing(anyhow!("{place}: {what} (--on-missing fail)")));
            }
        }
        Ok(())
    }

    fn reject(&mut self, answered: &Answered, record: &Record, reason: &str) -> Result<(), Stop> {
        let place = self.place(record);
        let Some(rejects) = &mut self.rejects else {
            return Err(Stop::Failed(anyhow!(
                "{place}: {reason} (--rejects FILE puts such lines aside)"
            )));
        };
        rejects.add(record.span.line, reason, answered.raw(record)).map_err(Stop::Failed)
    }

    fn place(&self, record: &Record) -> String {
        format!("{}:{}", self.input, record.span.line)
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
