//! File sources, and what can be wrong with any source.

use crate::support::{Room, Run, gzip, row, zstd};

fn enrich_from(room: &Room, source: &str, more: &[&str]) -> Run {
    let base = ["enrich", "--key", "k", "--as", "v", "--source", source];
    room.pipe(&[&base[..], more].concat(), "{\"k\":\"a\"}\n{\"k\":1}\n")
}

#[test]
fn a_source_is_csv_or_ndjson_plain_or_compressed() {
    let room = Room::new();
    let csv = room.read("source.csv");
    let ndjson = [row("a"), row("b"), row("1"), ""].join("\n");
    let files: [(&str, Vec<u8>); 5] = [
        ("s.csv.gz", gzip(&csv)),
        ("s.csv.zst", zstd(&csv)),
        ("s.ndjson", ndjson.clone().into()),
        ("s.jsonl.gz", gzip(&ndjson)),
        ("s", zstd(&ndjson)),
    ];
    let expected = format!("{{\"k\":\"a\",\"v\":{}}}\n{{\"k\":1,\"v\":{}}}\n", row("a"), row("1"));
    for (name, bytes) in files {
        room.write(name, bytes);
        assert_eq!(enrich_from(&room, name, &[]).ok(), expected, "{name}");
    }
}

#[test]
fn rows_of_an_ndjson_source_keep_their_text() {
    let room = Room::new();
    room.write("s.ndjson", "  {\"k\" : \"a\", \"x\":1.50, \"x\":[ ]} \r\n{\"k\":1.0}\n");
    let run = enrich_from(&room, "s.ndjson", &[]);
    assert_eq!(run.ok(), "{\"k\":\"a\",\"v\":{\"k\" : \"a\", \"x\":1.50, \"x\":[ ]}}\n{\"k\":1}\n");
}

#[test]
fn the_key_column_may_have_another_name() {
    let room = Room::new();
    room.write("s.csv", "k,id\nwrong,a\n");
    let run = enrich_from(&room, "s.csv", &["--source-key", "id"]);
    assert!(run.ok().starts_with(r#"{"k":"a","v":{"k":"wrong","id":"a"}}"#));
}

#[test]
fn a_key_column_that_is_not_there_is_told_with_those_that_are() {
    let room = Room::new();
    room.write("s.csv", "id,name\n1,2\n");
    let run = enrich_from(&room, "s.csv", &[]);
    run.fails(2, "s.csv: has no column `k`; its columns are `id`, `name`");
    room.write("s.ndjson", "{\"id\":1,\"name\":2}\n");
    let run = enrich_from(&room, "s.ndjson", &[]);
    run.fails(2, "s.ndjson: no row has a field `k`; the first row's fields are `id`, `name`");
}

#[test]
fn the_last_of_equal_keys_wins_and_is_counted() {
    let room = Room::new();
    room.write("s.csv", "k,name\na,first\nb,x\na,second\na,last\n");
    let run = enrich_from(&room, "s.csv", &[]);
    assert!(run.ok().contains("last") && !run.stdout.contains("second"));
    assert!(
        run.stderr.contains(
            "s.csv: rows with a key that came before (the last row of each key counts): 2"
        ),
        "{run:?}"
    );
    let summary = enrich_from(&room, "s.csv", &["--json"]).summary();
    assert_eq!(summary["source_duplicates"], 2);
}

#[test]
fn rows_without_a_key_are_counted() {
    let room = Room::new();
    room.write("s.ndjson", "{\"k\":\"a\"}\n{\"x\":1}\n{\"k\":null}\n");
    let run = enrich_from(&room, "s.ndjson", &[]);
    assert!(run.ok().starts_with(r#"{"k":"a","v":{"k":"a"}}"#));
    assert!(run.stderr.contains("s.ndjson: rows without a key (not used): 2"), "{run:?}");
    assert_eq!(enrich_from(&room, "s.ndjson", &["--json"]).summary()["source_no_key"], 2);
}

#[test]
fn a_row_that_is_none_is_told_with_its_line() {
    let room = Room::new();
    room.write("s.csv", "k,name\na,1\nb\n");
    enrich_from(&room, "s.csv", &[]).fails(2, "s.csv:3: 1 field where the header has 2");
    room.write("s.csv", "k,name\na,\"1\nb,2\n");
    enrich_from(&room, "s.csv", &[]).fails(2, "s.csv:2: a quoted field is not closed");
    room.write("s.ndjson", "{\"k\":1}\n\n[]\n");
    enrich_from(&room, "s.ndjson", &[]).fails(2, "s.ndjson:3: an array, not an object");
    room.write("s.ndjson", "{\"k\":[]}\n");
    enrich_from(&room, "s.ndjson", &[]).fails(2, "s.ndjson:1: key `k` is an array");
    room.write("s.ndjson.gz", &gzip("{\"k\":1}\n")[..12]);
    enrich_from(&room, "s.ndjson.gz", &[]).fails(2, "s.ndjson.gz: the gzip data ends too early");
}

#[test]
fn a_source_that_cannot_be_used_is_told() {
    let room = Room::new();
    std::fs::create_dir(room.path("folder")).unwrap();
    room.write("empty.csv", "");
    room.write("empty.ndjson", "\n");
    for (source, words) in [
        ("none.csv", "none.csv: no such file"),
        ("folder", "folder: is a directory, not a file"),
        ("empty.csv", "empty.csv: is empty; a CSV needs a header at least"),
        ("empty.ndjson", "empty.ndjson: is empty"),
        ("-", "stdin cannot be a source"),
        ("firestore://demo", "names no project and collection"),
        ("postgres://db/planes", "unknown kind of place `postgres:`"),
        ("sqlite:planes.db", "names no table"),
    ] {
        let run = enrich_from(&room, source, &["-o", "out"]);
        run.fails(2, words);
        assert!(!room.has("out"), "{source}");
    }
}

#[test]
fn a_source_of_no_rows_finds_nothing_and_says_so() {
    let room = Room::new();
    room.write("s.csv", "k,name\n");
    let run = enrich_from(&room, "s.csv", &[]);
    assert_eq!(run.ok().lines().count(), 2);
    assert!(run.stderr.contains("s.csv has no rows: every key will be absent"), "{run:?}");
}
