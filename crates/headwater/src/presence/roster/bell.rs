use super::Log;
use crate::sync::{Arc, Mutex};
use std::collections::{HashMap, HashSet};
use tokio::sync::Notify;

/// Tells the readers of logs which of them grew. A store [listens](super::RosterStore::listen) on
/// behalf of it.
#[derive(Debug, Default)]
pub struct Bell {
    state: Mutex<State>,
    rung: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How many shards each watched topic has.
    watched: HashMap<Arc<str>, u32>,
    grown: HashSet<Log>,
}

impl Bell {
    /// A log may have grown.
    pub fn ring(&self, topic: &str, shard: u32) {
        let mut state = self.state.lock();
        let Some((topic, _)) = state.watched.get_key_value(topic) else { return };
        let log = Log { topic: Arc::clone(topic), shard };
        state.grown.insert(log);
        drop(state);
        self.rung.notify_one();
    }

    /// Any log may have grown.
    pub fn ring_all(&self) {
        let mut state = self.state.lock();
        let State { watched, grown } = &mut *state;
        for (topic, shards) in watched {
            let logs = (0..*shards).map(|shard| Log { topic: Arc::clone(topic), shard });
            grown.extend(logs);
        }
        drop(state);
        self.rung.notify_one();
    }

    /// Whether anybody watches a topic.
    #[must_use]
    pub fn is_watched(&self, topic: &str) -> bool {
        self.state.lock().watched.contains_key(topic)
    }

    pub(crate) fn watch(&self, topic: &Arc<str>, shards: u32) {
        self.state.lock().watched.insert(Arc::clone(topic), shards);
        self.wake();
    }

    pub(crate) fn forget(&self, topic: &str) {
        let mut state = self.state.lock();
        state.watched.remove(topic);
        state.grown.retain(|log| &*log.topic != topic);
    }

    /// Wakes whoever waits, for another reason.
    pub(crate) fn wake(&self) {
        self.rung.notify_one();
    }

    /// The logs that grew since the last time.
    pub(crate) fn take(&self) -> HashSet<Log> {
        std::mem::take(&mut self.state.lock().grown)
    }

    /// Waits until it rings, or has rung since the last time.
    pub(crate) async fn rung(&self) {
        self.rung.notified().await;
    }
}
