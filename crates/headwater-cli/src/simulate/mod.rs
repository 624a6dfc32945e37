//! `headwater simulate`: the hit ratios of caches of many sizes, from a log of requested keys.

mod keys;
#[cfg(feature = "plot")]
mod plot;
#[cfg(not(feature = "plot"))]
#[path = "plot_off.rs"]
mod plot;
mod policy;
mod replay;
mod report;
mod size;

use crate::args::SimulateArgs;
use crate::exit::{Exit, complain, print, say};
use crate::progress::{Progress, grouped, rate};
use crate::same;
use crate::signal::{self, Signal};
use anyhow::{Context, Result, bail};
use headwater_replay::Trace;
use keys::Log;
pub(crate) use policy::Policy;
use replay::{Outcome, Plan};
pub(crate) use size::Size;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::runtime::Runtime;

/// Runs the command.
pub(crate) fn run(args: &SimulateArgs) -> Exit {
    let begun = Instant::now();
    let log = match prepare(args) {
        Ok(log) => log,
        Err(error) => {
            complain(&format_args!("{error:#}"));
            return Exit::Unusable;
        }
    };
    match execute(args, log, begun) {
        Ok(exit) => exit,
        Err(error) => {
            complain(&format_args!("{error:#}"));
            Exit::Failed
        }
    }
}

/// Finds what can be wrong before anything is read.
fn prepare(args: &SimulateArgs) -> Result<Log> {
    same::refuse_same_drawings(args)?;
    for path in [&args.svg, &args.png].into_iter().flatten() {
        plot::check()?;
        check_folder(path).with_context(|| path.display().to_string())?;
    }
    keys::open(args)
}

/// Whether a file can be where it is to be, as far as that is known without making it.
fn check_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if path.is_dir() {
        bail!("is a directory, not a file");
    }
    match folder.unwrap_or(Path::new(".")).is_dir() {
        true => Ok(()),
        false => bail!("cannot be written: no such folder"),
    }
}

fn execute(args: &SimulateArgs, log: Log, begun: Instant) -> Result<Exit> {
    let trace = read(args, log)?;
    let (outcome, signal) = replay(args, &trace)?;
    let report = report::Report::new(&trace, &outcome, signal, begun.elapsed());
    let printed = match (args.json, args.talk.quiet) {
        (true, _) => crate::enrich::print_json(&report, true),
        (false, false) => print(&report.table()),
        (false, true) => Exit::Done,
    };
    if let Some(signal) = signal {
        return Ok(signal.exit());
    }
    plot::draw(args, &report, &outcome)?;
    Ok(printed)
}

/// Reads the whole log. A signal ends the program here, which has done nothing yet.
fn read(args: &SimulateArgs, log: Log) -> Result<Trace> {
    let requests = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&requests);
    let progress = Progress::start(args.talk, false, log.bytes.clone(), move |elapsed| {
        // Numbers are counted when all are there.
        match count.load(Ordering::Relaxed) {
            0 => "reading".to_owned(),
            read => format!("{} requests read, {}", grouped(read), rate(read, "requests", elapsed)),
        }
    });
    let name = log.name.clone();
    let trace = log.read(args.limit.unwrap_or(u64::MAX), &requests)?;
    drop(progress);
    match trace.requests().len() {
        0 => bail!("{name}: has no key"),
        _ => Ok(trace),
    }
}

/// Replays until all is done or a signal comes.
fn replay(args: &SimulateArgs, trace: &Trace) -> Result<(Outcome, Option<Signal>)> {
    let plan = Plan::new(trace, &args.policy, &size::resolve(&args.capacity, trace.distinct()));
    let replayed = Arc::new(AtomicU64::new(0));
    let position = Arc::clone(&replayed);
    let total = Some(plan.requests());
    let read = move || position.load(Ordering::Relaxed);
    let now = read.clone();
    let progress = Progress::of(args.talk, false, total, read, move |elapsed| {
        format!("replaying, {}", rate(now(), "requests", elapsed))
    });
    let (quiet, speak) = (args.talk.quiet, progress.speaker());
    let seen = Arc::new(OnceLock::new());
    let signals = Runtime::new().context("starting threads")?;
    signals.block_on(async {
        let seen = Arc::clone(&seen);
        let announce = move |signal: Signal| {
            // Set first: whoever reads of it may count on it.
            let _ = seen.set(signal);
            if !quiet {
                speak(&format!(
                    "{}: ending; once more to end at once",
                    signal.name().to_uppercase()
                ));
            }
        };
        signal::listen(announce).map(drop).context("listening for signals")
    })?;
    let outcome = plan.run(&replayed, &|| seen.get().is_none());
    drop(progress);
    signals.shutdown_background();
    if outcome.is_cut && !quiet && !args.json {
        say("not all was replayed");
    }
    let signal = seen.get().copied().filter(|_| outcome.is_cut);
    Ok((outcome, signal))
}
