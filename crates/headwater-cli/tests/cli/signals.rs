//! SIGINT and SIGTERM, sent while an open pipe keeps the input from ending.
#![cfg(unix)]

use crate::support::{BASE, Room, Run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};

const LINES: usize = 5_000;

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

/// Starts a run, lets it write all of [`LINES`] records, interrupts it while it waits for more, and
/// returns what it said. Nothing is written after the signal, so all of it is what was in flight.
fn interrupted_run(signal: Signal, more: &[&str]) -> (Run, String) {
    let room = Room::new();
    let mut child =
        room.command(&[&BASE[..], more].concat()).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let feeder = std::thread::spawn(move || {
        for n in 0..LINES {
            writeln!(stdin, "{{\"n\":{n},\"k\":\"a\"}}").unwrap();
        }
        stdin
    });
    let mut records = String::new();
    for _ in 0..LINES {
        stdout.read_line(&mut records).unwrap();
    }
    let stdin = feeder.join().unwrap();
    send(&child, signal);
    stdout.read_to_string(&mut records).unwrap();
    let run: Run = child.wait_with_output().unwrap().into();
    drop(stdin);
    (run, records)
}

#[test]
fn sigint_ends_a_run_with_everything_written_and_a_summary() {
    let (run, records) = interrupted_run(Signal::SIGINT, &[]);
    run.ends_with(130);
    assert_eq!(records.lines().count(), LINES);
    assert!(records.ends_with("}}\n"));
    assert!(run.stderr.contains("SIGINT: ending with what is in flight"), "{run:?}");
    assert!(run.stderr.contains("records      5,000"), "{run:?}");
}

#[test]
fn sigterm_does_the_same_with_its_own_exit_code() {
    let (run, records) = interrupted_run(Signal::SIGTERM, &["--json"]);
    run.ends_with(143);
    assert_eq!(records.lines().count(), LINES);
    let summary = run.summary();
    assert_eq!((&summary["records"], &summary["interrupted"]), (&LINES.into(), &"sigterm".into()));
}

#[test]
fn an_interrupted_run_ends_with_whole_records_in_order() {
    let room = Room::new();
    let mut child = room.command(&BASE).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    // Feeds without end: the signal comes in the middle of work.
    let feeder = std::thread::spawn(move || {
        (0_u64..).all(|n| writeln!(stdin, "{{\"n\":{n},\"k\":\"a\"}}").is_ok())
    });
    let mut records = String::new();
    stdout.read_line(&mut records).unwrap();
    send(&child, Signal::SIGINT);
    stdout.read_to_string(&mut records).unwrap();
    let run: Run = child.wait_with_output().unwrap().into();
    run.ends_with(130);
    assert!(!feeder.join().unwrap());
    assert!(records.ends_with("}}\n"));
    for (n, line) in records.lines().enumerate() {
        assert!(line.starts_with(&format!("{{\"n\":{n},")), "{line}");
    }
}

#[test]
fn a_second_sigint_ends_a_run_that_cannot_finish() {
    let room = Room::new();
    let mut child = room.command(&BASE).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    // One record larger than the pipe: the writer is stuck until somebody reads all of it.
    let huge = format!("{{\"k\":\"a\",\"x\":\"{}\"}}\n", "x".repeat(4 << 20));
    let feeder = std::thread::spawn(move || {
        let _ = stdin.write_all(huge.as_bytes());
        stdin
    });
    let mut first = [0; 10];
    stdout.read_exact(&mut first).unwrap();
    send(&child, Signal::SIGINT);
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    assert!(said.contains("once more to end at once"), "{said}");
    send(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(feeder.join().unwrap());
}

#[test]
fn a_source_still_being_read_can_be_interrupted() {
    let room = Room::new();
    nix::unistd::mkfifo(&room.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let args = ["enrich", "--key", "k", "--as", "v", "--source", "fifo"];
    let mut child = room.command(&args).spawn().unwrap();
    // Opening it waits for the program to open its end.
    let fifo = std::fs::File::options().write(true).open(room.path("fifo")).unwrap();
    // Not SIGINT: whoever runs the tests in the background has it ignored from the start.
    send(&child, Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), None, "ended by the signal itself");
    drop(fifo);
}

/// Waits until a program has a signal sent to itself instead of being ended by it.
#[cfg(target_os = "linux")]
fn catches(child: &Child, signal: Signal) {
    let began = std::time::Instant::now();
    let has = |status: &str| {
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() >> (signal as u32 - 1) & 1 == 1
    };
    while !has(&std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap()) {
        assert!(began.elapsed().as_secs() < 60, "it listens within a minute");
        std::thread::yield_now();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_interrupted_simulation_prints_what_it_has_and_draws_nothing() {
    let room = Room::new();
    // Far more to replay than can be done before the signal comes.
    let numbers = (0..2_000_000_u64).map(|n| n.wrapping_mul(n) % 700_001);
    room.write("keys.u64", numbers.flat_map(u64::to_le_bytes).collect::<Vec<_>>());
    let sizes: Vec<String> = (1..=100).map(|share| format!("{share}%")).collect();
    let sizes = sizes.join(",");
    let args = ["simulate", "--input", "keys.u64", "-c", &sizes, "--svg", "curve.svg"];
    for (signal, code, words) in
        [(Signal::SIGINT, 130, "SIGINT: ending"), (Signal::SIGTERM, 143, "SIGTERM: ending")]
    {
        let child = room.command(&args).spawn().unwrap();
        catches(&child, signal);
        send(&child, signal);
        let run: Run = child.wait_with_output().unwrap().into();
        run.fails(code, words);
        assert!(run.stderr.contains("not all was replayed"), "{run:?}");
        assert!(run.stdout.starts_with("2,000,000 requests of "), "{run:?}");
        assert!(!room.has("curve.svg"));
    }
}
