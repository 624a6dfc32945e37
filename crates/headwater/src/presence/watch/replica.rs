use super::Event;
use crate::presence::{Change, ConnectionId, Gone, Member};
use crate::{Error, Value};
use std::collections::HashMap;
use std::hash::Hash;

/// A topic as its log tells it.
pub(super) struct Replica<K, V>(HashMap<K, Vec<(ConnectionId, V)>>);

impl<K: Hash + Eq + Clone, V: Value> Replica<K, V> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    /// Makes a change, and tells what it means.
    pub(super) fn apply(
        &mut self,
        change: Change<K, V>,
        mut tell: impl FnMut(Result<Event<K, V>, Error>),
    ) {
        match change {
            Change::Set(member) => self.set(member, |event| tell(Ok(event))),
            Change::Gone(key, id, why) => self.gone(key, id, why, |event| tell(Ok(event))),
            Change::Unreadable(error) => tell(Err(error)),
        }
    }

    fn set(&mut self, member: Member<K, V>, mut tell: impl FnMut(Event<K, V>)) {
        let connections = self.0.entry(member.key.clone()).or_default();
        if let Some((_, value)) = connections.iter_mut().find(|(id, _)| *id == member.connection) {
            *value = member.value.clone();
            return tell(Event::Update(member));
        }
        if connections.is_empty() {
            tell(Event::Online(member.key.clone()));
        }
        connections.push((member.connection, member.value.clone()));
        tell(Event::Join(member));
    }

    fn gone(&mut self, key: K, id: ConnectionId, why: Gone, mut tell: impl FnMut(Event<K, V>)) {
        let Some(connections) = self.0.get_mut(&key) else { return };
        let Some(at) = connections.iter().position(|(other, _)| *other == id) else { return };
        connections.remove(at);
        let is_last = connections.is_empty();
        tell(match why {
            Gone::Left => Event::Leave(key.clone(), id),
            Gone::Expired => Event::Expire(key.clone(), id),
        });
        if is_last {
            self.0.remove(&key);
            tell(Event::Offline(key));
        }
    }

    pub(super) fn members(&self) -> Vec<Member<K, V>> {
        let all = self.0.iter().flat_map(|(key, connections)| {
            connections.iter().map(|(connection, value)| Member {
                key: key.clone(),
                connection: *connection,
                value: value.clone(),
            })
        });
        all.collect()
    }
}
