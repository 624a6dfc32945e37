//! One process among others, which has everything that there is: it may have a clock that is an hour
//! wrong, and it is killed. What the others see of it, and it of them.

use crate::child::{self, Child};
use crate::replay::Store;
use futures_util::{FutureExt, StreamExt};
use headwater::presence::{BoxPresence, Event, Locks, Presence, PresenceCache};
use headwater::presence::{Reason, Roster, RosterStore, SessionId, Sessions, Watch};
use std::time::{Duration, Instant, SystemTime};

const SECOND: Duration = Duration::from_secs(1);
/// Long enough for a busy machine to keep alive what is to live.
const TTL: Duration = Duration::from_secs(6);
/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);
/// A guard against hanging, far above what anything takes.
const GUARD: Duration = Duration::from_secs(60);

/// A process's share of everything.
pub(crate) struct Kinds<S: RosterStore> {
    roster: Roster<S>,
    locks: Locks,
    entries: BoxPresence<str, String>,
    sessions: Sessions<u32>,
}

impl<S: Store> Kinds<S> {
    pub(crate) fn new(
        roster: S,
        locks: Locks,
        entries: BoxPresence<str, String>,
        sessions: Sessions<u32>,
    ) -> Self {
        let roster = Roster::builder(roster).ttl(TTL).build().expect("it makes sense");
        let locks = locks.ttl(TTL).renewed_for(LONG);
        Self { roster, locks, entries, sessions }
    }

    /// Joins, takes and sets everything, and says what it sees whenever it is asked; at last whether its
    /// lock is held and can be released.
    pub(crate) async fn live_as_a_child(self) {
        let mut asked = child::asked();
        let _here = self.roster.join("room", "child", "here".to_owned()).await.expect("join");
        let kept = self.locks.try_acquire("child's").await.expect("an answer").expect("free");
        let value = "the child's".to_owned();
        self.entries.set_for("child", &value, Some(LONG)).await.expect("set");
        self.entries.set_for("briefly", &value, Some(SECOND)).await.expect("set");
        let session = self.sessions.begin(Some("ada"), 7).await.expect("begun");
        let (time, id) = (unix_time().as_secs(), session.id().as_str());
        child::tell(&format!("{time} {id} {}", kept.fence()));
        while let Some(what) = asked.recv().await {
            child::tell(&match what.as_str() {
                "release" => break,
                _ => self.seen_by_a_child().await,
            });
        }
        child::tell(&format!("{} {:?}", kept.is_held(), kept.release().await.ok()));
        std::future::pending::<()>().await;
    }

    /// Who is there, what the parent's entry says, and whether its lock is free; after a heartbeat.
    async fn seen_by_a_child(&self) -> String {
        let beats = self.roster.stats().heartbeats;
        until(async || self.roster.stats().heartbeats > beats).await;
        let page = self.roster.list("room", None, 10).await.expect("list");
        let mut keys: Vec<String> = page.members.into_iter().map(|member| member.key).collect();
        keys.sort_unstable();
        let entry = self.entries.fetch("parent").await.expect("an answer");
        let left = self.entries.remaining("parent").await.expect("an answer").expect("it lives");
        assert!(left > LONG - GUARD && left <= LONG, "{left:?}");
        let free = self.locks.try_acquire("parent's").await.expect("an answer").is_some();
        format!("{keys:?} {entry:?} {free}")
    }
}

/// What a child with the parent's view answers.
const EVERYTHING: &str = r#"["child", "parent"] Some("the parent's") false"#;

/// Has a process live with another one until that is killed, and sees to it that neither is misled.
/// The clock of the child is ahead by so many seconds, and then by `jumps` instead.
pub(crate) async fn lives_with<S: Store>(
    own: Kinds<S>,
    (test, place): (&str, &str),
    ahead: i64,
    jumps: &[i64],
) {
    let mut watch = own.roster.watch("room").expect("watch");
    let begin = Event::Snapshot { members: Vec::new(), reason: Reason::Begin };
    assert_eq!(next(&mut watch).await, begin);
    let held = own.roster.join("room", "parent", "here".to_owned()).await.expect("join");
    comes(&mut watch, "parent").await;
    let before = own.locks.try_acquire("child's").await.expect("an answer").expect("free");
    let fence = before.fence();
    assert!(before.release().await.expect("an answer"));
    let lock = own.locks.try_acquire("parent's").await.expect("an answer").expect("free");
    own.entries.set_for("parent", &"the parent's".to_owned(), Some(LONG)).await.expect("set");

    let mut child = Child::start(test, place, ahead);
    let told = child.hear().await;
    let told: Vec<&str> = told.split(' ').collect();
    let [time, session, childs_fence] = told[..] else { panic!("{told:?}") };
    let time: i64 = time.parse().expect("a number");
    assert!((time - ahead).abs_diff(seconds()) < 60, "its clock is not {ahead} s ahead: {time}");
    let session = SessionId::parse(session).expect("an id");
    let childs_fence: u64 = childs_fence.parse().expect("a number");
    assert!(childs_fence > fence);

    comes(&mut watch, "child").await;
    own.sees_what_the_child_has(&session).await;
    assert_eq!(child.ask("look").await, EVERYTHING);
    for jump in jumps {
        child.set_clock(*jump);
        assert_eq!(child.ask("look").await, EVERYTHING, "after a jump to {jump}");
    }
    let told = watch.next().now_or_never();
    assert!(told.is_none(), "nothing has changed: {told:?}");
    assert!(lock.is_held(), "nobody has taken it");

    child.kill();
    assert!(matches!(next(&mut watch).await, Event::Expire(key, _) if key == "child"));
    assert_eq!(next(&mut watch).await, Event::Offline("child".to_owned()));
    let counts = own.roster.count("room").await.expect("count");
    assert_eq!((counts.keys, counts.connections), (1, 1));
    let freed = own.locks.acquire("child's", GUARD).await.expect("an answer").expect("it ends");
    assert!(freed.fence() > childs_fence);
    let off = Duration::from_micros(freed.fence()).abs_diff(unix_time());
    assert!(off < GUARD, "the server's clock alone counts, and not one that is {off:?} off");
    let entry = own.entries.fetch("child").await.expect("an answer");
    assert_eq!(entry.as_deref(), Some("the child's"), "entries live as long as was said");
    let found = own.sessions.fetch(&session).await.expect("an answer").expect("sessions stay");
    assert_eq!((found.user(), found.data), (Some("ada"), 7));
    assert_eq!(own.roster.stats().rejoins, 0);
    assert!(held.leave().await.expect("leave"));
}

