//! The suite of [`Roster`] over a [`RosterStore`].

use super::{STRANGE_KEYS, TestTime};
use crate::ErrorKind;
use crate::presence::{Connection, Event, Member, Reason, Roster, RosterStore, Watch};
use futures_util::future::{join, join_all};
use futures_util::{FutureExt, StreamExt};
use std::collections::HashSet;
use std::time::Duration;

/// Of every roster in the suite, unscaled.
const TTL: Duration = Duration::from_secs(10);

fn roster<S: RosterStore>(store: S, time: &impl TestTime) -> Roster<S> {
    let builder = Roster::builder(store).ttl(time.scaled(TTL)).watch_buffer(64);
    // Servers of tests are slow.
    builder.close_within(Duration::from_secs(60)).build().expect("it makes sense")
}

fn text(value: &str) -> String {
    value.to_owned()
}

/// Waits for what tasks do behind.
async fn until(mut done: impl AsyncFnMut() -> bool) {
    while !done().await {
        tokio::task::yield_now().await;
    }
}

type Told = Event<String, String>;

async fn next<S: RosterStore<Key = str, Value = String>>(watch: &mut Watch<S>) -> Told {
    watch.next().await.expect("it goes on").expect("nothing fails")
}

async fn snapshot<S: RosterStore<Key = str, Value = String>>(
    watch: &mut Watch<S>,
) -> (Vec<Member<String, String>>, Reason) {
    match next(watch).await {
        Event::Snapshot { members, reason } => (members, reason),
        other => panic!("{other:?} in place of a snapshot"),
    }
}

/// All pages of the room.
async fn listed<S>(roster: &Roster<S>) -> Vec<Member<String, String>>
where
    S: RosterStore<Key = str, Value = String>,
{
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = roster.list("room", after.as_ref(), 7).await.expect("list");
        all.extend(page.members);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

/// Each check is an async function of an async factory; this spares writing their bounds out.
macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident($process:ident, $time:ident) $body:block)*) => { $(
        $(#[$doc])*
        ///
        /// # Panics
        /// If the promise is broken.
        pub async fn $name<S, P, F, W>(make: impl FnOnce(W) -> F)
        where
            S: RosterStore<Key = str, Value = String>,
            P: Fn() -> S,
            F: Future<Output = P>,
            W: TestTime,
        {
            let $time = W::start();
            let $process = make($time.clone()).await;
            $body
        }
    )* };
}

