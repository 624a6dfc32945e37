//! What a run did, for people as a table and for programs as JSON.

use super::chain::Chain;
use super::pipeline::Ended;
use super::sink::Stop;
use crate::firestore::Collection;
use crate::progress::{grouped, rate};
use headwater::{Stats, TierStats};
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts that the writer keeps while it runs.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) records: AtomicU64,
    pub(super) enriched: AtomicU64,
    pub(super) absent: AtomicU64,
    pub(super) no_key: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// Everything that is told at the end. Its fields are the program's JSON; see `--help`.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) records: u64,
    enriched: u64,
    absent: u64,
    no_key: u64,
    rejected: u64,
    dropped: u64,
    source_calls: u64,
    source_batches: u64,
    source_duplicates: u64,
    source_no_key: u64,
    elapsed_ms: u64,
    interrupted: Option<&'static str>,
    pub(super) error: Option<String>,
    tiers: Vec<TierSummary>,
    redis: Option<RedisSummary>,
    firestore: Option<FirestoreSummary>,
    watch: Option<WatchSummary>,
    #[serde(skip)]
    elapsed: Duration,
}

/// One tier, the fastest first.
#[derive(Debug, Serialize)]
struct TierSummary {
    name: String,
    hits: u64,
    misses: u64,
    coalesced: u64,
    errors: u64,
    hit_ratio: f64,
    p50_us: f64,
    p99_us: f64,
}

/// What else is known of the tier in Redis.
#[derive(Debug, Serialize)]
pub(crate) struct RedisSummary {
    pub(crate) namespace: Option<String>,
    pub(crate) timeouts: u64,
    pub(crate) failures: u64,
    pub(crate) refusals: u64,
    pub(crate) rejected: u64,
    /// How often it was taken to be down.
    pub(crate) down: u64,
    /// Values found that are none of ours.
    pub(crate) unreadable: u64,
    pub(crate) dropped_fills: u64,
}

/// What else is known of a source in Firestore.
#[derive(Debug, Serialize)]
pub(crate) struct FirestoreSummary {
    /// Documents that were answered, the missing ones too: each is billed as one read.
    pub(crate) reads: u64,
    pub(crate) missing: u64,
    pub(crate) calls: u64,
    pub(crate) retries: u64,
    /// Keys that no document can have.
    pub(crate) no_ids: u64,
}

/// What `--watch` did, and how it stood at the end.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WatchSummary {
    /// Whether it had caught up before the first record.
    pub(crate) caught_up: bool,
    pub(crate) state: &'static str,
    /// What went wrong last, if nothing has gone well since.
    pub(crate) error: Option<String>,
    pub(crate) changes: u64,
    pub(crate) invalidations: u64,
    /// How often everything was invalidated.
    pub(crate) clears: u64,
    /// Documents told and probes answered: each is billed as one read.
    pub(crate) reads: u64,
    /// Streams that broke, fell silent or were refused.
    pub(crate) breaks: u64,
    /// How often a tier could not be told.
    pub(crate) failures: u64,
}

impl WatchSummary {
    /// What is to be said of an end at which the tiers were not kept up.
    fn warning(&self) -> Option<String> {
        let what = match self.state {
            "down" => "was down at the end, so later changes were not seen",
            "catching_up" => "had not caught up at the end, so some changes were not seen",
            _ => return None,
        };
        let why = self.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        Some(format!("--watch {what}{why}"))
    }
}

impl Summary {
    /// Puts together what was counted where.
    pub(super) fn new(tally: &Tally, chain: &Chain, elapsed: Duration, ended: &Ended) -> Self {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Stats { tiers, source, .. } = chain.stats();
        let redis = chain.redis.as_ref().zip(tiers.last()).map(|(redis, tier)| redis.summary(tier));
        let latencies = chain.latencies.iter();
        let tiers = tiers.into_iter().zip(latencies).map(|(tier, latency)| {
            let (p50_us, p99_us) = (latency.micros_at(0.5), latency.micros_at(0.99));
            TierSummary::new(tier, p50_us, p99_us)
        });
        let (interrupted, error) = why(ended);
        Self {
            records: count(&tally.records),
            enriched: count(&tally.enriched),
            absent: count(&tally.absent),
            no_key: count(&tally.no_key),
            rejected: count(&tally.rejected),
            dropped: count(&tally.dropped),
            source_calls: source.keys,
            source_batches: source.calls,
            source_duplicates: chain.source_duplicates,
            source_no_key: chain.source_no_key,
            elapsed_ms: super::millis(elapsed),
            interrupted,
            error,
            tiers: tiers.collect(),
            redis,
            firestore: chain.collection.as_ref().map(Collection::summary),
            watch: ended.watched.clone(),
            elapsed,
        }
    }

    /// The summary for people.
    pub(super) fn table(&self) -> String {
        let (records, tiers) = (aligned(&self.record_rows()), aligned(&self.tier_rows()));
        format!("{records}\n{tiers}\n{}", self.closing_line())
    }

