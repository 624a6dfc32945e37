//! `headwater enrich`: a field added to each record of a stream, looked up through a chain.
//!
//! [`prepare`] finds everything that can be wrong before anything is read or written; what goes wrong
//! later is a [`Stop`].

mod answer;
mod chain;
mod pipeline;
mod sink;
mod summary;
mod watch;

use crate::args::EnrichArgs;
use crate::exit::{Exit, complain, say};
use crate::input::{self, BytesRead, Reading, Records, spawn_reader};
use crate::output::Output;
use crate::progress::{Progress, grouped, rate};
use crate::record::Splice;
use crate::rejects::Rejects;
use crate::same;
use crate::signal::{self, Signal};
use crate::source::url::{self, Place};
use answer::Plan;
use anyhow::{Context, Result, bail};
use chain::Chain;
use headwater::Cache;
use pipeline::{Ended, Pipeline};
use serde::Serialize;
use sink::{Sink, Stop};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
pub(crate) use summary::{FirestoreSummary, RedisSummary, WatchSummary};
use summary::{Summary, Tally};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// How many batches may be read ahead of the look-ups.
const AHEAD: usize = 2;

/// A run that can begin.
struct Job {
    records: Records,
    reading: Reading,
    bytes: BytesRead,
    chain: Chain,
    sink: Sink,
    runtime: Runtime,
}

/// Runs the command.
pub(crate) fn run(args: &EnrichArgs) -> Exit {
    let begun = Instant::now();
    match prepare(args).and_then(|job| execute(args, job, begun)) {
        Ok(exit) => exit,
        Err(error) => {
            complain(&format_args!("{error:#}"));
            Exit::Unusable
        }
    }
}

/// Opens everything; the output last, so that it is not touched before all else is known to be
/// usable.
fn prepare(args: &EnrichArgs) -> Result<Job> {
    if args.key == args.new_field {
        bail!("--as {}: is the key itself", args.new_field);
    }
    let is_redis = matches!(url::parse(&args.source), Ok(Place::Redis(_)));
    if args.redis.go_compatible && args.redis.url.is_none() && !is_redis {
        bail!("--go-compatible: is for a Redis, and there is none");
    }
    watch::refuse_vain(args)?;
    same::refuse_same_files(args)?;
    let input = input::open(&args.input, args.format)?;
    let (name, live, bytes) = (input.name.clone(), input.live, input.progress.clone());
    let records = Records::new(input, args.max_line)?;
    let plan = Arc::new(plan(args, &records).with_context(|| name.clone())?);
    let runtime = Runtime::new().context("starting threads")?;
    let (chain, notes) = runtime.block_on(Chain::open(args))?;
    if says_notes(args) {
        notes.iter().for_each(|note| say(&format!("note: {note}")));
    }
    let rejects = args.rejects.as_deref().map(Rejects::create).transpose()?;
    let output = Output::create(&args.output)?;
    let (on_missing, tally) = (args.on_missing, Arc::new(Tally::default()));
    let reading = Reading { name: name.clone(), batch: args.batch, limit: args.limit, live };
    let sink = Sink { plan, output, rejects, on_missing, tally, input: name };
    Ok(Job { records, reading, bytes, chain, sink, runtime })
}

fn plan(args: &EnrichArgs, records: &Records) -> Result<Plan> {
    let csv = match records.header() {
        None => None,
        Some(header) => {
            if header.position(&args.new_field).is_some() {
                bail!("has a column `{}` already; choose another --as", args.new_field);
            }
            Some((Arc::clone(header), header.require(&args.key)?))
        }
    };
    let (key, new_field) = (args.key.clone(), args.new_field.clone());
    Ok(Plan { splice: Splice::new(&new_field), key, new_field, csv })
}

