//! Scripts that run in the server, known by their hash.

use super::error::from_redis;
use super::link::{Again, Call, Link, invocation};
use crate::Result;
use ::redis::{Cmd, Pipeline, RedisError, Value};
use futures_util::future::join_all;
use std::error::Error as _;
use std::time::Duration;

/// A script: its text, and the hash by which a server that has seen it knows it.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) text: &'static str,
    pub(super) hash: String,
}

impl Script {
    pub(super) fn new(text: &'static str) -> Self {
        Self { text, hash: ::redis::Script::new(text).get_hash().to_owned() }
    }
}

/// Something asked of the server about one entry: a command, or a script with its keys and arguments.
pub(super) enum Step {
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

    pub(super) async fn run(&self, link: &Link, within: Duration) -> Result<Value> {
        match self {
            Self::Plain(command) => link.one(command, within, Again::Never).await,
            Self::Script(script, keys, args) => {
                link.script(script, &parts(keys), &parts(args), within).await
            }
        }
    }
}

/// Takes one step for each name, in one round trip to each server concerned, and one more each for
/// scripts that turn out to be unknown.
pub(super) async fn take(
    link: &Link,
    names: &[Vec<u8>],
    steps: Vec<Step>,
    within: Duration,
    again: Again,
) -> Result<Vec<Result<Value>>> {
    let mut commands = Pipeline::with_capacity(steps.len());
    steps.iter().for_each(|step| {
        commands.add_command(step.command());
    });
    let replies = link.call(Call::Spread(names, 1, &commands), within, again).await?;
    let settled = replies.into_iter().zip(steps).map(|(reply, step)| async move {
        match reply.extract_error() {
            Err(error) if is_unknown_error(&error) => step.run(link, within).await,
            reply => reply.map_err(from_redis),
        }
    });
    Ok(join_all(settled).await)
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
