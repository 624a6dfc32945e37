//! Watching by hand: resumption, counts, resets, refusals and silence, as emulators never have them.

use crate::listener::{Listened, Stream, token};
use crate::world::{Plane, Planes, plane};
use futures_util::FutureExt;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::listen_request::TargetChange as Ask;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::structured_query::filter::FilterType;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::target::TargetType;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::target::query_target::QueryType;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::target_change::TargetChangeType;
use headwater::firestore::{FirestoreBuilder, Watch, WatchBuilder, WatchState};
use headwater::presence::{BoxPresence, Locks, MemoryPresence};
use headwater::testkit::{ManualClock, RemoteTier};
use headwater::{
    Cache, Entry, Error, ErrorKind, Fetcher, Headwater, LruCache, ReadThrough, Source, Tier,
    Version,
};
use std::time::Duration;
use tonic::Code;

type Memory = LruCache<str, Plane>;
type Chain = ReadThrough<Memory, Source<Planes>>;

/// How silent a stream may be, and how long anything may take by the test's clock.
const SILENCE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(40);

/// A chain over a server by hand, and time by hand.
struct Scene {
    server: Listened,
    time: ManualClock,
    planes: Planes,
    memory: Memory,
    chain: Chain,
}

/// Waits until `done`; whoever waits for a minute hangs.
async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !done().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("{what}"));
}

impl Scene {
    async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    async fn with(
        settings: impl FnOnce(FirestoreBuilder<str, Plane>) -> FirestoreBuilder<str, Plane>,
    ) -> Self {
        let (server, time) = (Listened::start().await, ManualClock::new());
        let builder = Planes::builder(server.db.clone(), "planes");
        let builder = builder.timeout(PATIENCE).clock(time.clock());
        let planes = settings(builder).build().expect("valid settings");
        let memory = LruCache::builder(100).clock(time.clock()).build().expect("a capacity");
        let chain = Headwater::source(planes.clone()).through(memory.clone()).build();
        Self { server, time, planes, memory, chain }
    }

    fn watch(&self) -> WatchBuilder<str, Plane> {
        self.planes.watch().silence(SILENCE)
    }

    /// A watch that is live, and knows `a` and `b` as of the first second, which memory has too.
    async fn begun(&mut self, settings: WatchBuilder<str, Plane>) -> (Watch, Stream) {
        let watch = settings.start(&self.chain).expect("valid settings");
        let (stream, target) = self.server.opened(&self.time).await;
        assert_eq!(token(&target), None);
        stream.turn(TargetChangeType::Add, 1, "");
        for id in ["a", "b"] {
            self.server.have(id, "old", 1);
            stream.has(id, "old", 1);
        }
        stream.current("first");
        watch.caught_up().await.expect("it is live");
        for id in ["a", "b"] {
            assert_eq!(self.seen(id).await, plane("old"));
        }
        (watch, stream)
    }

    async fn seen(&self, id: &str) -> Plane {
        self.chain.fetch(id).await.expect("a plane")
    }

    /// What memory has.
    async fn kept(&self, id: &str) -> Option<Plane> {
        self.memory.get(id).await.expect("memory answers").and_then(Entry::into_value)
    }

    /// Waits until memory has forgotten.
    async fn forgotten(&self, id: &str) {
        until("it is not forgotten", async || self.kept(id).await.is_none()).await;
    }
}

async fn state(watch: &Watch, wanted: WatchState) {
    until("the state", async || watch.status().state == wanted).await;
}

#[tokio::test]
async fn what_changes_is_forgotten_and_what_does_not_is_kept() {
    let mut scene = Scene::new().await;
    let (watch, stream) = scene.begun(scene.watch()).await;
    scene.server.have("a", "new", 2);
    stream.has("a", "new", 2);
    stream.consistent("second");
    scene.forgotten("a").await;
    assert_eq!(scene.seen("a").await, plane("new"));
    assert_eq!(scene.kept("b").await, Some(plane("old")));
    let stats = watch.stats();
    assert_eq!((stats.changes, stats.invalidations, stats.clears), (1, 1, 1));
    assert_eq!((stats.reads, stats.streams, stats.breaks, stats.fills), (3, 1, 0, 0));
}

