//! The line under each table: on what, with what and when it was measured.

use serde::Deserialize;
use std::thread::available_parallelism;
use std::time::SystemTime;

/// Compiled in: the versions are those that the program was built with.
const LOCK: &str = include_str!("../../../Cargo.lock");

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

/// Processor and how busy it is, compiler, date and the versions of `crates`.
pub(crate) fn line(crates: &[&str]) -> String {
    let cores = available_parallelism().map_or(0, usize::from);
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let date = now.split('T').next().unwrap_or_default();
    let versions = versions(crates).join(", ");
    let machine = format!("{}, {cores} cores, {}", processor(), load());
    format!("{machine}; {}; {date}; {versions}.", env!("BENCH_RUSTC"))
}

/// The system's load over the last minute, which this program is a part of.
fn load() -> String {
    let told = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("load {}", told.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("?"))
}

/// The bytes of memory that nobody needs, where the system tells.
pub(crate) fn available_memory() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = told.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1_024)
}

/// The processor's name, where the system tells it.
fn processor() -> String {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = told.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}

fn versions(crates: &[&str]) -> Vec<String> {
    let lock: Lock = toml::from_str(LOCK).expect("cargo writes a well-formed Cargo.lock");
    let version = |name: &&str| {
        // The newest last: older ones are there for crates that have not moved yet.
        let package = lock.package.iter().rfind(|package| package.name == *name)?;
        Some(format!("{name} {}", package.version))
    };
    crates.iter().filter_map(version).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_of_every_bench_has_a_version() {
        for bench in crate::benches::ALL {
            assert_eq!(versions(bench.crates).len(), bench.crates.len(), "{}", bench.name);
        }
    }
}
