use super::{Record, Saved, SessionId, SessionStore};
use crate::sync::Mutex;
use crate::{Clock, Moment, Result};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use std::collections::HashMap;
use std::time::Duration;

/// Sessions of this process.
pub(super) struct MemorySessions {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: HashMap<Box<str>, Held>,
    /// At so many sessions and marks those that are over are dropped, so that this costs little each.
    sweep_at: usize,
    /// Marks of users, and until when they last.
    marks: HashMap<Box<str>, (u64, Moment)>,
    /// The last mark, of all users.
    last_mark: u64,
}

struct Held {
    secret: Box<str>,
    record: Record,
    end: Moment,
}

impl State {
    fn sweep(&mut self, now: Moment) {
        if self.held.len() + self.marks.len() >= self.sweep_at {
            self.held.retain(|_, held| held.end > now);
            self.marks.retain(|_, (_, end)| *end > now);
            self.sweep_at = (self.held.len() + self.marks.len()) * 2 + 16;
        }
    }
}

impl MemorySessions {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// What `change` makes of a session that lives, which then lasts for `ttl`.
    fn with<R>(
        &self,
        id: &SessionId,
        ttl: Duration,
        change: impl FnOnce(&mut Held) -> R,
    ) -> Option<R> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let held = state.held.get_mut(id.handle());
        let held = held.filter(|held| held.end > now && *held.secret == *id.secret())?;
        held.end = now + ttl;
        Some(change(held))
    }
}

impl SessionStore for MemorySessions {
    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        record: Record,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.sweep(now);
        let held = Held { secret: id.secret().into(), record, end: now + ttl };
        let is_new = state.held.insert(id.handle().into(), held).is_none();
        ready(Ok(is_new)).boxed()
    }

    fn open<'a>(
        &'a self,
        id: &'a SessionId,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Option<Record>>> {
        ready(Ok(self.with(id, ttl, |held| held.record.clone()))).boxed()
    }

    fn save<'a>(
        &'a self,
        id: &'a SessionId,
        revision: u64,
        data: Vec<u8>,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Saved>> {
        let saved = self.with(id, ttl, |held| {
            if held.record.revision != revision {
                return Saved::Conflict;
            }
            held.record.revision += 1;
            held.record.data = data;
            Saved::Stored
        });
        ready(Ok(saved.unwrap_or(Saved::Gone))).boxed()
    }

    fn rotate<'a>(
        &'a self,
        id: &'a SessionId,
        to: &'a SessionId,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        let rotated = self.with(id, ttl, |held| held.secret = to.secret().into());
        ready(Ok(rotated.is_some())).boxed()
    }

    fn end<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<bool>> {
        let is_there = self.with(id, Duration::ZERO, |_| ()).is_some();
        if is_there {
            self.state.lock().held.remove(id.handle());
        }
        ready(Ok(is_there)).boxed()
    }

    fn mark<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<u64>> {
        let now = self.clock.now();
        let mark = self.state.lock().marks.get(user).copied();
        let mark = mark.filter(|(_, end)| *end > now).map_or(0, |(mark, _)| mark);
        ready(Ok(mark)).boxed()
    }

    fn raise_mark<'a>(&'a self, user: &'a str, ttl: Duration) -> BoxFuture<'a, Result<()>> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.sweep(now);
        state.last_mark += 1;
        let mark = (state.last_mark, now + ttl);
        state.marks.insert(user.into(), mark);
        ready(Ok(())).boxed()
    }
}