#[tokio::test]
async fn what_was_there_before_the_beginning_is_forgotten_once() {
    let mut scene = Scene::new().await;
    scene.server.have("c", "old", 1);
    assert_eq!(scene.seen("c").await, plane("old"));
    let watch = scene.watch().start(&scene.chain).expect("valid settings");
    assert_eq!(watch.status().state, WatchState::CatchingUp);
    assert_eq!(watch.status().lag, None);
    let (stream, _) = scene.server.opened(&scene.time).await;
    stream.has("a", "old", 1);
    until("it is heard", async || watch.stats().reads == 1).await;
    assert_eq!(scene.kept("c").await, Some(plane("old")), "not before it listens");
    stream.current("first");
    watch.caught_up().await.expect("it is live");
    assert_eq!(scene.kept("c").await, None);
    let stats = watch.stats();
    assert_eq!((stats.clears, stats.invalidations), (1, 0));
    assert_eq!(watch.status().lag, Some(Duration::ZERO));
}

#[tokio::test]
async fn a_stream_that_breaks_goes_on_from_its_token_and_nothing_else_is_forgotten() {
    let mut scene = Scene::new().await;
    let (watch, stream) = scene.begun(scene.watch()).await;
    stream.consistent("second");
    until("it is heard", async || watch.status().lag == Some(Duration::ZERO)).await;
    stream.fail(Code::Unavailable);
    state(&watch, WatchState::Down).await;
    let error = watch.status().error.expect("a reason");
    assert_eq!((error.kind(), error.tier()), (ErrorKind::Unavailable, Some("firestore")));
    scene.time.advance(Duration::from_secs(7));
    assert!(watch.status().lag >= Some(Duration::from_secs(7)));
    assert!(watch.status().for_long >= Duration::from_secs(7));
    let (stream, target) = scene.server.opened(&scene.time).await;
    assert_eq!(token(&target), Some(&b"second"[..]));
    scene.server.have("b", "new", 2);
    stream.has("b", "new", 2);
    state(&watch, WatchState::CatchingUp).await;
    scene.forgotten("b").await;
    assert!(!watch.status().state.is_prompt(), "more may be missing");
    stream.current("third");
    watch.caught_up().await.expect("it is live");
    assert!(watch.status().error.is_none());
    assert_eq!(scene.kept("a").await, Some(plane("old")));
    let stats = watch.stats();
    assert_eq!((stats.clears, stats.streams, stats.breaks), (1, 2, 1));
}

#[tokio::test]
async fn a_token_that_is_refused_is_dropped_and_all_is_compared() {
    let mut scene = Scene::new().await;
    let (watch, stream) = scene.begun(scene.watch()).await;
    stream.fail(Code::Internal);
    let (stream, target) = scene.server.opened(&scene.time).await;
    assert_eq!(token(&target), Some(&b"first"[..]));
    stream.fail(Code::InvalidArgument);
    let (stream, target) = scene.server.opened(&scene.time).await;
    assert_eq!(token(&target), None);
    stream.has("a", "old", 1);
    stream.current("second");
    watch.caught_up().await.expect("it is live");
    assert_eq!((scene.kept("a").await, scene.kept("b").await), (Some(plane("old")), None));
    assert_eq!(watch.stats().clears, 1);
}

#[tokio::test]
async fn a_count_that_differs_has_all_compared() {
    let mut scene = Scene::new().await;
    let (watch, stream) = scene.begun(scene.watch()).await;
    stream.counts(2);
    stream.counts(1);
    state(&watch, WatchState::CatchingUp).await;
    stream.left().await;
    let (stream, target) = scene.server.opened(&scene.time).await;
    assert_eq!(token(&target), None);
    stream.has("b", "old", 1);
    stream.current("second");
    watch.caught_up().await.expect("it is live");
    assert_eq!((scene.kept("a").await, scene.kept("b").await), (None, Some(plane("old"))));
    assert_eq!((watch.stats().clears, watch.stats().breaks), (1, 0));
}

