//! Loading a file into a collection: batches of `BatchWrite`, a few of them at a time.
//!
//! Two writes of one document are never under way together, so that its last row wins.

mod types;
mod write;

use super::node::Node;
use super::{connect, source};
use crate::args::LoadArgs;
use crate::load::{Loaded, Progressed};
use crate::rows::Rows;
use crate::signal::{self, Signals};
use crate::source::url::Documents;
use anyhow::{Context, Result, anyhow, bail};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use types::Types;
use write::{Pending, Writer, Written};

/// Rows per call: the most that Firestore takes ...
const BATCH: usize = 500;
/// ... and bytes, give or take the last row.
const BATCH_BYTES: usize = 1 << 20;
/// Calls at a time.
const CALLS: usize = 4;

/// A collection that rows can be put into.
pub(crate) struct Loader {
    writer: Arc<Writer>,
    types: Types,
    runtime: Runtime,
}

impl Loader {
    /// Connects, and looks through a CSV called `name` for the types of its columns; also returns
    /// what there is to say about them.
    pub(crate) fn open(
        documents: &Documents,
        args: &LoadArgs,
        name: &str,
    ) -> Result<(Self, Vec<String>)> {
        let Some(key) = &documents.key else {
            bail!(
                "{documents}: which column is the key? Give firestore://PROJECT/COLLECTION?key=K"
            );
        };
        let runtime = Runtime::new().context("starting threads")?;
        let db = runtime.block_on(connect(documents))?;
        let source = source(db.clone(), documents)?;
        let (types, notes) = Types::of(args, key).with_context(|| name.to_owned())?;
        let writer = Writer {
            db,
            source,
            documents: documents.clone(),
            file: name.to_owned(),
            resumes: args.resume,
        };
        Ok((Self { writer: Arc::new(writer), types, runtime }, notes))
    }

    /// Puts all rows there.
    pub(crate) fn load(
        self,
        rows: &mut Rows,
        progress: &Progressed,
        announce: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Loaded> {
        let outcome = self.runtime.block_on(async {
            let announced = move |signal: signal::Signal| announce(&signal.announcement());
            let signals = signal::listen(announced).context("listening for signals")?;
            let mut load = Load::new(self.writer, self.types);
            let outcome = load.run(rows, progress, &signals).await;
            // Whatever went wrong: rows before it are to be there.
            let finished = load.finish(rows).await;
            outcome.and(finished).map(|()| load.loaded)
        });
        // A call that hangs must not hold up the end.
        self.runtime.shutdown_background();
        outcome
    }
}

/// A load that is under way.
struct Load {
    writer: Arc<Writer>,
    types: Types,
    batch: Batch,
    running: FuturesUnordered<JoinHandle<Result<Written>>>,
    /// The keys in the calls that are running.
    busy: HashSet<String>,
    /// The hashes of all keys so far.
    seen: HashSet<u64>,
    hasher: RandomState,
    loaded: Loaded,
    /// Whether a call has failed for good.
    is_failing: bool,
}

impl Load {
    fn new(writer: Arc<Writer>, types: Types) -> Self {
        Self {
            writer,
            types,
            batch: Batch::default(),
            running: FuturesUnordered::new(),
            busy: HashSet::new(),
            seen: HashSet::new(),
            hasher: RandomState::new(),
            loaded: Loaded::default(),
            is_failing: false,
        }
    }

    /// Sends rows until there are no more, or a signal comes.
    async fn run(
        &mut self,
        rows: &mut Rows,
        progress: &Progressed,
        signals: &Signals,
    ) -> Result<()> {
        loop {
            self.loaded.interrupted = signals.seen();
            if self.loaded.interrupted.is_some() {
                return Ok(());
            }
            let Some(row) = rows.next()? else { return Ok(()) };
            progress.rows.fetch_add(1, Ordering::Relaxed);
            let (line, key, text) = (row.line, row.key, row.text.to_vec());
            let fields = Node::fields_of(row.json);
            match fields.and_then(|fields| Ok((self.writer.name_of(&key)?, fields))) {
                Ok((name, mut fields)) => {
                    self.types.apply(&mut fields);
                    self.add(Pending { line, key, text, name, fields }, rows).await?;
                }
                Err(reason) => rows.reject(line, &reason, &text)?,
            }
        }
    }

    async fn add(&mut self, row: Pending, rows: &mut Rows) -> Result<()> {
        if self.busy.contains(&row.key) {
            self.settle(0, rows).await?;
        }
        self.loaded.rows += 1;
        self.loaded.duplicates += u64::from(!self.seen.insert(self.hasher.hash_one(&row.key)));
        self.batch.add(row);
        if self.batch.is_full() { self.send(rows).await } else { Ok(()) }
    }

    async fn send(&mut self, rows: &mut Rows) -> Result<()> {
        let batch = std::mem::take(&mut self.batch).rows;
        if batch.is_empty() {
            return Ok(());
        }
        self.settle(CALLS - 1, rows).await?;
        self.busy.extend(batch.iter().map(|row| row.key.clone()));
        let writer = Arc::clone(&self.writer);
        self.running.push(tokio::spawn(async move { writer.write(batch).await }));
        Ok(())
    }

    /// Waits until no more than so many calls are running. The error is the first one.
    async fn settle(&mut self, most: usize, rows: &mut Rows) -> Result<()> {
        let mut outcome = Ok(());
        while self.running.len() > most {
            let Some(ended) = self.running.next().await else { break };
            let written =
                ended.unwrap_or_else(|error| Err(anyhow!("writing rows (our mistake): {error}")));
            self.is_failing |= written.is_err();
            outcome = outcome.and(written.and_then(|written| self.note(written, rows)));
        }
        outcome
    }

    fn note(&mut self, written: Written, rows: &mut Rows) -> Result<()> {
        self.loaded.unchanged += written.unchanged;
        self.busy.retain(|key| !written.keys.contains(key));
        for (row, reason) in written.refused {
            self.loaded.rows -= 1;
            rows.reject(row.line, &reason, &row.text)?;
        }
        Ok(())
    }

    /// Sends what is left, unless the server takes nothing more, and waits for everything.
    async fn finish(&mut self, rows: &mut Rows) -> Result<()> {
        let sent = if self.is_failing { Ok(()) } else { self.send(rows).await };
        let settled = self.settle(0, rows).await;
        sent.and(settled)
    }
}

/// Rows on their way, each key once.
#[derive(Default)]
struct Batch {
    rows: Vec<Pending>,
    places: HashMap<String, usize>,
    bytes: usize,
}

impl Batch {
    /// The last row of a key is the one that counts.
    fn add(&mut self, row: Pending) {
        self.bytes += row.bytes();
        match self.places.get(&row.key) {
            Some(place) => self.rows[*place] = row,
            None => {
                self.places.insert(row.key.clone(), self.rows.len());
                self.rows.push(row);
            }
        }
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= BATCH || self.bytes >= BATCH_BYTES
    }
}
