//! The command line: every option with its meaning, as `--help` shows it.

use crate::input::Format;
use crate::simulate::{Policy, Size};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  headwater enrich --input flights.ndjson.gz --key tailnum --as plane \\
    --source planes.csv -o out.ndjson
  headwater load planes.csv 'sqlite:planes.db?table=planes&key=tailnum'
  headwater load planes.csv 'firestore://my-project/planes?key=tailnum'
  headwater simulate --input keys.txt --png curves.png
  headwater doctor --redis redis://127.0.0.1:6379
  headwater completions bash > ~/.local/share/bash-completion/completions/headwater

See `headwater help enrich` for more.";

const ENRICH_EXAMPLES: &str = "\
Examples:
  Add each flight's plane, from a CSV, and read the summary:
    headwater enrich --input flights.ndjson.gz --key tailnum --as plane \\
      --source planes.csv -o out.ndjson

  The same in a pipeline, with numbers for a program on stderr:
    zcat flights.ndjson.gz |
      headwater enrich --key tailnum --as plane --source planes.csv --json > out.ndjson

  From a SQLite table, with room for 1,000 planes in memory, bad lines put aside:
    headwater enrich --input flights.ndjson --key tailnum --as plane \\
      --source 'sqlite:planes.db?table=planes&key=tailnum' --memory 1000 \\
      --rejects bad.ndjson -o out.ndjson

  With a Redis between memory and the source, which other runs and machines share:
    headwater enrich --input flights.ndjson --key tailnum --as plane \\
      --redis redis://127.0.0.1:6379 --ttl 1h --source planes.csv -o out.ndjson

  The whole chain: memory, Redis, and a collection of Firestore as the source of truth:
    headwater enrich --input flights.ndjson --key tailnum --as plane \\
      --redis redis://127.0.0.1:6379 --source firestore://my-project/planes -o out.ndjson

  A stream that does not end, with changes of the collection seen a moment after they are made:
    tail -F flights.ndjson |
      headwater enrich --key tailnum --as plane --source firestore://my-project/planes --watch

Redis (--redis; a build with `cargo build --release --features redis`):
  What memory lacks is looked up there, and what the source has is stored there. Machines that run
  at the same time ask the source once per key. A server that cannot be reached, refuses the password
  or is no Redis is an error at the start (exit code 2), the first of them not with --redis-optional.
  If it goes down later the run goes on from the source, says so, and counts `errors`.
  The password may stand in the URL or in the variable HEADWATER_REDIS_PASSWORD.
  `headwater doctor` tells whether a server is set up well for this.

