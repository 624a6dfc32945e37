//! Joins in one process, seen in others: one at a time, and 10,000 at once.

use crate::harness::Options;
use crate::processes::{Children, now};
use futures_util::StreamExt;
use futures_util::future::join_all;
use headwater::presence::{
    Connection, Event, MemoryRoster, Roster, RosterStore, Watch,
};
use headwater::redis::{RedisConfig, RedisRoster};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::runtime::Builder;
use tokio::time::sleep;

const WATCHERS: usize = 3;
const CROWD: usize = 10_000;
const ROOM: &str = "crowd";

/// What was seen, and when.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// From before each join until each watcher was told, in nanoseconds; sorted.
    delays: Vec<u64>,
    pub(super) joined_ms: u64,
    pub(super) seen_ms: u64,
    pub(super) failed: u64,
}

impl Seen {
    /// A quantile of the delays, in microseconds.
    pub(super) fn delay(&self, share: f64) -> u64 {
        let at = ((self.delays.len() as f64 * share) as usize).min(self.delays.len() - 1);
        self.delays[at] / 1_000
    }
}

fn roster<S: RosterStore>(store: S) -> Roster<S> {
    let roster = Roster::builder(store).watch_buffer(4 * CROWD).build();
    roster.expect("a valid configuration")
}

/// Connections that join one at a time, each saying when it did.
async fn come<S>(roster: &Roster<S>, count: usize) -> Vec<Connection<S>>
where
    S: RosterStore<Key = str, Value = u64>,
{
    let mut held = Vec::with_capacity(count);
    for number in 0..count {
        sleep(Duration::from_millis(3)).await;
        let joined = roster.join(ROOM, &format!("single {number}"), now()).await;
        held.push(joined.expect("it joins"));
    }
    held
}

/// Connections that join at once, each in a task of its own and until it is in; and how many tries
/// failed.
async fn crowd<S>(roster: &Roster<S>) -> (Vec<Connection<S>>, u64)
where
    S: RosterStore<Key = str, Value = u64>,
{
    let joins = (0..CROWD).map(|number| {
        let (roster, key) = (roster.clone(), format!("one of many {number}"));
        tokio::spawn(async move {
            let mut failed = 0;
            loop {
                match roster.join(ROOM, &key, now()).await {
                    Ok(connection) => return (connection, failed),
                    Err(_) => failed += 1,
                }
                sleep(Duration::from_millis(50)).await;
            }
        })
    });
    let joined = join_all(joins.collect::<Vec<_>>()).await;
    let (held, failed): (Vec<_>, Vec<u64>) =
        joined.into_iter().map(|joined| joined.expect("it joins in the end")).unzip();
    (held, failed.iter().sum())
}

/// The delays of so many joins that come one at a time.
async fn delays<S>(watch: &mut Watch<S>, count: usize) -> Vec<u64>
where
    S: RosterStore<Key = str, Value = u64>,
{
    let mut delays = Vec::with_capacity(count);
    while delays.len() < count {
        if let Some(Ok(Event::Join(member))) = watch.next().await {
            delays.push(now().saturating_sub(member.value));
        }
    }
    delays
}

/// When so many are there, `now` being already.
async fn until_there_are<S>(watch: &mut Watch<S>, mut now_there: usize, count: usize) -> u64
where
    S: RosterStore<Key = str, Value = u64>,
{
    while now_there < count {
        match watch.next().await {
            Some(Ok(Event::Join(_))) => now_there += 1,
            // Of a join that failed as far as its process could say.
            Some(Ok(Event::Leave(..) | Event::Expire(..))) => now_there -= 1,
            Some(Ok(Event::Snapshot { members, .. })) => now_there = members.len(),
            _ => {}
        }
    }
    now()
}

/// Watchers and who is watched in one process.
pub(super) fn in_memory(options: &Options) -> Seen {
    let rounds = options.scale(1_000, 100);
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("the system gives a runtime").block_on(async {
        let roster = roster(MemoryRoster::<str, u64>::new());
        let watchers: Vec<_> = (0..WATCHERS)
            .map(|_| {
                let mut watch = roster.watch(ROOM).expect("it is open");
                tokio::spawn(async move {
                    watch.next().await;
                    let delays = delays(&mut watch, rounds).await;
                    (delays, until_there_are(&mut watch, rounds, rounds + CROWD).await)
                })
            })
            .collect();
        let _singles = come(&roster, rounds).await;
        let began = now();
        let (_many, failed) = crowd(&roster).await;
        let joined_ms = (now() - began) / 1_000_000;
        let mut seen = Seen { joined_ms, failed, ..Seen::default() };
        for watcher in watchers {
            let (delays, at) = watcher.await.expect("it watches to the end");
            seen.delays.extend(delays);
            seen.seen_ms = seen.seen_ms.max((at - began) / 1_000_000);
        }
        seen.delays.sort_unstable();
        seen
    })
}

/// Watchers and who is watched each in a process of its own.
pub(super) fn on_redis(url: &str, options: &Options) -> Seen {
    let rounds = options.scale(1_000, 100);
    let arguments = |role: &str| vec![url.to_owned(), rounds.to_string(), role.to_owned()];
    let watchers = Children::start("presence", &vec![arguments("watch"); WATCHERS]);
    let line = |children: &Children| children.hear().expect("every child answers").1;
    (0..WATCHERS).for_each(|_| assert_eq!(line(&watchers), "ready"));
    let comer = Children::start("presence", &[arguments("come")]);
    let told = line(&comer);
    let told: Vec<u64> = told.split(' ').map(|part| part.parse().expect("a number")).collect();
    let [began, joined, failed] = told[..] else { panic!("three numbers") };
    let joined_ms = (joined - began) / 1_000_000;
    let mut seen = Seen { joined_ms, failed, ..Seen::default() };
    for _ in 0..WATCHERS {
        let told = line(&watchers);
        let (at, delays) = told.split_once(' ').expect("a moment and delays");
        let at: u64 = at.parse().expect("a moment");
        seen.seen_ms = seen.seen_ms.max((at - began) / 1_000_000);
        seen.delays.extend(delays.split(',').map(|delay| delay.parse::<u64>().expect("a number")));
    }
    seen.delays.sort_unstable();
    seen
}

/// One process: comes or watches.
pub(crate) fn child(arguments: &[String]) {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("the system gives a runtime").block_on(async {
        let [url, rounds, role] = arguments else { panic!("three arguments") };
        let rounds: usize = rounds.parse().expect("a number");
        let config = RedisConfig::new(url).expect("a URL").namespace("crowd");
        let store = RedisRoster::<str, u64>::connect(config).await.expect("the server is there");
        let roster = roster(store);
        if role == "watch" {
            let mut watch = roster.watch(ROOM).expect("it is open");
            watch.next().await;
            println!("ready");
            let delays = delays(&mut watch, rounds).await;
            let at = until_there_are(&mut watch, rounds, rounds + CROWD).await;
            let delays: Vec<String> = delays.iter().map(u64::to_string).collect();
            println!("{at} {}", delays.join(","));
        } else {
            let _singles = come(&roster, rounds).await;
            let began = now();
            let (_many, failed) = crowd(&roster).await;
            println!("{began} {} {failed}", now());
            // Whoever watches may still count. Ends with the pipe.
            let _ = BufReader::new(stdin()).lines().next_line().await;
        }
    });
}
