//! The suite of rosters and what the stores add to it.

use futures_util::StreamExt;
use headwater::presence::{Event, MemoryRoster, Reason, Roster};
use headwater::roster_conformance;
use headwater::testkit::ManualClock;
use std::time::Duration;

roster_conformance!(memory, async |time: ManualClock| {
    let store = MemoryRoster::<str, String>::with_clock(time.clock());
    move || store.clone()
});

const TTL: Duration = Duration::from_secs(60);

fn on(store: &MemoryRoster<str, String>) -> Roster<MemoryRoster<str, String>> {
    Roster::new(store.clone())
}

#[tokio::test]
async fn who_a_store_has_lost_joins_again_and_watchers_are_resynchronised() {
    let time = ManualClock::new();
    let store = MemoryRoster::<str, String>::with_clock(time.clock());
    let (here, there) = (on(&store), on(&store));
    let held = here.join("room", "ada", "phone".to_owned()).await.unwrap();
    let mut watch = there.watch("room").unwrap();
    assert!(matches!(watch.next().await, Some(Ok(Event::Snapshot { reason: Reason::Begin, .. }))));

    store.forget_all();
    let lost = Some(Ok(Event::Snapshot { members: Vec::new(), reason: Reason::Resync }));
    assert_eq!(watch.next().await, lost);
    assert!(here.get("room", "ada").await.unwrap().is_empty());

    time.advance(TTL / 3);
    assert_eq!(watch.next().await, Some(Ok(Event::Online("ada".to_owned()))));
    let joined = watch.next().await;
    assert!(matches!(joined, Some(Ok(Event::Join(member))) if member.connection == held.id()));
    assert_eq!(here.stats().rejoins, 1);
}

#[tokio::test]
async fn a_heartbeat_later_than_the_ttl_is_an_expiry_and_a_join() {
    let time = ManualClock::new();
    let store = MemoryRoster::<str, String>::with_clock(time.clock());
    let roster = on(&store);
    let held = roster.join("room", "ada", "phone".to_owned()).await.unwrap();
    let mut watch = roster.watch("room").unwrap();
    assert!(matches!(watch.next().await, Some(Ok(Event::Snapshot { .. }))));
    time.advance(TTL * 2);
    let ada = || "ada".to_owned();
    assert_eq!(watch.next().await, Some(Ok(Event::Expire(ada(), held.id()))));
    assert_eq!(watch.next().await, Some(Ok(Event::Offline(ada()))));
    assert_eq!(watch.next().await, Some(Ok(Event::Online(ada()))));
    assert!(matches!(watch.next().await, Some(Ok(Event::Join(_)))));
}
