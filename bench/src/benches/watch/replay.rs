//! A watcher's story, replayed: whether each step of it is possible, and where it ends.

use headwater::presence::{ConnectionId, Event, Member, Reason};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Who is there: by connection, its key and the number that it said last.
pub(super) type Seats = HashMap<ConnectionId, (String, u64)>;

/// What came of replaying.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    /// Steps that were told once too often, or whose predecessor was not told.
    pub(super) impossible: u64,
    /// Numbers that are smaller than what the same connection had said before.
    pub(super) backward: u64,
    /// Watchers that did not come to see what the store holds.
    pub(super) elsewhere: u64,
    pub(super) watchers: u64,
    pub(super) events: u64,
    /// Snapshots, but those with which a watch begins.
    pub(super) resyncs: u64,
    pub(super) lags: u64,
}

impl Tally {
    pub(super) fn add(self, other: Self) -> Self {
        Self {
            impossible: self.impossible + other.impossible,
            backward: self.backward + other.backward,
            elsewhere: self.elsewhere + other.elsewhere,
            watchers: self.watchers + other.watchers,
            events: self.events + other.events,
            resyncs: self.resyncs + other.resyncs,
            lags: self.lags + other.lags,
        }
    }
}

/// What one watcher was told so far.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) seats: Seats,
    devices: HashMap<String, usize>,
    /// The largest number of each connection, also of those that are gone.
    said: HashMap<ConnectionId, u64>,
    /// The key that came online, whose join is next.
    coming: Option<String>,
    /// The key that lost its last connection, which is offline next.
    going: Option<String>,
    pub(super) tally: Tally,
}

impl Replay {
    pub(super) fn take(&mut self, event: Event<String, u64>) {
        self.tally.events += 1;
        let (coming, going) = (self.coming.take(), self.going.take());
        // Nothing comes between what belongs together.
        let is_next = match &event {
            Event::Snapshot { .. } => true,
            Event::Join(_) => going.is_none(),
            Event::Offline(_) => coming.is_none(),
            _ => coming.is_none() && going.is_none(),
        };
        let is_possible = match event {
            Event::Snapshot { members, reason } => self.reset(members, reason),
            Event::Online(key) => {
                let is_new = self.devices_of(&key) == 0;
                self.coming = Some(key);
                is_new
            }
            Event::Join(member) => {
                let is_first = self.devices_of(&member.key) == 0;
                is_first == (coming.as_ref() == Some(&member.key)) && self.set(member).is_none()
            }
            Event::Update(member) => self.set(member).is_some(),
            Event::Leave(key, id) | Event::Expire(key, id) => self.gone(&key, id),
            Event::Offline(key) => self.devices_of(&key) == 0 && going == Some(key),
            // What a checker does not know it does not let pass.
            _ => false,
        };
        self.tally.impossible += u64::from(!(is_next && is_possible));
    }

    fn devices_of(&self, key: &str) -> usize {
        self.devices.get(key).copied().unwrap_or(0)
    }

    /// Everything anew.
    fn reset(&mut self, members: Vec<Member<String, u64>>, reason: Reason) -> bool {
        match reason {
            Reason::Begin => {}
            Reason::Resync => self.tally.resyncs += 1,
            Reason::Lagged(_) => self.tally.lags += 1,
        }
        self.seats.clear();
        self.devices.clear();
        members.into_iter().filter_map(|member| self.set(member)).count() == 0
    }

    /// The number that it replaces.
    fn set(&mut self, member: Member<String, u64>) -> Option<u64> {
        let Member { key, connection, value } = member;
        let said = self.said.entry(connection).or_insert(value);
        self.tally.backward += u64::from(value < *said);
        *said = value.max(*said);
        let before = self.seats.insert(connection, (key.clone(), value));
        if before.is_none() {
            *self.devices.entry(key).or_default() += 1;
        }
        before.map(|(_, value)| value)
    }

    fn gone(&mut self, key: &str, id: ConnectionId) -> bool {
        let Some((own, _)) = self.seats.remove(&id) else { return false };
        let left = self.devices.get_mut(&own).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left == 0 {
            self.devices.remove(&own);
            self.going = Some(own.clone());
        }
        own == key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(key: &str, connection: ConnectionId, value: u64) -> Member<String, u64> {
        Member { key: key.to_owned(), connection, value }
    }

    fn impossible(events: &[Event<String, u64>]) -> (u64, u64) {
        let mut replay = Replay::default();
        events.iter().cloned().for_each(|event| replay.take(event));
        (replay.tally.impossible, replay.tally.backward)
    }

    /// A story without fault, of one key and two connections.
    fn story() -> Vec<Event<String, u64>> {
        let (one, two) = (ConnectionId::random(), ConnectionId::random());
        vec![
            Event::Snapshot { members: Vec::new(), reason: Reason::Begin },
            Event::Online("a".to_owned()),
            Event::Join(member("a", one, 1)),
            Event::Join(member("a", two, 1)),
            Event::Update(member("a", one, 2)),
            Event::Leave("a".to_owned(), one),
            Event::Expire("a".to_owned(), two),
            Event::Offline("a".to_owned()),
        ]
    }

    #[test]
    fn a_good_story_is_good() {
        assert_eq!(impossible(&story()), (0, 0));
    }

    #[test]
    fn whatever_is_told_twice_is_found_but_an_update() {
        for at in (1..story().len()).filter(|at| *at != 4) {
            let mut story = story();
            story.insert(at, story[at].clone());
            assert!(impossible(&story).0 > 0, "{:?}", story[at]);
        }
    }

    #[test]
    fn whatever_is_left_out_is_found_but_an_update_and_the_end() {
        for at in (1..story().len() - 1).filter(|at| *at != 4) {
            let mut story = story();
            let left_out = story.remove(at);
            assert!(impossible(&story).0 > 0, "{left_out:?}");
        }
    }

    #[test]
    fn an_old_value_is_found() {
        let mut story = story();
        let Event::Update(late) = story[4].clone() else { panic!("it is an update") };
        story.insert(5, Event::Update(Member { value: 1, ..late }));
        assert_eq!(impossible(&story), (0, 1));
    }
}
