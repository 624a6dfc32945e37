//! Redis as a tier, as a source and as a target of `load`, and `headwater doctor`.

use crate::support::{BASE, Room, Run, row, sample, web_server};
use headwater_servers::{Server, free_port, until};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

/// Runs `enrich` on stdin with a Redis, and returns it with its summary.
fn enrich(room: &Room, url: &str, stdin: &str, more: &[&str]) -> (Run, Value) {
    let run = room.enrich(stdin, &[&["--redis", url, "--json"], more].concat());
    let summary = run.summary();
    (run, summary)
}

const KEYS: &str = "{\"k\":\"a\"}\n{\"k\":\"none\"}\n{\"k\":\"b\"}\n";

fn enriched_keys() -> String {
    let (a, b) = (row("a"), row("b"));
    format!("{{\"k\":\"a\",\"v\":{a}}}\n{{\"k\":\"none\"}}\n{{\"k\":\"b\",\"v\":{b}}}\n")
}

#[test]
fn a_second_run_asks_redis_instead_of_the_source() {
    let (room, server) = (Room::new(), Server::start());
    let (flights, planes) = (sample("flights-sample.ndjson.gz"), sample("planes.csv"));
    let url = server.url();
    let run = |output: &str| {
        let base = ["enrich", "--input", &flights, "--key", "tailnum", "--as", "plane"];
        let more = ["--source", &planes, "--redis", &url, "--ttl", "1h", "--json", "-o", output];
        serde_json::from_str::<Value>(room.run(&[&base[..], &more].concat()).ok()).unwrap()
    };
    let first = run("first.ndjson");
    assert_eq!(first["source_calls"], 2_194, "each key is asked for once: {first}");
    // But not what is only there for a moment.
    let stored = server.tell("KEYS planes/tailnum:[^%]*").split(' ').count();
    assert_eq!(stored, 2_194, "also those that are absent: {first}");
    let second = run("second.ndjson");
    assert_eq!(second["source_calls"], 0, "{second}");
    assert_eq!((&second["enriched"], &second["absent"]), (&4_204.into(), &773.into()));
    let tiers = second["tiers"].as_array().unwrap();
    assert_eq!((&tiers[0]["name"], &tiers[1]["name"]), (&"lru".into(), &"redis".into()));
    assert_eq!((&tiers[1]["hits"], &tiers[1]["misses"]), (&2_194.into(), &0.into()));
    assert!(tiers[1]["p50_us"].as_f64() > Some(0.0) && tiers[1]["p99_us"].as_f64() > Some(0.0));
    assert_eq!(second["redis"]["namespace"], "planes/tailnum");
    assert!(room.read("first.ndjson") == room.read("second.ndjson"), "another answer from Redis");
    assert_eq!(room.read("first.ndjson").lines().count(), 5_027);
}

#[test]
fn runs_at_the_same_time_ask_the_source_once() {
    let (room, server) = (Room::new(), Server::start());
    let source: String = (0..3_000).map(|n| format!("{n},{n}\n")).collect();
    room.write("source.csv", format!("k,name\n{source}"));
    room.write("in.ndjson", (0..3_000).map(|n| format!("{{\"k\":{n}}}\n")).collect::<String>());
    let url = server.url();
    // The server learns the scripts.
    enrich(&room, &url, KEYS, &["--namespace", "another"]);
    let more = ["--input", "in.ndjson", "--redis", &url, "--json", "--batch", "100"];
    let start = || room.command(&[&BASE[..], &more].concat()).spawn().unwrap();
    let runs: Vec<_> = (0..3).map(|_| start()).collect();
    let runs = runs.into_iter().map(|child| Run::from(child.wait_with_output().unwrap()));
    let asked: u64 = runs
        .map(|run| {
            assert_eq!(run.ok().lines().count(), 3_000);
            run.summary()["source_calls"].as_u64().unwrap()
        })
        .sum();
    assert_eq!(asked, 3_000, "by all of them together");
}

#[test]
fn without_memory_every_record_is_looked_up_in_redis() {
    let (room, server) = (Room::new(), Server::start());
    let (run, summary) = enrich(&room, &server.url(), KEYS, &["--memory", "0"]);
    assert_eq!(run.ok(), enriched_keys());
    assert_eq!(summary["tiers"].as_array().unwrap().len(), 1);
    let (_, summary) = enrich(&room, &server.url(), KEYS, &["--memory", "0"]);
    assert_eq!((&summary["source_calls"], &summary["tiers"][0]["hits"]), (&0.into(), &3.into()));
}

