//! SQLite tables as sources, and `headwater load`.

use crate::support::{Room, Run, gzip};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::fmt::Write;

fn database(room: &Room, sql: &str) {
    Connection::open(room.path("s.db")).unwrap().execute_batch(sql).unwrap();
}

fn enrich_from(room: &Room, source: &str, input: &str, more: &[&str]) -> Run {
    let base = ["enrich", "--key", "k", "--as", "v", "--source", source];
    room.pipe(&[&base[..], more].concat(), input)
}

/// What was added to each record; null where nothing was.
fn added(run: &Run) -> Vec<Value> {
    let record = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    run.ok().lines().map(|line| record(line)["v"].clone()).collect()
}

/// All rows of the table `t`, as text.
fn table(room: &Room) -> Vec<String> {
    let connection = Connection::open(room.path("s.db")).unwrap();
    let mut statement = connection.prepare("SELECT * FROM t ORDER BY k").unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let cell = |index| match row.get::<_, rusqlite::types::Value>(index).unwrap() {
            rusqlite::types::Value::Null => "NULL".to_owned(),
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Real(number) => format!("{number:?}"),
            rusqlite::types::Value::Text(text) => format!("'{text}'"),
            rusqlite::types::Value::Blob(_) => "BLOB".to_owned(),
        };
        found.push((0..columns).map(cell).collect::<Vec<_>>().join("|"));
    }
    found
}

