//! What becomes of each record: enriched, passed, dropped or rejected, in order and as it was.

use crate::support::{BASE, Room, Run, SOURCE, row};
use std::fmt::Write;

#[test]
fn a_records_own_text_is_kept_byte_for_byte() {
    let room = Room::new();
    let text = [
        r#"{"k":"a"}"#,
        r#"  { "z" : 1.0 , "a":1e5,"k"  : "a" , "z":-0 }  "#,
        r#"{"k":"a","deep":{"k":"b","list":[{},[],"}"]},"u":"\u00e9\/é"}"#,
        r#"{"k":"a","big":12345678901234567890.123456789012345678901}"#,
        r#"{"k":"zz" , "x":{ } }"#,
    ];
    let run = room.enrich(text.join("\n"), &[]);
    let lines: Vec<_> = run.ok().lines().collect();
    let a = row("a");
    assert_eq!(lines[0], format!(r#"{{"k":"a","v":{a}}}"#));
    assert_eq!(lines[1], format!(r#"  {{ "z" : 1.0 , "a":1e5,"k"  : "a" , "z":-0 ,"v":{a}}}  "#));
    assert_eq!(lines[2], format!(r#"{},"v":{a}}}"#, text[2].strip_suffix('}').unwrap()));
    assert_eq!(lines[3], format!(r#"{},"v":{a}}}"#, text[3].strip_suffix('}').unwrap()));
    assert_eq!(lines[4], text[4]);
}

#[test]
fn keys_are_strings_and_numbers_as_written() {
    let room = Room::new();
    room.write("source.csv", format!("{SOURCE}1.0,Float\n,Empty\nx\u{e9},Accent\n"));
    let names = |text: &str| -> Vec<String> {
        let run = room.enrich(text, &[]);
        let records = run.ok().lines().map(|line| serde_json::from_str(line).unwrap());
        records
            .map(|r: serde_json::Value| r["v"]["name"].as_str().unwrap_or("-").to_owned())
            .collect()
    };
    assert_eq!(names(r#"{"k":1}"#), ["One"]);
    assert_eq!(names(r#"{"k":"1"}"#), ["One"]);
    assert_eq!(names(r#"{"k":1.0}"#), ["Float"]);
    assert_eq!(names(r#"{"k":1.00}"#), ["-"]);
    assert_eq!(names(r#"{"k":""}"#), ["Empty"]);
    assert_eq!(names(r#"{"k":"x\u00e9"}"#), ["Accent"]);
    assert_eq!(names(r#"{"\u006b":"a"}"#), ["Anna"]);
    assert_eq!(names(r#"{"k":"a","k":"b"}"#), ["Bert"]);
    assert_eq!(names(r#"{"k":null}"#), ["-"]);
    assert_eq!(names("{}"), ["-"]);
}

#[test]
fn unusable_lines_go_to_the_rejects_with_line_and_reason() {
    let room = Room::new();
    let text = [
        r#"{"k":"a"}"#,
        "oops",
        "",
        "[1]",
        r#"{"k":{"x":1}}"#,
        r#"{"k":true}"#,
        r#"{"k":"a","v":0}"#,
        r#"{"k":"a"}{"k":"b"}"#,
        r#"{"k":"b"}"#,
    ];
    let run = room.enrich(text.join("\n"), &["--rejects", "bad.ndjson", "--json"]);
    assert_eq!(run.ok().lines().count(), 2);
    let summary = run.summary();
    assert_eq!((&summary["records"], &summary["rejected"]), (&8.into(), &6.into()));
    let bad = room.read("bad.ndjson");
    let bad: Vec<serde_json::Value> =
        bad.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [
        (2, "not valid JSON: expected value (column 1)"),
        (4, "an array, not an object"),
        (5, "key `k` is an object; only strings and numbers can be looked up"),
        (6, "key `k` is a boolean; only strings and numbers can be looked up"),
        (7, "has a field `v` already; choose another --as"),
        (8, "not valid JSON: trailing characters (column 10)"),
    ];
    assert_eq!(bad.len(), expected.len());
    for (bad, (line, reason)) in bad.iter().zip(expected) {
        let record = text[line - 1];
        assert_eq!(*bad, serde_json::json!({"line": line, "reason": reason, "record": record}));
    }
}

#[test]
fn without_rejects_the_first_unusable_line_fails_the_run_after_what_came_before() {
    let room = Room::new();
    let mut text = "{\"k\":\"c\"}\n".repeat(1_000);
    text.push_str("{\"k\":\n");
    text.push_str(&"{\"k\":\"d\"}\n".repeat(1_000));
    room.write("flights.ndjson", &text);
    for batch in ["1", "7", "256", "5000"] {
        let run = room.enrich_file("flights.ndjson", &["--batch", batch]);
        run.fails(1, "flights.ndjson:1001: not valid JSON: EOF while parsing a value");
        assert_eq!(run.stdout, "{\"k\":\"c\"}\n".repeat(1_000), "batches of {batch}");
    }
}

#[test]
fn a_failure_ends_the_run_although_the_input_stays_open() {
    use std::io::Write;
    let room = Room::new();
    let mut child = room.command(&BASE).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"{\"k\":\"c\"}\nbad\n").unwrap();
    let run: Run = child.wait_with_output().unwrap().into();
    run.fails(1, "stdin:2: not valid JSON");
    assert_eq!(run.stdout, "{\"k\":\"c\"}\n");
    drop(stdin);
}

#[test]
fn records_that_cannot_be_enriched_pass_are_dropped_or_end_the_run() {
    let room = Room::new();
    let text = "{\"k\":\"a\"}\n{\"k\":\"zz\"}\n{\"x\":1}\n{\"k\":\"b\"}\n";
    let run = room.enrich(text, &["--json"]);
    assert_eq!(run.ok().lines().count(), 4);
    assert_eq!(run.stdout.lines().nth(1), Some("{\"k\":\"zz\"}"));
    let summary = run.summary();
    let count = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!((count("records"), count("enriched")), (4, 2));
    assert_eq!((count("absent"), count("no_key"), count("dropped")), (1, 1, 0));

    let run = room.enrich(text, &["--on-missing", "drop", "--json"]);
    assert_eq!(run.ok().lines().count(), 2);
    let summary = run.summary();
    assert_eq!((&summary["absent"], &summary["dropped"]), (&1.into(), &2.into()));

    let run = room.enrich(text, &["--on-missing", "fail"]);
    run.fails(3, "stdin:2: the source does not have its key (--on-missing fail)");
    assert_eq!(run.stdout.lines().count(), 1);
    let run = room.enrich("{\"k\":\"a\"}\n{}\n", &["--on-missing", "fail"]);
    run.fails(3, "stdin:2: it has no key `k` (--on-missing fail)");
}

#[test]
fn order_is_kept_whatever_runs_at_once() {
    let room = Room::new();
    let mut source = "k,name\n".to_owned();
    let mut text = String::new();
    for n in 0..5_000 {
        writeln!(source, "{n},{}", "x".repeat(n % 97)).unwrap();
        writeln!(text, "{{\"n\":{n},\"k\":{}}}", n * 7919 % 6_000).unwrap();
    }
    room.write("source.csv", source);
    for (concurrency, batch, memory) in [
        ("1", "1", "0"),
        ("16", "1", "100"),
        ("16", "7", "0"),
        ("3", "1000", "10"),
        ("64", "13", "9999"),
    ] {
        let options = ["--concurrency", concurrency, "--batch", batch, "--memory", memory];
        let run = room.enrich(&text, &options);
        for (n, line) in run.ok().lines().enumerate() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let key = n * 7919 % 6_000;
            assert_eq!(record["n"], n);
            assert_eq!(
                record["v"]["name"].as_str().map(str::len),
                (key < 5_000).then_some(key % 97)
            );
        }
        assert_eq!(run.stdout.lines().count(), 5_000);
    }
}

#[test]
fn the_source_is_asked_once_per_key_and_absence_is_remembered() {
    let room = Room::new();
    let text = "{\"k\":\"a\"}\n{\"k\":\"zz\"}\n{\"k\":\"b\"}\n{\"k\":\"yy\"}\n".repeat(500);
    // A file, not a pipe: what a pipe holds at a moment would decide about batches.
    room.write("in.ndjson", text);
    let asked = |more: &[&str]| {
        let options = [&["--batch", "10", "--concurrency", "1", "--json"], more].concat();
        let run = room.enrich_file("in.ndjson", &options);
        assert_eq!(run.ok().lines().count(), 2_000);
        run.summary()
    };
    let summary = asked(&[]);
    assert_eq!(summary["source_calls"], 4);
    assert_eq!(summary["source_batches"], 1);
    let tier = &summary["tiers"][0];
    assert_eq!((&tier["name"], &tier["misses"]), (&"lru".into(), &4.into()));
    let count = |name: &str| tier[name].as_u64().unwrap();
    assert_eq!(count("hits") + count("misses") + count("coalesced"), 2_000);
    assert!(tier["p50_us"].as_f64().unwrap() > 0.0);
    assert!(tier["p99_us"].as_f64() >= tier["p50_us"].as_f64());

    let forgetful = asked(&["--no-absent"])["source_calls"].as_u64().unwrap();
    assert!(forgetful > 100, "absent keys are asked for again: {forgetful}");
    let without = asked(&["--memory", "0"]);
    assert_eq!(without["tiers"], serde_json::json!([]));
    assert!(without["source_batches"] == 200, "{without}");
}

#[test]
fn as_many_absent_keys_as_found_ones_are_remembered() {
    let room = Room::new();
    let text: String = (0..100).map(|n| format!("{{\"k\":\"absent{n}\"}}\n")).collect();
    let run = room.enrich(text.repeat(3), &["--memory", "100", "--json"]);
    run.ok();
    assert_eq!(run.summary()["source_calls"], 100);
}

#[test]
fn a_limit_ends_the_run_after_so_many_records() {
    let room = Room::new();
    let text = "{\"k\":\"a\"}\n\nbad\n{\"k\":\"b\"}\n";
    let records = |limit: &str| {
        let run = room.enrich(text, &["--limit", limit, "--rejects", "bad", "--json"]);
        run.ok();
        (run.summary()["records"].as_u64().unwrap(), run.stdout.lines().count())
    };
    assert_eq!(records("0"), (0, 0));
    assert_eq!(records("1"), (1, 1));
    assert_eq!(records("2"), (2, 1));
    assert_eq!(records("3"), (3, 2));
    assert_eq!(records("99"), (3, 2));
}

#[test]
fn new_field_names_are_escaped() {
    let room = Room::new();
    let run = room.pipe(
        &["enrich", "--key", "k", "--as", "my \"v\"", "--source", "source.csv"],
        "{\"k\":\"a\"}\n",
    );
    assert_eq!(run.ok(), format!("{{\"k\":\"a\",\"my \\\"v\\\"\":{}}}\n", row("a")));
}
