use super::replica::Replica;
use super::{Event, Reason};
use crate::presence::roster::Inner;
use crate::presence::{Change, Owned, RosterStore};
use crate::sync::{Arc, Mutex};
use crate::{Error, Result};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

pub(super) type Told<S> = Result<Event<Owned<S>, <S as RosterStore>::Value>>;
pub(super) type Copy<S> = Replica<Owned<S>, <S as RosterStore>::Value>;

/// The watched topics of a roster.
pub(crate) struct Topics<S: RosterStore> {
    pub(super) all: Mutex<HashMap<Arc<str>, Arc<Topic<S>>>>,
    pub(super) is_fed: AtomicBool,
}

/// A watched topic: its replica, and who watches.
pub(super) struct Topic<S: RosterStore> {
    pub(super) name: Arc<str>,
    buffer: usize,
    state: Mutex<State<S>>,
}

struct State<S: RosterStore> {
    stage: Stage<S>,
    is_closed: bool,
    watchers: HashMap<u64, Watcher<S>>,
    next: u64,
}

enum Stage<S: RosterStore> {
    /// Nothing is known, or what was known is not to be trusted.
    Unknown,
    /// As the logs tell it up to these positions, one for each shard.
    Known { replica: Copy<S>, positions: Vec<S::Position>, is_behind: bool },
}

struct Watcher<S: RosterStore> {
    queue: VecDeque<Told<S>>,
    /// What comes after the queue, as soon as the replica is known.
    due: Option<Reason>,
    /// Whether it was told that the link is lost, which has not come back since.
    is_warned: bool,
    waker: Option<Waker>,
}

impl<S: RosterStore> Default for Topics<S> {
    fn default() -> Self {
        Self { all: Mutex::default(), is_fed: AtomicBool::new(false) }
    }
}

impl<S: RosterStore> Topics<S> {
    /// Adds a watcher to a topic.
    pub(super) fn enter(&self, roster: &Inner<S>, name: &str) -> (Arc<Topic<S>>, u64) {
        let mut all = self.all.lock();
        let topic = match all.get(name) {
            Some(topic) => Arc::clone(topic),
            None => {
                let topic = Arc::new(Topic::new(Arc::from(name), roster.settings.buffer));
                all.insert(Arc::clone(&topic.name), Arc::clone(&topic));
                topic
            }
        };
        let watcher = topic.enter();
        roster.bell.watch(&topic.name, roster.store.shards());
        drop(all);
        (topic, watcher)
    }

    /// Removes a watcher; with the last one, the topic.
    pub(super) fn exit(&self, roster: &Inner<S>, topic: &Topic<S>, watcher: u64) {
        let mut all = self.all.lock();
        let (is_last, gone) = topic.exit(watcher);
        let unused = if is_last { all.remove(&topic.name) } else { None };
        if unused.is_some() {
            roster.bell.forget(&topic.name);
        }
        drop(all);
        drop((gone, unused));
    }

    pub(crate) fn close(&self) {
        let topics: Vec<_> = self.all.lock().values().cloned().collect();
        topics.iter().for_each(|topic| topic.close());
    }

    pub(super) fn watched(&self) -> Vec<Arc<Topic<S>>> {
        self.all.lock().values().cloned().collect()
    }

    pub(super) fn fed(&self) -> bool {
        self.is_fed.swap(true, Ordering::SeqCst)
    }
}

impl<S: RosterStore> Topic<S> {
    fn new(name: Arc<str>, buffer: usize) -> Self {
        let state =
            State { stage: Stage::Unknown, is_closed: false, watchers: HashMap::new(), next: 0 };
        Self { name, buffer, state: Mutex::new(state) }
    }

    fn enter(&self) -> u64 {
        let mut state = self.state.lock();
        state.next += 1;
        let (number, due) = (state.next, Some(Reason::Begin));
        let watcher = Watcher { queue: VecDeque::new(), due, is_warned: false, waker: None };
        state.watchers.insert(number, watcher);
        number
    }

    fn exit(&self, watcher: u64) -> (bool, Option<Watcher<S>>) {
        let mut state = self.state.lock();
        let gone = state.watchers.remove(&watcher);
        (state.watchers.is_empty(), gone)
    }

