//! From the reader to the writer: up to so many batches looked up at once, their order kept.
//!
//! ```text
//! reader thread -> batches -> look-ups, one task each -> in order -> writer thread
//! ```
//! Every arrow is bounded, so a slow writer or source slows the reader down.

use super::answer::{Answered, Plan, answer};
use super::sink::{Sink, Stop};
use super::summary::WatchSummary;
use crate::input::Feed;
use crate::json::Json;
use crate::signal::{Signal, Signals};
use anyhow::anyhow;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use headwater::BoxCache;
use std::sync::Arc;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::{JoinHandle, spawn_blocking};

/// How many answered batches may wait for the writer.
const READY: usize = 2;

/// How a run ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Why it ended before the input did, unless by a signal.
    pub(super) stop: Option<Stop>,
    pub(super) signal: Option<Signal>,
    /// What `--watch` did until then.
    pub(super) watched: Option<WatchSummary>,
}

/// What looks batches up.
pub(super) struct Pipeline {
    pub(super) plan: Arc<Plan>,
    pub(super) chain: BoxCache<str, Json>,
    pub(super) concurrency: usize,
}

impl Pipeline {
    /// Carries everything from `feed` to `sink`, until the input ends, a signal comes, or either
    /// end fails.
    pub(super) async fn run(self, feed: Receiver<Feed>, sink: Sink, signals: Signals) -> Ended {
        let (answers, ready) = mpsc::channel(READY);
        let writer = spawn_blocking(move || sink.run(ready));
        let mut ended = self.carry(feed, answers, signals).await;
        let written = writer.await.unwrap_or_else(|error| Err(Stop::Failed(error.into())));
        // What stopped the writer came first in the order of records.
        ended.stop = written.err().or(ended.stop);
        ended
    }

    async fn carry(
        &self,
        mut feed: Receiver<Feed>,
        answers: Sender<Answered>,
        mut signals: Signals,
    ) -> Ended {
        let mut running: FuturesOrdered<JoinHandle<Answered>> = FuturesOrdered::new();
        let mut ended = Ended::default();
        let mut reading = true;
        while reading || !running.is_empty() {
            let more = reading && running.len() < self.concurrency;
            tokio::select! {
                biased;
                signal = signals.first(), if reading => {
                    ended.signal = Some(signal);
                    reading = false;
                }
                () = answers.closed() => break,
                Some(answered) = running.next() => {
                    if let Err(stop) = deliver(answered, &answers).await {
                        ended.stop = stop;
                        break;
                    }
                }
                next = feed.recv(), if more => match next {
                    Some(Feed::Batch(batch)) => {
                        let (plan, chain) = (Arc::clone(&self.plan), self.chain.clone());
                        running.push_back(tokio::spawn(answer(batch, plan, chain)));
                    }
                    Some(Feed::Failed(error)) => {
                        ended.stop = Some(Stop::Failed(error));
                        reading = false;
                    }
                    None => reading = false,
                },
            }
        }
        ended
    }
}

/// Hands one batch to the writer. The error is why not: `None` if the writer has ended and knows
/// better.
async fn deliver(
    answered: Result<Answered, tokio::task::JoinError>,
    answers: &Sender<Answered>,
) -> Result<(), Option<Stop>> {
    let answered = answered.map_err(|error| {
        Some(Stop::Failed(anyhow!("looking up a batch (our mistake): {error}")))
    })?;
    answers.send(answered).await.map_err(|_| None)
}
