//! `firestore`: what reading through a [`FirestoreSource`] costs, against the bare client on the same
//! emulator.
//!
//! The emulator `hidane` is started by the bench. Everybody reads the same documents over a connection
//! of their own and decodes them into the same type. Ours is the source in a chain without a tier, so
//! that every fetch reaches the server; it also checks keys, keeps order and duplicates, tells versions
//! and has deadlines and retries.
//!
//! - `source alone` is our source without the engine: no shared loads, no counters of a chain;
//! - `bare batch` is the client's `batch` of the ids, put into the order of the keys as one has to
//!   oneself;
//! - `bare get` is the client's read of one document.
//!
//! Everybody has two threads, but for one at a time, which has one. The last rows are those of
//! `freshness`.
//!
//! [`FirestoreSource`]: headwater::firestore::FirestoreSource

mod contestants;

use super::{Bench, freshness};
use crate::harness::{Options, Row, Table, interleave};
use headwater_servers::emulator::{Emulator, Make};
use contestants::{Many, One, World};
use std::sync::Arc;

pub(super) const BENCH: Bench = Bench {
    name: "firestore",
    about: "fetch and fetch_many from Firestore's emulator against the bare client; freshness",
    crates: &["firestore", "tokio"],
    run,
};

const LEGEND: &str = "The rival's time divided by headwater's: 1.00 is the same, higher is better for \
    us. In brackets the median time of one operation: of a batch of 100 keys, or of one key; among \
    many at once, the time of all divided by their number. The last rows: from before a document's \
    change is sent until a fetch in the process that listens, or in another, sees it.";

fn run(options: &Options) -> Table {
    let server = Emulator::start(Make::Hidane);
    let alone = Arc::new(World::new(&server.host(), 1, options.seed));
    let world = Arc::new(World::new(&server.host(), 2, options.seed));
    let mut table = Table::new("Firestore: speed against the bare client", LEGEND);
    for (world, at_once) in [(&alone, 1), (&world, 8)] {
        table.push(many(options, world, at_once));
    }
    for (world, at_once) in [(&alone, 1), (&world, 64)] {
        table.push(one(options, world, at_once));
    }
    freshness::rows(options).into_iter().for_each(|row| table.push(row));
    table
}

fn many(options: &Options, world: &Arc<World>, at_once: usize) -> Row {
    let batches = options.scale(80, 24).max(at_once);
    let contestants = Many::ALL.map(|who| who.contestant(world, at_once, batches));
    let laps = interleave(contestants.into(), options.scale(21, 5), options.seed);
    let name = match at_once {
        1 => "fetch_many of 100 keys".to_owned(),
        _ => format!("fetch_many of 100 keys, {at_once} at once"),
    };
    laps.row(&name, "headwater")
}

fn one(options: &Options, world: &Arc<World>, at_once: usize) -> Row {
    let fetches = options.scale(1_000, 200).max(at_once);
    let contestants = One::ALL.map(|who| who.contestant(world, at_once, fetches));
    let laps = interleave(contestants.into(), options.scale(21, 5), options.seed);
    let name = match at_once {
        1 => "fetch of one key".to_owned(),
        _ => format!("fetch of one key, {at_once} at once"),
    };
    laps.row(&name, "headwater")
}
