//! Where records and summaries go, and what happens if they cannot.

use crate::support::{BASE, Room, Run, row};
use std::io::{BufRead, BufReader};
use std::process::Command;

const THREE: &str = "{\"k\":\"a\"}\n{\"k\":\"b\"}\n{}\n";

/// More than pipes and buffers hold.
fn much() -> String {
    format!("{{\"k\":\"c\",\"x\":\"{}\"}}\n", "x".repeat(200)).repeat(20_000)
}

#[test]
fn records_go_to_stdout_or_to_a_file_that_is_emptied_first() {
    let room = Room::new();
    let expected =
        format!("{{\"k\":\"a\",\"v\":{}}}\n{{\"k\":\"b\",\"v\":{}}}\n{{}}\n", row("a"), row("b"));
    assert_eq!(room.enrich(THREE, &[]).ok(), expected);
    assert_eq!(room.enrich(THREE, &["-o", "-"]).ok(), expected);
    room.write("out", "x".repeat(10_000));
    assert_eq!(room.enrich(THREE, &["-o", "out"]).ok(), "");
    assert_eq!(room.read("out"), expected);
}

#[test]
fn the_table_is_for_people_and_on_stderr() {
    let room = Room::new();
    let run = room.enrich(THREE, &[]);
    run.ok();
    let table: Vec<_> = run.stderr.lines().collect();
    assert_eq!(table[0], "records      3");
    assert_eq!(table[1], "  enriched   2   66.7 %");
    assert_eq!(table[3], "  no key     1   33.3 %");
    assert!(table[6].starts_with("tier ") && table[6].ends_with("p99"), "{table:#?}");
    assert!(table[7].starts_with("lru ") && table[8].starts_with("source   2 keys"), "{table:#?}");
    let colourless = |run: &Run| !run.stderr.contains('\u{1b}');
    assert!(colourless(&run), "no colours where there is no terminal");
    let run = room.enrich(THREE, &["--quiet"]);
    run.ok();
    assert_eq!(run.stderr, "");
}

