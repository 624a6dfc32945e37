//! Firestore as a source and as a target of `load`, on emulators that the tests start.
//!
//! What is there is written and read by the emulators' own REST interface, without the program.

use crate::support::{Room, Run, row};
use headwater_servers::emulator::{Emulator, Make};
use headwater_servers::free_port;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// For all tests that do not touch it; each has a project of its own.
static SHARED: LazyLock<Emulator> = LazyLock::new(|| Emulator::start(Make::Hidane));

const KEYS: &str = "{\"k\":\"a\"}\n{\"k\":\"none\"}\n{\"k\":\"b\"}\n";

/// A folder, and a project on an emulator.
pub(crate) struct World {
    room: Room,
    host: String,
    project: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::at(SHARED.host())
    }

    pub(crate) fn at(host: String) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let project = format!("cli-{}-{number}", std::process::id());
        Self { room: Room::new(), host, project }
    }

    /// The collection `people`, with more behind it.
    pub(crate) fn people(&self, more: &str) -> String {
        format!("firestore://{}/people{more}", self.project)
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        let mut command = self.room.command(args);
        command.env("FIRESTORE_EMULATOR_HOST", &self.host).stdin(Stdio::piped()).spawn().unwrap()
    }

    fn pipe(&self, args: &[&str], stdin: &str) -> Run {
        let mut child = self.start(args);
        let mut pipe = child.stdin.take().unwrap();
        let text = stdin.to_owned();
        // The program may end before it has read all.
        let feeder = std::thread::spawn(move || drop(pipe.write_all(text.as_bytes())));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        output.into()
    }

    fn load(&self, file: &str, more: &[&str]) -> Run {
        self.pipe(&[&["load", file, &self.people("?key=k")], more].concat(), "")
    }

    /// Loads, and what is told about it but for the time.
    fn loaded(&self, file: &str, more: &[&str]) -> Value {
        let run = self.load(file, &[more, &["--json"]].concat());
        let mut summary: Value = serde_json::from_str(run.ok()).unwrap();
        summary.as_object_mut().unwrap().remove("elapsed_ms").unwrap();
        summary
    }

    fn enrich(&self, source: &str, stdin: &str, more: &[&str]) -> Run {
        let base = ["enrich", "--key", "k", "--as", "v", "--source", source];
        self.pipe(&[&base[..], more].concat(), stdin)
    }

    /// Asks the emulator; the status and the answer.
    pub(crate) fn rest(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let documents = format!("/v1/projects/{}/databases", self.project);
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let head = format!(
            "{method} {documents}/{path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer owner\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// A document; null if there is none.
    fn document(&self, path: &str) -> Value {
        let (status, document) =
            self.rest("GET", &format!("(default)/documents/{path}"), &Value::Null);
        if status == 200 { document } else { Value::Null }
    }

    fn has(&self, path: &str) -> bool {
        !self.document(path).is_null()
    }

    pub(crate) fn put(&self, path: &str, fields: &Value) {
        let (status, answer) = self.rest("PATCH", path, &json!({ "fields": fields }));
        assert_eq!(status, 200, "{answer}");
    }
}

/// What a load tells of so many rows, where nothing is odd.
fn plain(rows: u64) -> Value {
    json!({
        "rows": rows, "duplicates": 0, "no_key": 0, "rejected": 0, "unchanged": 0,
        "new_columns": 0, "interrupted": null
    })
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !done() {
        assert!(began.elapsed().as_secs() < 120, "{what} takes too long");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_loaded_file_is_a_source_and_its_reads_are_counted() {
    let world = World::new();
    let run = world.load("source.csv", &[]);
    run.ok();
    assert!(run.stderr.contains(&format!("3 rows into {}", world.people("?key=k"))), "{run:?}");
    // `k` is the key, and text.
    let run = world.enrich(&world.people(""), KEYS, &["--json"]);
    let (a, b) = (row("a"), row("b"));
    let expected =
        format!("{{\"k\":\"a\",\"v\":{a}}}\n{{\"k\":\"none\"}}\n{{\"k\":\"b\",\"v\":{b}}}\n");
    assert_eq!(run.ok(), expected);
    let summary = run.summary();
    let counts = json!({"reads": 3, "missing": 1, "calls": 1, "retries": 0, "no_ids": 0});
    assert_eq!((&summary["firestore"], &summary["source_calls"]), (&counts, &3.into()));
    let run = world.enrich(&world.people(""), KEYS, &[]);
    assert!(run.stderr.contains("  billed   3 reads"), "{run:?}");
}

#[test]
fn columns_of_a_csv_have_the_types_of_their_values() {
    let world = World::new();
    world.room.write(
        "in.csv",
        "k,whole,part,yes,text,code,mixed\n1,7,1,true,NA,010,1\n2,NA,-2.5,FALSE,,020,x\n3,,,,\"a,b\",030,\n",
    );
    assert_eq!(world.loaded("in.csv", &[]), plain(3));
    let text = |text: &str| json!({ "stringValue": text });
    let null = json!({ "nullValue": null });
    let first = json!({
        "k": text("1"), "whole": {"integerValue": "7"}, "part": {"doubleValue": 1},
        "yes": {"booleanValue": true}, "text": text("NA"), "code": text("010"), "mixed": text("1")
    });
    // Whole numbers come as they like.
    let plain_numbers = |document: Value| document.to_string().replace("1.0", "1");
    assert_eq!(plain_numbers(world.document("people/1")["fields"].clone()), first.to_string());
    let second = &world.document("people/2")["fields"];
    assert_eq!((&second["whole"], &second["text"]), (&null, &text("")));
    assert_eq!(
        (&second["part"]["doubleValue"], &second["yes"]["booleanValue"]),
        (&(-2.5).into(), &false.into())
    );
    let third = &world.document("people/3")["fields"];
    assert_eq!((&third["yes"], &third["mixed"], &third["text"]), (&null, &text(""), &text("a,b")));
    // And text where they are told to.
    assert_eq!(world.loaded("in.csv", &["--text", "whole,yes"]), plain(3));
    let first = &world.document("people/1")["fields"];
    assert_eq!((&first["whole"], &first["yes"]), (&text("7"), &text("true")));
    world.load("in.csv", &["--text", "hole"]).fails(2, "has no column `hole`");
}

#[test]
fn a_csv_on_stdin_stays_text_and_that_is_said() {
    let world = World::new();
    let args = ["load", "-", &world.people("?key=k"), "--format", "csv"];
    let run = world.pipe(&args, "k,n\na,1\n");
    run.ok();
    assert!(run.stderr.contains("note: stdin: it can be read only once"), "{run:?}");
    assert_eq!(world.document("people/a")["fields"]["n"], json!({"stringValue": "1"}));
}

#[test]
fn values_of_ndjson_keep_their_types() {
    let world = World::new();
    let values = "\"n\":9223372036854775807,\"d\":1.0,\"t\":\"1\",\"b\":false,\"z\":null,\"l\":[1,{\"x\":[]}],\"m\":{\"y\":{}}";
    world.room.write("in.ndjson", format!("{{\"k\":7,{values}}}\n{{\"n\":1}}\n"));
    assert_eq!(world.loaded("in.ndjson", &[])["no_key"], 1);
    let fields = &world.document("people/7")["fields"];
    assert_eq!(fields["k"], json!({"integerValue": "7"}), "the id is text, the field is as it was");
    assert_eq!(fields["n"], json!({"integerValue": "9223372036854775807"}));
    let run = world.enrich(&world.people(""), "{\"k\":\"7\"}\n", &[]);
    let sorted = r#""b":false,"d":1.0,"k":7,"l":[1,{"x":[]}],"m":{"y":{}},"n":9223372036854775807,"t":"1","z":null"#;
    assert_eq!(run.ok(), format!("{{\"k\":\"7\",\"v\":{{{sorted}}}}}\n"));
}

#[test]
fn what_json_lacks_comes_out_as_the_help_says() {
    let world = World::new();
    let name = format!("projects/{}/databases/(default)/documents/people/1", world.project);
    world.put(
        "(default)/documents/people/a",
        &json!({
            "time": {"timestampValue": "2026-01-02T03:04:05.123456Z"},
            "bytes": {"bytesValue": "AP+A"},
            "friend": {"referenceValue": name},
            "place": {"geoPointValue": {"latitude": 1.5, "longitude": -2.5}},
            "nan": {"doubleValue": "NaN"},
            "endless": {"doubleValue": "-Infinity"},
        }),
    );
    let run = world.enrich(&world.people(""), "{\"k\":\"a\"}\n", &[]);
    let fields = format!(
        "\"bytes\":\"AP+A\",\"endless\":\"-Infinity\",\"friend\":\"{name}\",\"nan\":\"NaN\",\
         \"place\":{{\"latitude\":1.5,\"longitude\":-2.5}},\"time\":\"2026-01-02T03:04:05.123456Z\""
    );
    assert_eq!(run.ok(), format!("{{\"k\":\"a\",\"v\":{{{fields}}}}}\n"));
}

#[test]
fn subcollections_and_other_databases_are_told_apart() {
    let world = World::new();
    for (path, name) in [("people/x/people", "under x"), ("people", "top")] {
        let path = format!("(default)/documents/{path}/a");
        world.put(&path, &json!({"name": {"stringValue": name}}));
    }
    world.put("old/documents/people/a", &json!({"name": {"stringValue": "old"}}));
    for (place, name) in [
        ("", "top"),
        ("/x/people", "under x"),
        ("?database=old", "old"),
        ("?database=(default)", "top"),
    ] {
        let run = world.enrich(&world.people(place), "{\"k\":\"a\"}\n", &[]);
        assert_eq!(run.ok(), format!("{{\"k\":\"a\",\"v\":{{\"name\":\"{name}\"}}}}\n"));
    }
    let target = world.people("/y%20z/people?key=k&database=old");
    world.pipe(&["load", "source.csv", &target], "").ok();
    let (status, _) = world.rest("GET", "old/documents/people/y%20z/people/b", &Value::Null);
    assert_eq!(status, 200);
}

#[test]
fn keys_that_are_no_ids_are_absent_or_escaped() {
    let world = World::new();
    world.room.write(
        "in.ndjson",
        "{\"k\":\"a/b\",\"n\":1}\n{\"k\":\"..\",\"n\":2}\n{\"k\":\"ok\",\"n\":3}\n",
    );
    let keys = "{\"k\":\"a/b\"}\n{\"k\":\"\"}\n{\"k\":\"ok\"}\n";
    world.load("in.ndjson", &[]).fails(
        1,
        "in.ndjson:1: firestore: cannot be decoded or encoded: a key is no id: it holds a `/`",
    );
    let summary = world.loaded("in.ndjson", &["--rejects", "bad"]);
    assert_eq!((&summary["rows"], &summary["rejected"]), (&1.into(), &2.into()));
    let bad = world.room.read("bad");
    assert!(bad.starts_with("{\"line\":1,\"reason\":\"firestore: cannot be decoded"), "{bad}");
    assert!(bad.ends_with(",\"record\":\"{\\\"k\\\":\\\"..\\\",\\\"n\\\":2}\"}\n"), "{bad}");
    let run = world.enrich(&world.people(""), keys, &[]);
    assert_eq!(
        run.ok(),
        "{\"k\":\"a/b\"}\n{\"k\":\"\"}\n{\"k\":\"ok\",\"v\":{\"k\":\"ok\",\"n\":3}}\n"
    );
    assert!(run.stderr.contains("warning: firestore: 2 keys can be no document's id"), "{run:?}");
    let escaped = world.people("?key=k&escape=true");
    world.pipe(&["load", "in.ndjson", &escaped], "").ok();
    assert!(world.has("people/a%252Fb"));
    let run = world.enrich(&escaped, keys, &[]);
    assert!(
        run.ok().starts_with("{\"k\":\"a/b\",\"v\":{\"k\":\"a/b\",\"n\":1}}\n{\"k\":\"\"}\n"),
        "{run:?}"
    );
}

#[test]
fn a_large_file_is_loaded_whole_and_the_last_row_of_a_key_wins() {
    let world = World::new();
    let line = |n: usize, text: &str| format!("{{\"k\":{n},\"text\":\"{text}\"}}\n");
    let mut rows: String = (0..2_600).map(|n| line(n, &"x".repeat(n % 3_000))).collect();
    // Keys of calls that are under way, and of the same call.
    rows += &(0..2_600).step_by(13).map(|n| line(n, "again")).collect::<String>();
    rows += &(line(1, "twice") + &line(1, "last"));
    world.room.write("in.ndjson", &rows);
    let mut expected = plain(2_802);
    expected["duplicates"] = 202.into();
    assert_eq!(world.loaded("in.ndjson", &[]), expected);
    let keys: String = (0..2_600).map(|n| format!("{{\"k\":{n}}}\n")).collect();
    let run = world.enrich(&world.people(""), &keys, &["--quiet"]);
    let text = |n: usize| match n {
        1 => "last".to_owned(),
        _ if n.is_multiple_of(13) => "again".to_owned(),
        _ => "x".repeat(n % 3_000),
    };
    let expected =
        (0..2_600).map(|n| format!("{{\"k\":{n},\"v\":{}}}", line(n, &text(n)).trim_end()));
    assert!(run.ok().lines().eq(expected), "{run:?}");
}

#[test]
fn rows_that_cannot_be_documents_fail_the_load_or_are_put_aside() {
    let world = World::new();
    let good = |n: usize| format!("{{\"k\":\"good{n}\"}}\n");
    let bad = [
        ("oops", "not valid JSON"),
        (
            "{\"k\":\"a\",\"n\":18446744073709551615}",
            "18446744073709551615 does not fit into 64 bits",
        ),
        ("{\"k\":\"b\",\"n\":1e999}", "1e999 does not fit into a double"),
        ("{\"k\":\"__c__\"}", "begins and ends with `__`"),
        // The server's own rules, which it tells of a call as a whole.
        ("{\"k\":\"d\",\"l\":[[1]]}", "rray"),
        ("{\"k\":\"e\",\"__f__\":1}", "__f__"),
        (&format!("{{\"k\":\"f\",\"t\":\"{}\"}}", "x".repeat(1_100_000)), "1048"),
    ];
    for (line, words) in bad {
        world.room.write("in.ndjson", format!("{}{line}\n", good(0)));
        let run = world.load("in.ndjson", &[]);
        run.fails(1, "error: in.ndjson:2: ");
        assert!(run.stderr.contains(words), "no {words:?} in {run:?}");
        assert!(run.stderr.contains("rows before this are there; --resume goes on"), "{run:?}");
        assert!(world.has("people/good0"), "{line:.20}");
    }
    let mixed: String =
        bad.iter().enumerate().map(|(n, (line, _))| good(n) + line + "\n").collect();
    world.room.write("in.ndjson", mixed);
    let mut expected = plain(7);
    expected["rejected"] = 7.into();
    assert_eq!(world.loaded("in.ndjson", &["--rejects", "bad"]), expected);
    let rejects = world.room.read("bad");
    let rejects = rejects.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut lines: Vec<u64> = rejects.map(|reject| reject["line"].as_u64().unwrap()).collect();
    lines.sort_unstable();
    assert_eq!(lines, [2, 4, 6, 8, 10, 12, 14]);
    (0..7).for_each(|n| assert!(world.has(&format!("people/good{n}"))));
    assert!(!world.has("people/a") && !world.has("people/d"));
}

/// Rows from `from` on, each with its number.
fn numbered(from: usize, to: usize) -> String {
    (from..to).map(|n| format!("{{\"k\":\"{n}\",\"n\":{n}}}\n")).collect()
}

#[cfg(unix)]
#[test]
fn an_interrupted_load_says_so_and_goes_on_where_it_was() {
    use nix::sys::signal::{Signal, kill};
    let world = World::new();
    world.room.write("in.ndjson", numbered(0, 3_000));
    let mut child = world.start(&["load", "-", &world.people("?key=k"), "--json"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(numbered(0, 1_200).as_bytes()).unwrap();
    until("a second batch", || world.has("people/999"));
    // Not SIGINT: whoever runs the tests in the background has it ignored from the start.
    kill(nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    assert!(said.contains("SIGTERM: ending with what is in flight"), "{said}");
    // It waits for a row; with it, what it has is written.
    let mut sent = 1_200;
    until("the end", || {
        sent += 1;
        stdin.write_all(numbered(sent - 1, sent).as_bytes()).is_err()
    });
    let run: Run = child.wait_with_output().unwrap().into();
    let summary: Value = serde_json::from_str(run.ends_with(143)).unwrap();
    assert_eq!(summary["interrupted"], "sigterm");
    let rows = summary["rows"].as_u64().unwrap();
    // Two batches, and what it had read of the rest by then.
    assert!(rows >= 1_000 && world.has(&format!("people/{}", rows - 1)), "{run:?}");
    assert!(!world.has(&format!("people/{rows}")), "{run:?}");
    let before = world.document("people/7");
    let mut expected = plain(3_000);
    expected["unchanged"] = rows.into();
    assert_eq!(world.loaded("in.ndjson", &["--resume"]), expected);
    assert!(world.has("people/2999"));
    assert_eq!(world.document("people/7"), before, "not written again: its time is the same");
    expected["unchanged"] = 3_000.into();
    assert_eq!(world.loaded("in.ndjson", &["--resume"]), expected);
}

#[test]
fn a_resumed_load_writes_what_differs() {
    let world = World::new();
    world.load("source.csv", &[]).ok();
    let string = |text: &str| json!({ "stringValue": text });
    world.put("(default)/documents/people/a", &json!({"k": string("a"), "name": string("other")}));
    world.put(
        "(default)/documents/people/b",
        &json!({"k": string("b"), "name": string("Bert"), "more": {"nullValue": null}}),
    );
    let mut expected = plain(3);
    expected["unchanged"] = 1.into();
    assert_eq!(world.loaded("source.csv", &["--resume"]), expected);
    for key in ["a", "b"] {
        let fields =
            json!({"k": string(key), "name": string(if key == "a" { "Anna" } else { "Bert" })});
        assert_eq!(world.document(&format!("people/{key}"))["fields"], fields);
    }
}

#[test]
fn a_load_outlives_a_server_that_comes_back_and_fails_with_one_that_does_not() {
    let mut emulator = Emulator::start(Make::Hidane);
    let world = World::at(emulator.host());
    let mut child = world.start(&["load", "-", &world.people("?key=k"), "--json"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(numbered(0, 600).as_bytes()).unwrap();
    until("the first batch", || world.has("people/499"));
    emulator.kill();
    emulator.restart();
    stdin.write_all(numbered(600, 1_000).as_bytes()).unwrap();
    drop(stdin);
    let run: Run = child.wait_with_output().unwrap().into();
    run.ok();
    // What was there before went with the server, unless its answer did too.
    assert!(world.has("people/500") && world.has("people/999"));

    let mut child = world.start(&["load", "-", &world.people("?key=k")]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(numbered(0, 600).as_bytes()).unwrap();
    until("the first batch", || world.has("people/499"));
    emulator.kill();
    drop(stdin);
    let run: Run = child.wait_with_output().unwrap().into();
    run.fails(1, "error: stdin:501: firestore://");
    let words = "nothing answers where FIRESTORE_EMULATOR_HOST points: start the emulator";
    assert!(run.stderr.contains(words), "{run:?}");
}

#[test]
fn a_source_that_dies_fails_the_run_with_what_came_before_written() {
    let mut emulator = Emulator::start(Make::Hidane);
    let world = World::at(emulator.host());
    world.load("source.csv", &[]).ok();
    let source = world.people("");
    let base = ["enrich", "--key", "k", "--as", "v", "--source", &source];
    let mut child = world.start(&base);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdin.write_all(b"{\"k\":\"a\"}\n").unwrap();
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, format!("{{\"k\":\"a\",\"v\":{}}}\n", row("a")));
    emulator.kill();
    // What memory has, it answers.
    stdin.write_all(b"{\"k\":\"a\"}\n").unwrap();
    stdout.read_line(&mut line).unwrap();
    stdin.write_all(b"{\"k\":\"b\"}\n").unwrap();
    drop(stdin);
    let run: Run = child.wait_with_output().unwrap().into();
    run.fails(1, "stdin:3: looking up its key: firestore: unavailable: nothing answers where");
}

#[test]
fn what_is_wrong_is_told_before_anything_is_done() {
    let world = World::new();
    let nobody = World::at(format!("127.0.0.1:{}", free_port()));
    let fails = |world: &World, to: &str, more: &[&str], words: &str| {
        let args = [&["load", "source.csv", to], more].concat();
        world.pipe(&args, "").fails(2, words);
    };
    let place = world.people("?key=k");
    fails(&world, &world.people(""), &[], "which column is the key? Give firestore://");
    fails(&world, &world.people("?key=x"), &[], "has no column `x`; its columns are `k`, `name`");
    fails(&world, "firestore://demo?key=k", &[], "names no project and collection");
    fails(&world, &world.people("/a?key=k"), &[], "it names a document");
    fails(&world, &world.people("?kee=k"), &[], "unknown setting `kee`");
    fails(&world, &place, &["--ttl", "1h"], "--ttl and --go-compatible are for Redis");
    fails(&world, &place, &["--rejects", "source.csv"], "is the file that is loaded");
    fails(&world, &place, &["--rejects", "-"], "stdout is for --json");
    fails(
        &nobody,
        &place,
        &[],
        "nothing answers where FIRESTORE_EMULATOR_HOST points: start the emulator",
    );
    assert!(!world.has("people/a"));
    let run = nobody.enrich(&place, KEYS, &["-o", "out"]);
    run.fails(2, "nothing answers where FIRESTORE_EMULATOR_HOST points");
    assert!(!nobody.room.has("out"));
    world.enrich(&world.people("/a"), KEYS, &[]).fails(2, "it names a document");
    let table = ["load", "source.csv", "sqlite:x.db?table=t&key=k"];
    if cfg!(feature = "sqlite") {
        world
            .pipe(&[&table[..], &["--rejects", "bad"]].concat(), "")
            .fails(2, "a table gets all rows or none");
        world.pipe(&[&table[..], &["--resume"]].concat(), "").fails(2, "are for Firestore");
    }
}
