//! The task that reads the logs of a roster's watched topics.

use super::replica::Replica;
use super::topic::{Copy, Topic};
use crate::presence::roster::Inner;
use crate::presence::{Change, Log, Read, Reading, RosterStore};
use crate::sync::{Arc, Ordering};
use crate::{Error, Result, Value, runtime};
use futures_util::future::{join_all, select};
use std::collections::HashMap;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Weak;
use std::time::Duration;

/// Members on a page of a snapshot, and changes that are read of a log at once.
const PAGE: usize = 500;
/// All logs are read that often, whether or not the bell rang.
const EVERY: Duration = Duration::from_secs(1);

/// The task's hold on its roster: should the task be dropped with its runtime, another may start.
struct Feeding<S: RosterStore>(Weak<Inner<S>>);

impl<S: RosterStore> Drop for Feeding<S> {
    fn drop(&mut self) {
        if let Some(roster) = self.0.upgrade() {
            roster.topics.is_fed.store(false, Ordering::SeqCst);
        }
    }
}

/// Starts the task, if it does not run.
pub(super) fn start<S: RosterStore>(roster: &Arc<Inner<S>>) -> Result<()> {
    if roster.topics.fed() {
        return Ok(());
    }
    let hold = Feeding(Arc::downgrade(roster));
    let (bell, clock) = (Arc::clone(&roster.bell), roster.clock.clone());
    let feed = async move {
        while let Some(roster) = hold.0.upgrade().filter(|roster| !roster.is_closed()) {
            let is_behind = feed(&roster).await;
            drop(roster);
            if is_behind {
                tokio::task::yield_now().await;
                continue;
            }
            let sleep = pin!(async {
                clock.sleep(EVERY).await;
                bell.ring_all();
            });
            let rung = pin!(bell.rung());
            select(sleep, rung).await;
        }
    };
    runtime::spawn(feed).map(drop)
}

/// Reads what grew; whether there is more.
async fn feed<S: RosterStore>(roster: &Inner<S>) -> bool {
    let grown = roster.bell.take();
    let topics = roster.topics.watched();
    let (unknown, known): (Vec<_>, Vec<_>) =
        topics.into_iter().partition(|topic| topic.positions().is_none());
    join_all(unknown.iter().map(|topic| load(roster, topic))).await;
    let mut logs = Vec::new();
    let mut readers = Vec::new();
    for topic in &known {
        let is_behind = topic.is_behind();
        for (shard, position) in topic.positions().into_iter().flatten().enumerate() {
            let log = Log { topic: Arc::clone(&topic.name), shard: shard as u32 };
            if is_behind || grown.contains(&log) {
                logs.push((log, position));
                readers.push((topic, shard));
            }
        }
    }
    if logs.is_empty() {
        return false;
    }
    let outcomes = roster.store.read(&logs, PAGE).await;
    // What a topic's logs have in common: whether one of them was not read to its end, and why.
    let mut behind: HashMap<Arc<str>, Behind> = HashMap::new();
    for ((topic, shard), read) in readers.into_iter().zip(outcomes) {
        let behind = behind.entry(Arc::clone(&topic.name)).or_insert(Behind::No);
        *behind = (*behind).max(take(topic, shard, read));
    }
    for topic in &known {
        if let Some(behind) = behind.get(&topic.name) {
            topic.settle(*behind != Behind::No);
        }
    }
    behind.values().any(|behind| *behind == Behind::More)
}

/// Whether a topic was not read to the end of its logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Behind {
    No,
    /// There is more, which can be read at once.
    More,
    /// Somebody did not answer.
    Failed,
}

/// Takes what was read of a log.
fn take<S: RosterStore>(topic: &Topic<S>, shard: usize, read: Result<Reading<S>>) -> Behind {
    match read {
        Ok(Read::Changes(changes, position, has_more)) => {
            topic.changed(shard, changes, position);
            if has_more { Behind::More } else { Behind::No }
        }
        Ok(Read::Lost) => {
            topic.unknown();
            Behind::More
        }
        Err(error) => {
            topic.failed(&error);
            Behind::Failed
        }
    }
}

async fn load<S: RosterStore>(roster: &Inner<S>, topic: &Topic<S>) {
    match read_whole(roster, topic).await {
        Ok((replica, positions, faults)) => topic.known(replica, positions, &faults),
        Err(error) => topic.failed(&error),
    }
}

type Whole<S> = (Copy<S>, Vec<<S as RosterStore>::Position>, Vec<Error>);

/// Reads a topic page by page, and its logs to where they were when the last page was read.
async fn read_whole<S: RosterStore>(roster: &Inner<S>, topic: &Topic<S>) -> Result<Whole<S>> {
    let (mut replica, mut faults) = (Replica::new(), Vec::new());
    let mut positions = Vec::new();
    for shard in 0..roster.store.shards() {
        let log = Log { topic: Arc::clone(&topic.name), shard };
        let (mut first, mut next) = (None, None);
        loop {
            let (sets, cursor, position) = roster.store.snapshot(&log, next.as_ref(), PAGE).await?;
            for set in sets {
                apply(&mut replica, set, &mut faults);
            }
            first.get_or_insert(position);
            if cursor.is_none() {
                break;
            }
            next = cursor;
        }
        let Some(from) = first else { continue };
        positions.push(catch_up(roster, log, from, &mut replica, &mut faults).await?);
    }
    Ok((replica, positions, faults))
}

/// Reads a log to its present end. What changed while pages were read is in some of them already,
/// and comes right by being read again, in order, to the end.
async fn catch_up<S: RosterStore>(
    roster: &Inner<S>,
    log: Log,
    from: S::Position,
    replica: &mut Copy<S>,
    faults: &mut Vec<Error>,
) -> Result<S::Position> {
    let mut at = (log, from);
    loop {
        match roster.store.read(std::slice::from_ref(&at), PAGE).await.pop() {
            Some(Ok(Read::Changes(changes, position, has_more))) => {
                for change in changes {
                    apply(replica, change, faults);
                }
                at.1 = position;
                if !has_more {
                    return Ok(at.1);
                }
            }
            Some(Err(error)) => return Err(error),
            Some(Ok(Read::Lost)) | None => {
                let message = "the log was trimmed while it was read";
                return Err(Error::new(crate::ErrorKind::Unavailable, message));
            }
        }
    }
}

fn apply<K, V>(replica: &mut Replica<K, V>, change: Change<K, V>, faults: &mut Vec<Error>)
where
    K: Hash + Eq + Clone,
    V: Value,
{
    replica.apply(change, |told| faults.extend(told.err()));
}