#[test]
fn json_is_alone_on_stdout_with_a_file_and_on_stderr_without() {
    let room = Room::new();
    room.write("source.csv", "k,name\na,1\na,2\n");
    let run = room.enrich(THREE, &["--json", "-o", "out"]);
    let summary: serde_json::Value = serde_json::from_str(run.ok()).unwrap();
    assert!(run.stderr.contains("note: source.csv: rows with a key that came before"));
    assert_eq!(run.stdout.lines().count(), 1);
    let names: Vec<_> = summary.as_object().unwrap().keys().map(String::as_str).collect();
    for name in [
        "records",
        "enriched",
        "absent",
        "no_key",
        "rejected",
        "dropped",
        "source_calls",
        "source_batches",
        "source_duplicates",
        "elapsed_ms",
        "interrupted",
        "error",
        "tiers",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert_eq!(summary["interrupted"], serde_json::Value::Null);
    let run = room.enrich(THREE, &["--json"]);
    assert_eq!(run.ok().lines().count(), 3);
    assert_eq!(run.summary()["source_duplicates"], 1);
    let run = room.enrich(THREE, &["--json", "--quiet", "-o", "out"]);
    assert!(run.ok().starts_with("{\"records\":3,") && run.stderr.is_empty());
}

#[test]
fn a_run_that_fails_has_its_error_in_the_json() {
    let room = Room::new();
    let run = room.enrich("{\"k\":\"a\"}\nbad\n", &["--json"]);
    run.ends_with(1);
    let summary = run.summary();
    assert_eq!(summary["records"], 1);
    assert!(summary["error"].as_str().unwrap().starts_with("stdin:2: not valid JSON"), "{summary}");
    let run = room.enrich("{\"k\":\"a\"}\nbad\n", &["--json", "-o", "out"]);
    run.fails(1, "headwater: error: stdin:2: not valid JSON");
    assert!(run.stdout.contains("\"error\":\"stdin:2"));
}

#[test]
fn a_closed_pipe_ends_the_run_quietly() {
    let room = Room::new();
    room.write("in.ndjson", much());
    let mut command = room.command(&[&BASE[..], &["--input", "in.ndjson"]].concat());
    let mut child = command.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    assert!(first.ends_with("\"}\n"));
    drop(stdout);
    let run: Run = child.wait_with_output().unwrap().into();
    assert_eq!((run.ok(), run.stderr.as_str()), ("", ""));
}

#[test]
fn a_closed_pipe_is_named_in_the_json() {
    let room = Room::new();
    room.write("in.ndjson", much());
    let mut child =
        room.command(&[&BASE[..], &["--input", "in.ndjson", "--json"]].concat()).spawn().unwrap();
    drop(child.stdout.take());
    let run: Run = child.wait_with_output().unwrap().into();
    run.ok();
    assert_eq!(run.summary()["interrupted"], "closed_pipe");
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_told_with_the_name_of_the_file() {
    let room = Room::new();
    room.enrich(THREE, &["-o", "/dev/full"])
        .fails(1, "error: /dev/full: no space left on the device");
    room.enrich(much(), &["-o", "/dev/full"]).fails(1, "/dev/full: no space left on the device");
    let run = room.enrich("bad\n", &["--rejects", "/dev/full"]);
    run.fails(1, "/dev/full: no space left on the device");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    room.write("in.ndjson", THREE);
    let mut command = room.command(&[&BASE[..], &["--input", "in.ndjson"]].concat());
    let run: Run = command.stdout(full).output().unwrap().into();
    run.fails(1, "stdout: no space left on the device");
}

/// A limit on the size of files stops a write in the middle, as a full disk does.
#[cfg(unix)]
#[test]
fn a_file_that_ran_full_ends_after_a_whole_line() {
    let room = Room::new();
    room.write("in.ndjson", much());
    let script = format!(
        "trap '' XFSZ; ulimit -f 100; exec '{}' {} --input in.ndjson -o out",
        env!("CARGO_BIN_EXE_headwater"),
        BASE.join(" ")
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(room.path("."));
    let run: Run = command.output().unwrap().into();
    run.fails(1, "error: out: ");
    let out = room.read("out");
    assert!(out.len() > 40_000, "{} bytes", out.len());
    assert!(out.ends_with("\"}\n"), "ends with {:?}", &out[out.len() - 10..]);
}

#[test]
fn an_output_that_cannot_be_made_is_told() {
    let room = Room::new();
    std::fs::create_dir(room.path("folder")).unwrap();
    room.enrich(THREE, &["-o", "folder"]).fails(2, "folder: cannot be written: is a directory");
    room.enrich(THREE, &["-o", "no/such"]).fails(2, "no/such: cannot be written: no such file");
    room.enrich(THREE, &["--rejects", "folder"]).fails(2, "folder: cannot be written");
}

#[test]
fn a_file_is_never_read_and_written_at_once() {
    let room = Room::new();
    room.write("in.ndjson", THREE);
    std::fs::hard_link(room.path("in.ndjson"), room.path("link")).unwrap();
    let fails = |more: &[&str], words: &str| room.enrich_file("in.ndjson", more).fails(2, words);
    fails(&["-o", "in.ndjson"], "in.ndjson: cannot be --input and -o at once");
    fails(&["-o", "./link"], "in.ndjson: cannot be --input and -o at once");
    fails(&["--rejects", "in.ndjson"], "in.ndjson: cannot be --input and --rejects at once");
    fails(&["-o", "source.csv"], "source.csv: cannot be --source and -o at once");
    fails(&["-o", "new", "--rejects", "new"], "new: cannot be -o and --rejects at once");
    fails(&["-o", "./new", "--rejects", "new"], "new: cannot be -o and --rejects at once");
    fails(&["--rejects", "-"], "--rejects -: give a file");
    assert_eq!(room.read("in.ndjson"), THREE);
    assert!(!room.has("new"));

    let open = |name: &str| std::fs::File::open(room.path(name)).unwrap();
    let mut command = room.command(&[&BASE[..], &["-o", "in.ndjson"]].concat());
    let run: Run = command.stdin(open("in.ndjson")).output().unwrap().into();
    run.fails(2, "in.ndjson: cannot be --input and -o at once");
    let append = std::fs::File::options().append(true).open(room.path("in.ndjson")).unwrap();
    let mut command = room.command(&[&BASE[..], &["--input", "in.ndjson"]].concat());
    let run: Run = command.stdout(append).output().unwrap().into();
    run.fails(2, "in.ndjson: cannot be --input and -o at once");
    assert_eq!(room.read("in.ndjson"), THREE);
}

#[test]
fn devices_may_be_used_twice() {
    let room = Room::new();
    let run = room.run(&[&BASE[..], &["--input", "/dev/null", "-o", "/dev/null"]].concat());
    run.ok();
}

/// The bar needs a terminal: it gets one, whose other end is read here.
#[cfg(unix)]
mod terminal {
    use super::*;
    use nix::pty::{Winsize, openpty};
    use std::fs::File;
    use std::io::{Read, Write};
    use std::process::Stdio;

    /// Reads the terminal until `words` come.
    fn read_until(terminal: &mut File, words: &str) -> String {
        let mut seen = String::new();
        let mut piece = [0; 1024];
        while !seen.contains(words) {
            let count = terminal.read(&mut piece).unwrap();
            seen.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
        seen
    }

    #[test]
    fn a_terminal_shows_a_bar_with_rate_and_hits() {
        let room = Room::new();
        let size = Winsize { ws_row: 24, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let mut terminal = File::from(pty.master);
        let mut command = room.command(&BASE);
        command.env("TERM", "xterm").stdin(Stdio::piped()).stderr(Stdio::from(pty.slave));
        let mut child = command.spawn().unwrap();
        // Our copy of the terminal's end must not keep it open.
        drop(command);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(THREE.as_bytes()).unwrap();
        let bar = read_until(&mut terminal, "3 records, ");
        let bar = bar + &read_until(&mut terminal, "lru ");
        assert!(bar.contains("records/s"), "{bar:?}");
        drop(stdin);
        let table = read_until(&mut terminal, "hit ratio");
        assert!(table.contains("enriched"), "{table:?}");
        let run: Run = child.wait_with_output().unwrap().into();
        assert_eq!(run.ok().lines().count(), 3);
    }
}