    /// What its reader should not miss, although the run went on.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |store: &str, count: u64, what: &str| {
            if count > 0 {
                warnings.push(format!("{store}: {} {what}", grouped(count)));
            }
        };
        if let Some(firestore) = &self.firestore {
            let what =
                "keys can be no document's id (see `escape` in --help); they count as absent";
            warn("firestore", firestore.no_ids, what);
        }
        if let Some(redis) = &self.redis {
            let failed = self.tiers.last().map_or(0, |tier| tier.errors);
            let what = "look-ups and fills failed; what they were for came from the source";
            warn("redis", failed, what);
            warn(
                "redis",
                redis.unreadable,
                "look-ups found values that are none of ours; does another program use this \
                 namespace?",
            );
        }
        warnings.extend(self.watch.as_ref().and_then(WatchSummary::warning));
        warnings
    }

    fn record_rows(&self) -> Vec<Vec<String>> {
        let share = |count: u64| match self.records {
            0 => String::new(),
            records => format!("{:.1} %", count as f64 * 100.0 / records as f64),
        };
        let row = |name: &str, count: u64| vec![name.to_owned(), grouped(count), share(count)];
        let mut rows = vec![
            vec!["records".to_owned(), grouped(self.records)],
            row("  enriched", self.enriched),
            row("  absent", self.absent),
            row("  no key", self.no_key),
            row("  rejected", self.rejected),
        ];
        if self.dropped > 0 {
            rows.push(row("left out", self.dropped));
        }
        rows
    }

    fn tier_rows(&self) -> Vec<Vec<String>> {
        let header = ["tier", "hits", "misses", "errors", "hit ratio", "p50", "p99"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        for tier in &self.tiers {
            rows.push(vec![
                tier.name.clone(),
                grouped(tier.hits),
                grouped(tier.misses),
                grouped(tier.errors),
                format!("{:.1} %", tier.hit_ratio * 100.0),
                micros(tier.p50_us),
                micros(tier.p99_us),
            ]);
        }
        let (keys, batches) = (grouped(self.source_calls), grouped(self.source_batches));
        rows.push(vec!["source".to_owned(), format!("{keys} keys"), format!("{batches} batches")]);
        if let Some(firestore) = &self.firestore {
            rows.push(vec!["  billed".to_owned(), format!("{} reads", grouped(firestore.reads))]);
        }
        if let Some(watch) = &self.watch {
            let invalidations = format!("{} invalidations", grouped(watch.invalidations));
            let reads = format!("{} reads billed", grouped(watch.reads));
            rows.push(vec![
                "watch".to_owned(),
                invalidations,
                reads,
                watch.state.replace('_', " "),
            ]);
        }
        rows
    }

    fn closing_line(&self) -> String {
        let seconds = self.elapsed.as_secs_f64();
        format!("{seconds:.2} s, {}", rate(self.records, "records", self.elapsed))
    }
}

impl TierSummary {
    fn new(tier: TierStats, p50_us: f64, p99_us: f64) -> Self {
        Self {
            hit_ratio: tier.hit_ratio(),
            name: tier.name,
            hits: tier.hits,
            misses: tier.misses,
            coalesced: tier.coalesced,
            errors: tier.errors,
            p50_us,
            p99_us,
        }
    }
}

/// What ended the run, if it was not the end of the input.
fn why(ended: &Ended) -> (Option<&'static str>, Option<String>) {
    match (&ended.stop, ended.signal) {
        (Some(Stop::Failed(error) | Stop::Missing(error)), _) => (None, Some(format!("{error:#}"))),
        (Some(Stop::Closed), _) => (Some("closed_pipe"), None),
        (None, signal) => (signal.map(crate::signal::Signal::name), None),
    }
}

/// Rows under one another: the first column to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => text.push_str(&format!("{cell:<width$}")),
                _ => text.push_str(&format!("   {cell:>width$}")),
            }
        }
        text.push('\n');
    }
    text
}

fn micros(micros: f64) -> String {
    match micros {
        ..10.0 => format!("{micros:.2} µs"),
        10.0..1_000.0 => format!("{micros:.0} µs"),
        1_000.0..1_000_000.0 => format!("{:.1} ms", micros / 1_000.0),
        _ => format!("{:.1} s", micros / 1_000_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_under_one_another() {
        let rows =
            [vec!["a".to_owned(), "10".to_owned()], vec!["bcd".to_owned(), "9 µs".to_owned()]];
        assert_eq!(aligned(&rows), "a       10\nbcd   9 µs\n");
    }

    #[test]
    fn times_are_in_a_unit_that_reads_well() {
        let times = [0.25, 42.0, 1_500.0, 2e6].map(micros);
        assert_eq!(times, ["0.25 µs", "42 µs", "1.5 ms", "2.0 s"]);
    }
}
