//! The chain that is told.

use super::debt::{Change, Due};
use super::status::Board;
use crate::{Cache, Entry, ErrorKind, Hashed, Result};
use futures_util::stream::{StreamExt, iter};
use std::borrow::Borrow;
use std::sync::Arc;

/// So many entries are put into the tiers at once.
const FILLS: usize = 32;

/// See the module.
pub(super) struct Attached<C> {
    chain: C,
    board: Arc<Board>,
}

impl<C: Cache> Attached<C> {
    pub(super) fn new(chain: C, board: Arc<Board>) -> Self {
        Self { chain, board }
    }

    /// Passes on what is due; what was is taken off it, also if the rest fails.
    pub(super) async fn tell(&self, due: &mut Due<C::Key, C::Value>) -> Result<()> {
        if due.everything {
            self.chain.clear().await?;
            self.board.counters.clears.add(1);
            due.everything = false;
            // Whatever was to be forgotten has been.
            due.changes.retain(|_, change| matches!(change, Change::Put(_)));
        }
        self.forget(due).await?;
        self.put(due).await
    }

    async fn forget(&self, due: &mut Due<C::Key, C::Value>) -> Result<()> {
        let is_old = |change: &Change<_>| matches!(change, Change::Forget);
        let old = due.changes.iter().filter(|(_, change)| is_old(change));
        let keys: Vec<&C::Key> = old.map(|(key, _)| key.borrow()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        match self.chain.invalidate_many(&keys).await {
            // What one of them is refused for is not the others'.
            Err(error) if error.kind() == ErrorKind::Codec => {
                for key in &keys {
                    self.forget_one(key).await?;
                }
            }
            told => {
                told?;
                self.board.counters.invalidations.add(keys.len() as u64);
            }
        }
        due.changes.retain(|_, change| !is_old(change));
        Ok(())
    }

    async fn forget_one(&self, key: &C::Key) -> Result<()> {
        let counters = &self.board.counters;
        match self.chain.invalidate(key).await {
            // A tier that has no place for the key has no entry of it.
            Err(error) if error.kind() == ErrorKind::Codec => counters.refused.add(1),
            told => {
                told?;
                counters.invalidations.add(1);
            }
        }
        Ok(())
    }

    async fn put(&self, due: &mut Due<C::Key, C::Value>) -> Result<()> {
        let entries = due.changes.iter().filter_map(|(key, change)| match change {
            Change::Put(entry) => Some((key, entry)),
            Change::Forget => None,
        });
        let puts = entries.map(|(key, entry)| async {
            self.put_one(key.borrow(), entry.clone()).await?;
            Ok(key.clone())
        });
        // Collected, because the compiler cannot see that what the closures borrow lives long enough.
        let puts: Vec<_> = puts.collect();
        let told: Vec<Result<_>> = iter(puts).buffer_unordered(FILLS).collect().await;
        let mut failure = Ok(());
        for outcome in told {
            match outcome {
                Ok(key) => drop(due.changes.remove(key.borrow() as &C::Key)),
                Err(error) => failure = Err(error),
            }
        }
        failure
    }

    async fn put_one(&self, key: &C::Key, entry: Entry<C::Value>) -> Result<()> {
        match self.chain.insert_through(Hashed::new(key), entry).await {
            // The old one has to go all the same.
            Err(error) if error.kind() == ErrorKind::Codec => self.forget_one(key).await,
            told => {
                told?;
                self.board.counters.fills.add(1);
                Ok(())
            }
        }
    }
}