#[tokio::test]
async fn a_reset_is_compared_with_what_is_known() {
    let mut scene = Scene::new().await;
    let (watch, stream) = scene.begun(scene.watch()).await;
    scene.server.have("c", "new", 2);
    assert_eq!(scene.seen("c").await, plane("new"));
    stream.reset();
    stream.has("b", "old", 1);
    stream.has("c", "newer", 3);
    stream.current("second");
    scene.forgotten("c").await;
    scene.forgotten("a").await;
    assert_eq!(scene.kept("b").await, Some(plane("old")));
    assert_eq!((watch.stats().invalidations, watch.stats().clears), (2, 1));
}

#[tokio::test]
async fn deleted_documents_and_those_out_of_sight_are_forgotten() {
    let mut scene = Scene::new().await;
    let (watch, stream) = scene.begun(scene.watch()).await;
    stream.deleted("a", 5);
    stream.out_of_sight("b");
    scene.forgotten("a").await;
    scene.forgotten("b").await;
    assert_eq!(watch.stats().changes, 2);
}

#[tokio::test]
async fn a_target_that_is_refused_is_asked_for_again_and_the_reason_is_shown() {
    let mut scene = Scene::new().await;
    let watch = scene.watch().start(&scene.chain).expect("valid settings");
    let (stream, _) = scene.server.opened(&scene.time).await;
    stream.removed(Code::PermissionDenied, "not you");
    state(&watch, WatchState::Down).await;
    let error = watch.status().error.expect("a reason");
    assert!(error.to_string().contains("give the account a role"), "{error}");
    let cause = std::error::Error::source(&error).expect("what the server said").to_string();
    assert!(cause.contains("not you"), "{cause}");
    stream.left().await;
    let (stream, _) = scene.server.opened(&scene.time).await;
    stream.current("first");
    watch.caught_up().await.expect("it is live");
}

#[tokio::test]
async fn a_quiet_stream_is_probed_and_a_silent_one_is_left() {
    let mut scene = Scene::new().await;
    let (watch, mut stream) = scene.begun(scene.watch()).await;
    scene.time.advance(SILENCE / 2);
    let Ask::AddTarget(probe) = stream.asked().await else { panic!("no probe") };
    let id = probe.target_id;
    assert_ne!(id, 1);
    assert!(matches!(probe.target_type, Some(TargetType::Documents(_))));
    stream.turn(TargetChangeType::Add, id, "");
    stream.turn(TargetChangeType::Current, id, "");
    let Ask::RemoveTarget(removed) = stream.asked().await else { panic!("it stays") };
    assert_eq!(removed, id);
    stream.turn(TargetChangeType::Remove, id, "");
    stream.consistent("second");
    until("the answer", async || watch.status().lag == Some(Duration::ZERO)).await;
    assert_eq!(watch.status().state, WatchState::Live);
    // The next one is not answered.
    scene.time.advance(SILENCE / 2);
    let Ask::AddTarget(next) = stream.asked().await else { panic!("no probe") };
    assert_ne!(next.target_id, id);
    assert_eq!(watch.status().state, WatchState::Live);
    scene.time.advance(SILENCE / 2);
    state(&watch, WatchState::Down).await;
    assert_eq!(watch.status().error.map(|error| error.kind()), Some(ErrorKind::Timeout));
    stream.left().await;
    let (stream, target) = scene.server.opened(&scene.time).await;
    assert_eq!(token(&target), Some(&b"second"[..]));
    stream.current("third");
    watch.caught_up().await.expect("it is live");
    assert_eq!((watch.stats().probes, watch.stats().breaks), (2, 1));
}

#[tokio::test]
async fn a_stream_that_never_begins_is_left() {
    let mut scene = Scene::new().await;
    let watch = scene.watch().start(&scene.chain).expect("valid settings");
    let (stream, _) = scene.server.opened(&scene.time).await;
    state(&watch, WatchState::CatchingUp).await;
    until("it is open", async || {
        scene.time.advance(Duration::from_secs(1));
        watch.status().state == WatchState::Down
    })
    .await;
    assert_eq!(watch.stats().probes, 0);
    stream.left().await;
}

