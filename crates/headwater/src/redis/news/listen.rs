//! The task that keeps the connection for news.

use super::hub::{Coherence, Hub, Listening};
use crate::redis::dial::{Node, Wire};
use crate::redis::error::{Health, health};
use crate::redis::key::Layout;
use ::redis::{Cmd, PushInfo, PushKind, RedisError, RedisResult, Value};
use futures_util::future::{Either, select};
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// Between two attempts to connect, at first ...
const RETRY_FIRST: Duration = Duration::from_millis(20);
/// ... and at last.
const RETRY_LAST: Duration = Duration::from_millis(500);
/// The longest pause between two checks.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Messages that are passed on together.
const BATCH: usize = 256;

/// A connection on which news arrive.
struct Session {
    wire: Wire,
    nodes: Vec<Node>,
    pushes: UnboundedReceiver<PushInfo>,
    mode: Coherence,
}

/// Listens until `end` changes or its sender is gone.
pub(super) async fn listen(listening: Listening, mut end: watch::Receiver<bool>) {
    let ended = pin!(end.changed());
    let work = pin!(work(&listening));
    select(ended, work).await;
}

async fn work(listening: &Listening) {
    loop {
        let Some(mut session) = connect(listening).await else { return };
        let Some(hub) = listening.hub() else { return };
        hub.trusted(session.mode);
        let (layout, pace) = (hub.layout.clone(), pace(&hub));
        drop(hub);
        let Session { wire, nodes, pushes, mode } = &mut session;
        let checks = pin!(check_always(wire, nodes, *mode, pace));
        let hearing = pin!(hear_always(listening, &layout, pushes));
        select(checks, hearing).await;
        match listening.hub() {
            Some(hub) => hub.lost(),
            None => return,
        }
    }
}

/// The pause between checks, and what an answer may take.
fn pace(hub: &Hub) -> Duration {
    (hub.max_staleness / 2).clamp(Duration::from_millis(1), CHECK_EVERY)
}

/// Connects, however long that takes, and has what is in front emptied meanwhile.
async fn connect(listening: &Listening) -> Option<Session> {
    let (mut pause, mut emptied) = (RETRY_FIRST, Instant::now());
    loop {
        let hub = listening.hub()?;
        let every = hub.max_staleness;
        {
            let mut attempt = pin!(attempt(&hub));
            loop {
                let due = pin!(tokio::time::sleep_until(emptied + every));
                match select(attempt.as_mut(), due).await {
                    Either::Left((Ok(session), _)) => return Some(session),
                    Either::Left((Err(_), _)) => break,
                    Either::Right(_) => {
                        hub.forget_all();
                        emptied = Instant::now();
                    }
                }
            }
        }
        drop(hub);
        sleep(pause.mul_f64(0.75 + 0.25 * fastrand::f64()).min(every)).await;
        pause = (pause * 2).min(RETRY_LAST);
    }
}

async fn attempt(hub: &Hub) -> RedisResult<Session> {
    let (sender, pushes) = unbounded_channel();
    let wire = hub.dialer.dial_for_pushes(sender).await?;
    let limit = hub.dialer.timeout * 2;
    let begin = async {
        let nodes = wire.nodes().await?;
        let mut session = Session { wire, nodes, pushes, mode: Coherence::Tracking };
        session.begin(&hub.layout).await?;
        session.prove(&hub.layout).await?;
        Ok(session)
    };
    timeout(limit, begin).await.unwrap_or_else(|_| Err(late()))
}

