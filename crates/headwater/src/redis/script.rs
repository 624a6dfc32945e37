//! Scripts that run in the server, known by their hash.

use super::error::from_redis;
use super::link::{Again, Call, Link, invocation};
use crate::Result;
use ::redis::{Cmd, Pipeline, RedisError, RedisResult, Value};
use std::error::Error as _;
use std::time::{Duration, Instant};

/// A script: its text, and the hash by which a server that has seen it knows it.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) text: &'static str,
    pub(crate) hash: String,
}

impl Script {
    pub(crate) fn new(text: &'static str) -> Self {
        Self { text, hash: ::redis::Script::new(text).get_hash().to_owned() }
    }
}

/// Something asked of the server about one entry: a command, or a script with its keys and arguments.
pub(crate) enum Step {
    Plain(Cmd),
    Script(&'static Script, Vec<Vec<u8>>, Vec<Vec<u8>>),
}

impl Step {
    /// As one command of several; a script may turn out to be unknown.
    pub(super) fn command(&self) -> Cmd {
        match self {
            Self::Plain(command) => command.clone(),
            Self::Script(script, keys, args) => {
                invocation("EVALSHA", &script.hash, &parts(keys), &parts(args))
            }
        }
    }

    /// As one command of several, for a server that does not know the script.
    fn spelled_out(&self) -> Cmd {
        match self {
            Self::Plain(command) => command.clone(),
            Self::Script(script, keys, args) => {
                invocation("EVAL", script.text, &parts(keys), &parts(args))
            }
        }
    }

    pub(super) async fn run(&self, link: &Link, within: Duration) -> Result<Value> {
        match self {
            Self::Plain(command) => link.one(command, within, Again::Never).await,
            Self::Script(script, keys, args) => {
                link.script(script, &parts(keys), &parts(args), within).await
            }
        }
    }
}

/// Takes one step for each name, in one round trip to each server concerned; and one more for those
/// whose scripts turn out to be unknown, which are then sent along.
pub(super) async fn take(
    link: &Link,
    names: &[Vec<u8>],
    steps: Vec<Step>,
    within: Duration,
    again: Again,
) -> Result<Vec<Result<Value>>> {
    let began = Instant::now();
    let replies = send(link, names, steps.iter().map(Step::command), within, again).await?;
    let is_unknown = |at: &usize| replies[*at].as_ref().is_err_and(is_unknown_error);
    let unknown: Vec<usize> = (0..replies.len()).filter(is_unknown).collect();
    let mut outcomes: Vec<_> = replies.into_iter().map(|reply| reply.map_err(from_redis)).collect();
    if !unknown.is_empty() {
        let names: Vec<_> = unknown.iter().map(|at| names[*at].clone()).collect();
        let spelled_out = unknown.iter().map(|at| steps[*at].spelled_out());
        let left = within.saturating_sub(began.elapsed());
        let replies = send(link, &names, spelled_out, left, Again::Never).await?;
        for (at, reply) in unknown.into_iter().zip(replies) {
            outcomes[at] = reply.map_err(from_redis);
        }
    }
    Ok(outcomes)
}

/// One command for each name; refusals of single ones stand among the replies.
async fn send(
    link: &Link,
    names: &[Vec<u8>],
    commands: impl Iterator<Item = Cmd>,
    within: Duration,
    again: Again,
) -> Result<Vec<RedisResult<Value>>> {
    let mut pipeline = Pipeline::with_capacity(names.len());
    commands.for_each(|command| {
        pipeline.add_command(command);
    });
    let replies = link.call(Call::Spread(names, 1, &pipeline), within, again).await?;
    Ok(replies.into_iter().map(Value::extract_error).collect())
}

fn parts(owned: &[Vec<u8>]) -> Vec<&[u8]> {
    owned.iter().map(Vec::as_slice).collect()
}

/// Whether a server said that it does not know a script (any more: it was flushed or restarted).
pub(super) fn is_unknown(error: &crate::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<RedisError>());
    source.is_some_and(is_unknown_error)
}

/// The same of an error that is not ours yet.
pub(super) fn is_unknown_error(error: &RedisError) -> bool {
    error.code() == Some("NOSCRIPT")
}
