//! Reading ahead: one thread turns an input into batches, and waits when enough of them are on
//! their way.
//!
//! Two bounds hold memory down whatever the input is: the channel's number of batches, and a budget
//! of bytes that each batch holds a share of until its records are written.

use super::{Records, Span};
use anyhow::{Result, anyhow};
use std::num::NonZeroUsize;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many bytes of records may be on their way from the reader to the writer. One batch may
/// always be, however long its one line is.
const BUDGET: usize = 64 << 20;

/// The budget's unit, so that it fits the semaphore's numbers.
const UNIT: usize = 1 << 10;

/// A batch that holds this many bytes is not filled up to its number of records.
const BATCH_BYTES: usize = 1 << 20;

/// What the reader sends.
pub(crate) enum Feed {
    /// Records, in input order.
    Batch(Batch),
    /// The input broke after the records that were sent before. Nothing follows.
    Failed(anyhow::Error),
}

/// Some records and their text.
pub(crate) struct Batch {
    /// The text of all records, one after the other.
    pub(crate) text: Vec<u8>,
    /// The records.
    pub(crate) spans: Vec<Span>,
    /// Given back to the budget when the batch is dropped.
    _share: Option<OwnedSemaphorePermit>,
}

impl Batch {
    /// A record's text.
    pub(crate) fn text_of(&self, span: &Span) -> &[u8] {
        &self.text[span.range.clone()]
    }
}

/// How an input is to be read.
pub(crate) struct Reading {
    /// The input's name, for errors.
    pub(crate) name: String,
    /// Records per batch.
    pub(crate) batch: NonZeroUsize,
    /// Records at all.
    pub(crate) limit: Option<u64>,
    /// Do not wait for a full batch when the next record has to be waited for.
    pub(crate) live: bool,
}

/// Begins to read into `feed`, from a thread of its own that ends with the input, or when `feed` is
/// closed. Nobody waits for that thread: it may be blocked in a read for ever.
pub(crate) fn spawn_reader(records: Records, how: Reading, feed: Sender<Feed>) -> Result<()> {
    let budget = Arc::new(Semaphore::new(BUDGET / UNIT));
    let reader = Reader { records, how, feed, budget, runtime: Handle::current() };
    let thread = std::thread::Builder::new().name("reader".to_owned());
    thread.spawn(move || reader.run()).map_err(|error| anyhow!("starting a thread: {error}"))?;
    Ok(())
}

struct Reader {
    records: Records,
    how: Reading,
    feed: Sender<Feed>,
    budget: Arc<Semaphore>,
    runtime: Handle,
}

impl Reader {
    fn run(mut self) {
        let mut left = self.how.limit.unwrap_or(u64::MAX);
        // Batches are about as long as the one before.
        let mut room = 0;
        while left > 0 {
            let (batch, end) = self.next_batch(left, room);
            left -= batch.spans.len() as u64;
            room = (batch.text.len() + batch.text.len() / 8).min(BATCH_BYTES);
            if !batch.spans.is_empty() && !self.send(batch) {
                return;
            }
            match end {
                Some(Ok(())) => return,
                Some(Err(error)) => {
                    let error = anyhow!("{}: {error}", self.how.name);
                    let _ = self.feed.blocking_send(Feed::Failed(error));
                    return;
                }
                None => {}
            }
        }
    }

    /// The next records, and how the input ended if it did.
    fn next_batch(&mut self, left: u64, room: usize) -> (Batch, Option<std::io::Result<()>>) {
        let mut text = Vec::with_capacity(room);
        let mut spans = Vec::new();
        let most = self.how.batch.get().min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut end = None;
        while spans.len() < most && text.len() < BATCH_BYTES {
            if self.how.live && !spans.is_empty() && !self.records.is_ready() {
                break;
            }
            match self.records.next(&mut text) {
                Ok(Some(span)) => spans.push(span),
                Ok(None) => end = Some(Ok(())),
                Err(error) => end = Some(Err(error)),
            }
            if end.is_some() {
                break;
            }
        }
        (Batch { text, spans, _share: None }, end)
    }

    /// Waits for room and sends; false if nobody listens any more.
    fn send(&self, mut batch: Batch) -> bool {
        let units = (batch.text.capacity() / UNIT).clamp(1, BUDGET / UNIT) as u32;
        let share = Arc::clone(&self.budget).acquire_many_owned(units);
        batch._share = self.runtime.block_on(share).ok();
        self.feed.blocking_send(Feed::Batch(batch)).is_ok()
    }
}
