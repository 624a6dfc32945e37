//! `memory`: what an entry takes, number by number.
//!
//! Each cache is filled in a process of its own with as many entries as it has room for, and half as
//! many again, so that it has evicted; what the system says that the process takes more than before is
//! divided by their number. That is more than the bytes that were asked for: the allocator's own share
//! is in it.

use super::Bench;
use crate::contenders::shelves::makers;
use crate::harness::{Cell, Options, Row, Table};
use crate::processes::Children;

pub(super) const BENCH: Bench = Bench {
    name: "memory",
    about: "bytes per entry, number by number, against rivals",
    crates: &["headwater", "quick_cache", "moka", "foyer-memory", "lru"],
    run,
};

const LEGEND: &str = "Bytes that the process grew by, per entry that the cache has room for.";

fn run(options: &Options) -> Table {
    let mut table = Table::new("Memory per entry", LEGEND);
    let entries = options.scale(1_000_000, 100_000);
    let bytes = |name: &'static str| (name, Cell::count(measured(name, entries), None));
    let names = makers::<u64, u64>().into_iter().map(|(name, _)| name);
    let cells = names.filter(|name| !matches!(*name, "headwater, closure" | "foyer")).map(bytes);
    let detail = Some(format!("{entries} entries"));
    table.push(Row { name: "u64 -> u64".to_owned(), detail, cells: cells.collect() });
    table
}

/// The bytes per entry, as a child measures them.
fn measured(name: &str, entries: usize) -> u64 {
    let arguments = vec![name.to_owned(), entries.to_string()];
    let children = Children::start("memory", &[arguments]);
    let (_, line) = children.hear().expect("the child answers");
    line.parse().expect("the child says a number")
}

/// Fills the cache that it is told, and says what that took.
pub(crate) fn child(arguments: &[String]) {
    let [name, entries] = arguments else { panic!("two arguments") };
    let entries: u64 = entries.parse().expect("a number");
    let makers = makers::<u64, u64>();
    let (_, make) = makers.iter().find(|maker| maker.0 == name).expect("a contender's name");
    let before = resident_bytes();
    let cache = make(entries as usize, || 7);
    for key in 0..entries * 3 / 2 {
        cache.put(&key.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }
    println!("{}", resident_bytes().saturating_sub(before) / entries);
    drop(cache);
}

/// The memory that the system has given to this process.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes.and_then(|count| count.parse::<u64>().ok()).expect("Linux tells") * 1_024
}