#[test]
fn lives_in_redis_are_those_of_the_options() {
    let (room, server) = (Room::new(), Server::start());
    let ttl = |key: &str| server.tell(&format!("TTL {key}")).parse::<i64>().unwrap();
    enrich(&room, &server.url(), KEYS, &["--ttl", "10h", "--absent-ttl", "2h"]);
    assert!((35_000..=36_000).contains(&ttl("source/k:a")), "{}", ttl("source/k:a"));
    assert!((7_000..=7_200).contains(&ttl("source/k:none")), "{}", ttl("source/k:none"));
    enrich(&room, &server.url(), KEYS, &["--namespace", "my:own", "--no-absent"]);
    assert!((3_000..=3_600).contains(&ttl("my%3Aown:a")));
    assert_eq!(ttl("my%3Aown:none"), -2, "it is not there");
}

#[test]
fn two_sources_share_no_key() {
    let (room, server) = (Room::new(), Server::start());
    room.write("other.csv", "k,name\na,Another\n");
    enrich(&room, &server.url(), KEYS, &[]);
    let base = ["enrich", "--key", "k", "--as", "v", "--source", "other.csv"];
    let run = room.pipe(&[&base[..], &["--redis", &server.url()]].concat(), "{\"k\":\"a\"}\n");
    assert!(run.ok().contains("Another"), "{run:?}");
    room.write("s.csv", "k,id\nb,a\n");
    let base = ["enrich", "--key", "k", "--as", "v", "--source", "s.csv", "--redis"];
    let by_id = room.pipe(&[&base[..], &[&server.url(), "--source-key", "id"]].concat(), KEYS);
    assert!(by_id.ok().contains(r#"{"k":"a","v":{"k":"b","id":"a"}}"#), "{by_id:?}");
    let by_k = room.pipe(&[&base[..], &[&server.url()]].concat(), KEYS);
    assert!(by_k.ok().contains(r#"{"k":"b","v":{"k":"b","id":"a"}}"#), "{by_k:?}");
}

#[test]
fn a_server_that_dies_does_not_fail_the_run_and_is_used_again_when_it_is_back() {
    let (room, mut server) = (Room::new(), Server::start());
    let url = server.url();
    let args = [&BASE[..], &["--redis", &url, "--memory", "0"]].concat();
    let mut child = room.command(&args).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    // One record at a time, and each is answered before the next one comes.
    let mut answer = |key: &str| {
        writeln!(stdin, "{{\"k\":\"{key}\"}}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, format!("{{\"k\":\"{key}\",\"v\":{}}}\n", row(key)));
    };
    let mut wait_for = |words: &str| {
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert!(line.contains(words), "{line}");
    };
    ["a", "b", "a"].into_iter().for_each(&mut answer);
    server.kill();
    ["a", "b", "1", "a", "b", "1", "a", "b", "1"].into_iter().for_each(&mut answer);
    wait_for(&format!("warning: {url}: down; going on from the source"));
    ["a", "b", "1"].into_iter().for_each(&mut answer);
    server.restart();
    wait_for(&format!("{url}: back"));
    answer("a");
    until("the write-back", || {
        answer("a");
        server.tell("EXISTS source/k:a") == "1"
    });
    drop(stdin);
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    assert!(said.contains("warning: redis: "), "{said}");
    assert!(said.contains("look-ups and fills failed; what they were for came from"), "{said}");
}

#[test]
fn what_is_wrong_with_the_server_is_told_before_anything_is_done() {
    let room = Room::new();
    let server = Server::with(&["--requirepass", "s3cret"]);
    let (closed, web) = (free_port(), web_server());
    let fails = |url: &str, more: &[&str], words: &str| {
        let run = room.enrich(KEYS, &[&["--redis", url, "-o", "out"], more].concat());
        run.fails(2, words);
        assert!(
            !room.has("out") && !run.stderr.contains("s3cret") && !run.stderr.contains("wr0ng")
        );
    };
    let local = |port: u16| format!("redis://127.0.0.1:{port}");
    fails(
        &local(closed),
        &[],
        &format!("{}: redis: unavailable: connection refused", local(closed)),
    );
    let refused = "the server refused the user or the password";
    for more in [&[][..], &["--redis-optional"]] {
        fails(&server.url(), more, refused);
        fails(&format!("redis://:wr0ng@127.0.0.1:{}", server.port()), more, refused);
        fails(&local(web), more, "does not speak the Redis protocol");
        fails("redis://127.0.0.1:nonsense", more, "the address or the settings make no sense");
        fails("localhost:6379", more, "not a Redis URL; give redis://HOST:PORT/DB");
        fails("redis://h/0?names=x", more, "unknown setting `names`");
        fails("redis://h/0?key=x", more, "has no `key`; that is for `load`");
        fails("redis://h/0?namespace=x", &["--go-compatible"], "no namespace with --go-compatible");
    }
    let server = Server::start();
    let source = &format!("{}?namespace=x", server.url());
    let args = ["enrich", "--key", "k", "--as", "v", "--source", source, "--redis", source];
    room.run(&args).fails(2, "is the source itself");
}

#[test]
fn a_password_stands_in_the_url_or_in_a_variable() {
    let room = Room::new();
    let server = Server::with(&["--requirepass", "s3cret"]);
    let with_it = format!("redis://:s3cret@127.0.0.1:{}", server.port());
    assert_eq!(enrich(&room, &with_it, KEYS, &[]).0.ok(), enriched_keys());
    room.write("in.ndjson", KEYS);
    let (url, target) = (server.url(), format!("{}?namespace=n&key=k", server.url()));
    for args in [
        &[&BASE[..], &["--redis", &url, "--input", "in.ndjson"]].concat()[..],
        &["load", "source.csv", &target],
        &["doctor", "--redis", &url],
    ] {
        let mut command = room.command(args);
        let run = Run::from(command.env("HEADWATER_REDIS_PASSWORD", "s3cret").output().unwrap());
        run.ok();
        assert!(!run.stdout.contains("s3cret") && !run.stderr.contains("s3cret"));
    }
}

#[test]
fn a_run_may_start_without_its_server() {
    let room = Room::new();
    let url = format!("redis://127.0.0.1:{}", free_port());
    let run = room.enrich(KEYS, &["--redis", &url, "--redis-optional"]);
    assert_eq!(run.ok(), enriched_keys());
    let words = "connection refused; going on from the source until it is there";
    assert!(run.stderr.contains(words), "{run:?}");
    assert!(run.stderr.contains("look-ups and fills failed"), "{run:?}");
    let (_, summary) = enrich(&room, &url, KEYS, &["--redis-optional"]);
    assert_eq!(summary["source_calls"], 3);
    assert!(summary["tiers"][1]["errors"].as_u64() >= Some(3), "{summary}");
}

#[test]
fn values_that_are_not_ours_are_misses_and_are_told() {
    let (room, server) = (Room::new(), Server::start());
    server.ask(&[b"SET", b"source/k:a", b"{\"plain\":true}"]);
    server.ask(&[b"LPUSH", b"source/k:b", b"x"]);
    let run = room.enrich(KEYS, &["--redis", &server.url()]);
    assert_eq!(run.ok(), enriched_keys());
    assert!(run.stderr.contains("look-ups found values that are none of ours"), "{run:?}");
}

#[test]
fn values_for_go_are_plain_json_under_plain_keys() {
    let (room, server) = (Room::new(), Server::start());
    let (run, summary) = enrich(&room, &server.url(), KEYS, &["--go-compatible", "--ttl", "1h"]);
    assert_eq!(run.ok(), enriched_keys());
    assert_eq!(summary["redis"]["namespace"], Value::Null);
    assert_eq!(server.tell("GET a"), row("a"));
    assert_eq!(server.tell("GET b"), row("b"));
    assert_eq!(server.tell("DBSIZE"), "2", "nothing about absent keys, and no leases are left");
    assert!((3_500..=3_600).contains(&server.tell("TTL a").parse::<i64>().unwrap()));
}

#[test]
fn what_go_wrote_is_spliced_as_one_line() {
    let (room, server) = (Room::new(), Server::start());
    server.ask(&[b"SET", b"a", b"{\n  \"n\": 1.0,\r\n  \"t\": \"\\u003c\"\n}"]);
    server.ask(&[b"SET", b"b", b"[1, 2]"]);
    let (run, summary) = enrich(&room, &server.url(), KEYS, &["--go-compatible"]);
    let expected = "{\"k\":\"a\",\"v\":{   \"n\": 1.0,    \"t\": \"\\u003c\" }}\n\
                    {\"k\":\"none\"}\n{\"k\":\"b\",\"v\":[1, 2]}\n";
    assert_eq!(run.ok(), expected);
    assert_eq!(summary["source_calls"], 1);
}

fn enrich_from(room: &Room, source: &str, more: &[&str]) -> Run {
    let base = ["enrich", "--key", "k", "--as", "v", "--source", source];
    room.pipe(&[&base[..], more].concat(), KEYS)
}

#[test]
fn a_loaded_file_is_a_source() {
    let (room, server) = (Room::new(), Server::start());
    room.write("twice.csv", "k,name\na,old\nb,Bert\na,Anna\n");
    let place = format!("{}/3?namespace=people&key=k", server.url());
    let run = room.run(&["load", "twice.csv", &place]);
    run.ok();
    assert!(run.stderr.contains(&format!("3 rows into {place}")), "{run:?}");
    assert!(run.stderr.contains("(the last row of each key counts): 1"), "{run:?}");
    assert_eq!(enrich_from(&room, &place, &[]).ok(), enriched_keys());
    let other = format!("{}/4?namespace=people", server.url());
    let run = enrich_from(&room, &other, &["--json"]);
    assert_eq!(run.summary()["absent"], 3, "another database");
    // With a tier of its own before it.
    let run = enrich_from(&room, &place, &["--redis", &server.url(), "--json"]);
    assert_eq!(run.ok(), enriched_keys());
    assert_eq!(run.summary()["redis"]["namespace"], "people/k");
}

#[test]
fn a_large_file_is_loaded_whole() {
    let (room, server) = (Room::new(), Server::start());
    let rows = |n: usize| format!("{{\"k\":{n},\"text\":\"{}\"}}\n", "x".repeat(n % 3_000));
    room.write("in.ndjson", (0..4_000).map(rows).collect::<String>() + "{\"x\":1}\n");
    let place = format!("{}?namespace=n&key=k", server.url());
    let run = room.run(&["load", "in.ndjson", &place, "--json", "--ttl", "2h"]);
    let mut summary: Value = serde_json::from_str(run.ok()).unwrap();
    summary.as_object_mut().unwrap().remove("elapsed_ms");
    let expected = json!({
        "rows": 4_000, "duplicates": 0, "no_key": 1, "rejected": 0, "unchanged": 0,
        "new_columns": 0, "interrupted": null
    });
    assert_eq!(summary, expected);
    assert_eq!(server.tell("DBSIZE"), "4000");
    assert!((7_000..=7_200).contains(&server.tell("TTL n:3999").parse::<i64>().unwrap()));
    let stdin: String = (0..4_000).map(|n| format!("{{\"k\":{n}}}\n")).collect();
    let base = ["enrich", "--key", "k", "--as", "v", "--source", &place];
    let run = room.pipe(&base, &stdin);
    let expected = (0..4_000).map(|n| format!("{{\"k\":{n},\"v\":{}}}", rows(n).trim_end()));
    assert!(run.ok().lines().eq(expected), "{run:?}");
}

#[test]
fn plain_values_are_loaded_and_read_for_go() {
    let (room, server) = (Room::new(), Server::start());
    let place = format!("{}?key=k", server.url());
    room.run(&["load", "source.csv", &place, "--go-compatible"]).ok();
    assert_eq!(
        (server.tell("GET a"), server.tell("TTL a")),
        (row("a").to_owned(), "-1".to_owned())
    );
    assert_eq!(enrich_from(&room, &place, &["--go-compatible"]).ok(), enriched_keys());
    server.ask(&[b"SET", b"none", b"not json"]);
    enrich_from(&room, &place, &["--go-compatible"]).fails(1, "holds something else than JSON");
}

#[test]
fn a_source_that_fails_or_cannot_be_read_fails_the_run() {
    let (room, mut server) = (Room::new(), Server::start());
    let place = format!("{}?namespace=n&key=k", server.url());
    room.run(&["load", "source.csv", &place]).ok();
    server.ask(&[b"SET", b"n:none", b"{}"]);
    let run = enrich_from(&room, &place, &["--batch", "1", "--concurrency", "1"]);
    run.fails(
        1,
        "stdin:2: looking up its key: cannot be decoded or encoded: a key holds something",
    );
    assert!(run.stderr.contains("for plain JSON give --go-compatible"), "{run:?}");
    assert_eq!(run.stdout.lines().count(), 1, "what came before is written");
    server.kill();
    enrich_from(&room, &place, &["-o", "out"]).fails(2, "connection refused");
    assert!(!room.has("out"));
}

#[test]
fn a_load_that_cannot_begin_or_fails_is_told() {
    let (room, server) = (Room::new(), Server::start());
    let url = server.url();
    let fails = |to: &str, more: &[&str], code: i32, words: &str| {
        room.run(&[&["load", "in.ndjson", to], more].concat()).fails(code, words);
    };
    room.write("in.ndjson", "{\"k\":1}\n{\"k\":2}\noops\n");
    fails(&format!("{url}?namespace=n"), &[], 2, "which column is the key?");
    fails(&format!("{url}?key=k"), &[], 2, "which namespace?");
    fails(&format!("{url}?namespace=n&key=k"), &["--go-compatible"], 2, "no namespace with");
    fails(&format!("redis://127.0.0.1:{}?namespace=n&key=k", free_port()), &[], 2, "refused");
    enrich_from(&room, &url, &[]).fails(2, "which namespace?");
    let place = format!("{url}?namespace=n&key=k");
    fails(&place, &[], 1, "in.ndjson:3: not valid JSON");
    fails(&place, &["--max-line", "3"], 1, "rows before this may be there");
    fails(&place, &["--resume"], 2, "--resume and --text are for Firestore");
    room.run(&["load", "in.ndjson", &place, "--rejects", "bad"]).ok();
    assert_eq!(
        room.read("bad"),
        "{\"line\":3,\"reason\":\"not valid JSON: expected value (column 1)\",\"record\":\"oops\"}\n"
    );
    fails(&format!("{url}?namespace=n&key=x"), &[], 1, "in.ndjson:3: not valid JSON");
    room.write("in.ndjson", "{\"k\":1}\n");
    let words = "no row has a field `x`; the first row's fields are `k`";
    fails(&format!("{url}?namespace=n&key=x"), &[], 1, words);
    server.tell("CONFIG SET maxmemory 1");
    fails(&place, &[], 1, "in.ndjson:1: ");
    fails(&place, &[], 1, "the server's memory is full");
}

fn doctor(room: &Room, args: &[&str]) -> Run {
    room.run(&[&["doctor", "--redis"], args].concat())
}

/// The checks that are neither fine nor notes, and the exit code.
fn complaints(room: &Room, args: &[&str]) -> (Option<i32>, Vec<String>) {
    let run = doctor(room, &[args, &["--json"]].concat());
    assert_eq!(run.stderr, "");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap().iter();
    let bad = checks.filter(|check| check["level"] == "warning" || check["level"] == "problem");
    let text = |check: &Value, field: &str| check[field].as_str().unwrap_or_default().to_owned();
    let told = bad.map(|check| format!("{} {}", text(check, "level"), text(check, "name")));
    (run.code, told.collect())
}

#[test]
fn the_doctor_has_nothing_to_say_about_a_good_server() {
    let room = Room::new();
    let server = Server::with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lfu"]);
    let run = doctor(&room, &[&server.url()]);
    for words in ["ok       version", "master, takes writes", "of 100 MiB used", "allkeys-lfu"] {
        assert!(run.ok().contains(words), "no {words:?} in {run:?}");
    }
    assert!(run.stdout.contains("from a write to its news elsewhere"), "{run:?}");
    assert!(run.stdout.contains("Nothing to complain about."), "{run:?}");
    assert_eq!(server.tell("DBSIZE"), "0", "it leaves nothing behind");
    let run = doctor(&room, &[&server.url(), "--json"]);
    let report: Value = serde_json::from_str(run.ok()).unwrap();
    for measured in ["ping", "get", "push"] {
        let (p50, p99) = (&report[measured]["p50_us"], &report[measured]["p99_us"]);
        assert!(p50.as_f64() > Some(0.0) && p99.as_f64() >= p50.as_f64(), "{report}");
    }
    assert!(report["checks"].as_array().unwrap().iter().all(|check| check["level"] == "ok"));
}

#[test]
fn the_doctor_has_only_a_note_about_a_server_as_installed() {
    let (room, server) = (Room::new(), Server::start());
    let run = doctor(&room, &[&server.url()]);
    assert!(run.ok().contains("note     memory"), "{run:?}");
}

#[test]
fn the_doctor_sees_what_happens_when_memory_is_full() {
    let room = Room::new();
    let server = Server::with(&["--maxmemory", "100mb"]);
    let told = || complaints(&room, &[&server.url()]);
    assert_eq!(told(), (Some(1), vec!["warning eviction".to_owned()]));
    server.tell("SET forever x");
    server.tell("CONFIG SET maxmemory-policy volatile-lru");
    assert_eq!(told(), (Some(1), vec!["warning eviction".to_owned()]));
    server.tell("CONFIG SET maxmemory 1");
    assert_eq!(told().1[0], "problem eviction");
    server.tell("CONFIG SET maxmemory-policy noeviction");
    let run = doctor(&room, &[&server.url()]);
    assert!(run.ends_with(1).contains("noeviction, and memory is full: no writes"), "{run:?}");
    assert!(run.stdout.contains("SET is refused: OOM"), "{run:?}");
}

#[test]
fn the_doctor_sees_a_replica_and_names_its_master() {
    let (room, master) = (Room::new(), Server::start());
    let replica = Server::with(&["--replicaof", "127.0.0.1", &master.port().to_string()]);
    until("the replica", || replica.tell("INFO replication").contains("master_link_status:up"));
    let run = doctor(&room, &[&replica.url()]);
    assert!(run.ends_with(1).contains("a replica: nothing can be stored"), "{run:?}");
    assert!(run.stdout.contains(&format!("connect to 127.0.0.1:{}", master.port())), "{run:?}");
    assert!(run.stdout.contains("SET is refused: READONLY"), "{run:?}");
}

#[test]
fn the_doctor_sees_what_a_user_may_not_do() {
    let (room, server) = (Room::new(), Server::start());
    let url = |user: &str| format!("redis://{user}:pw@127.0.0.1:{}", server.port());
    server.tell("ACL SETUSER reader on >pw ~* &* +@read +@connection -@scripting");
    let run = doctor(&room, &[&url("reader")]);
    let words = "the user may not run SET, EVAL, EVALSHA, UNLINK here";
    assert!(run.ends_with(1).contains(words), "{run:?}");
    assert!(run.stdout.contains("the server does not answer INFO"), "{run:?}");
    server.tell("ACL SETUSER silent on >pw ~* &* +@all -client|tracking");
    assert_eq!(complaints(&room, &[&url("silent")]).1, ["warning tracking"]);
    server.tell("ACL SETUSER planes on >pw ~planes:* ~{planes:* ~!{planes:* &* +@all");
    assert_eq!(complaints(&room, &[&url("planes")]).1[0], "problem operations");
    let told = complaints(&room, &[&url("planes"), "--namespace", "planes"]);
    assert_eq!(told, (Some(0), Vec::new()));
}

#[test]
fn the_doctor_sees_a_cluster() {
    let room = Room::new();
    let server = Server::with(&["--cluster-enabled", "yes"]);
    let run = doctor(&room, &[&server.url()]);
    assert!(run.ends_with(1).contains("a node of a cluster in state `fail`"), "{run:?}");
}

#[test]
fn the_doctor_sees_that_nobody_answers() {
    let room = Room::new();
    let server = Server::with(&["--requirepass", "s3cret"]);
    let tells = |url: &str, words: &str, advice: &str| {
        let run = doctor(&room, &[url]);
        assert!(run.ends_with(1).contains(words), "{run:?}");
        assert!(run.stdout.contains(advice), "{run:?}");
        assert!(run.stdout.contains("1 problem, 0 warnings."), "{run:?}");
        assert_eq!(complaints(&room, &[url]), (Some(1), vec!["problem connection".to_owned()]));
    };
    let local = |port: u16| format!("redis://127.0.0.1:{port}");
    tells(&local(free_port()), "connection refused", "check host and port");
    tells(&local(web_server()), "does not speak the Redis protocol", "check the port");
    tells(&server.url(), "refused the user or the password", "check user and password");
    let wrong = format!("redis://:wr0ng@127.0.0.1:{}", server.port());
    tells(&wrong, "refused the user or the password", "check user and password");
    doctor(&room, &["redis://127.0.0.1:nonsense"]).fails(2, "make no sense");
    doctor(&room, &["http://127.0.0.1"]).fails(2, "not a Redis URL");
}
