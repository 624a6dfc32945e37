//! A web page that shows who is online across the instances of a server: `README.md` says how to run
//! it. Thin by intent: heartbeats, expiry, watching and linger are the library's.

mod arguments;
mod page;
mod server;
mod visit;
mod wire;

use anyhow::Context;
use arguments::Arguments;
use clap::Parser;
use headwater::presence::{MemoryRoster, Roster, RosterStore};
use headwater::redis::{RedisConfig, RedisRoster};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use wire::Guest;

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Some(url) = &arguments.redis else {
        return serve("memory", MemoryRoster::new(), arguments).await;
    };
    let config = RedisConfig::new(url).context("--redis")?.namespace("presence-example");
    let store: RedisRoster<str, Guest> = RedisRoster::connect(config).await.context("--redis")?;
    serve("redis", store, arguments).await
}

async fn serve<S>(name: &'static str, store: S, arguments: &Arguments) -> anyhow::Result<()>
where
    S: RosterStore<Key = str, Value = Guest>,
{
    let roster = Roster::builder(store)
        .ttl(arguments.ttl)
        .linger(arguments.linger)
        // What waits for a browser that does not keep up; beyond, it gets a fresh snapshot.
        .watch_buffer(256)
        .build()?;
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    server::serve(name, roster, arguments, stop).await
}
