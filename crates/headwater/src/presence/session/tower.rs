use crate::presence::Presence;
use crate::{Error, ErrorKind};
use async_trait::async_trait;
use std::fmt;
use std::time::Duration;
use time::OffsetDateTime;
use tower_sessions_core::SessionStore;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_core::session_store::{Error as StoreError, Result};

/// A store for `tower-sessions` 0.15 that keeps its records in a [`Presence`]. Feature
/// `tower-sessions`.
///
/// A record lives for as long as its expiry date is ahead when it is saved; from then on the store's
/// clock counts. As the trait demands, the later of two saves wins, and a save of what was deleted
/// brings it back: where that matters, use [`Sessions`](super::Sessions).
///
/// ```
/// use headwater::presence::{MemoryPresence, TowerSessions};
/// use tower_sessions_core::SessionStore;
/// use tower_sessions_core::session::Id;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// // Or a `RedisPresence`; to be given to the `SessionManagerLayer`.
/// let store = TowerSessions::new(MemoryPresence::new());
/// assert!(store.load(&Id(7)).await?.is_none());
/// # Ok::<(), tower_sessions_core::session_store::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct TowerSessions<P>(P);

impl<P: Presence<Key = i128, Value = Record>> TowerSessions<P> {
    /// A store on a presence, which should hold nothing else.
    #[must_use]
    pub fn new(presence: P) -> Self {
        Self(presence)
    }
}

impl<P> fmt::Debug for TowerSessions<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerSessions").finish_non_exhaustive()
    }
}

#[async_trait]
impl<P: Presence<Key = i128, Value = Record> + Clone> SessionStore for TowerSessions<P> {
    async fn create(&self, record: &mut Record) -> Result<()> {
        loop {
            let stored = self.0.set_if_absent(&record.id.0, record, left(record)).await;
            if stored.map_err(|error| foreign(&error))? {
                return Ok(());
            }
            record.id = Id::default();
        }
    }

    async fn save(&self, record: &Record) -> Result<()> {
        self.0.set_for(&record.id.0, record, left(record)).await.map_err(|error| foreign(&error))
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        self.0.fetch(&id.0).await.map_err(|error| foreign(&error))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.0.delete(&id.0).await.map(drop).map_err(|error| foreign(&error))
    }
}

/// How long a record has to live.
fn left(record: &Record) -> Option<Duration> {
    let left = record.expiry_date - OffsetDateTime::now_utc();
    Some(left.try_into().unwrap_or(Duration::ZERO))
}

fn foreign(error: &Error) -> StoreError {
    match error.kind() {
        ErrorKind::Codec => StoreError::Decode(error.to_string()),
        _ => StoreError::Backend(error.to_string()),
    }
}