fn execute(args: &EnrichArgs, job: Job, begun: Instant) -> Result<Exit> {
    let Job { records, reading, bytes, chain, sink, runtime } = job;
    let tally = Arc::clone(&sink.tally);
    let progress = progress(args, bytes, &tally, &chain);
    let (plan, cache) = (Arc::clone(&sink.plan), chain.cache.clone());
    let pipeline = Pipeline { plan, chain: cache, concurrency: args.concurrency.get() };
    let (announces, speak) = (says_notes(args), progress.speaker());
    if let Some(tier) = chain.redis.clone().filter(|_| announces) {
        runtime.spawn(tier.watch(progress.speaker()));
    }
    let ended = runtime.block_on(async {
        let announce = move |signal: Signal| {
            if announces {
                speak(&signal.announcement());
            }
        };
        let signals = signal::listen(announce).context("listening for signals")?;
        if let Some(watching) = &chain.watching {
            let speak = announces.then(|| progress.speaker());
            watch::begin(watching, signals.clone(), speak).await;
        }
        let (feed, batches) = mpsc::channel(AHEAD);
        spawn_reader(records, reading, feed)?;
        let mut ended = pipeline.run(batches, sink, signals).await;
        if let Some(watching) = &chain.watching {
            ended.watched = Some(watching.end().await);
        }
        if ended.stop.is_none() {
            chain.close().await;
        }
        anyhow::Ok(ended)
    })?;
    drop(progress);
    // A read or a look-up that hangs must not hold up the end.
    runtime.shutdown_background();
    Ok(conclude(args, &Summary::new(&tally, &chain, begun.elapsed(), &ended), &ended))
}

fn progress(args: &EnrichArgs, bytes: BytesRead, tally: &Arc<Tally>, chain: &Chain) -> Progress {
    let on_stdout = args.output.as_os_str() == "-";
    let in_the_way = (on_stdout && io::stdout().is_terminal()) || json_on_stderr(args);
    let (tally, cache) = (Arc::clone(tally), chain.cache.clone());
    Progress::start(args.talk, in_the_way, bytes, move |elapsed| {
        let records = tally.records.load(Ordering::Relaxed);
        let mut message =
            format!("{} records, {}", grouped(records), rate(records, "records", elapsed));
        for tier in cache.stats().tiers {
            message.push_str(&format!(", {} {:.1} % hits", tier.name, tier.hit_ratio() * 100.0));
        }
        message
    })
}

/// Tells how it went, and makes the exit code of it.
fn conclude(args: &EnrichArgs, summary: &Summary, ended: &Ended) -> Exit {
    let exit = match (&ended.stop, ended.signal) {
        (Some(Stop::Failed(_)), _) => Exit::Failed,
        (Some(Stop::Missing(_)), _) => Exit::Missing,
        (Some(Stop::Closed), _) => Exit::Done,
        (None, signal) => signal.map_or(Exit::Done, Signal::exit),
    };
    if let Some(error) = summary.error.as_ref().filter(|_| !json_on_stderr(args)) {
        complain(error);
    }
    if says_notes(args) {
        summary.warnings().iter().for_each(|warning| say(&format!("warning: {warning}")));
    }
    if args.json {
        let printed = print_json(summary, !json_on_stderr(args));
        return if exit == Exit::Done { printed } else { exit };
    }
    // Whoever closed the pipe has seen enough.
    if !args.talk.quiet && ended.stop.is_none() {
        let _ = writeln!(io::stderr(), "{}", summary.table());
    }
    exit
}

/// Prints one JSON object, on stdout or on stderr.
pub(crate) fn print_json(summary: &impl Serialize, on_stdout: bool) -> Exit {
    let mut line = serde_json::to_vec(summary).unwrap_or_default();
    line.push(b'\n');
    let printed = match on_stdout {
        true => io::stdout().write_all(&line),
        false => io::stderr().write_all(&line),
    };
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format_args!("printing the summary: {error}"));
            Exit::Failed
        }
        _ => Exit::Done,
    }
}

/// Whether stderr is kept for the one JSON object.
fn json_on_stderr(args: &EnrichArgs) -> bool {
    args.json && args.output.as_os_str() == "-"
}

fn says_notes(args: &EnrichArgs) -> bool {
    !args.talk.quiet && !json_on_stderr(args)
}

/// Whole milliseconds.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
