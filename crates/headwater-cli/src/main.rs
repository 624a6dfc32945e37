//! `headwater`: a pipeline's most common cache job, from the shell.
//!
//! Thin by intent: each command parses its arguments, builds what it needs of the library, runs, and
//! ends with one of the [`exit`] codes. The logic of caching is the library's.

mod args;
mod enrich;
mod exit;
#[cfg(feature = "firestore")]
mod firestore;
#[cfg(not(feature = "firestore"))]
#[path = "firestore_off.rs"]
mod firestore;
mod input;
mod json;
mod load;
#[cfg(any(feature = "redis", feature = "firestore"))]
mod outage;
mod output;
mod progress;
mod record;
#[cfg(feature = "redis")]
mod redis;
#[cfg(not(feature = "redis"))]
#[path = "redis_off.rs"]
mod redis;
mod rejects;
mod rows;
mod same;
mod signal;
mod simulate;
mod source;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(not(feature = "sqlite"))]
#[path = "sqlite_off.rs"]
mod sqlite;
mod timed;

use args::{Cli, Command, CompletionsArgs};
use clap::{CommandFactory, Parser};
use exit::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    let exit = match Cli::parse().command {
        Command::Enrich(args) => enrich::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Doctor(args) => redis::run_doctor(&args),
        Command::Completions(args) => print_completions(&args),
    };
    exit.into()
}

fn print_completions(args: &CompletionsArgs) -> Exit {
    // Into memory first: the generator panics where the output is a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "headwater", &mut script);
    exit::print(&String::from_utf8_lossy(&script))
}
