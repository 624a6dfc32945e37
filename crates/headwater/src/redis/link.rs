//! [`Link`]: one connection that is kept, given up and made anew, and that nobody waits for longer
//! than agreed.
//!
//! - Each call has its own time limit, which covers everything, the making of a connection included.
//! - A connection that breaks is made anew by the next call. One on which only silence came back for
//!   a second is given up: the peer may hang while its kernel acknowledges.
//! - A [`Breaker`] fails calls at once after repeated failures. While it is open one task pings, and
//!   makes new connections, until the server answers.
//!
//! What a call's error means for the connection is decided by [`health`](super::error::health).

use super::breaker::Breaker;
use super::dial::{Dialer, Node, Wire};
use super::error::from_redis;
use super::kept::{Counts, Kept};
use super::script::{self, Script};
use crate::{Error, ErrorKind, Result};
use ::redis::{Cmd, Pipeline, RedisResult, Value};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A connection that is kept up; clones share it.
#[derive(Clone)]
pub(crate) struct Link(Arc<Kept>);

/// Whether a call may be made again when the connection turns out to be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    Once,
    Never,
}

/// What is asked.
#[derive(Clone, Copy)]
pub(super) enum Call<'a> {
    /// One command.
    One(&'a Cmd),
    /// Many commands; on a cluster, for keys of one slot.
    Many(&'a Pipeline),
    /// So many commands for each name, for keys of any slot.
    Spread(&'a [Vec<u8>], usize, &'a Pipeline),
    /// One command, to one of the servers that hold keys.
    At(&'a Node, &'a Cmd),
}

impl Link {
    pub(super) fn new(dialer: Arc<Dialer>) -> Self {
        Self(Arc::new(Kept::new(dialer)))
    }

    pub(super) fn dialer(&self) -> Arc<Dialer> {
        Arc::clone(&self.0.dialer)
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    pub(super) fn breaker(&self) -> &Breaker {
        &self.0.breaker
    }

    /// Whether keys are spread over several servers.
    pub(super) fn is_cluster(&self) -> bool {
        self.0.dialer.is_cluster()
    }

    /// The servers that hold keys: one, or the masters of a cluster.
    pub(super) async fn nodes(&self, within: Duration) -> Result<Vec<Node>> {
        self.check_open()?;
        let nodes = async { self.0.wire().await?.0.nodes().await };
        match tokio::time::timeout(within, nodes).await {
            Ok(nodes) => nodes.map_err(from_redis),
            Err(_) => Err(self.0.timed_out(within)),
        }
    }

    /// Connects now, whatever the breaker says.
    pub(super) async fn connect(&self) -> Result<()> {
        self.check_open()?;
        self.0.wire().await.map(drop).map_err(from_redis)
    }

    /// Whether the server answers, whatever the breaker says.
    pub(super) async fn ping(&self, within: Duration) -> Result<()> {
        self.check_open()?;
        let ping = async {
            let (mut wire, number) = self.0.wire().await?;
            wire.ping().await.inspect_err(|_| self.0.lost(number))
        };
        match tokio::time::timeout(within, ping).await {
            Ok(outcome) => outcome.map_err(from_redis),
            Err(_) => Err(Error::new(ErrorKind::Timeout, format!("no answer within {within:?}"))),
        }
    }

    /// The reply to one command, within a time limit.
    pub(crate) async fn one(&self, command: &Cmd, within: Duration, again: Again) -> Result<Value> {
        let mut replies = self.call(Call::One(command), within, again).await?;
        Ok(replies.pop().unwrap_or(Value::Nil))
    }

    /// The reply of a script, which is sent along if the server does not know it.
    pub(super) async fn script(
        &self,
        script: &Script,
        keys: &[&[u8]],
        args: &[&[u8]],
        within: Duration,
    ) -> Result<Value> {
        let began = Instant::now();
        let by_hash = invocation("EVALSHA", &script.hash, keys, args);
        match self.one(&by_hash, within, Again::Never).await {
            Err(error) if script::is_unknown(&error) => {
                let by_text = invocation("EVAL", script.text, keys, args);
                let left = within.saturating_sub(began.elapsed());
                self.one(&by_text, left, Again::Never).await
            }
            reply => reply,
        }
    }

    /// The replies to `call`; refusals of single commands stand among them, unless there is but one.
    ///
    /// # Cancellation
    /// What was sent is not called back; the reply is dropped when it comes.
    pub(super) async fn call(
        &self,
        call: Call<'_>,
        within: Duration,
        again: Again,
    ) -> Result<Vec<Value>> {
        self.check_open()?;
        if !self.0.breaker.admits() {
            return Err(Error::new(ErrorKind::Unavailable, "the breaker is open"));
        }
        let waiting = Waiting { link: self, began: Instant::now(), within, is_over: false };
        let outcome = tokio::time::timeout(within, self.0.attempt(call, again)).await;
        waiting.over();
        match outcome {
            Ok(Ok(replies)) => {
                self.0.heard(replies.iter().any(is_unfit));
                if replies.iter().any(is_demoted) {
                    self.0.demoted();
                }
                Ok(replies)
            }
            Ok(Err(error)) => Err(self.0.failed(error)),
            Err(_) => Err(self.0.timed_out(within)),
        }
    }

    fn check_open(&self) -> Result<()> {
        if self.0.is_closed.load(Relaxed) { Err(Error::new(ErrorKind::Closed, "")) } else { Ok(()) }
    }

    /// Gives the connection up: what was sent and not answered fails, what was not sent never is.
    pub(super) fn give_up(&self) {
        self.0.give_up();
    }

    /// Ends it; later calls fail with "closed".
    pub(crate) fn close(&self) {
        self.0.is_closed.store(true, Relaxed);
        self.give_up();
    }
}

/// A caller that waits. One who leaves early, as after a time limit of its own, has seen silence
/// too, and a server that hangs must be noticed however impatient its callers are.
struct Waiting<'a> {
    link: &'a Link,
    began: Instant,
    within: Duration,
    is_over: bool,
}

impl Waiting<'_> {
    fn over(mut self) {
        self.is_over = true;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.began.elapsed() * 4 >= self.within {
            self.link.0.note_silence();
            self.link.0.note_failure();
        }
    }
}

pub(super) async fn send(mut wire: Wire, call: Call<'_>) -> RedisResult<Vec<Value>> {
    match call {
        Call::One(command) => wire.one(command).await.map(|reply| vec![reply]),
        Call::Many(commands) => wire.many(commands).await,
        Call::Spread(names, per_name, commands) => wire.spread(names, per_name, commands).await,
        Call::At(node, command) => wire.at(node, command).await.map(|reply| vec![reply]),
    }
}

pub(super) fn invocation(verb: &str, what: &str, keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
    let mut command = ::redis::cmd(verb);
    command.arg(what).arg(keys.len()).arg(keys).arg(args);
    command
}

fn is_unfit(reply: &Value) -> bool {
    let codes = ["LOADING", "MASTERDOWN", "CLUSTERDOWN", "UNREACHABLE"];
    matches!(reply, Value::ServerError(error) if codes.contains(&error.code()))
}

fn is_demoted(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if error.code() == "READONLY")
}