#[tokio::test]
async fn fills_put_in_what_changed_and_nothing_older_than_what_is_there() {
    let mut scene = Scene::new().await;
    let (watch, stream) = scene.begun(scene.watch().fill()).await;
    stream.has("a", "new", 2);
    stream.has("c", "never asked for", 2);
    until("the fills", async || watch.stats().fills == 2).await;
    assert_eq!(scene.kept("a").await, Some(plane("new")));
    assert_eq!(scene.kept("c").await, Some(plane("never asked for")));
    let newest = Entry::found(plane("newest")).with_version(Version::new(9_000_000_000));
    scene.chain.insert("a", newest).await.expect("inserted");
    stream.has("a", "late", 3);
    until("the fill", async || watch.stats().fills == 3).await;
    assert_eq!(scene.kept("a").await, Some(plane("newest")));
    // Deleted, it is known to be absent; what nobody can read is forgotten.
    stream.deleted("b", 5);
    stream.has_nonsense("c", 6);
    scene.forgotten("c").await;
    until("the fill", async || watch.stats().fills == 4).await;
    let absent = scene.memory.get("b").await.expect("memory answers").expect("an entry");
    assert!(absent.is_absent());
    assert_eq!(absent.version(), Some(Version::new(5_000_000_000)));
    assert_eq!(watch.stats().undecodable, 1);
}

#[tokio::test]
async fn a_load_that_is_overtaken_by_a_change_fills_nothing() {
    let mut scene = Scene::new().await;
    let (_watch, stream) = scene.begun(scene.watch()).await;
    // The source has read the old one; what it read is still on its way.
    let memory = RemoteTier::new(LruCache::<str, Plane>::new(10).expect("a capacity"));
    let slow = Headwater::source(scene.planes.clone()).through(memory.clone()).build();
    let watch = scene.watch().start(&slow).expect("valid settings");
    let (own, _) = scene.server.opened(&scene.time).await;
    own.current("first");
    watch.caught_up().await.expect("it is live");
    let gate = memory.gate_puts();
    assert_eq!(slow.fetch("a").await.expect("a plane"), plane("old"));
    scene.server.have("a", "new", 2);
    own.has("a", "new", 2);
    until("it is heard", async || watch.stats().changes == 1).await;
    gate.open();
    until("it is passed on", async || watch.stats().invalidations == 1).await;
    assert_eq!(slow.fetch("a").await.expect("a plane"), plane("new"));
    drop(stream);
}

#[tokio::test]
async fn a_tier_that_could_not_be_told_is_told_again() {
    let mut scene = Scene::new().await;
    let remote = RemoteTier::new(LruCache::<str, Plane>::new(10).expect("a capacity"));
    let chain = Headwater::source(scene.planes.clone()).through(remote.clone()).build();
    let watch = scene.watch().start(&chain).expect("valid settings");
    let (stream, _) = scene.server.opened(&scene.time).await;
    scene.server.have("a", "old", 1);
    stream.has("a", "old", 1);
    stream.current("first");
    watch.caught_up().await.expect("it is live");
    chain.fetch("a").await.expect("a plane");
    until("the fill", async || remote.inner().get("a").await.is_ok_and(|kept| kept.is_some()))
        .await;
    remote.fail(Some(Error::new(ErrorKind::Unavailable, "down")));
    stream.has("a", "new", 2);
    stream.consistent("second");
    state(&watch, WatchState::Down).await;
    assert_eq!(watch.status().error.map(|error| error.kind()), Some(ErrorKind::Unavailable));
    remote.fail(None);
    until("it is told", async || {
        scene.time.advance(Duration::from_millis(100));
        watch.status().state == WatchState::Live
    })
    .await;
    assert!(remote.inner().get("a").await.expect("memory answers").is_none());
    assert!(watch.stats().failures > 0 && watch.status().error.is_none());
}

/// Locks and notes that watches share, and both by the test's clock.
struct Fleet {
    locks: Locks,
    notes: BoxPresence<str, Vec<u8>>,
}

impl Fleet {
    fn new(time: &ManualClock) -> Self {
        let notes = MemoryPresence::new().clock(time.clock());
        Self { locks: Locks::memory_by(time.clock()), notes: BoxPresence::new(notes) }
    }

