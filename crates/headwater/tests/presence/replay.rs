//! What watchers are told, replayed: it is possible at every step, and right in the end, whatever
//! happens to the server.

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use headwater::Error;
use headwater::presence::{Connection, ConnectionId, Event, Roster, RosterStore, Watch};
use std::collections::HashMap;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Keys by connection, and what each says.
type State = HashMap<ConnectionId, (String, String)>;

/// How long anybody waits for what is to come: far above what it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the suite needs of a store.
pub(crate) trait Store: RosterStore<Key = str, Value = String> {}

impl<S: RosterStore<Key = str, Value = String>> Store for S {}

/// Has everybody come and go in all processes for `span`, with trouble after each step, and a watcher
/// in each replay what it is told, until it sees who is there according to the store. How many steps
/// each process made.
pub(crate) async fn replayed<S: Store>(
    processes: &[Roster<S>],
    span: Duration,
    mut trouble: impl AsyncFnMut(u32),
) -> u32 {
    let (mut ends, mut watchers) = (Vec::new(), Vec::new());
    for roster in processes {
        let (end, ended) = oneshot::channel();
        let watch = roster.watch("room").expect("watch");
        watchers.push(tokio::spawn(watcher(roster.clone(), watch, ended)));
        ends.push(end);
    }
    let mut held: Vec<Vec<Connection<S>>> = processes.iter().map(|_| Vec::new()).collect();
    let (began, mut steps) = (Instant::now(), 0_u32);
    while began.elapsed() < span {
        for (roster, held) in processes.iter().zip(&mut held) {
            step(roster, held).await;
        }
        steps += 1;
        trouble(steps).await;
    }
    let expected = held.iter().map(Vec::len).sum();
    let target = pin!(settled(&processes[0], expected));
    let target = tokio::time::timeout(PATIENCE, target).await.expect("the store settles");
    for end in ends {
        end.send(target.clone()).expect("the watcher goes on");
    }
    for watcher in watchers {
        watcher.await.expect("what is told can be replayed");
    }
    steps
}

/// Replays an event; panics if it cannot be.
fn replay(state: &mut State, event: Event<String, String>) {
    let devices = |state: &State, key: &str| state.values().filter(|(own, _)| own == key).count();
    match event {
        Event::Snapshot { members, .. } => {
            let members = members.into_iter();
            *state = members.map(|own| (own.connection, (own.key, own.value))).collect();
        }
        Event::Online(key) | Event::Offline(key) => assert_eq!(devices(state, &key), 0),
        Event::Join(own) => {
            assert!(state.insert(own.connection, (own.key, own.value)).is_none(), "joined twice");
        }
        Event::Update(own) => {
            assert!(state.insert(own.connection, (own.key, own.value)).is_some(), "was not there");
        }
        Event::Leave(key, id) | Event::Expire(key, id) => {
            assert_eq!(state.remove(&id).map(|(key, _)| key), Some(key), "was not there");
        }
        other => panic!("{other:?}"),
    }
}

/// Replays until `end`, and then until it has seen who is there according to the store.
async fn watcher<S: Store>(
    roster: Roster<S>,
    mut watch: Watch<S>,
    mut end: oneshot::Receiver<State>,
) {
    let mut state = State::new();
    let target = loop {
        match select(watch.next(), &mut end).await {
            Either::Left((told, _)) => {
                if let Ok(event) = told.expect("it goes on") {
                    replay(&mut state, event);
                }
            }
            Either::Right((target, _)) => break target.expect("it is told"),
        }
    };
    while state != target {
        let told = tokio::time::timeout(PATIENCE, watch.next()).await;
        let told = told.unwrap_or_else(|_| {
            panic!("{} of {} are there in {:?}", state.len(), target.len(), roster.stats())
        });
        if let Ok(event) = told.expect("it goes on") {
            replay(&mut state, event);
        }
    }
}

/// Somebody joins, leaves, or says something else; what fails, fails.
async fn step<S: Store>(roster: &Roster<S>, held: &mut Vec<Connection<S>>) {
    match fastrand::u8(..3) {
        0 if held.len() < 40 => {
            let key = fastrand::u8(..10).to_string();
            held.extend(roster.join("room", &key, "joined".to_owned()).await);
        }
        1 if !held.is_empty() => {
            let _ = held.swap_remove(fastrand::usize(..held.len())).leave().await;
        }
        _ if !held.is_empty() => {
            let own = &held[fastrand::usize(..held.len())];
            let _ = own.update(fastrand::u32(..).to_string()).await;
        }
        _ => {}
    }
}

/// Everybody who is there, once nobody is who has been left to expire.
async fn settled<S: Store>(roster: &Roster<S>, expected: usize) -> State {
    loop {
        if let Ok(all) = listed(roster).await
            && all.len() == expected
        {
            return all;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// All pages of the room.
async fn listed<S: Store>(roster: &Roster<S>) -> Result<State, Error> {
    let (mut all, mut after) = (State::new(), None);
    loop {
        let page = roster.list("room", after.as_ref(), 1_000).await?;
        let members = page.members.into_iter();
        all.extend(members.map(|own| (own.connection, (own.key, own.value))));
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}