Firestore (a build with `cargo build --release --features firestore`):
  --source firestore://PROJECT/COLLECTION, or PROJECT/COLLECTION/DOCUMENT/COLLECTION for one under a
  document; `?database=D` names another than the default one. A key is the id of a document. Keys that
  no document can have (with a `/`, empty, `.`, `..`, `__x__`) count as absent; with `?escape=true` they
  are written in a way that is an id, as `load` does with the same setting.
  A document becomes an object, its fields in the order of their names. Times become texts
  (2013-01-01T05:00:00Z), bytes base64, references the full name of the document, points
  {\"latitude\":..,\"longitude\":..}; NaN and the infinities \"NaN\", \"Infinity\" and \"-Infinity\".
  Each document that is looked up is billed as one read, also one that does not exist: the summary
  tells how many. Credentials are those of the environment (`gcloud auth application-default login`,
  GOOGLE_APPLICATION_CREDENTIALS). The variable FIRESTORE_EMULATOR_HOST=HOST:PORT has an emulator asked.

Watching (--watch; with a source in Firestore):
  Documents that others change, add or delete are looked up again, from then on, without any --ttl.
  The first record waits until the watch has caught up, for up to 10 seconds; a warning says if it has
  not, or goes down later, and the run goes on. Meanwhile entries are as old as their --ttl lets them get.
  With --redis, one of the runs that share its namespace listens, and the others hear of changes from
  there. When that one ends, another takes over within 5 seconds, and makes up for what changed meanwhile.
  Redis is emptied, in that namespace, when it is not known what changed since somebody listened: the
  first time, after a week, after a run of a moment only. So it cannot be combined with --go-compatible,
  whose entries cannot be emptied.
  What it costs: at its beginning each document of the collection is billed as one read (with --redis
  only those that changed since somebody listened), later each changed document, and a probe every
  few seconds while nothing changes, some 35,000 reads a day. The summary tells how many.

Keys:
  A string is looked up as it is, a number as it is written (so 1 and 1.0 differ); columns of text are
  compared with that text. Null or no such field: the record has no key. An empty string is a key.
  Of a repeated field the last one counts.

JSON (--json), one object:
  records = enriched + absent + no_key + rejected; dropped (left out by --on-missing drop);
  source_calls (keys asked of the source), source_batches (round trips), source_duplicates (keys
  that it has more than once), source_no_key (its rows without a key); elapsed_ms; interrupted
  (null, \"sigint\", \"sigterm\" or \"closed_pipe\"); error (null, or why the run failed); tiers, the
  fastest first: name, hits, misses, coalesced, errors, hit_ratio, p50_us and p99_us of its look-ups;
  redis (null without --redis): namespace (null with --go-compatible), timeouts, failures, refusals,
  rejected (failed at once, while it was known to be down), down (how often it was), unreadable
  (values that are none of ours; each was a miss), dropped_fills; firestore (null with another source):
  reads (billed), missing (of these, documents that do not exist), calls, retries, no_ids (keys that no
  document can have); watch (null without --watch): caught_up (whether it had before the first record),
  state at the end (\"live\", \"following\" while another run listens, \"catching_up\" or \"down\"), error
  (null, or what went wrong last, if nothing has gone well since), changes, invalidations, clears (how
  often all was invalidated), reads (billed, on top of those of firestore), breaks, failures (of tiers).
  It is printed on stdout with -o FILE, and otherwise on stderr, where nothing else is then printed.
  A run that cannot begin (exit code 2) prints its error as text.

Exit codes:
    0  all done; also if the reader of our standard output closed it early (`| head`)
    1  the run failed on its way; every record before the trouble is written
    2  it could not begin: a wrong option, or a file or source that cannot be used; nothing is written
    3  --on-missing fail, and a record could not be enriched; every record before it is written
  130  interrupted by SIGINT; what was in flight is written (a second one ends at once)
  143  the same for SIGTERM";

const LOAD_EXAMPLES: &str = "\
Examples:
  headwater load planes.csv 'sqlite:planes.db?table=planes&key=tailnum'
  headwater load airports.ndjson.gz 'sqlite:data.db?table=airports&key=faa' --json
  headwater load planes.csv 'redis://127.0.0.1:6379/0?namespace=planes&key=tailnum' --ttl 24h
  headwater load planes.csv 'firestore://my-project/planes?key=tailnum' --rejects bad.ndjson

SQLite: the table is made if it is missing: columns of text for a CSV; for NDJSON a column per field, with
true and false as 1 and 0, and nested values as JSON text. The key column is text and unique. Fields
that the table lacks become new columns. Of rows with the same key the last one wins, also over rows
that the table had. It is one transaction: a load that fails leaves the table as it was.

Redis (a build with `cargo build --release --features redis`): each row becomes a JSON object, as
`enrich` would add it; of a CSV all values are texts. Rows with the same key: the last one wins. A load
that fails leaves the rows before the trouble there; it can be repeated. What else the namespace
has, stays. Then, with the same URL:
  headwater enrich ... --source 'redis://127.0.0.1:6379/0?namespace=planes&key=tailnum'

Firestore (a build with `cargo build --release --features firestore`; places and credentials as in
`headwater help enrich`): each row becomes a document, whose id is the row's key. A document that was
there is replaced; others stay. Rows with the same key: the last one wins. Rows are written in calls of
up to 500, four at a time; each row is billed as one write.
  Values of JSON keep their types; whole numbers need to fit into 64 bits. Columns of a CSV whose values
  are all whole numbers, all numbers, or all true and false, become that, and their empty values and NA
  become null; any other column is text, as are the key and the columns of --text. 007, +1 and 1e5 are
  no numbers. A CSV that comes through a pipe stays text, since it can be read only once.
  A load that failed or was interrupted leaves the rows before there. With --resume it goes on: what is
  there is read first (billed as reads), and only what differs is written.

JSON (--json), one object on stdout: rows, duplicates (of these, rows whose key came before), no_key
(rows that were left out), rejected (put aside), unchanged (rows that --resume found there already),
new_columns (of a table), interrupted (null, \"sigint\" or \"sigterm\"), elapsed_ms.

Exit codes:
    0  all rows are there, but for those put aside
    1  the load failed; a table is as it was, the others have the rows before the trouble
    2  it could not begin: a wrong option, or a file or target that cannot be used
  130  a load into Firestore was interrupted by SIGINT; the rows before are there
  143  the same for SIGTERM";

const SIMULATE_EXAMPLES: &str = "\
Examples:
  How large should the cache be? A log of keys, one per line, over sizes and policies:
    headwater simulate --input keys.txt --png curves.png

  The keys of a field, from records as `enrich` takes them:
    headwater simulate --input flights.ndjson.gz --key tailnum

  Some sizes only, in entries or in percent of the different keys, for a program:
    cut -f 3 access.tsv | headwater simulate --capacity 1000,5000,10% --json

  A trace of little-endian numbers of 8 bytes:
    headwater simulate --input trace.u64.zst --policy memory,optimum --svg curves.svg

Policies:
  lru      the exact LRU, at all sizes in one pass
  memory   the adaptive policy of the library's `MemoryCache`: the cache itself, as it is by default;
           its hashes are seeded at random, so the last digits differ from run to run
  fifo     first in, first out
  optimum  what no cache can surpass, because it knows the future (Belady)
  Every request that misses puts its key in, an entry each, and nothing expires.

JSON (--json), one object: requests, keys (different ones), elapsed_ms, interrupted (null, \"sigint\" or
  \"sigterm\"), points: policy, capacity (in entries), hits, hit_ratio.

Exit codes:
    0  all done
    1  the log cannot be read to its end, or has no key; or a drawing cannot be written
    2  it could not begin: a wrong option, or a file that cannot be used
  130  interrupted by SIGINT; what was replayed until then is printed, and nothing drawn
  143  the same for SIGTERM";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  headwater doctor --redis redis://127.0.0.1:6379
  headwater doctor --redis rediss://cache.internal:6379/2 --namespace planes --json

It looks at the version, the role, the memory and what happens when it is full, at what the user may
do, at how changes are announced, and measures PING, GET and the way of an announcement. It writes a
few small keys of its own into the namespace, which it removes again.

JSON (--json), one object on stdout: server; checks, each with name, level (\"ok\", \"note\", \"warning\"
or \"problem\"), finding, and advice (or null); ping, get and push, each with p50_us and p99_us, or null.

Exit codes:
    0  nothing to complain about (notes are no complaints)
    1  there are warnings or problems; that it cannot be reached is one
    2  it could not begin: a wrong option or URL";

/// Read-through cache chains for data pipelines.
#[derive(Debug, Parser)]
#[command(name = "headwater", version, about, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Enrich(Box<EnrichArgs>),
    Load(LoadArgs),
    Simulate(SimulateArgs),
    Doctor(DoctorArgs),
    Completions(CompletionsArgs),
}

/// Add a field to each record of a stream, looked up by one of its fields.
///
/// Records are read from a file or stdin (NDJSON or CSV; plain, gzip or zstd), looked up through a
/// cache in memory, and written as NDJSON in the order in which they came. A record's own text is
/// kept as it is. Memory does not grow with the input.
#[derive(Debug, Args)]
#[command(after_long_help = ENRICH_EXAMPLES, after_help = "See `--help` for examples, --json and exit codes.")]
pub(crate) struct EnrichArgs {
    /// Where records come from; `-` is stdin
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) input: PathBuf,

    /// What the input is; without it, a name in `.csv` (also before `.gz`, `.zst`) is CSV, others are NDJSON
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,

    /// The field of a record to look up
    #[arg(short, long, value_name = "FIELD")]
    pub(crate) key: String,

    /// The field to add, with what the source has for the key
    #[arg(long = "as", value_name = "FIELD")]
    pub(crate) new_field: String,

    /// Where values are looked up: a CSV or NDJSON file, `sqlite:PATH?table=T&key=K`,
    /// `redis://HOST:PORT/DB?namespace=NS` or `firestore://PROJECT/COLLECTION`
    #[arg(short, long, value_name = "SOURCE")]
    pub(crate) source: String,

    /// The source's key column [default: the one named like --key]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) source_key: Option<String>,

    /// How many found entries the tier in memory keeps, and as many absent ones; 0 for no such tier
    #[arg(short, long, value_name = "ENTRIES", default_value_t = 10_000)]
    pub(crate) memory: u64,

    #[command(flatten)]
    pub(crate) redis: RedisArgs,

    /// Keep memory and Redis up with changes that anybody makes to the collection of a `firestore://`
    /// source, while the run lasts; costs reads (see Watching below)
    #[arg(long)]
    pub(crate) watch: bool,

    /// How long a found entry is kept, in memory and in Redis: `250ms`, `90s`, `1h` [default: the
    /// whole run, and 1h in Redis]
    #[arg(long, value_name = "TIME", value_parser = parse_life)]
    pub(crate) ttl: Option<Duration>,

    /// How long it is remembered that the source lacks a key [default: the whole run, and 1m in Redis]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) absent_ttl: Option<Duration>,

    /// Do not remember that the source lacks a key
    #[arg(long, conflicts_with = "absent_ttl")]
    pub(crate) no_absent: bool,

    /// How many batches are looked up at the same time
    #[arg(short, long, value_name = "N", default_value = "8")]
    pub(crate) concurrency: NonZeroUsize,

    /// How many records are looked up together
    #[arg(short, long, value_name = "N", default_value = "256")]
    pub(crate) batch: NonZeroUsize,

    /// What to do with a record that has no key, or whose key the source lacks
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = OnMissing::Pass)]
    pub(crate) on_missing: OnMissing,

    /// Where lines go that are no usable record, with line number and reason [default: the first
    /// one fails the run]
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,

    /// Stop after that many records
    #[arg(short, long, value_name = "N")]
    pub(crate) limit: Option<u64>,

    /// The longest line that is taken for a record
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    pub(crate) max_line: usize,

    /// Where enriched records go; `-` is stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,

    /// Print the summary as one JSON object: on stdout with -o FILE, on stderr without
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) talk: Talk,
}

/// The tier in Redis, if there is one.
#[derive(Debug, Args)]
pub(crate) struct RedisArgs {
    /// A Redis or Valkey between memory and the source: `redis://HOST:PORT/DB`
    #[arg(id = "redis", long = "redis", value_name = "URL")]
    pub(crate) url: Option<String>,

    /// What keeps these entries apart from others in that Redis [default: the source's name and its
    /// key column: `planes/tailnum`]
    #[arg(long, value_name = "NAME", requires = "redis")]
    pub(crate) namespace: Option<String>,

    /// Read and write values in Redis as the Go package does: plain JSON under plain keys, and
    /// nothing about keys that the source lacks
    #[arg(long, conflicts_with = "namespace")]
    pub(crate) go_compatible: bool,

    /// Start also if that Redis cannot be reached
    #[arg(long, requires = "redis")]
    pub(crate) redis_optional: bool,
}

/// Say in plain words what is wrong with a Redis or Valkey, for use as a tier.
#[derive(Debug, Args)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// The server: `redis://HOST:PORT/DB`; the password may also be in HEADWATER_REDIS_PASSWORD
    #[arg(long, value_name = "URL")]
    pub(crate) redis: String,

    /// The namespace that is to be used, for users who may use no other
    #[arg(long, value_name = "NAME", default_value = "headwater")]
    pub(crate) namespace: String,

    /// Print the findings as one JSON object on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// Put a CSV or NDJSON file into a SQLite table, a Redis or a Firestore, to be a source of `enrich`.
#[derive(Debug, Args)]
#[command(after_help = LOAD_EXAMPLES)]
pub(crate) struct LoadArgs {
    /// The file to load (plain, gzip or zstd); `-` is stdin
    pub(crate) file: PathBuf,

    /// Where to: `sqlite:PATH?table=T&key=K`, `redis://HOST:PORT/DB?namespace=NS&key=K` or
    /// `firestore://PROJECT/COLLECTION?key=K`
    pub(crate) target: String,

    /// How long rows stay in Redis: `90s`, `24h` [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = parse_life)]
    pub(crate) ttl: Option<Duration>,

    /// Write into Redis as the Go package does: plain JSON under plain keys, without a namespace
    #[arg(long)]
    pub(crate) go_compatible: bool,

    /// Go on after a load into Firestore that was interrupted: read what is there first, and write
    /// only what differs
    #[arg(long)]
    pub(crate) resume: bool,

    /// Columns of a CSV that stay text in Firestore although all of their values are numbers
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(crate) text: Vec<String>,

    /// Where rows go that cannot be used, with line number and reason; not for SQLite [default: the
    /// first one fails the load]
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,

    /// What the file is; without it, a name in `.csv` (also before `.gz`, `.zst`) is CSV, others are NDJSON
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,

    /// The longest line that is taken for a row
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    pub(crate) max_line: usize,

    /// Print the summary as one JSON object on stdout
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) talk: Talk,
}