    fn of(&self, settings: WatchBuilder<str, Plane>) -> WatchBuilder<str, Plane> {
        settings.elected(self.locks.clone(), self.notes.clone())
    }
}

#[tokio::test]
async fn the_next_listener_goes_on_where_the_last_one_had_got_to() {
    let mut scene = Scene::new().await;
    let fleet = Fleet::new(&scene.time);
    let (first, stream) = scene.begun(fleet.of(scene.watch())).await;
    let second = fleet.of(scene.watch()).start(&scene.chain).expect("valid settings");
    until("it follows", async || {
        scene.time.advance(Duration::from_millis(100));
        second.status().state == WatchState::Following
    })
    .await;
    second.caught_up().await.expect("the other one is live");
    assert_eq!(second.stats().streams, 0, "one listener is enough");
    first.close().await.expect("closed");
    stream.left().await;
    let (stream, target) = scene.server.opened(&scene.time).await;
    assert_eq!(token(&target), Some(&b"first"[..]));
    scene.server.have("a", "new", 2);
    stream.has("a", "new", 2);
    stream.current("second");
    scene.forgotten("a").await;
    state(&second, WatchState::Live).await;
    assert_eq!(scene.kept("b").await, Some(plane("old")));
    assert_eq!(second.stats().clears, 0);
    // What it was never told of cannot be compared: all is forgotten, once.
    stream.counts(2);
    stream.left().await;
    let (stream, target) = scene.server.opened(&scene.time).await;
    assert_eq!(token(&target), None);
    stream.has("b", "old", 1);
    stream.current("third");
    until("it is live", async || second.stats().clears == 1).await;
    assert_eq!(scene.kept("b").await, None);
}

#[tokio::test]
async fn a_close_leaves_the_lease_free_and_a_note_of_how_far_it_had_got() {
    let mut scene = Scene::new().await;
    let fleet = Fleet::new(&scene.time);
    let (first, stream) = scene.begun(fleet.of(scene.watch())).await;
    // So soon after the first token, this one need not be noted yet.
    scene.time.advance(Duration::from_millis(500));
    stream.consistent("second");
    until("it is passed on", async || first.status().lag == Some(Duration::ZERO)).await;
    first.close().await.expect("closed");
    let document = scene.planes.document("a").expect("a name");
    let (collection, _) = document.rsplit_once('/').expect("a path");
    let free = fleet.locks.try_acquire(collection).now_or_never();
    assert!(matches!(free, Some(Ok(Some(_)))), "{free:?}");
    drop(free);
    let _second = fleet.of(scene.watch()).start(&scene.chain).expect("valid settings");
    let (_stream, target) = scene.server.opened(&scene.time).await;
    assert_eq!(token(&target), Some(&b"second"[..]));
}

#[tokio::test]
async fn a_listener_that_hears_nothing_lets_another_one_try() {
    let mut scene = Scene::new().await;
    let fleet = Fleet::new(&scene.time);
    let (first, stream) = scene.begun(fleet.of(scene.watch())).await;
    let second = fleet.of(scene.watch()).start(&scene.chain).expect("valid settings");
    stream.fail(Code::PermissionDenied);
    while second.stats().streams == 0 {
        let (stream, _) = scene.server.opened(&scene.time).await;
        stream.fail(Code::PermissionDenied);
    }
    assert!(!first.status().state.is_prompt());
    // However long nobody heard anything, whoever is elected next has its time.
    scene.time.advance(Duration::from_secs(60));
    let is_live = |watch: &Watch| watch.status().state == WatchState::Live;
    while !is_live(&first) && !is_live(&second) {
        let (stream, _) = scene.server.opened(&scene.time).await;
        stream.current("second");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        if !is_live(&first) && !is_live(&second) {
            stream.fail(Code::Unavailable);
        }
    }
}