/// Has a process stop for longer than lives are, and go on: it has expired, comes back by itself, and
/// does no harm with the lock that it believes to have.
pub(crate) async fn comes_back<S: Store>(own: Kinds<S>, (test, place): (&str, &str)) {
    let mut watch = own.roster.watch("room").expect("watch");
    assert!(matches!(next(&mut watch).await, Event::Snapshot { .. }));
    let mut child = Child::start(test, place, 0);
    let told = child.hear().await;
    let childs_fence: u64 = told.rsplit(' ').next().and_then(|last| last.parse().ok()).expect("it");
    comes(&mut watch, "child").await;
    let connection = own.roster.get("room", "child").await.expect("get")[0].connection;
    child.signal("-STOP");
    assert_eq!(next(&mut watch).await, Event::Expire("child".to_owned(), connection));
    assert_eq!(next(&mut watch).await, Event::Offline("child".to_owned()));
    assert!(own.roster.get("room", "child").await.expect("get").is_empty());
    let lock = own.locks.acquire("child's", GUARD).await.expect("an answer").expect("it ends");
    assert!(lock.fence() > childs_fence);
    child.signal("-CONT");
    comes(&mut watch, "child").await;
    let again = own.roster.get("room", "child").await.expect("get");
    assert_eq!(again[0].connection, connection, "it is the same one");
    assert_eq!(child.ask("release").await, "false Some(false)");
    assert!(lock.release().await.expect("an answer"), "nobody has taken it away");
}

impl<S: Store> Kinds<S> {
    async fn sees_what_the_child_has(&self, session: &SessionId) {
        assert_eq!(self.roster.get("room", "child").await.expect("get").len(), 1);
        assert_eq!(self.roster.count("room").await.expect("count").connections, 2);
        assert!(self.locks.try_acquire("child's").await.expect("an answer").is_none());
        let left = self.entries.remaining("child").await.expect("an answer").expect("it lives");
        assert!(left > LONG - GUARD && left <= LONG, "{left:?}");
        until(async || self.entries.fetch("briefly").await.expect("an answer").is_none()).await;
        assert!(self.sessions.fetch(session).await.expect("an answer").is_some());
    }
}

async fn next<S: Store>(watch: &mut Watch<S>) -> Event<String, String> {
    let told = tokio::time::timeout(GUARD, watch.next()).await.expect("hangs");
    told.expect("it goes on").expect("nothing fails")
}

/// A key comes, with one connection.
async fn comes<S: Store>(watch: &mut Watch<S>, key: &str) {
    assert_eq!(next(watch).await, Event::Online(key.to_owned()));
    assert!(matches!(next(watch).await, Event::Join(member) if member.key == key));
}

async fn until(mut done: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !done().await {
        assert!(began.elapsed() < GUARD, "it takes too long");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn unix_time() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().expect("after 1970")
}

fn seconds() -> i64 {
    i64::try_from(unix_time().as_secs()).expect("before the end of time")
}

/// The tests, on a store; `$own` makes a process's share of everything of a place, and `$server` is an
/// expression of a server and its place.
macro_rules! lives_with_strangers {
    ($own:path, $server:expr) => {
        crate::stranger::lives_with_strangers! {
            $own, $server,
            what_a_killed_process_held_ends_and_its_sessions_stay { lives_with, 0, &[] }
            a_clock_an_hour_ahead_misleads_nobody { lives_with, 3_600, &[] }
            a_clock_an_hour_behind_misleads_nobody { lives_with, -3_600, &[] }
            a_clock_that_jumps_misleads_nobody { lives_with, 0, &[3_600, -3_600, 0] }
            heartbeats_later_than_a_life_are_an_expiry_and_a_join { comes_back }
        }
    };
    ($own:path, $server:expr, $($test:ident { $parent:ident $(, $argument:expr)* })*) => { $(
        #[cfg_attr(not(target_os = "linux"), ignore = "clocks are shifted in Linux's way")]
        #[tokio::test]
        async fn $test() {
            if let Some(place) = crate::child::place() {
                return $own(&place).await.live_as_a_child().await;
            }
            let (_server, place) = $server;
            let name = concat!(module_path!(), "::", stringify!($test));
            let (_, name) = name.split_once("::").expect("the name of this program comes first");
            let own = $own(&place).await;
            crate::stranger::$parent(own, (name, &place) $(, $argument)*).await;
        }
    )* };
}
pub(crate) use lives_with_strangers;
