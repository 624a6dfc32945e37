//! Watching a collection for a chain; the documentation is [`firestore`](super)'s.
//!
//! - [`aim`]: what is asked for on a stream.
//! - [`view`]: what its responses mean, compared with what is known.
//! - [`hear`]: one stream after the other, and what is heard put into the [`debt`].
//! - [`job`]: what is owed passed on to the [`attached`] chain; with a [`fleet`], by who is elected.
//! - [`status`]: what all of them tell about it.

mod aim;
mod attached;
mod builder;
mod debt;
mod fleet;
mod hear;
mod job;
mod status;
mod view;

pub use builder::{Operand, WatchBuilder};
pub use status::{WatchState, WatchStats, WatchStatus};

use super::key::DocumentKey;
use crate::runtime::spawn;
use crate::{Cache, Error, ErrorKind, Result};
use futures_util::future::{Either, select};
use job::Job;
use serde::de::DeserializeOwned;
use status::Board;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Keeps a chain up with a collection that anybody may change; made by
/// [`FirestoreSource::watch`](super::FirestoreSource::watch). The [module](super) tells how, and within
/// which bounds.
///
/// It works in a task until it is [closed](Self::close) or dropped, or finds at a change that the chain
/// is closed.
///
/// ```no_run
/// use headwater::firestore::{self, FirestoreSource};
/// use headwater::redis::RedisCache;
/// use headwater::{Headwater, LruCache};
///
/// # async fn example() -> headwater::Result<()> {
/// let source = FirestoreSource::<str, String>::new(firestore::connect("my-project").await?, "users")?;
/// let redis = RedisCache::connect("redis://localhost:6379").await?;
/// let store = redis.store();
/// let users = Headwater::source(source.clone()).through(redis).through(LruCache::new(10_000)?).build();
///
/// let watch = source.watch().fleet(&store).start(&users)?;
/// watch.caught_up().await?; // from here on, what anybody changes is fresh here
/// println!("{:?}", watch.status());
/// watch.close().await
/// # }
/// ```
#[must_use = "a watch ends when it is dropped"]
pub struct Watch {
    board: Arc<Board>,
    stop: watch::Sender<bool>,
    task: AbortHandle,
}

impl Watch {
    fn begin<C>(job: Job<C>, board: Arc<Board>) -> Result<Self>
    where
        C: Cache<Key: DocumentKey, Value: DeserializeOwned>,
    {
        let (stop, mut stopped) = watch::channel(false);
        let mut end = Ended { board: Arc::clone(&board), error: None };
        let work = async move {
            // Also if its owner is gone without a word.
            let stopped = async { drop(stopped.wait_for(|stop| *stop).await) };
            end.error = match select(pin!(job.run()), pin!(stopped)).await {
                Either::Left((closed, _)) => Some(closed),
                Either::Right(_) => None,
            };
            job.resign().await;
            drop(job);
            drop(end);
        };
        let task = spawn(work)?.abort_handle();
        Ok(Self { board, stop, task })
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> WatchStatus {
        self.board.status()
    }

    /// What it has counted so far.
    #[must_use]
    pub fn stats(&self) -> WatchStats {
        self.board.counters.snapshot()
    }

    /// Waits until everything that had changed before is passed on: its state is
    /// [`Live`](WatchState::Live) or [`Following`](WatchState::Following), by
    /// [`is_prompt`](WatchState::is_prompt). If nothing can be heard, for as long as that lasts:
    /// [`status`](Self::status) says why.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if it is closed, or is meanwhile.
    ///
    /// # Cancellation
    /// Dropping it leaves nothing behind.
    pub async fn caught_up(&self) -> Result<()> {
        match self.board.reaches(WatchState::is_prompt).await {
            WatchState::Closed => Err(Error::new(ErrorKind::Closed, "the watch is over")),
            _ => Ok(()),
        }
    }

    /// Ends it, and waits until nothing of it listens or tells any more. The chain, the source and its
    /// client go on. Of a fleet, it notes how far it has got and gives the lease back, so that the next one
    /// goes on from there at once; where the store of these does not answer, for as long as a call may
    /// take, and the lease then ends by itself. Again, it does nothing.
    ///
    /// # Errors
    /// None so far.
    ///
    /// # Cancellation
    /// It ends all the same.
    pub async fn close(&self) -> Result<()> {
        self.stop.send_replace(true);
        self.board.reaches(|_| false).await;
        Ok(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// Tells that it is over, however that came.
struct Ended {
    board: Arc<Board>,
    error: Option<Error>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.board.closed(self.error.take());
    }
}