#[tokio::test]
async fn a_successor_whose_token_is_refused_forgets_everything_once() {
    let mut scene = Scene::new().await;
    let fleet = Fleet::new(&scene.time);
    let (first, _stream) = scene.begun(fleet.of(scene.watch())).await;
    first.close().await.expect("closed");
    let second = fleet.of(scene.watch()).start(&scene.chain).expect("valid settings");
    let (stream, target) = scene.server.opened(&scene.time).await;
    assert_eq!(token(&target), Some(&b"first"[..]));
    stream.fail(Code::InvalidArgument);
    let (stream, target) = scene.server.opened(&scene.time).await;
    assert_eq!(token(&target), None);
    stream.has("a", "old", 1);
    assert_eq!(scene.kept("a").await, Some(plane("old")));
    stream.current("second");
    second.caught_up().await.expect("it is live");
    assert_eq!((scene.kept("a").await, second.stats().clears), (None, 1));
}

#[tokio::test]
async fn close_and_drop_end_the_stream_and_the_chain_goes_on() {
    let mut scene = Scene::new().await;
    let (watch, stream) = scene.begun(scene.watch()).await;
    watch.close().await.expect("closed");
    watch.close().await.expect("closed");
    stream.left().await;
    assert_eq!(watch.status().state, WatchState::Closed);
    assert_eq!(watch.caught_up().await.expect_err("it is over").kind(), ErrorKind::Closed);
    assert_eq!(scene.seen("a").await, plane("old"));
    let watch = scene.watch().start(&scene.chain).expect("valid settings");
    let (stream, _) = scene.server.opened(&scene.time).await;
    drop(watch);
    stream.left().await;
}

#[tokio::test]
async fn a_chain_that_is_closed_ends_its_watch() {
    let mut scene = Scene::new().await;
    let (watch, stream) = scene.begun(scene.watch()).await;
    scene.chain.close().await.expect("closed");
    stream.has("a", "new", 2);
    stream.left().await;
    state(&watch, WatchState::Closed).await;
    assert_eq!(watch.status().error.map(|error| error.kind()), Some(ErrorKind::Closed));
}

#[tokio::test]
async fn names_that_no_key_has_are_passed_over() {
    let (mut server, time) = (Listened::start().await, ManualClock::new());
    let planes =
        headwater::firestore::FirestoreSource::<u32, Plane>::new(server.db.clone(), "planes");
    let planes = planes.expect("a path");
    let memory = LruCache::<u32, Plane>::new(10).expect("a capacity");
    let chain = Headwater::source(planes.clone()).through(memory.clone()).build();
    let watch = planes.watch().start(&chain).expect("valid settings");
    let (stream, _) = server.opened(&time).await;
    stream.current("first");
    watch.caught_up().await.expect("it is live");
    chain.insert(&7, plane("old")).await.expect("inserted");
    stream.has("007", "other", 2);
    stream.has("7", "new", 2);
    until("it is passed on", async || watch.stats().invalidations == 1).await;
    assert!(memory.get(&7).await.expect("memory answers").is_none());
    assert_eq!(watch.stats().changes, 2);
    server.lose("7");
    assert!(chain.fetch(&7).await.expect_err("absent").is_not_found());
}

#[tokio::test]
async fn conditions_are_asked_for_together() {
    let mut scene = Scene::new().await;
    let settings = scene.watch().only("model", "jet").only("engines.count", 2);
    let _watch = settings.start(&scene.chain).expect("valid settings");
    let (_stream, target) = scene.server.opened(&scene.time).await;
    let Some(TargetType::Query(query)) = target.target_type else { panic!("no query") };
    assert!(query.parent.ends_with("/documents"), "{}", query.parent);
    let Some(QueryType::StructuredQuery(query)) = query.query_type else { panic!("no query") };
    assert_eq!(query.from[0].collection_id, "planes");
    let filter = query.r#where.and_then(|filter| filter.filter_type);
    let Some(FilterType::CompositeFilter(all)) = filter else { panic!("no filters") };
    assert_eq!(all.filters.len(), 2);
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let scene = Scene::with(|builder| builder.fields(["model"])).await;
    let faults = [
        (scene.watch().fill(), "fill"),
        (scene.watch().only("a..b", true), "a..b"),
        (scene.watch().silence(Duration::ZERO), "silence"),
        (scene.watch().takeover(Duration::ZERO), "takeover"),
    ];
    for (settings, named) in faults {
        let error = settings.start(&scene.chain).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(named), "{error}");
    }
}