checks! {
    /// Nobody is an answer (R7).
    who_is_not_there_is_no_error(process, time) {
        let roster = roster(process(), &time);
        assert!(roster.get("room", "nobody").await.expect("get").is_empty());
        assert_eq!(roster.count("room").await.expect("count").connections, 0);
        assert!(listed(&roster).await.is_empty());
        assert!(roster.get_many("room", &[]).await.is_empty());
    }

    /// A key is there from the first of its connections to the last, for every process (P1, P3).
    a_key_is_there_while_one_of_its_connections_is(process, time) {
        let (here, there) = (roster(process(), &time), roster(process(), &time));
        let phone = here.join("room", "ada", text("phone")).await.expect("join");
        assert!(phone.joined().is_first());
        let laptop = there.join("room", "ada", text("laptop")).await.expect("join");
        assert_eq!(laptop.joined().connections, 2);
        let seen = here.get("room", "ada").await.expect("get");
        let values: HashSet<&str> = seen.iter().map(|member| member.value.as_str()).collect();
        assert_eq!(values, HashSet::from(["phone", "laptop"]));
        let counts = here.count("room").await.expect("count");
        assert_eq!((counts.keys, counts.connections), (1, 2));
        assert!(phone.leave().await.expect("leave"));
        let counts = there.count("room").await.expect("count");
        assert_eq!((counts.keys, counts.connections), (1, 1));
        assert!(laptop.leave().await.expect("leave"));
        assert_eq!(here.count("room").await.expect("count").keys, 0);
    }

    /// One outcome per key, in order (R8).
    many_keys_are_answered_in_order_with_duplicates(process, time) {
        let roster = roster(process(), &time);
        let a = roster.join("room", "a", text("1")).await.expect("join");
        let b = roster.join("room", "b", text("2")).await.expect("join");
        let seen = roster.get_many("room", &["b", "no", "a", "b"]).await;
        let ids: Vec<_> = seen
            .into_iter()
            .map(|members| members.expect("get").first().map(|member| member.connection))
            .collect();
        assert_eq!(ids, [Some(b.id()), None, Some(a.id()), Some(b.id())]);
    }

    /// No two topics or keys are taken for each other, and keys are read as they were written.
    topics_and_strange_keys_are_told_apart(process, time) {
        let roster = roster(process(), &time);
        let long = "k".repeat(10_000);
        let keys: Vec<&str> = STRANGE_KEYS.into_iter().chain([long.as_str(), "a\u{1f}b"]).collect();
        let mut held = Vec::new();
        for key in &keys {
            held.push(roster.join("room", key, text(key)).await.expect("join"));
            held.push(roster.join(key, "ada", text(key)).await.expect("join"));
        }
        for key in &keys {
            let seen = roster.get("room", key).await.expect("get");
            assert_eq!(seen.len(), 1, "key {key:?}");
            assert_eq!((seen[0].key.as_str(), seen[0].value.as_str()), (*key, *key));
            let seen = roster.get(key, "ada").await.expect("get");
            assert_eq!((seen.len(), seen[0].value.as_str()), (1, *key), "topic {key:?}");
        }
        let listed = listed(&roster).await;
        let listed: HashSet<&str> = listed.iter().map(|member| member.key.as_str()).collect();
        assert_eq!(listed, keys.into_iter().collect());
    }

    /// What changes is told of the topic and the key that it is of, whatever is in them (P4).
    watches_of_strange_topics_and_keys_are_told_apart(process, time) {
        let (here, there) = (roster(process(), &time), roster(process(), &time));
        let long = "k".repeat(10_000);
        let names: Vec<&str> = STRANGE_KEYS.into_iter().chain([long.as_str(), "a\u{1f}b"]).collect();
        let mut watches = Vec::new();
        for topic in &names {
            let mut watch = there.watch(topic).expect("watch");
            assert!(snapshot(&mut watch).await.0.is_empty());
            watches.push(watch);
        }
        for (name, watch) in names.iter().zip(&mut watches) {
            let held = here.join(name, name, text(name)).await.expect("join");
            assert_eq!(next(watch).await, Event::Online(text(name)), "topic {name:?}");
            let told = next(watch).await;
            assert!(matches!(told, Event::Join(member) if member.value == *name), "topic {name:?}");
            assert!(held.leave().await.expect("leave"));
            assert!(matches!(next(watch).await, Event::Leave(key, _) if key == *name));
            assert_eq!(next(watch).await, Event::Offline(text(name)));
        }
        for watch in &mut watches {
            assert!(watch.next().now_or_never().is_none(), "nothing else is told");
        }
    }

    /// Who stays is on exactly one page, whoever comes and goes between pages.
    pages_list_who_stays_exactly_once(process, time) {
        let roster = roster(process(), &time);
        let mut held = Vec::new();
        for number in 0..25 {
            held.push(roster.join("room", &format!("key {number:02}"), text("")).await.expect("join"));
        }
        let stays: HashSet<_> = held.iter().skip(1).step_by(2).map(Connection::id).collect();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = roster.list("room", after.as_ref(), 4).await.expect("list");
            assert!(page.members.len() <= 4);
            seen.extend(page.members.iter().map(|member| member.connection));
            held.retain(|held| stays.contains(&held.id()));
            held.push(roster.join("room", &format!("late {}", seen.len()), text("")).await.expect("join"));
            after = page.next;
            if after.is_none() || seen.len() > 500 {
                break;
            }
        }
        for id in &stays {
            assert_eq!(seen.iter().filter(|other| *other == id).count(), 1);
        }
    }

    /// Connections outlive their TTL as long as their process beats.
    heartbeats_keep_connections_alive(process, time) {
        let roster = roster(process(), &time);
        let held = roster.join("room", "ada", text("")).await.expect("join");
        for _ in 0..5 {
            let before = roster.stats().heartbeats;
            time.pass(time.scaled(TTL) / 3).await;
            until(async || roster.stats().heartbeats > before).await;
        }
        let seen = roster.get("room", "ada").await.expect("get");
        assert_eq!(seen.first().map(|member| member.connection), Some(held.id()));
        assert_eq!(roster.stats().rejoins, 0);
    }

    /// What does not beat is gone at its TTL, exactly, for every reader (P2).
    a_process_that_dies_is_seen_to_expire(process, time) {
        let (store, other) = (process(), roster(process(), &time));
        let seat = crate::presence::Seat {
            topic: "room".into(),
            key: text("ada"),
            connection: crate::presence::ConnectionId::random(),
        };
        let ttl = time.scaled(TTL);
        store.join(&seat, &text(""), ttl).await.expect("join");
        time.pass(time.most_of(ttl)).await;
        assert_eq!(other.get("room", "ada").await.expect("get").len(), 1);
        time.pass(ttl - time.most_of(ttl)).await;
        assert!(other.get("room", "ada").await.expect("get").is_empty());
        assert_eq!(other.count("room").await.expect("count"), crate::presence::Counts::default());
        assert!(listed(&other).await.is_empty());
        let again = other.join("room", "ada", text("")).await.expect("join");
        assert!(again.joined().is_first());
    }

    /// A dropped connection leaves by itself.
    a_dropped_connection_leaves(process, time) {
        let roster = roster(process(), &time);
        drop(roster.join("room", "ada", text("")).await.expect("join"));
        until(async || roster.get("room", "ada").await.expect("get").is_empty()).await;
    }

    /// A key whose connection comes back while the old one lingers does not go.
    who_lingers_stays_for_a_while(process, time) {
        let linger = time.scaled(Duration::from_secs(3));
        let builder = Roster::builder(process()).ttl(time.scaled(TTL)).linger(linger);
        let roster = builder.build().expect("it makes sense");
        let old = roster.join("room", "ada", text("old")).await.expect("join");
        let old_id = old.id();
        let mut watch = roster.watch("room").expect("watch");
        snapshot(&mut watch).await;
        assert!(old.leave().await.expect("leave"));
        assert_eq!(roster.get("room", "ada").await.expect("get").len(), 1);
        let new = roster.join("room", "ada", text("new")).await.expect("join");
        assert!(!new.joined().is_first());
        assert!(matches!(next(&mut watch).await, Event::Join(member) if member.value == "new"));
        time.pass(linger).await;
        assert_eq!(next(&mut watch).await, Event::Leave(text("ada"), old_id));
        assert_eq!(roster.get("room", "ada").await.expect("get").len(), 1);
    }

    /// Who leaves for good does not linger, and others are told without anybody waiting for it.
    who_leaves_now_is_gone_at_once(process, time) {
        let builder = Roster::builder(process()).ttl(time.scaled(TTL)).linger(60 * 60 * TTL);
        let (here, there) = (builder.build().expect("it makes sense"), roster(process(), &time));
        let held = here.join("room", "ada", text("")).await.expect("join");
        let id = held.id();
        let mut watch = there.watch("room").expect("watch");
        snapshot(&mut watch).await;
        assert!(held.leave_now().await.expect("leave"));
        assert!(there.get("room", "ada").await.expect("get").is_empty());
        assert_eq!(next(&mut watch).await, Event::Leave(text("ada"), id));
        assert_eq!(next(&mut watch).await, Event::Offline(text("ada")));
    }

    /// A join that is dropped, at whatever point, leaves nobody behind (R3).
    a_join_that_was_dropped_leaves_nothing(process, time) {
        let roster = roster(process(), &time);
        for polls in 0..4 {
            let mut join = Box::pin(roster.join("room", "ada", text("")));
            for _ in 0..polls {
                if join.as_mut().now_or_never().is_some() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        until(async || roster.get("room", "ada").await.expect("get").is_empty()).await;
        assert_eq!(roster.stats().connections, 0);
    }

    /// What a connection says of itself can be replaced.
    an_update_is_seen(process, time) {
        let roster = roster(process(), &time);
        let mut watch = roster.watch("room").expect("watch");
        snapshot(&mut watch).await;
        let held = roster.join("room", "ada", text("here")).await.expect("join");
        held.update(text("away")).await.expect("update");
        assert_eq!(roster.get("room", "ada").await.expect("get")[0].value, "away");
        assert_eq!(next(&mut watch).await, Event::Online(text("ada")));
        assert!(matches!(next(&mut watch).await, Event::Join(member) if member.value == "here"));
        assert!(matches!(next(&mut watch).await, Event::Update(member) if member.value == "away"));
    }

    /// The first event is who is there, in each of more than one page (P4).
    a_watch_begins_with_who_is_there(process, time) {
        // To join takes a slow server longer than the suite's lives are.
        let here = Roster::builder(process()).close_within(Duration::from_secs(60));
        let (here, there) = (here.build().expect("it makes sense"), roster(process(), &time));
        let joins = (0..700).map(|number| {
            let here = &here;
            async move { here.join("room", &number.to_string(), text("")).await.expect("join") }
        });
        let held = join_all(joins).await;
        let mut watch = there.watch("room").expect("watch");
        let (members, reason) = snapshot(&mut watch).await;
        assert_eq!(reason, Reason::Begin);
        let seen: HashSet<_> = members.iter().map(|member| member.connection).collect();
        assert_eq!((members.len(), seen), (700, held.iter().map(Connection::id).collect()));
        let mut second = there.watch("room").expect("watch");
        assert_eq!(snapshot(&mut second).await.0.len(), 700);
        here.close().await.expect("close");
    }

    /// Each change is told once and in order per key, with the first and the last of a key (P3, P4).
    a_watch_tells_each_change_once_and_in_order(process, time) {
        let (here, there) = (roster(process(), &time), roster(process(), &time));
        let mut watch = there.watch("room").expect("watch");
        assert!(snapshot(&mut watch).await.0.is_empty());
        for round in 0..20 {
            let first = here.join("room", "ada", round.to_string()).await.expect("join");
            let second = here.join("room", "ada", text("second")).await.expect("join");
            let (one, two) = (first.id(), second.id());
            first.leave().await.expect("leave");
            second.leave().await.expect("leave");
            assert_eq!(next(&mut watch).await, Event::Online(text("ada")));
            assert!(matches!(next(&mut watch).await, Event::Join(member) if member.value == round.to_string()));
            assert!(matches!(next(&mut watch).await, Event::Join(member) if member.connection == two));
            assert_eq!(next(&mut watch).await, Event::Leave(text("ada"), one));
            assert_eq!(next(&mut watch).await, Event::Leave(text("ada"), two));
            assert_eq!(next(&mut watch).await, Event::Offline(text("ada")));
        }
    }

    /// Who died is told to have expired, by whichever process is left (P4).
    a_watch_tells_of_expiry(process, time) {
        let (store, there) = (process(), roster(process(), &time));
        let mut watch = there.watch("room").expect("watch");
        snapshot(&mut watch).await;
        let connection = crate::presence::ConnectionId::random();
        let seat = crate::presence::Seat { topic: "room".into(), key: text("ada"), connection };
        store.join(&seat, &text(""), time.scaled(TTL)).await.expect("join");
        assert_eq!(next(&mut watch).await, Event::Online(text("ada")));
        assert!(matches!(next(&mut watch).await, Event::Join(_)));
        // However the steps fall, some step is the first after the end.
        let (_, told) = join(
            async {
                for _ in 0..6 {
                    time.pass(time.scaled(TTL) / 3).await;
                    tokio::task::yield_now().await;
                }
            },
            next(&mut watch),
        )
        .await;
        assert_eq!(told, Event::Expire(text("ada"), connection));
        assert_eq!(next(&mut watch).await, Event::Offline(text("ada")));
    }

    /// A watcher that does not read has bounded memory, and is told that it missed something.
    a_slow_watcher_gets_a_snapshot_instead(process, time) {
        let roster = roster(process(), &time);
        let (mut slow, mut fast) = (roster.watch("room").expect("watch"), roster.watch("room").expect("watch"));
        snapshot(&mut slow).await;
        snapshot(&mut fast).await;
        let mut held = Vec::new();
        for number in 0..50 {
            held.push(roster.join("room", &number.to_string(), text("")).await.expect("join"));
            assert!(matches!(next(&mut fast).await, Event::Online(_)));
            assert!(matches!(next(&mut fast).await, Event::Join(_)));
        }
        let (members, reason) = snapshot(&mut slow).await;
        assert_eq!((members.len(), reason), (50, Reason::Lagged(100)));
        let last = roster.join("room", "last", text("")).await.expect("join");
        assert_eq!(next(&mut slow).await, Event::Online(text("last")));
        assert!(matches!(next(&mut slow).await, Event::Join(member) if member.connection == last.id()));
    }

    /// Ten thousand at once are all there.
    many_join_at_once(process, time) {
        let builder = Roster::builder(process()).ttl(Duration::from_secs(60));
        let roster = builder.build().expect("it makes sense");
        let joins = (0..10_000).map(|number| {
            let roster = &roster;
            async move { roster.join("room", &(number % 5_000).to_string(), text("")).await }
        });
        let held: Vec<_> = join_all(joins).await.into_iter().map(|held| held.expect("join")).collect();
        let counts = roster.count("room").await.expect("count");
        assert_eq!((counts.keys, counts.connections), (5_000, 10_000));
        drop(held);
        let _ = time;
        until(async || roster.count("room").await.expect("count").connections == 0).await;
    }

    /// A close is told to others as leaves, at once, of those too that linger or had just been dropped
    /// (R11, P4).
    a_close_is_told_as_leaves_also_of_who_lingers(process, time) {
        let builder = Roster::builder(process()).ttl(time.scaled(TTL)).linger(60 * 60 * TTL);
        let builder = builder.close_within(Duration::from_secs(60));
        let (here, there) = (builder.build().expect("it makes sense"), roster(process(), &time));
        let mut held = Vec::new();
        for key in ["stays", "lingers", "dropped"] {
            held.push(here.join("room", key, text("")).await.expect("join"));
        }
        let mut expected: HashSet<_> = held.iter().map(Connection::id).collect();
        let mut watch = there.watch("room").expect("watch");
        assert_eq!(snapshot(&mut watch).await.0.len(), 3);
        drop(held.pop());
        held.pop().expect("three").leave().await.expect("leave");
        assert_eq!(there.get("room", "lingers").await.expect("get").len(), 1);
        here.close().await.expect("close");
        assert_eq!(there.count("room").await.expect("count").connections, 0);
        while !expected.is_empty() {
            match next(&mut watch).await {
                Event::Leave(_, connection) => assert!(expected.remove(&connection), "once"),
                Event::Offline(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// After a close nobody of this process is there, streams end, and calls answer "closed" (R11).
    close_has_all_leave_and_is_final(process, time) {
        let (here, there) = (roster(process(), &time), roster(process(), &time));
        let held = here.join("room", "ada", text("")).await.expect("join");
        let mut watch = here.watch("room").expect("watch");
        snapshot(&mut watch).await;
        here.close().await.expect("close");
        here.close().await.expect("close again");
        assert!(there.get("room", "ada").await.expect("get").is_empty());
        while let Some(told) = watch.next().await {
            told.expect("nothing fails");
        }
        let closed = |kind| assert_eq!(kind, ErrorKind::Closed);
        closed(here.join("room", "ada", text("")).await.expect_err("closed").kind());
        closed(here.get("room", "ada").await.expect_err("closed").kind());
        closed(here.count("room").await.expect_err("closed").kind());
        closed(here.watch("room").expect_err("closed").kind());
        closed(held.update(text("")).await.expect_err("closed").kind());
    }
}
