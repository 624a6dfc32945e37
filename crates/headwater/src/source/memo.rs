use crate::sync::Mutex;
use crate::{Clock, Error, Moment};
use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

/// The most errors remembered at once; of more, the oldest are forgotten.
const CAPACITY: usize = 4_096;

/// The errors of a source in the last moment, so that those who come a little late for a failed
/// load do not each make it fail again.
pub(super) struct Memo<K> {
    span: Duration,
    recent: Mutex<Recent<K>>,
}

struct Recent<K> {
    errors: HashMap<K, (Error, Moment)>,
    /// When which key is to be forgotten, the earliest first.
    ends: VecDeque<(Moment, K)>,
    /// Grows with each change from outside, so that a failure from before it is not remembered.
    changes: u64,
}

impl<K: Hash + Eq + Clone> Memo<K> {
    pub(super) fn new(span: Duration) -> Self {
        let recent = Recent { errors: HashMap::new(), ends: VecDeque::new(), changes: 0 };
        Self { span, recent: Mutex::new(recent) }
    }

    /// How many changes there have been; to be handed to [`remember`](Self::remember).
    pub(super) fn changes(&self) -> u64 {
        self.recent.lock().changes
    }

    pub(super) fn recall<Q>(&self, key: &Q, clock: &Clock) -> Option<Error>
    where
        Q: ?Sized + Hash + Eq,
        K: Borrow<Q>,
    {
        let recent = self.recent.lock();
        let (error, end) = recent.errors.get(key)?;
        (clock.now() < *end).then(|| error.clone())
    }

    /// Remembers the failure of a load that began when there had been `changes` changes.
    pub(super) fn remember(&self, key: K, error: Error, changes: u64, clock: &Clock) {
        let now = clock.now();
        let mut forgotten = Vec::new();
        let mut recent = self.recent.lock();
        if recent.changes != changes {
            return;
        }
        while recent.errors.len() >= CAPACITY
            || recent.ends.front().is_some_and(|(end, _)| *end <= now)
        {
            let Some((end, old)) = recent.ends.pop_front() else { break };
            if recent.errors.get(&old).is_some_and(|(_, own)| *own == end) {
                forgotten.extend(recent.errors.remove_entry(&old));
            }
        }
        let end = now + self.span;
        recent.ends.push_back((end, key.clone()));
        forgotten.extend(recent.errors.insert(key.clone(), (error, end)).map(|old| (key, old)));
        drop(recent);
    }

    /// Forgets everything, and what is failing just now.
    pub(super) fn forget(&self) {
        let mut recent = self.recent.lock();
        recent.changes += 1;
        let errors = std::mem::take(&mut recent.errors);
        let ends = std::mem::take(&mut recent.ends);
        drop(recent);
        drop((errors, ends));
    }
}
