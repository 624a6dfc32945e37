use super::RIGHT;
use super::replay::{Replay, Seats, Tally};
use futures_util::StreamExt;
use headwater::presence::{Connection, ConnectionId, Event, Roster, Watch};
use headwater::redis::{RedisConfig, RedisRoster};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::{sleep, timeout};

const TTL: Duration = Duration::from_secs(2);
const ROOM: &str = "room";
const KEYS: u32 = 12;
/// Connections of one task.
const MOST: usize = 10;
const TASKS: u64 = 4;
/// Of each process; the last of them is slow.
const WATCHERS: u64 = 4;
/// Events that wait for a watcher: few, so that the slow one loses some.
const BUFFER: usize = 64;
/// How long all may take to come to the same, and those who do wrong, and need not.
const SETTLE: [Duration; 2] = [Duration::from_secs(45), Duration::from_secs(5)];
/// What watchers do wrong who do: with one event of so many.
const WRONG: u64 = 50;

type Store = RedisRoster<str, u64>;

/// A connection and the number that it says; the next is larger.
type Held = (Connection<Store>, String, u64);

/// One process: changes the roster and watches it, until it is told to settle.
pub(crate) fn child(arguments: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system gives a runtime");
    runtime.block_on(LocalSet::new().run_until(work(arguments)));
}

async fn work(arguments: &[String]) {
    let [url, seed, mode] = arguments else { panic!("three arguments") };
    let seed: u64 = seed.parse().expect("a number");
    let config = RedisConfig::new(url).expect("a URL").namespace("watch");
    let store: Store = RedisRoster::connect_lazy(config).expect("a valid configuration");
    let roster = Roster::builder(store.with_shards(2)).ttl(TTL).watch_buffer(BUFFER).build();
    let roster = roster.expect("a valid configuration");
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let tasks: Vec<JoinHandle<Vec<Held>>> = (0..TASKS)
        .map(|number| {
            let random = fastrand::Rng::with_seed(seed * 100 + number);
            tokio::task::spawn_local(change(roster.clone(), stopped.clone(), random))
        })
        .collect();
    // A victim only changes, until it is killed.
    let watchers = if mode == "victim" { 0 } else { WATCHERS };
    let replays: Vec<Rc<RefCell<Replay>>> =
        (0..watchers).map(|number| watch(&roster, number, mode)).collect();
    println!("begun");
    let mut lines = BufReader::new(stdin()).lines();
    let mut line = async || lines.next_line().await.ok().flatten();
    line().await.expect("it is told to settle");
    stop.send_replace(true);
    let mut held = Vec::new();
    for task in tasks {
        held.extend(task.await.expect("it ends when it is told"));
    }
    println!("{}", written(&held));
    let expected = line().await.expect("it is told what to expect");
    let within = SETTLE[usize::from(mode != RIGHT)];
    println!("{}", end(&roster, &replays, &parse(&expected), within).await);
    // Until the others have come to the same, nobody goes. Ends with the pipe.
    line().await;
}

/// Somebody comes, goes, or says something else, at random; what fails, fails. In the end everybody
/// who is left says something until it is heard.
async fn change(
    roster: Roster<Store>,
    stopped: tokio::sync::watch::Receiver<bool>,
    mut random: fastrand::Rng,
) -> Vec<Held> {
    let mut held: Vec<Held> = Vec::new();
    while !*stopped.borrow() {
        step(&roster, &mut held, &mut random).await;
        sleep(Duration::from_micros(random.u64(200..4_000))).await;
    }
    for (connection, _, number) in &mut held {
        *number += 1;
        while connection.update(*number).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    }
    held
}

async fn step(roster: &Roster<Store>, held: &mut Vec<Held>, random: &mut fastrand::Rng) {
    let at = random.usize(..held.len().max(1));
    match random.u32(..4) {
        0 if held.len() < MOST => {
            let key = format!("k{}", random.u32(..KEYS));
            if let Ok(connection) = roster.join(ROOM, &key, 1).await {
                held.push((connection, key, 1));
            }
        }
        1 if !held.is_empty() => {
            let (connection, ..) = held.swap_remove(at);
            // Half of them leave behind their backs.
            if random.bool() {
                let _ = connection.leave().await;
            }
        }
        _ if !held.is_empty() => {
            let (connection, _, number) = &mut held[at];
            *number += 1;
            let _ = connection.update(*number).await;
        }
        _ => {}
    }
}

/// Has a watcher replay what it is told.
fn watch(roster: &Roster<Store>, number: u64, mode: &str) -> Rc<RefCell<Replay>> {
    let replay = Rc::<RefCell<Replay>>::default();
    let watch = roster.watch(ROOM).expect("it is open, and here is a runtime");
    let (own, mode) = (Rc::clone(&replay), mode.to_owned());
    tokio::task::spawn_local(follow(watch, own, mode, number + 1 == WATCHERS));
    replay
}

async fn follow(mut watch: Watch<Store>, replay: Rc<RefCell<Replay>>, mode: String, is_slow: bool) {
    let mut count = 0_u64;
    while let Some(told) = watch.next().await {
        // An error says that what follows is late; the snapshot after it tells the rest.
        let Ok(event) = told else { continue };
        count += 1;
        let is_wrong = count.is_multiple_of(WRONG) && !matches!(event, Event::Snapshot { .. });
        match mode.as_str() {
            "drops" if is_wrong => {}
            "doubles" if is_wrong => {
                replay.borrow_mut().take(event.clone());
                replay.borrow_mut().take(event);
            }
            _ => replay.borrow_mut().take(event),
        }
        if is_slow && count.is_multiple_of(20) {
            sleep(Duration::from_millis(300)).await;
        }
    }
}

/// Waits until the store and all watchers see what is expected; what came of it, as JSON.
async fn end(
    roster: &Roster<Store>,
    replays: &[Rc<RefCell<Replay>>],
    expected: &Seats,
    within: Duration,
) -> String {
    let differs = || replays.iter().filter(|replay| replay.borrow().seats != *expected).count();
    let settled = timeout(within, async {
        while listed(roster).await.as_ref() != Some(expected) || differs() > 0 {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let is_settled = settled.await.is_ok();
    let elsewhere = match differs() {
        // Then the store itself has others than those who are there.
        0 if !is_settled => replays.len(),
        some => some,
    };
    let watchers = replays.len() as u64;
    let begin = Tally { elsewhere: elsewhere as u64, watchers, ..Tally::default() };
    let tally = replays.iter().fold(begin, |sum, replay| sum.add(replay.borrow().tally));
    serde_json::to_string(&tally).expect("numbers can be written")
}

/// Who is there, as the store lists it.
async fn listed(roster: &Roster<Store>) -> Option<Seats> {
    let (mut all, mut next) = (Seats::new(), None);
    loop {
        let page = roster.list(ROOM, next.as_ref(), 500).await.ok()?;
        let members = page.members.into_iter();
        all.extend(members.map(|member| (member.connection, (member.key, member.value))));
        match page.next {
            None => return Some(all),
            more => next = more,
        }
    }
}

fn written(held: &[Held]) -> String {
    let each = held.iter().map(|(own, key, number)| format!("{} {key} {number}", own.id()));
    each.collect::<Vec<_>>().join(",")
}

fn parse(text: &str) -> Seats {
    let seat = |text: &str| {
        let mut parts = text.split(' ');
        let id = ConnectionId::parse(parts.next()?)?;
        Some((id, (parts.next()?.to_owned(), parts.next()?.parse().ok()?)))
    };
    text.split(',').filter_map(seat).collect()
}
