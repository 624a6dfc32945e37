//! `headwater load`: a file into a table or a Redis, so that it can be a source.

use crate::args::LoadArgs;
use crate::exit::{Exit, complain, say};
use crate::input::{self, BytesRead, Records};
use crate::progress::{Progress, grouped, rate};
use crate::redis;
use crate::source::url::{self, Place, Table};
use crate::sqlite;
use anyhow::{Result, bail};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How far a load has got, for whoever draws it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progressed {
    /// Rows read.
    pub(crate) rows: Arc<AtomicU64>,
}

/// What a load did.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Loaded {
    /// Rows put there.
    pub(crate) rows: u64,
    /// Of these, rows whose key the file had before.
    pub(crate) duplicates: u64,
    /// Rows without a key, which are not there.
    pub(crate) no_key: u64,
    /// Columns that the table did not have.
    pub(crate) new_columns: u64,
    elapsed_ms: u64,
}

/// Where a load goes.
enum Target {
    Sqlite(Box<sqlite::Loader>),
    Redis(Box<redis::Loader>),
}

/// A load that can begin.
struct Job {
    records: Records,
    name: String,
    bytes: BytesRead,
    target: Target,
}

/// Runs the command.
pub(crate) fn run(args: &LoadArgs) -> Exit {
    let job = match prepare(args) {
        Ok(job) => job,
        Err(error) => {
            complain(&format_args!("{error:#}"));
            return Exit::Unusable;
        }
    };
    let begun = Instant::now();
    let progressed = Progressed::default();
    let rows = Arc::clone(&progressed.rows);
    let progress = Progress::start(args.talk, false, job.bytes, move |elapsed| {
        let rows = rows.load(Ordering::Relaxed);
        format!("{} rows, {}", grouped(rows), rate(rows, "rows", elapsed))
    });
    let (outcome, left) = match job.target {
        Target::Sqlite(loader) => {
            (loader.load(job.records, &job.name, &progressed), "the table is as it was")
        }
        Target::Redis(loader) => {
            (loader.load(job.records, &job.name, &progressed), "rows before this may be there")
        }
    };
    drop(progress);
    match outcome {
        Ok(loaded) => report(args, loaded, begun.elapsed()),
        Err(error) => {
            complain(&format_args!("{error:#}; {left}"));
            Exit::Failed
        }
    }
}

fn prepare(args: &LoadArgs) -> Result<Job> {
    let place = url::parse(&args.target)?;
    let input = input::open(&args.file, args.format)?;
    let (name, bytes) = (input.name.clone(), input.progress.clone());
    let records = Records::new(input, args.max_line)?;
    if let (Some(header), Some(key)) = (records.header(), place.key()) {
        header.require(key).map_err(|error| error.context(name.clone()))?;
    }
    let target = match &place {
        Place::Redis(server) => Target::Redis(Box::new(redis::Loader::open(server, args)?)),
        Place::Sqlite(table) => Target::Sqlite(Box::new(open_table(table, args, &name)?)),
        Place::Unsupported(what) => bail!("{}: this build has no {what} support", args.target),
        Place::File(_) => bail!(
            "{}: cannot load into a file; give sqlite:PATH?table=T&key=K or \
             redis://HOST/DB?namespace=NS&key=K",
            args.target
        ),
    };
    Ok(Job { target, records, name, bytes })
}

fn open_table(table: &Table, args: &LoadArgs, name: &str) -> Result<sqlite::Loader> {
    if args.ttl.is_some() || args.go_compatible {
        bail!("--ttl and --go-compatible are for Redis; rows of a table stay as they are");
    }
    if args.file.exists() && same_file::is_same_file(&args.file, &table.path).unwrap_or(false) {
        bail!("{name}: cannot be loaded into itself");
    }
    sqlite::Loader::open(table)
}

fn report(args: &LoadArgs, mut loaded: Loaded, elapsed: Duration) -> Exit {
    loaded.elapsed_ms = crate::enrich::millis(elapsed);
    if args.json {
        return crate::enrich::print_json(&loaded, true);
    }
    if !args.talk.quiet {
        let rows = grouped(loaded.rows);
        let target = url::shown(&args.target);
        say(&format!("{rows} rows into {target} in {:.1} s", elapsed.as_secs_f64()));
        let note = |count: u64, what: &str| {
            if count > 0 {
                say(&format!("{what}: {}", grouped(count)));
            }
        };
        note(
            loaded.duplicates,
            "rows with a key that came before (the last row of each key counts)",
        );
        note(loaded.no_key, "rows without a key (left out)");
        note(loaded.new_columns, "new columns");
    }
    Exit::Done
}
