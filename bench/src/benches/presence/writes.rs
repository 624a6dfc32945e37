//! Heartbeats on Firestore, where each write is billed: how many they are.

use crate::harness::{Cell, Options, Row, runtime};
use crate::processes::client;
use futures_util::stream::{self, StreamExt};
use headwater::firestore::{FirestoreRoster, FirestoreStore};
use headwater::presence::Roster;
use headwater_servers::emulator::{Emulator, Make};
use std::time::Duration;
use tokio::time::sleep;

const CONNECTIONS: usize = 10_000;
/// A third of the TTL.
const HEARTBEAT: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_secs(86_400);
const BEATS: u64 = 3;
const EACH: &str = "a write each";

type Store = FirestoreRoster<str, String>;

/// What the store billed while so many heartbeats of single connections were confirmed.
struct Counted {
    heartbeats: u64,
    writes: u64,
}

/// The rows of writes: per day, and per connection and heartbeat.
pub(super) fn rows(options: &Options) -> [Row; 2] {
    let heartbeat = options.scale(HEARTBEAT, Duration::from_secs(2));
    let Counted { heartbeats, writes } = runtime(2).block_on(counted(heartbeat));
    let share = writes as f64 / heartbeats as f64;
    let each_per_day = CONNECTIONS as u64 * (DAY.as_secs() / HEARTBEAT.as_secs());
    let per_day = (each_per_day as f64 * share).round() as u64;
    let span = format!("{writes} in {BEATS} beats of {heartbeat:?}");
    let per_day = vec![
        ("headwater", Cell::count(per_day, Some(span))),
        (EACH, Cell::count(each_per_day, None)),
    ];
    let shares = vec![
        ("headwater", Cell::share(share, 0.0)),
        (EACH, Cell::share(1.0, share - 1.0)),
    ];
    let row = |name: &str, cells| Row { name: name.to_owned(), detail: None, cells };
    [
        row("Firestore: writes per day for 10,000 connections at a 20 s heartbeat", per_day),
        row("Firestore: writes per connection and heartbeat", shares),
    ]
}

/// Has all join one roster on an emulator, and counts from one beat to a later one.
async fn counted(heartbeat: Duration) -> Counted {
    let server = Emulator::start(Make::Hidane);
    let store = FirestoreStore::builder(client(&server.host()).await);
    let store = store.timeout(Duration::from_secs(60)).build().expect("valid settings");
    let rooms = Store::new(&store, "rooms").expect("a path");
    let roster = Roster::builder(rooms).ttl(3 * heartbeat).close_within(DAY).build();
    let roster = roster.expect("a valid configuration");
    let joins = stream::iter(0..CONNECTIONS).map(async |number| {
        let joined = roster.join("room", &format!("user-{number}"), String::new()).await;
        joined.expect("it joins")
    });
    let held: Vec<_> = joins.buffer_unordered(CONNECTIONS).collect().await;
    let written = || store.stats().writes + store.stats().deletes;
    let began = (beaten(&roster, 1).await, written());
    let ended = (beaten(&roster, BEATS).await, written());
    assert_eq!(roster.stats().rejoins, 0, "nobody was lost");
    drop(held);
    roster.close().await.expect("it closes");
    Counted { heartbeats: ended.0 - began.0, writes: ended.1 - began.1 }
}

/// The heartbeats that were confirmed once so many more beats of all connections were.
async fn beaten(roster: &Roster<Store>, beats: u64) -> u64 {
    let until = roster.stats().heartbeats + beats * CONNECTIONS as u64;
    while roster.stats().heartbeats < until {
        sleep(Duration::from_millis(10)).await;
    }
    roster.stats().heartbeats
}
