//! `headwater load`: a file into a table, a Redis or a Firestore, so that it can be a source.

use crate::args::LoadArgs;
use crate::exit::{Exit, complain, say};
use crate::firestore;
use crate::input::{self, BytesRead, Records};
use crate::progress::{Progress, grouped, rate};
use crate::redis;
use crate::rejects::Rejects;
use crate::rows::Rows;
use crate::signal::Signal;
use crate::source::url::{self, Place, Table};
use crate::sqlite;
use anyhow::{Result, bail};
use serde::Serialize;
use std::path::Path;
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
    /// Rows that were put aside.
    pub(crate) rejected: u64,
    /// Rows that a resumed load found there already, as they are.
    pub(crate) unchanged: u64,
    /// Columns that the table did not have.
    pub(crate) new_columns: u64,
    /// What ended it before the file did.
    pub(crate) interrupted: Option<Signal>,
    elapsed_ms: u64,
}

/// Where a load goes.
enum Target {
    Sqlite(Box<sqlite::Loader>),
    Redis(Box<redis::Loader>),
    Firestore(Box<firestore::Loader>),
}

impl Target {
    /// What a load that failed has left there.
    fn left(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "the table is as it was",
            Self::Redis(_) => "rows before this may be there",
            Self::Firestore(_) => "rows before this are there; --resume goes on after them",
        }
    }
}

/// A load that can begin.
struct Job {
    records: Records,
    name: String,
    bytes: BytesRead,
    target: Target,
    /// The key column, which any target but a table needs to know before.
    key: String,
    rejects: Option<Rejects>,
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
    let progress = Progress::start(args.talk, false, job.bytes.clone(), move |elapsed| {
        let rows = rows.load(Ordering::Relaxed);
        format!("{} rows, {}", grouped(rows), rate(rows, "rows", elapsed))
    });
    let left = job.target.left();
    let speak = progress.speaker();
    let is_quiet = args.talk.quiet;
    let announce = move |line: &str| {
        if is_quiet {
            return;
        }
        speak(line);
    };
    let outcome = transfer(job, &progressed, announce);
    drop(progress);
    match outcome {
        Ok(loaded) => report(args, loaded, begun.elapsed()),
        Err(error) => {
            complain(&format_args!("{error:#}; {left}"));
            Exit::Failed
        }
    }
}

fn transfer(
    job: Job,
    progressed: &Progressed,
    announce: impl Fn(&str) + Send + Sync + 'static,
) -> Result<Loaded> {
    let Job { records, name, target, key, rejects, .. } = job;
    let rows =
        |records| Ok::<_, anyhow::Error>(Rows::new(records, &key, &name)?.rejecting(rejects));
    match target {
        Target::Sqlite(loader) => loader.load(records, &name, progressed),
        Target::Redis(loader) => {
            through(rows(records)?, |rows| loader.load(rows, &name, progressed))
        }
        Target::Firestore(loader) => {
            through(rows(records)?, |rows| loader.load(rows, progressed, announce))
        }
    }
}

fn through(mut rows: Rows, load: impl FnOnce(&mut Rows) -> Result<Loaded>) -> Result<Loaded> {
    let outcome = load(&mut rows);
    // Also if it failed: what was put aside is to be seen.
    let rejected = rows.end_rejects();
    Ok(Loaded { no_key: rows.no_key(), rejected: rejected?, ..outcome? })
}

fn prepare(args: &LoadArgs) -> Result<Job> {
    let place = url::parse(&args.target)?;
    refuse_foreign_options(args, &place)?;
    let input = input::open(&args.file, args.format)?;
    let (name, bytes) = (input.name.clone(), input.progress.clone());
    let records = Records::new(input, args.max_line)?;
    let key = place.key().unwrap_or_default().to_owned();
    if let (Some(header), Some(key)) = (records.header(), place.key()) {
        header.require(key).map_err(|error| error.context(name.clone()))?;
    }
    let target = match &place {
        Place::Redis(server) => Target::Redis(Box::new(redis::Loader::open(server, args)?)),
        Place::Sqlite(table) => Target::Sqlite(Box::new(open_table(table, args, &name)?)),
        Place::Firestore(documents) => {
            let (loader, notes) = firestore::Loader::open(documents, args, &name)?;
            if !args.talk.quiet {
                notes.iter().for_each(|note| say(&format!("note: {name}: {note}")));
            }
            Target::Firestore(Box::new(loader))
        }
        Place::File(_) => bail!(
            "{}: cannot load into a file; give sqlite:PATH?table=T&key=K, \
             redis://HOST/DB?namespace=NS&key=K or firestore://PROJECT/COLLECTION?key=K",
            args.target
        ),
    };
    let rejects = args.rejects.as_deref().map(|path| rejects(path, args)).transpose()?;
    Ok(Job { records, name, bytes, target, key, rejects })
}

/// Options that are for another kind of target.
fn refuse_foreign_options(args: &LoadArgs, place: &Place) -> Result<()> {
    let (is_redis, is_table) =
        (matches!(place, Place::Redis(_)), matches!(place, Place::Sqlite(_)));
    if !is_redis && (args.ttl.is_some() || args.go_compatible) {
        bail!("--ttl and --go-compatible are for Redis; elsewhere rows stay as they are");
    }
    if !matches!(place, Place::Firestore(_)) && (args.resume || !args.text.is_empty()) {
        bail!("--resume and --text are for Firestore");
    }
    if is_table && args.rejects.is_some() {
        bail!("--rejects: a table gets all rows or none");
    }
    Ok(())
}

fn rejects(path: &Path, args: &LoadArgs) -> Result<Rejects> {
    if path.as_os_str() == "-" {
        bail!("--rejects -: give a file; stdout is for --json");
    }
    if path.exists() && same_file::is_same_file(&args.file, path).unwrap_or(false) {
        bail!("--rejects {}: is the file that is loaded", path.display());
    }
    Rejects::create(path)
}

fn open_table(table: &Table, args: &LoadArgs, name: &str) -> Result<sqlite::Loader> {
    if args.file.exists() && same_file::is_same_file(&args.file, &table.path).unwrap_or(false) {
        bail!("{name}: cannot be loaded into itself");
    }
    sqlite::Loader::open(table)
}

fn report(args: &LoadArgs, mut loaded: Loaded, elapsed: Duration) -> Exit {
    loaded.elapsed_ms = crate::enrich::millis(elapsed);
    let exit = loaded.interrupted.map_or(Exit::Done, Signal::exit);
    if args.json {
        let printed = crate::enrich::print_json(&loaded, true);
        return if exit == Exit::Done { printed } else { exit };
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
        note(loaded.rejected, "rows put aside");
        note(loaded.unchanged, "rows that were there already");
        note(loaded.new_columns, "new columns");
        if loaded.interrupted.is_some() {
            say("interrupted before the end of the file; --resume goes on after these rows");
        }
    }
    exit
}
