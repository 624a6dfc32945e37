//! The suite of rosters and what the stores add to it.

use futures_util::StreamExt;
use headwater::presence::{Event, MemoryRoster, Owned, Reason, Roster, RosterStore, Watch};
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

async fn next<S: RosterStore>(watch: &mut Watch<S>) -> Event<Owned<S>, S::Value> {
    watch.next().await.expect("it goes on").expect("nothing fails")
}

#[tokio::test]
async fn who_a_store_has_lost_joins_again_and_watchers_are_resynchronised() {
    let time = ManualClock::new();
    let store = MemoryRoster::<str, String>::with_clock(time.clock());
    let (here, there) = (on(&store), on(&store));
    let held = here.join("room", "ada", "phone".to_owned()).await.unwrap();
    let mut watch = there.watch("room").unwrap();
    assert!(matches!(next(&mut watch).await, Event::Snapshot { reason: Reason::Begin, .. }));

    store.forget_all();
    let lost = Event::Snapshot { members: Vec::new(), reason: Reason::Resync };
    assert_eq!(next(&mut watch).await, lost);
    assert!(here.get("room", "ada").await.unwrap().is_empty());

    time.advance(TTL / 3);
    assert_eq!(next(&mut watch).await, Event::Online("ada".to_owned()));
    let joined = next(&mut watch).await;
    assert!(matches!(joined, Event::Join(member) if member.connection == held.id()));
    assert_eq!(here.stats().rejoins, 1);
}

#[tokio::test]
async fn a_heartbeat_later_than_the_ttl_is_an_expiry_and_a_join() {
    let time = ManualClock::new();
    let store = MemoryRoster::<str, String>::with_clock(time.clock());
    let roster = on(&store);
    let held = roster.join("room", "ada", "phone".to_owned()).await.unwrap();
    let mut watch = roster.watch("room").unwrap();
    assert!(matches!(next(&mut watch).await, Event::Snapshot { .. }));
    time.advance(TTL * 2);
    let ada = || "ada".to_owned();
    assert_eq!(next(&mut watch).await, Event::Expire(ada(), held.id()));
    assert_eq!(next(&mut watch).await, Event::Offline(ada()));
    assert_eq!(next(&mut watch).await, Event::Online(ada()));
    assert!(matches!(next(&mut watch).await, Event::Join(_)));
}

mod redis {
    use crate::server::Server;
    use headwater::redis::{RedisConfig, RedisRoster};
    use headwater::roster_conformance;
    use headwater::testkit::RealTime;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::time::Duration;

    /// The servers of all suites; they end with this process.
    static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

    /// A namespace of its own for each test.
    fn namespace() -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        format!("test {}", NEXT.fetch_add(1, Relaxed))
    }

    fn store(config: RedisConfig) -> RedisRoster<str, String> {
        // Several suites that join ten thousand share a small machine.
        let patient = Duration::from_secs(10);
        let config = config.write_timeout(patient).read_timeout(patient);
        RedisRoster::connect_lazy(config).expect("it makes sense")
    }

    roster_conformance!(standalone, async |_: RealTime| {
        let config = RedisConfig::new(&SERVER.url()).expect("a URL").namespace(namespace());
        move || store(config.clone())
    });

    roster_conformance!(sharded, async |_: RealTime| {
        let config = RedisConfig::new(&SERVER.url()).expect("a URL").namespace(namespace());
        move || store(config.clone()).with_shards(4)
    });

    mod cluster {
        use super::{RealTime, RedisConfig, namespace, roster_conformance, store};
        use crate::server::Cluster;
        use std::sync::LazyLock;

        static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

        roster_conformance!(sharded, async |_: RealTime| {
            let config = RedisConfig::cluster(CLUSTER.urls()).expect("URLs").namespace(namespace());
            move || store(config.clone()).with_shards(4)
        });
    }
}
