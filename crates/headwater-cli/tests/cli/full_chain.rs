//! `scripts/full-chain`: memory, Redis and Firestore, as the README shows them.

use crate::sample::{Expected, count, count_of};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

/// The script, with the program that is tested.
fn script(args: &[&str]) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
    let mut command = Command::new(scripts.join("full-chain"));
    command.args(args).env("HEADWATER", env!("CARGO_BIN_EXE_headwater"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it; both summaries are as counted by hand, and the second run reads nothing of the source.
fn comes_out_as(expected: &Expected, files: &[&str]) {
    let output = script(&[&["--json"], files].concat()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let summaries: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(summaries.len(), 2, "{said}");
    for (summary, keys) in summaries.iter().zip([expected.keys, 0]) {
        let count = |name: &str| summary[name].as_u64().unwrap();
        let counts = ["records", "enriched", "absent", "no_key"].map(count);
        let Expected { enriched, absent, no_key, .. } = *expected;
        assert_eq!(counts, [expected.records(), enriched, absent, no_key]);
        let reads = (count("source_calls"), summary["firestore"]["reads"].as_u64());
        assert_eq!(reads, (keys, Some(keys)), "{said}{stdout}");
        assert_eq!(summary["redis"]["namespace"], "demo/(default)/planes");
    }
    let redis = &summaries[1]["tiers"][1];
    assert_eq!((&redis["hits"], &redis["misses"]), (&expected.keys.into(), &0.into()));
}

#[test]
fn the_sample_is_read_once_from_firestore_and_then_from_redis() {
    comes_out_as(&count(), &[]);
}

#[test]
#[ignore = "needs all flights and planes: HEADWATER_FLIGHTS and HEADWATER_PLANES name the files"]
fn all_flights_are_read_once_from_firestore_and_then_from_redis() {
    let file = |variable: &str| std::env::var(variable).unwrap();
    let (flights, planes) = (file("HEADWATER_FLIGHTS"), file("HEADWATER_PLANES"));
    let expected = count_of(&flights, &planes);
    assert_eq!((expected.records(), expected.keys), (336_776, 4_043));
    assert_eq!((expected.enriched, expected.absent, expected.no_key), (284_170, 50_094, 2_512));
    comes_out_as(&expected, &[&flights, &planes]);
}

#[cfg(unix)]
#[test]
fn whatever_it_started_ends_with_it() {
    use nix::sys::signal::{Signal, kill};
    let mut child = script(&[]).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    // `== Redis at redis://HOST:PORT, Firestore's emulator at HOST:PORT`
    while !line.contains("emulator at") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended");
    }
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let ports = line.split("127.0.0.1:").skip(1);
    let ports: Vec<u16> = ports.map(|text| digits(text).parse().unwrap()).collect();
    assert_eq!(ports.len(), 2, "{line}");
    // Not SIGINT: whoever runs the tests in the background has it ignored from the start.
    kill(nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    // Also what it started has this pipe open.
    std::io::copy(&mut stderr, &mut std::io::sink()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    for port in ports {
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "something listens on {port}");
    }
}
