//! Processes of their own on one Firestore.

use crate::emulator::Make;
use crate::stranger::{Kinds, lives_with_strangers};
use crate::world::{World, client, project};
use headwater::firestore::FirestoreRoster;
use headwater::presence::{BoxPresence, FirestorePresence, Locks, Sessions};

async fn kinds(place: &str) -> Kinds<FirestoreRoster<str, String>> {
    let (host, project) = place.split_once(' ').expect("two words");
    let store = World { db: client(host, project, "(default)").await }.store();
    let roster = FirestoreRoster::new(&store, "rooms").expect("a path");
    let entries = BoxPresence::new(FirestorePresence::new(&store, "online").expect("a path"));
    let locks = Locks::firestore(&store, "locks").expect("a path");
    let sessions = Sessions::firestore(&store, "sessions").expect("a path");
    Kinds::new(roster, locks, entries, sessions)
}

fn place() -> String {
    format!("{} {}", Make::Hidane.shared(), project())
}

lives_with_strangers!(kinds, ((), place()));
