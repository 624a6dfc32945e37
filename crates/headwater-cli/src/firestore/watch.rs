//! `--watch`: the tiers kept up with a collection that anybody may change.

use super::{in_words, source};
use crate::enrich::WatchSummary;
use crate::json::Json;
use crate::outage::{self, Stands};
use crate::redis;
use crate::source::url::Documents;
use anyhow::Result;
use headwater::BoxCache;
use headwater::firestore::client::FirestoreDb;
use headwater::firestore::{FirestoreSource, Watch, WatchState, WatchStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the first record waits for it.
const CATCH_UP: Duration = Duration::from_secs(10);

/// Follows changes; clones are the same one.
#[derive(Clone)]
pub(crate) struct Watching {
    watch: Arc<Watch>,
    caught_up: Arc<AtomicBool>,
    shown: String,
}

impl Watching {
    /// Begins, on the present runtime.
    pub(super) fn start(
        db: FirestoreDb,
        documents: &Documents,
        chain: &BoxCache<str, Json>,
        redis: Option<&redis::Tier>,
    ) -> Result<Self> {
        // Nothing is read as a value: what has changed is only forgotten.
        let source: FirestoreSource<str, Json> = source(db, documents)?;
        let builder = source.watch();
        let builder = match redis {
            #[cfg(feature = "redis")]
            Some(tier) => builder.fleet(&tier.store()),
            _ => builder,
        };
        let watch = builder.start(chain).map_err(|error| in_words(documents, &error))?;
        let (watch, shown) = (Arc::new(watch), documents.to_string());
        Ok(Self { watch, caught_up: Arc::default(), shown })
    }

    /// Waits until all that had changed before is passed on, or for ten seconds; then it returns what
    /// to warn of.
    pub(crate) async fn catch_up(&self) -> Option<String> {
        if let Ok(Ok(())) = tokio::time::timeout(CATCH_UP, self.watch.caught_up()).await {
            self.caught_up.store(true, Ordering::Relaxed);
            return None;
        }
        let why = self.watch.status().error.map(|error| format!(" ({error})")).unwrap_or_default();
        let (shown, limit) = (&self.shown, CATCH_UP.as_secs());
        Some(format!(
            "{shown}: --watch has not caught up within {limit} s{why}; going on without it, until \
             it has"
        ))
    }

    /// Says when it goes down, and when it is back, for as long as it is polled.
    pub(crate) async fn tell(self, say: impl Fn(&str)) {
        let caught_up = self.caught_up.load(Ordering::Relaxed);
        let back = format!("{}: --watch has caught up", self.shown);
        outage::tell(|| self.stands(), !caught_up, &back, say).await;
    }

    fn stands(&self) -> Stands {
        let WatchStatus { state, error, .. } = self.watch.status();
        if state.is_prompt() {
            return Stands::Well;
        }
        match error.filter(|_| state == WatchState::Down) {
            Some(error) => Stands::Down(format!(
                "{}: --watch is down ({error}); changes are made up for when it is back",
                self.shown
            )),
            None => Stands::Between,
        }
    }

    /// Ends it; what it did, and how it stood.
    pub(crate) async fn end(&self) -> WatchSummary {
        let status = self.watch.status();
        // Closing has no errors.
        let _ = self.watch.close().await;
        let stats = self.watch.stats();
        WatchSummary {
            caught_up: self.caught_up.load(Ordering::Relaxed),
            state: match status.state {
                WatchState::Live => "live",
                WatchState::Following => "following",
                WatchState::CatchingUp => "catching_up",
                WatchState::Down => "down",
                _ => "closed",
            },
            error: status.error.map(|error| error.to_string()),
            changes: stats.changes,
            invalidations: stats.invalidations,
            clears: stats.clears,
            reads: stats.reads,
            breaks: stats.breaks,
            failures: stats.failures,
        }
    }
}