/// Replay a log of requested keys through caches of many sizes, and tell and draw their hit ratios.
///
/// The log is read once and kept in memory: 4 bytes per request, and each different key once.
#[derive(Debug, Args)]
#[command(after_long_help = SIMULATE_EXAMPLES, after_help = "See `--help` for examples, policies, --json and exit codes.")]
pub(crate) struct SimulateArgs {
    /// The log (plain, gzip or zstd); `-` is stdin. Without --key, a name in `.u64` (also before `.gz`,
    /// `.zst`) is little-endian numbers of 8 bytes, others are one key per line
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) input: PathBuf,

    /// The field that has the key, of NDJSON or CSV records; records without it are left out
    #[arg(short, long, value_name = "FIELD")]
    pub(crate) key: Option<String>,

    /// What the records are; without it, a name in `.csv` (also before `.gz`, `.zst`) is CSV, others are NDJSON
    #[arg(long, value_enum, requires = "key")]
    pub(crate) format: Option<Format>,

    /// Sizes of the cache, with commas between: entries, or percent of the different keys [default:
    /// fifteen from 0.1% to 100%]
    #[arg(short, long, value_name = "SIZE", value_delimiter = ',')]
    pub(crate) capacity: Vec<Size>,

    /// What decides who leaves a full cache
    #[arg(short, long, value_enum, value_delimiter = ',', default_value = "lru,memory,optimum")]
    pub(crate) policy: Vec<Policy>,

    /// Draw the curves into an SVG file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    /// Draw the curves into a PNG file
    #[arg(long, value_name = "FILE")]
    pub(crate) png: Option<PathBuf>,

    /// Stop after that many requests
    #[arg(short, long, value_name = "N")]
    pub(crate) limit: Option<u64>,

    /// The longest line that is taken
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    pub(crate) max_line: usize,

    /// Print one JSON object instead of the table
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) talk: Talk,
}