    fn close(&self) {
        self.change(|state| state.is_closed = true);
    }

    /// Where to read on; `None` if all has to be read anew.
    pub(super) fn positions(&self) -> Option<Vec<S::Position>> {
        match &self.state.lock().stage {
            Stage::Unknown => None,
            Stage::Known { positions, .. } => Some(positions.clone()),
        }
    }

    /// Whether it is to be read again soon, because it was not read to its end.
    pub(super) fn is_behind(&self) -> bool {
        matches!(self.state.lock().stage, Stage::Known { is_behind: true, .. })
    }

    /// The replica was read anew.
    pub(super) fn known(&self, replica: Copy<S>, positions: Vec<S::Position>, faults: &[Error]) {
        self.change(|state| {
            state.stage = Stage::Known { replica, positions, is_behind: false };
            for watcher in state.watchers.values_mut() {
                watcher.due.get_or_insert(Reason::Resync);
                watcher.is_warned = false;
                // Each fault takes a place, for there is no more room than for the buffer.
                let room = self.buffer.saturating_sub(watcher.queue.len());
                watcher.queue.extend(faults.iter().take(room).cloned().map(Err));
            }
        });
    }

    /// The logs do not reach back to where they were read last.
    pub(super) fn unknown(&self) {
        self.state.lock().stage = Stage::Unknown;
    }

    /// The store did not answer: whoever watches is told, once, and gets a snapshot later.
    pub(super) fn failed(&self, error: &Error) {
        self.change(|state| {
            for watcher in state.watchers.values_mut().filter(|watcher| !watcher.is_warned) {
                watcher.is_warned = true;
                watcher.queue.push_back(Err(error.clone()));
                watcher.due.get_or_insert(Reason::Resync);
            }
        });
    }

    /// A shard's log was read on.
    pub(super) fn changed(
        &self,
        shard: usize,
        changes: Vec<Change<Owned<S>, S::Value>>,
        position: S::Position,
    ) {
        self.change(|state| {
            let State { stage, watchers, .. } = state;
            let Stage::Known { replica, positions, .. } = stage else { return };
            for change in changes {
                replica.apply(change, |told| {
                    for watcher in watchers.values_mut() {
                        watcher.tell(&told, self.buffer);
                    }
                });
            }
            if let Some(own) = positions.get_mut(shard) {
                *own = position;
            }
        });
    }

    /// Its logs were read; to their ends, if it is not behind.
    pub(super) fn settle(&self, behind: bool) {
        self.change(|state| {
            if let Stage::Known { is_behind, .. } = &mut state.stage {
                *is_behind = behind;
            }
            if !behind {
                state.watchers.values_mut().for_each(|watcher| watcher.is_warned = false);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut State<S>)) {
        let mut state = self.state.lock();
        change(&mut state);
        let wakers: Vec<Waker> =
            state.watchers.values_mut().filter_map(|watcher| watcher.waker.take()).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn poll(&self, watcher: u64, waker: &Waker) -> Poll<Option<Told<S>>> {
        let mut state = self.state.lock();
        let State { stage, is_closed, watchers, .. } = &mut *state;
        let Some(own) = watchers.get_mut(&watcher) else { return Poll::Ready(None) };
        if let Some(told) = own.queue.pop_front() {
            return Poll::Ready(Some(told));
        }
        if *is_closed {
            return Poll::Ready(None);
        }
        if let (Stage::Known { replica, is_behind: false, .. }, Some(reason)) = (stage, own.due) {
            own.due = None;
            return Poll::Ready(Some(Ok(Event::Snapshot { members: replica.members(), reason })));
        }
        own.waker = Some(waker.clone());
        Poll::Pending
    }
}

impl<S: RosterStore> Watcher<S> {
    fn tell(&mut self, told: &Told<S>, buffer: usize) {
        match &mut self.due {
            Some(Reason::Lagged(missed)) => *missed += 1,
            // The snapshot will have it.
            Some(_) => {}
            None if self.queue.len() < buffer => self.queue.push_back(told.clone()),
            None => {
                self.due = Some(Reason::Lagged(self.queue.len() as u64 + 1));
                self.queue.clear();
            }
        }
    }
}
