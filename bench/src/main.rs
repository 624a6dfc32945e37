//! Measures Headwater against its rivals: wrong answers by their number, speed by ratios.
//!
//! [`benches`] has one module per bench, [`contenders`] what is compared, [`harness`] everything
//! that the benches share: rounds, tables, targets; [`traces`] are requests to replay. `README.md` tells how to read a table and how
//! to add a bench.
#![allow(clippy::expect_used, reason = "a measurement that cannot be taken has to stop loudly")]
#![cfg_attr(
    not(feature = "servers"),
    allow(dead_code, unused_imports, reason = "what the others share is built for these too")
)]

mod benches;
mod contenders;
mod harness;
mod processes;
mod traces;

use benches::Bench;
use clap::Parser;
use harness::{Options, Targets, machine};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures Headwater against its rivals.
#[derive(Parser)]
#[command(name = "bench/run", version)]
struct Arguments {
    /// The bench to run; without it, all are listed
    name: Option<String>,
    /// The traces to replay, or folders of them, for benches that do: see README.md
    files: Vec<PathBuf>,
    /// Lists the benches and what each measures
    #[arg(long)]
    list: bool,
    /// Takes seconds instead of minutes: for CI, and to see whether it runs at all
    #[arg(long)]
    quick: bool,
    /// Exits with 1 if a row misses its target
    #[arg(long)]
    check: bool,
    /// Writes the table into a file too
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// How long the benches take that run for a time
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Decides everything that is random
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
}

fn main() -> ExitCode {
    if let Some(role) = processes::role() {
        benches::play(&role, &processes::arguments());
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::parse();
    let Some(name) = arguments.name.as_deref().filter(|_| !arguments.list) else {
        print!("{}", listing());
        return ExitCode::SUCCESS;
    };
    match benches::ALL.iter().find(|bench| bench.name == name) {
        Some(_) if !arguments.files.is_empty() && !benches::replays(name) => {
            eprintln!("error: {name} replays no traces, so it takes no FILES");
            ExitCode::from(2)
        }
        Some(bench) => measure(bench, &arguments),
        None => {
            eprint!("error: there is no bench called {name:?}\n\n{}", listing());
            ExitCode::from(2)
        }
    }
}

fn listing() -> String {
    let mut lines = String::from("Benches, as in `bench/run NAME`:\n");
    for bench in benches::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "  {:<12}  {}", bench.name, bench.about);
    }
    lines
}

fn measure(bench: &Bench, arguments: &Arguments) -> ExitCode {
    let table = (bench.run)(&Options {
        quick: arguments.quick,
        seconds: arguments.seconds,
        seed: arguments.seed,
        files: arguments.files.clone(),
    });
    let verdict = Targets::of(bench.name).judge(&table);
    let report = format!("{table}\n{verdict}\n{}\n", machine::line(bench.crates));
    print!("{report}");
    if let Some(file) = &arguments.markdown
        && let Err(error) = std::fs::write(file, &report)
    {
        eprintln!("error: cannot write {}: {error}", file.display());
        return ExitCode::from(2);
    }
    if arguments.check && !verdict.is_met() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