impl Session {
    /// Has the server tell of changes, or else listens to other caches.
    async fn begin(&mut self, layout: &Layout) -> RedisResult<()> {
        let track = tracking(layout);
        for node in &self.nodes {
            match self.wire.at(node, &track).await {
                Ok(_) => {}
                Err(error) if health(&error) == Health::Answers => {
                    self.mode = Coherence::Messages;
                    let mut subscribe = ::redis::cmd("SUBSCRIBE");
                    subscribe.arg(layout.channel());
                    return self.wire.one(&subscribe).await.map(drop);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for news that it causes itself: nothing less shows that they arrive.
    async fn prove(&mut self, layout: &Layout) -> RedisResult<()> {
        let probe = layout.probe();
        let mut cause = match self.mode {
            Coherence::Messages => ::redis::cmd("PUBLISH"),
            _ => ::redis::cmd("SET"),
        };
        match self.mode {
            Coherence::Messages => cause.arg(layout.channel()).arg(&probe),
            _ => cause.arg(&probe).arg("").arg("PX").arg(1),
        };
        self.wire.one(&cause).await?;
        while let Some(push) = self.pushes.recv().await {
            match read(push) {
                Heard::Names(names) if names.contains(&probe) => return Ok(()),
                Heard::Lost => break,
                _ => {}
            }
        }
        Err(io::Error::from(io::ErrorKind::BrokenPipe).into())
    }
}

/// Asks again and again whether tracking is on; ends when it is not, or nobody answers.
async fn check_always(wire: &Wire, nodes: &[Node], mode: Coherence, pace: Duration) {
    let mut wire = wire.clone();
    loop {
        sleep(pace).await;
        match timeout(pace, check(&mut wire, nodes, mode)).await {
            Ok(Ok(true)) => {}
            _ => return,
        }
    }
}

async fn check(wire: &mut Wire, nodes: &[Node], mode: Coherence) -> RedisResult<bool> {
    if mode == Coherence::Messages {
        return wire.ping().await.map(|()| true);
    }
    let now = wire.nodes().await?;
    if now.iter().any(|node| !nodes.contains(node)) {
        return Ok(false);
    }
    let mut info = ::redis::cmd("CLIENT");
    info.arg("TRACKINGINFO");
    for node in &now {
        if !is_on(&wire.at(node, &info).await?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a reply of `CLIENT TRACKINGINFO` has the flags `on` and `bcast`.
fn is_on(info: &Value) -> bool {
    let Value::Map(pairs) = info else { return false };
    let text = |value: &Value, text: &[u8]| match value {
        Value::BulkString(bytes) => bytes == text,
        Value::SimpleString(string) => string.as_bytes() == text,
        _ => false,
    };
    let flags = pairs.iter().find(|(name, _)| text(name, b"flags")).map(|(_, flags)| flags);
    let (Some(Value::Set(flags)) | Some(Value::Array(flags))) = flags else { return false };
    let has = |flag: &[u8]| flags.iter().any(|own| text(own, flag));
    has(b"on") && has(b"bcast")
}

/// Passes on what is heard until the connection is lost.
async fn hear_always(
    listening: &Listening,
    layout: &Layout,
    pushes: &mut UnboundedReceiver<PushInfo>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        if pushes.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let Some(hub) = listening.hub() else { return };
        let mut names = Vec::new();
        for push in batch.drain(..) {
            match read(push) {
                Heard::Names(heard) => names.extend(heard),
                Heard::Everything => names.push(layout.all()),
                Heard::Nothing => {}
                Heard::Lost => return,
            }
        }
        if !names.is_empty() {
            hub.heard(&names);
        }
    }
}

/// What a push says.
enum Heard {
    Names(Vec<Vec<u8>>),
    Everything,
    Nothing,
    Lost,
}

fn read(push: PushInfo) -> Heard {
    let bytes = |value| match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    };
    match push.kind {
        PushKind::Disconnection => Heard::Lost,
        PushKind::Invalidate => match push.data.into_iter().next() {
            Some(Value::Array(names)) => {
                Heard::Names(names.into_iter().filter_map(bytes).collect())
            }
            _ => Heard::Everything,
        },
        PushKind::Message => {
            let name = push.data.into_iter().nth(1).and_then(bytes);
            name.map_or(Heard::Nothing, |name| Heard::Names(vec![name]))
        }
        _ => Heard::Nothing,
    }
}

fn tracking(layout: &Layout) -> Cmd {
    let mut command = ::redis::cmd("CLIENT");
    command.arg("TRACKING").arg("ON").arg("BCAST");
    for prefix in layout.watched() {
        command.arg("PREFIX").arg(prefix);
    }
    command
}

fn late() -> RedisError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}