/// Print a completion script for a shell.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Talk {
    /// Print nothing but errors (and what --json asks for)
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Show no progress bar (there is none either if stderr is not a terminal)
    #[arg(long)]
    pub(crate) no_progress: bool,
}

/// What to do with a record that cannot be enriched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnMissing {
    /// Write it as it came
    Pass,
    /// Leave it out
    Drop,
    /// End the run with exit code 3
    Fail,
}

/// A time longer than zero.
fn parse_life(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be longer than zero".to_owned()),
        Ok(life) => Ok(life),
        Err(error) => Err(error.to_string()),
    }
}

/// A number of bytes, with an optional unit: `4096`, `64KiB`, `1MiB`, `2GiB`.
fn parse_size(text: &str) -> Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        _ => return Err("expected a number of bytes, KiB, MiB or GiB".to_owned()),
    };
    let number: usize = number.parse().map_err(|_| "expected a number".to_owned())?;
    match number.checked_mul(1 << shift) {
        Some(0) => Err("must be more than zero".to_owned()),
        Some(size) => Ok(size),
        None => Err("is too large".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("2 k"), Ok(2048));
        assert!(parse_size("0").is_err());
        assert!(parse_size("MiB").is_err());
        assert!(parse_size("1.5M").is_err());
        assert!(parse_size("99999999999999999G").is_err());
    }
}