#[test]
fn rows_become_objects_with_their_types() {
    let room = Room::new();
    database(
        &room,
        "CREATE TABLE t (k TEXT PRIMARY KEY, \"a \"\"q\"\"\" INTEGER, r REAL, b BLOB, n);
         INSERT INTO t VALUES ('x', 7, 1.5, x'00ff', NULL), ('y', -1, 2.0, x'', 'text');",
    );
    let run = enrich_from(
        &room,
        "sqlite:s.db?table=t",
        "{\"k\":\"x\"}\n{\"k\":\"z\"}\n{\"k\":\"y\"}\n",
        &[],
    );
    let expected = [
        json!({"k": "x", "a \"q\"": 7, "r": 1.5, "b": "AP8=", "n": null}),
        Value::Null,
        json!({"k": "y", "a \"q\"": -1, "r": 2.0, "b": "", "n": "text"}),
    ];
    assert_eq!(added(&run), expected);
    assert!(run.stdout.contains(r#"{"k":"x","a \"q\"":7,"r":1.5,"b":"AP8=","n":null}"#));
}

#[test]
fn numbers_and_text_meet_in_every_kind_of_key_column() {
    let room = Room::new();
    let keys =
        "{\"k\":7}\n{\"k\":\"7\"}\n{\"k\":\"07\"}\n{\"k\":\" 7\"}\n{\"k\":7.0}\n{\"k\":\"A\"}\n";
    let found = |kind: &str, stored: &str| {
        database(
            &room,
            &format!("CREATE TABLE t (k {kind}, x); INSERT INTO t VALUES ({stored}, 1)"),
        );
        let run = enrich_from(&room, "sqlite:s.db?table=t", keys, &["--batch", "3"]);
        let found = added(&run).iter().map(|value| u8::from(!value.is_null())).collect::<Vec<_>>();
        std::fs::remove_file(room.path("s.db")).unwrap();
        found
    };
    assert_eq!(found("INTEGER PRIMARY KEY", "7"), [1, 1, 0, 0, 0, 0]);
    assert_eq!(found("TEXT UNIQUE", "'7'"), [1, 1, 0, 0, 0, 0]);
    assert_eq!(found("", "7"), [1, 1, 0, 0, 0, 0]);
    assert_eq!(found("", "'7'"), [1, 1, 0, 0, 0, 0]);
    assert_eq!(found("REAL", "7.0"), [1, 1, 0, 0, 1, 0]);
    assert_eq!(found("NUMERIC", "7"), [1, 1, 0, 0, 0, 0]);
    assert_eq!(found("TEXT", "'07'"), [0, 0, 1, 0, 0, 0]);
    // Another case is another key, even where the column does not tell them apart.
    assert_eq!(found("TEXT COLLATE NOCASE", "'a'"), [0, 0, 0, 0, 0, 0]);
}

#[test]
fn batches_may_be_larger_than_one_statement() {
    let room = Room::new();
    let (mut sql, mut text) =
        ("CREATE TABLE t (k PRIMARY KEY, x); BEGIN;".to_owned(), String::new());
    for n in 0..3_000 {
        write!(sql, "INSERT INTO t VALUES ({n}, {});", n * 2).unwrap();
        writeln!(text, "{{\"k\":{}}}", n * 2).unwrap();
    }
    sql.push_str("COMMIT");
    database(&room, &sql);
    room.write("in.ndjson", text);
    let options = ["--input", "in.ndjson", "--batch", "3000", "--json"];
    let run = enrich_from(&room, "sqlite:s.db?table=t", "", &options);
    let found = added(&run);
    assert_eq!(found.len(), 3_000);
    assert!((0..1_500).all(|n| found[n]["x"] == n * 4));
    assert!(found[1_500..].iter().all(Value::is_null));
    assert_eq!(run.summary()["source_calls"], 3_000);
    assert_eq!(run.summary()["source_batches"], 1);
}

#[test]
fn names_are_never_taken_for_sql() {
    let room = Room::new();
    database(
        &room,
        "CREATE TABLE \"a\"\"; DROP TABLE t; --\" (\"k \"\"'?\" TEXT, x);
         CREATE TABLE t (k);
         INSERT INTO \"a\"\"; DROP TABLE t; --\" VALUES ('a', 1);",
    );
    let source = "sqlite:s.db?table=a\"; DROP TABLE t; --&key=k \"'?";
    let run = enrich_from(&room, source, "{\"k\":\"a\"}\n{\"k\":\"'); DROP TABLE t; --\"}\n", &[]);
    assert_eq!(added(&run)[0]["x"], 1);
    assert!(table(&room).is_empty(), "the table is still there");
}

#[test]
fn what_is_not_there_is_told_and_never_made() {
    let room = Room::new();
    let fails = |source: &str, words: &str| {
        enrich_from(&room, source, "{}", &["-o", "out"]).fails(2, words);
        assert!(!room.has("out"));
    };
    fails("sqlite:none.db?table=t", "none.db: no such file");
    assert!(!room.has("none.db"));
    fails("sqlite:source.csv?table=t", "source.csv: file is not a database");
    room.write("s.db", "");
    fails("sqlite:s.db?table=t", "s.db: has no table `t`, nor any other");
    database(
        &room,
        "CREATE TABLE planes (id, name); CREATE VIEW all_planes AS SELECT * FROM planes",
    );
    fails("sqlite:s.db?table=t", "s.db: has no table `t`; its tables are `all_planes`, `planes`");
    fails(
        "sqlite:s.db?table=planes",
        "table `planes` has no column `k`; its columns are `id`, `name`",
    );
    fails("sqlite:s.db?table=planes&key=nr", "table `planes` has no column `nr`");
}

#[test]
fn a_key_column_without_an_index_works_and_is_noted() {
    let room = Room::new();
    database(&room, "CREATE TABLE t (k, x); INSERT INTO t VALUES ('a', 1)");
    let run = enrich_from(&room, "sqlite:s.db?table=t", "{\"k\":\"a\"}\n", &[]);
    assert_eq!(added(&run)[0]["x"], 1);
    assert!(run.stderr.contains("`k` of `t` has no index"), "{run:?}");
    database(&room, "CREATE INDEX i ON t (k)");
    let run = enrich_from(&room, "sqlite:s.db?table=t", "{\"k\":\"a\"}\n", &[]);
    assert!(run.stderr.contains("`k` of `t` is not unique"), "{run:?}");
    database(&room, "CREATE UNIQUE INDEX u ON t (k); CREATE VIEW w AS SELECT k, x + 1 AS y FROM t");
    let run = enrich_from(&room, "sqlite:s.db?table=t", "{\"k\":\"a\"}\n", &[]);
    assert!(!run.stderr.contains("note"), "{run:?}");
    let run = enrich_from(&room, "sqlite:s.db?table=w", "{\"k\":\"a\"}\n", &[]);
    assert_eq!(added(&run), [json!({"k": "a", "y": 2})]);
    assert!(!run.stderr.contains("note"), "a view uses its table's index: {run:?}");
}

#[test]
fn a_source_that_fails_on_the_way_fails_the_run_after_what_came_before() {
    let room = Room::new();
    database(
        &room,
        "CREATE TABLE t (k PRIMARY KEY, x); INSERT INTO t VALUES ('a', 1), ('bad', CAST(x'ff' AS TEXT))",
    );
    let text = "{\"k\":\"a\"}\n{\"k\":\"a\"}\n{\"k\":\"bad\"}\n{\"k\":\"a\"}\n";
    let run = enrich_from(&room, "sqlite:s.db?table=t", text, &["--batch", "1"]);
    run.fails(1, "stdin:3: looking up its key: unavailable: reading s.db: column 2 of `t`: text that is not UTF-8");
    assert_eq!(run.stdout.lines().count(), 2);
}

#[test]
fn a_loaded_csv_is_a_source() {
    let room = Room::new();
    room.write("planes.csv.gz", gzip("k,seats\nN1,2\nN2,NA\nN1,4\n"));
    let run = room.run(&["load", "planes.csv.gz", "sqlite:s.db?table=t&key=k"]);
    run.ok();
    assert!(run.stderr.contains("3 rows into sqlite:s.db?table=t&key=k"), "{run:?}");
    assert!(
        run.stderr
            .contains("rows with a key that came before (the last row of each key counts): 1"),
        "{run:?}"
    );
    assert_eq!(table(&room), ["'N1'|'4'", "'N2'|'NA'"]);
    let run = enrich_from(&room, "sqlite:s.db?table=t&key=k", "{\"k\":\"N1\"}\n", &[]);
    assert_eq!(added(&run), [json!({"k": "N1", "seats": "4"})]);
    assert!(!run.stderr.contains("note"), "the loaded key has an index: {run:?}");
}

#[test]
fn ndjson_is_loaded_with_types_and_new_fields_become_columns() {
    let room = Room::new();
    let text = [
        r#"{"k":"a","i":1,"r":1.5,"t":true,"n":null,"o":{"x": [1]}}"#,
        r#"{"k":2,"new":"x"}"#,
        r#"{"i":5}"#,
        r#"{"k":"a","i":"last"}"#,
    ];
    room.write("in.ndjson", text.join("\n"));
    let run = room.run(&["load", "in.ndjson", "sqlite:s.db?table=t&key=k", "--json"]);
    let mut summary: Value = serde_json::from_str(run.ok()).unwrap();
    assert!(summary["elapsed_ms"].is_u64());
    summary.as_object_mut().unwrap().remove("elapsed_ms");
    let expected = json!({
        "rows": 3, "duplicates": 1, "no_key": 1, "rejected": 0, "unchanged": 0,
        "new_columns": 1, "interrupted": null
    });
    assert_eq!(summary, expected);
    assert_eq!(run.stderr, "");
    assert_eq!(
        table(&room),
        ["'2'|NULL|NULL|NULL|NULL|NULL|'x'", "'a'|'last'|NULL|NULL|NULL|NULL|NULL"]
    );
}

#[test]
fn nested_values_are_loaded_as_their_text() {
    let room = Room::new();
    room.write("in.ndjson", r#"{"k":"a","o":{"x": [1, true]},"t":true,"f":false,"r":2.0}"#);
    room.run(&["load", "in.ndjson", "sqlite:s.db?table=t&key=k"]).ok();
    assert_eq!(table(&room), [r#"'a'|'{"x": [1, true]}'|1|0|2.0"#]);
}

#[test]
fn a_load_goes_over_what_the_table_has() {
    let room = Room::new();
    database(
        &room,
        "CREATE TABLE t (own TEXT, K TEXT PRIMARY KEY, x INTEGER);
         INSERT INTO t VALUES ('keep', 'a', 1), ('keep', 'b', 2)",
    );
    room.write("in.csv", "k,x,y\nb,20,new\nc,30,new\n");
    let run = room.run(&["load", "in.csv", "sqlite:s.db?table=t&key=k"]);
    run.ok();
    assert!(run.stderr.contains("new columns: 1"), "{run:?}");
    assert_eq!(table(&room), ["'keep'|'a'|1|NULL", "'keep'|'b'|20|'new'", "NULL|'c'|30|'new'"]);
}

#[test]
fn a_load_that_fails_leaves_everything_as_it_was() {
    let room = Room::new();
    let to = "sqlite:s.db?table=t&key=k";
    let rows: String = (0..5_000).map(|n| format!("{{\"k\":{n},\"x{}\":1}}\n", n % 3)).collect();
    room.write("bad.ndjson", format!("{rows}oops\n"));
    room.run(&["load", "bad.ndjson", to]).fails(1, "bad.ndjson:5001: not valid JSON");
    assert!(!room.has("s.db"), "no file is left behind");

    database(&room, "CREATE TABLE t (k TEXT PRIMARY KEY, x0); INSERT INTO t VALUES ('0', 'old')");
    let run = room.run(&["load", "bad.ndjson", to]);
    run.fails(1, "bad.ndjson:5001: not valid JSON");
    assert!(run.stderr.contains("the table is as it was"));
    assert_eq!(table(&room), ["'0'|'old'"]);

    let whole = gzip(&rows);
    room.write("cut.gz", &whole[..whole.len() - 20]);
    room.run(&["load", "cut.gz", to]).fails(1, "cut.gz: the gzip data ends too early");
    room.write("ragged.csv", "k,x0\n0,1\n1\n");
    room.run(&["load", "ragged.csv", to]).fails(1, "ragged.csv:3: 1 field where the header has 2");
    room.write("cases.ndjson", "{\"k\":1,\"x\":1,\"X\":2}\n");
    room.run(&["load", "cases.ndjson", to])
        .fails(1, "cases.ndjson:1: `X` and `x` differ only in case");
    room.write("keyless.ndjson", "{\"a\":1}\n");
    room.run(&["load", "keyless.ndjson", to])
        .fails(1, "keyless.ndjson: no row has a field `k`; the first row's fields are `a`");
    assert_eq!(table(&room), ["'0'|'old'"]);
}

#[test]
fn a_load_that_cannot_begin_is_told() {
    let room = Room::new();
    database(&room, "CREATE TABLE plain (k, x); CREATE TABLE other (id PRIMARY KEY)");
    room.write("in.csv", "k,x\n1,2\n");
    room.write("empty.csv", "");
    room.write("not.gz", "k\n");
    let fails = |file: &str, to: &str, words: &str| room.run(&["load", file, to]).fails(2, words);
    fails("in.csv", "sqlite:s.db?table=t", "which column is the key?");
    fails("in.csv", "sqlite:s.db?table=plain&key=k", "is not unique; first CREATE UNIQUE INDEX");
    fails("in.csv", "sqlite:s.db?table=other&key=k", "table `other` has no column `k`");
    fails(
        "in.csv",
        "sqlite:s.db?table=t&key=y",
        "in.csv: has no column `y`; its columns are `k`, `x`",
    );
    fails(
        "in.csv",
        "sqlite:no/such/folder.db?table=t&key=k",
        "folder.db: unable to open database file",
    );
    fails("in.csv", "sqlite:source.csv?table=t&key=k", "source.csv: file is not a database");
    fails("none.csv", "sqlite:s.db?table=t&key=k", "none.csv: no such file");
    fails("not.gz", "sqlite:s.db?table=t&key=k", "not.gz: not gzip data");
    let to = ["load", "in.csv", "sqlite:s.db?table=t&key=k"];
    room.run(&[&to[..], &["--ttl", "1h"]].concat())
        .fails(2, "--ttl and --go-compatible are for Redis");
    fails("in.csv", "planes.db", "planes.db: cannot load into a file");
    fails("s.db", "sqlite:s.db?table=t&key=k", "s.db: cannot be loaded into itself");
    room.run(&["load", "empty.csv", "sqlite:new.db?table=t&key=k"]).fails(1, "empty.csv: is empty");
    assert!(!room.has("new.db"));
}
