//! Everything that an input can be, and everything that can be wrong with it.

use crate::support::{BASE, Room, gzip, row, zstd};
use std::fmt::Write;

/// Text that does not compress away, so that a cut file has whole lines before the cut.
fn varied(lines: u64) -> String {
    let mut text = String::new();
    for n in 0..lines {
        let noise = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        writeln!(text, r#"{{"n":{n},"noise":"{noise:x}{:x}"}}"#, noise.rotate_left(17)).unwrap();
    }
    text
}

#[test]
fn plain_gzip_and_zstd_are_told_by_their_bytes() {
    let room = Room::new();
    let text = "{\"k\":\"a\"}\n{\"k\":\"b\"}\n";
    let expected =
        format!("{{\"k\":\"a\",\"v\":{}}}\n{{\"k\":\"b\",\"v\":{}}}\n", row("a"), row("b"));
    let members = [gzip("{\"k\":\"a\"}\n"), gzip(""), gzip("{\"k\":\"b\"}\n")].concat();
    let frames = [zstd("{\"k\":\"a\"}\n{\"k\":"), zstd("\"b\"}\n")].concat();
    let skippable = [&b"\x50\x2a\x4d\x18\x02\0\0\0xx"[..], &zstd(text)].concat();
    let files: [(&str, Vec<u8>); 7] = [
        ("in.ndjson", text.into()),
        ("in.ndjson.gz", gzip(text)),
        ("in.ndjson.zst", zstd(text)),
        ("gzip-inside", gzip(text)),
        ("members.gz", members),
        ("frames.zst", frames),
        ("skippable.zst", skippable),
    ];
    for (name, bytes) in files {
        room.write(name, &bytes);
        assert_eq!(room.enrich_file(name, &[]).ok(), expected, "{name}");
        assert_eq!(room.enrich(&bytes, &[]).ok(), expected, "{name} on stdin");
    }
}

#[test]
fn csv_records_become_objects_of_strings() {
    let room = Room::new();
    let text = "k,n,\"t\"\"x\"\na,1.0,\"x, \"\"y\"\"\r\nz\"\r\n\nc,,NA\n";
    let expected = [
        format!(r#"{{"k":"a","n":"1.0","t\"x":"x, \"y\"\r\nz","v":{}}}"#, row("a")),
        r#"{"k":"c","n":"","t\"x":"NA"}"#.to_owned(),
        String::new(),
    ]
    .join("\n");
    for (name, bytes) in
        [("in.csv", text.into()), ("in.csv.gz", gzip(text)), ("IN.CSV.zst", zstd(text))]
    {
        room.write(name, bytes);
        assert_eq!(room.enrich_file(name, &[]).ok(), expected, "{name}");
    }
    assert_eq!(room.enrich(text, &["--format", "csv"]).ok(), expected);
    // A CSV by its name may be told to be something else.
    room.write("odd.csv", "{\"k\":\"c\"}\n");
    assert_eq!(room.enrich_file("odd.csv", &["--format", "ndjson"]).ok(), "{\"k\":\"c\"}\n");
}

#[test]
fn csv_rows_that_are_none_are_rejected_with_the_line_where_they_begin() {
    let room = Room::new();
    let text = b"k,n\na,\"1\n2\"\nb\nc,1,2\nb,\xff\nb,2\n";
    room.write("in.csv", text);
    let run = room.enrich_file("in.csv", &["--rejects", "bad"]);
    let expected = format!(
        "{{\"k\":\"a\",\"n\":\"1\\n2\",\"v\":{}}}\n{{\"k\":\"b\",\"n\":\"2\",\"v\":{}}}\n",
        row("a"),
        row("b")
    );
    assert_eq!(run.ok(), expected);
    let bad = room.read("bad");
    let bad: Vec<_> = bad.lines().collect();
    assert_eq!(bad.len(), 3);
    assert_eq!(bad[0], r#"{"line":4,"reason":"1 field where the header has 2","record":"b"}"#);
    assert!(bad[1].contains("3 fields where the header has 2"));
    assert!(bad[2].contains("\"line\":6") && bad[2].contains("not valid UTF-8"));
}

#[test]
fn an_open_quote_is_told_and_not_taken_for_a_record() {
    let room = Room::new();
    room.write("in.csv", "k,n\na,1\nb,\"2\na,3\n");
    let run = room.enrich_file("in.csv", &[]);
    run.fails(1, "in.csv:3: a quoted field is not closed before the end");
    assert_eq!(run.stdout.lines().count(), 1);
}

#[test]
fn a_csv_header_must_have_the_key_once_and_not_the_new_field() {
    let room = Room::new();
    room.write("no-key.csv", "x,y\n1,2\n");
    room.enrich_file("no-key.csv", &[])
        .fails(2, "no-key.csv: has no column `k`; its columns are `x`, `y`");
    room.write("twice.csv", "k,k\n1,2\n");
    room.enrich_file("twice.csv", &[]).fails(2, "twice.csv: the header names the column `k` twice");
    room.write("taken.csv", "k,v\n1,2\n");
    room.enrich_file("taken.csv", &[]).fails(2, "taken.csv: has a column `v` already");
}

#[test]
fn a_name_that_promises_a_compression_must_keep_it() {
    let room = Room::new();
    room.write("flights.ndjson.gz", "{\"k\":\"a\"}\n");
    room.enrich_file("flights.ndjson.gz", &["-o", "out"])
        .fails(2, "flights.ndjson.gz: not gzip data although its name says so");
    assert!(!room.has("out"), "nothing is written by a run that cannot begin");
    room.write("in.zst", gzip("{}"));
    room.enrich_file("in.zst", &[]).fails(2, "in.zst: not zstd data although its name says so");
    room.write("empty.gz", "");
    room.enrich_file("empty.gz", &[]).fails(2, "empty.gz: not gzip data");
    room.write("in.xz", b"\xfd7zXZ\0\0\0");
    room.enrich_file("in.xz", &[]).fails(2, "in.xz: is xz data");
}

#[test]
fn a_truncated_file_fails_after_what_was_whole() {
    let room = Room::new();
    let text = varied(20_000);
    for (name, whole, coding) in [("in.gz", gzip(&text), "gzip"), ("in.zst", zstd(&text), "zstd")] {
        room.write(name, &whole[..whole.len() / 2]);
        let run = room.enrich_file(name, &[]);
        run.fails(1, &format!("{name}: the {coding} data ends too early (truncated?)"));
        assert!(run.stdout.ends_with('\n'));
        assert!(text.starts_with(&run.stdout));
        assert!(run.stdout.lines().count() > 1_000, "{} lines", run.stdout.lines().count());
    }
}

#[test]
fn corrupt_data_is_told() {
    let room = Room::new();
    let mut bytes = gzip(varied(20_000));
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xff);
    room.write("in.gz", &bytes);
    // What comes out before the corruption is noticed may be anything.
    let run = room.enrich_file("in.gz", &["--rejects", "bad"]);
    run.fails(1, "in.gz: the gzip data is corrupt");
    // A checksum that does not fit is only seen at the end.
    let mut bytes = gzip("{}\n");
    let end = bytes.len();
    bytes[end - 8] ^= 1;
    let run = room.enrich(&bytes, &[]);
    run.fails(1, "stdin: the gzip data is corrupt");
    assert_eq!(run.stdout, "{}\n");
}

#[test]
fn a_file_that_cannot_be_read_is_told_before_anything_is_written() {
    let room = Room::new();
    room.enrich_file("none.ndjson", &["-o", "out"]).fails(2, "none.ndjson: no such file");
    std::fs::create_dir(room.path("folder")).unwrap();
    room.enrich_file("folder", &["-o", "out"]).fails(2, "folder: is a directory, not a file");
    assert!(!room.has("out"));
}

#[test]
fn an_empty_input_is_no_records() {
    let room = Room::new();
    room.write("empty.csv", "");
    room.write("header.csv", "k,n\n");
    for name in ["empty.csv", "header.csv"] {
        let run = room.enrich_file(name, &["--json"]);
        assert_eq!(run.ok(), "");
        assert_eq!(run.summary()["records"], 0, "{name}");
    }
    for text in ["", "\n", "\n  \r\n\t\n", "\u{feff}"] {
        let run = room.enrich(text, &["--json"]);
        assert_eq!(run.ok(), "");
        assert_eq!(run.summary()["records"], 0, "{text:?}");
        assert_eq!(run.summary()["source_calls"], 0);
    }
    assert_eq!(room.enrich(gzip(""), &[]).ok(), "");
}

#[test]
fn byte_order_mark_line_ends_and_a_last_line_without_one() {
    let room = Room::new();
    let run = room.enrich("\u{feff}{\"k\":\"c\"}\r\n\r\n{\"k\":\"d\"}", &[]);
    assert_eq!(run.ok(), "{\"k\":\"c\"}\n{\"k\":\"d\"}\n");
    let run = room.enrich("\u{feff}k\r\nc\r\n", &["--format", "csv"]);
    assert_eq!(run.ok(), "{\"k\":\"c\"}\n");
}

#[test]
fn a_line_of_50_mb_is_a_record() {
    let room = Room::new();
    let blob = "x".repeat(50_000_000);
    let text = format!("{{\"k\":\"a\",\"blob\":\"{blob}\"}}\n{{\"k\":\"b\"}}\n");
    let run = room.enrich(&text, &["--json"]);
    let expected = format!(
        "{{\"k\":\"a\",\"blob\":\"{blob}\",\"v\":{}}}\n{{\"k\":\"b\",\"v\":{}}}\n",
        row("a"),
        row("b")
    );
    assert!(run.ok() == expected, "the huge record came out otherwise");
    assert_eq!(run.summary()["enriched"], 2);
}

#[test]
fn a_line_over_the_limit_is_rejected_and_its_report_is_short() {
    let room = Room::new();
    let text =
        format!("{{\"k\":\"a\"}}\n{{\"blob\":\"{}\"}}\n{{\"k\":\"b\"}}\n", "x".repeat(3 << 20));
    let run = room.enrich(&text, &["--max-line", "2MiB", "--rejects", "bad"]);
    assert_eq!(run.ok().lines().count(), 2);
    let bad = room.read("bad");
    assert!(
        bad.starts_with(r#"{"line":2,"reason":"3145739 bytes, over the --max-line of 2097152""#)
    );
    assert!((1_000_000..1_001_000).contains(&bad.len()), "{} bytes", bad.len());
    let run = room.enrich(&text, &["--max-line", "2MiB"]);
    run.fails(1, "stdin:2: 3145739 bytes, over the --max-line of 2097152");
    assert_eq!(run.stdout.lines().count(), 1);
}

#[test]
fn a_report_is_cut_between_characters() {
    let room = Room::new();
    let run = room.enrich(format!("[\"x{}\"]\n", "é".repeat(600_000)), &["--rejects", "bad"]);
    assert_eq!(run.ok(), "");
    let bad: serde_json::Value = serde_json::from_str(&room.read("bad")).unwrap();
    assert_eq!(bad["bytes"], 1_200_005);
    let shown = bad["record"].as_str().unwrap();
    assert!(shown.ends_with('é') && (999_990..=1_000_000).contains(&shown.len()));
}

#[test]
fn text_that_is_not_utf8_is_rejected() {
    let room = Room::new();
    let run = room.enrich(b"{\"k\":\"a\xff\"}\n{\"k\":\"b\"}\n", &["--rejects", "bad"]);
    assert_eq!(run.ok().lines().count(), 1);
    let expected = "{\"line\":1,\"reason\":\"not valid UTF-8 at byte 8\",\"record\":\"{\\\"k\\\":\\\"a\u{fffd}\\\"}\"}\n";
    assert_eq!(room.read("bad"), expected);
}

#[test]
fn a_record_is_written_before_the_next_one_is_read() {
    use std::io::{BufRead, BufReader, Write};
    let room = Room::new();
    for (lines, format) in [(["{\"k\":\"c\"}", "{\"k\":\"d\"}"], "ndjson"), (["c", "d"], "csv")] {
        let mut command = room.command(&[&BASE[..], &["--format", format]].concat());
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        if format == "csv" {
            writeln!(stdin, "k").unwrap();
        }
        // Each answer comes while the input stays open.
        for (line, key) in lines.into_iter().zip(["c", "d"]) {
            writeln!(stdin, "{line}").unwrap();
            let mut answer = String::new();
            stdout.read_line(&mut answer).unwrap();
            assert_eq!(answer, format!("{{\"k\":\"{key}\"}}\n"));
        }
        drop(stdin);
        assert!(child.wait().unwrap().success());
    }
}
