//! What each row is to reach: data in `targets.toml`, judged here.

use super::table::{Cell, Table};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// The file is part of the program, so that a run judges by the targets it was built with.
const FILE: &str = include_str!("../../targets.toml");

/// The targets of one bench.
pub(crate) struct Targets(Vec<Target>);

/// What one row is to reach.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    row: String,
    /// The contenders that are held to it, by their measured value.
    #[serde(default = "ours")]
    of: Vec<String>,
    /// With a rival's name here, it is the ratio against that rival that counts.
    against: Option<String>,
    at_least: Option<f64>,
    at_most: Option<f64>,
}

fn ours() -> Vec<String> {
    vec!["headwater".to_owned()]
}

/// How a table did.
pub(crate) struct Verdict {
    targets: usize,
    missed: Vec<String>,
}

impl Targets {
    pub(crate) fn of(bench: &str) -> Self {
        let mut all: BTreeMap<String, Vec<Target>> =
            toml::from_str(FILE).expect("targets.toml is well-formed; a test reads it");
        Self(all.remove(bench).unwrap_or_default())
    }

    pub(crate) fn judge(&self, table: &Table) -> Verdict {
        let missing = table.missing().iter();
        let missing = missing.map(|(row, why)| format!("{row:?} was not measured: {why}"));
        let missed = self.0.iter().flat_map(|target| target.misses(table));
        Verdict { targets: self.0.len(), missed: missing.chain(missed).collect() }
    }
}

impl Target {
    /// One line per contender that misses it.
    fn misses(&self, table: &Table) -> Vec<String> {
        // A ratio is the baseline's lead over a rival, and stands in the rival's cell.
        let contenders = self.against.as_ref().map_or(&self.of[..], std::slice::from_ref);
        contenders.iter().filter_map(|contender| self.miss(table, contender)).collect()
    }

    fn miss(&self, table: &Table, contender: &str) -> Option<String> {
        let Some(cell) = table.row(&self.row).and_then(|row| row.cell(contender)) else {
            return Some(format!("{:?}: nothing was measured for {contender}", self.row));
        };
        let Some(value) = self.value(cell) else {
            return Some(format!("{:?}: there is no ratio against {contender}", self.row));
        };
        let is_low = self.at_least.is_some_and(|bound| value < bound);
        let is_high = self.at_most.is_some_and(|bound| value > bound);
        (is_low || is_high).then(|| self.describe(contender, value))
    }

    fn value(&self, cell: &Cell) -> Option<f64> {
        if self.against.is_some() { cell.ratio } else { Some(cell.value) }
    }

    fn describe(&self, contender: &str, value: f64) -> String {
        let word = if self.against.is_some() { "against " } else { "" };
        let low = self.at_least.map(|bound| format!(" at least {bound}"));
        let high = self.at_most.map(|bound| format!(" at most {bound}"));
        let bounds = low.into_iter().chain(high).collect::<Vec<_>>().join(" and");
        format!("{:?}, {word}{contender}: {}, wanted{bounds}", self.row, short(value))
    }
}

/// Whole numbers as such, all others to two places.
fn short(value: f64) -> String {
    if value.fract() == 0.0 { value.to_string() } else { format!("{value:.2}") }
}

impl Verdict {
    pub(crate) fn is_met(&self) -> bool {
        self.missed.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_met() {
            return writeln!(f, "Targets: {}, none missed.", self.targets);
        }
        writeln!(f, "Targets missed:\n")?;
        self.missed.iter().try_for_each(|line| writeln!(f, "- {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Row;
    use super::*;

    fn table() -> Table {
        let mut table = Table::new("", "");
        let cells = vec![("headwater", Cell::count(3, None)), ("moka", Cell::time(2_000.0, 2.0))];
        table.push(Row { name: "row".into(), detail: None, cells });
        table
    }

    fn missed(target: &str) -> Vec<String> {
        Targets(vec![toml::from_str(target).expect("a target")]).judge(&table()).missed
    }

    #[test]
    fn every_bench_has_well_formed_targets() {
        for bench in crate::benches::ALL {
            assert!(!Targets::of(bench.name).0.is_empty(), "{} has no targets", bench.name);
        }
    }

    #[test]
    fn values_and_ratios_are_held_to_their_bounds() {
        assert!(missed("row = 'row'\nat_most = 3").is_empty());
        assert!(missed("row = 'row'\nagainst = 'moka'\nat_least = 2.0").is_empty());
        assert_eq!(missed("row = 'row'\nat_most = 0"), ["\"row\", headwater: 3, wanted at most 0"]);
        let slow = missed("row = 'row'\nagainst = 'moka'\nat_least = 2.5");
        assert_eq!(slow, ["\"row\", against moka: 2, wanted at least 2.5"]);
    }

    #[test]
    fn what_was_not_measured_is_missed() {
        assert_eq!(missed("row = 'other'\nat_most = 3").len(), 1);
        assert_eq!(missed("row = 'row'\nagainst = 'foyer'\nat_least = 1").len(), 1);
    }

    #[test]
    fn what_could_not_be_measured_is_missed_without_a_target() {
        let mut table = table();
        table.push_or_miss("instructions", Err("there is no valgrind".into()));
        let verdict = Targets(Vec::new()).judge(&table);
        assert!(!verdict.is_met());
        assert!(
            verdict
                .to_string()
                .contains("- \"instructions\" was not measured: there is no valgrind")
        );
    }
}
