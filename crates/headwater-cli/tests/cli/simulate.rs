//! `headwater simulate`: logs of keys in, hit ratios and drawings out.

use crate::support::{Room, gzip, sample, zstd};
use serde_json::Value;

/// A loop of ten keys, twenty times over.
fn looped() -> String {
    (0..200).map(|at| format!("key {}\n", at % 10)).collect()
}

/// The hit ratio of a policy at a capacity.
#[track_caller]
fn ratio(json: &str, policy: &str, capacity: u64) -> f64 {
    let report: Value = serde_json::from_str(json).unwrap();
    let points = report["points"].as_array().unwrap();
    let is_it = |point: &&Value| point["policy"] == policy && point["capacity"] == capacity;
    points.iter().find(is_it).and_then(|point| point["hit_ratio"].as_f64()).unwrap()
}

#[test]
fn a_log_of_keys_becomes_a_table() {
    let room = Room::new();
    let run = room.pipe(&["simulate", "-c", "5,10", "-p", "lru,fifo,optimum"], looped());
    let expected = "\
200 requests of 10 keys; hits per request:

       entries   of keys       lru      fifo   optimum
             5   50.00 %    0.0000    0.0000    0.4750
            10  100.00 %    0.9500    0.9500    0.9500
";
    assert_eq!(run.ok(), expected);
    assert_eq!(run.stderr, "");
}

#[test]
fn a_program_gets_one_object() {
    let room = Room::new();
    room.write("keys.txt", looped());
    let run = room.run(&["simulate", "--input", "keys.txt", "--capacity", "50%,10", "--json"]);
    let report: Value = serde_json::from_str(run.ok()).unwrap();
    assert_eq!((&report["requests"], &report["keys"]), (&200.into(), &10.into()));
    assert_eq!(
        (&report["interrupted"], report["points"].as_array().unwrap().len()),
        (&Value::Null, 6)
    );
    assert!(ratio(&run.stdout, "lru", 5) < 1e-9);
    for policy in ["lru", "memory", "optimum"] {
        assert!((ratio(&run.stdout, policy, 10) - 0.95).abs() < 1e-9, "{policy}");
    }
    assert!(ratio(&run.stdout, "memory", 5) <= ratio(&run.stdout, "optimum", 5));
}

#[test]
fn lines_numbers_and_fields_of_records_are_the_same_log() {
    let room = Room::new();
    let numbers = || (0..3_000_u64).map(|at| at * at % 700);
    let lines: String = numbers().map(|key| format!("{key}\r\n\n")).collect();
    let records: String =
        numbers().map(|key| format!("{{\"x\":0,\"id\":\"{key}\"}}\n{{}}\n")).collect();
    let table: String = numbers().map(|key| format!("{key},y\n")).collect();
    room.write("keys.txt.gz", gzip(&lines));
    room.write("keys.ndjson.zst", zstd(records));
    room.write("keys.csv", format!("id,y\n{table}"));
    room.write("keys.u64.zst", zstd(numbers().flat_map(u64::to_le_bytes).collect::<Vec<_>>()));
    let run = |args: &[&str]| {
        // Not `memory`, whose hashes are seeded at random.
        let fixed = ["simulate", "-c", "10,100", "-p", "lru,fifo,optimum", "--input"];
        let args = [&fixed, args].concat();
        room.run(&args).ok().to_owned()
    };
    let expected = run(&["keys.txt.gz"]);
    assert!(expected.starts_with("3,000 requests of "));
    assert_eq!(run(&["keys.u64.zst"]), expected);
    assert_eq!(run(&["keys.ndjson.zst", "--key", "id"]), expected);
    assert_eq!(run(&["keys.csv", "--key", "id"]), expected);
    assert!(run(&["keys.csv", "--key", "id", "--limit", "7"]).starts_with("7 requests of 7 keys"));
}

#[test]
fn the_sample_of_flights_can_be_simulated() {
    let room = Room::new();
    let flights = sample("flights-sample.ndjson.gz");
    let run = room.run(&["simulate", "--input", &flights, "--key", "tailnum", "--json"]);
    let report: Value = serde_json::from_str(run.ok()).unwrap();
    let points = report["points"].as_array().unwrap();
    assert_eq!(points.len(), 45);
    for (lru, best) in points[..15].iter().zip(&points[30..]) {
        assert!(lru["hit_ratio"].as_f64() <= best["hit_ratio"].as_f64());
    }
}

#[test]
fn a_log_that_cannot_be_used_is_told_with_its_line() {
    let room = Room::new();
    room.run(&["simulate", "--input", "none.txt"]).fails(2, "none.txt: no such file");
    room.pipe(&["simulate"], "").fails(1, "stdin: has no key");
    room.pipe(&["simulate"], "\n\r\n").fails(1, "stdin: has no key");
    let long = format!("a\n{}\n", "b".repeat(50));
    room.pipe(&["simulate", "--max-line", "40"], long).fails(1, "stdin:2: 50 bytes, over");
    room.pipe(&["simulate", "-k", "id"], "{\"id\":1}\n[]\n").fails(1, "stdin:2: an array");
    room.write("t.csv", "a,b\n1,2\n3\n");
    room.run(&["simulate", "-i", "t.csv", "-k", "c"]).fails(2, "t.csv");
    room.run(&["simulate", "-i", "t.csv", "-k", "a"]).fails(1, "t.csv:3: ");
    room.write("cut.u64", [0; 13]);
    room.run(&["simulate", "-i", "cut.u64"]).fails(1, "cut.u64: a key of 8 bytes is cut short");
    let cut = gzip(looped().repeat(1_000));
    room.write("cut.gz", &cut[..cut.len() / 2]);
    room.run(&["simulate", "-i", "cut.gz"]).fails(1, "cut.gz: the gzip data ends too early");
    for (option, value) in [("-c", "0"), ("-c", "200%"), ("-p", "best"), ("--limit", "x")] {
        room.run(&["simulate", option, value]).fails(2, value);
    }
}

#[cfg(feature = "plot")]
#[test]
fn curves_are_drawn_as_svg_and_png() {
    let room = Room::new();
    let args = ["simulate", "--svg", "curves.svg", "--png", "curves.png", "--quiet"];
    assert_eq!(room.pipe(&args, looped()).ok(), "");
    let svg = room.read("curves.svg");
    for words in ["<svg", "Hit ratio by cache size: stdin", "200 requests of 10 keys", "optimum"] {
        assert!(svg.contains(words), "{words}");
    }
    let png = std::fs::read(room.path("curves.png")).unwrap();
    assert_eq!(png[..8], *b"\x89PNG\r\n\x1a\n");
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!((side(16), side(20)), (1_280, 800));
    // One key, one size: a point is a drawing too.
    room.pipe(&["simulate", "-c", "1", "--svg", "one.svg"], "a\n").ok();
    assert!(room.has("one.svg"));
}

#[cfg(feature = "plot")]
#[test]
fn a_drawing_that_cannot_be_is_told_before_the_log_is_read() {
    let room = Room::new();
    room.write("keys.txt", looped());
    let fails = |more: &[&str], words: &str| {
        room.run(&[&["simulate", "-i", "keys.txt"], more].concat()).fails(2, words);
    };
    fails(&["--svg", "none/x.svg"], "none/x.svg: cannot be written: no such folder");
    fails(&["--png", "."], "is a directory");
    fails(&["--svg", "keys.txt"], "keys.txt: cannot be --input and --svg at once");
    fails(&["--svg", "x", "--png", "x"], "x: cannot be --svg and --png at once");
    assert_eq!(room.read("keys.txt"), looped());
}

#[cfg(not(feature = "plot"))]
#[test]
fn a_build_that_cannot_draw_says_how_to_get_one() {
    let room = Room::new();
    let run = room.pipe(&["simulate", "--svg", "x.svg"], looped());
    run.fails(2, "this build cannot draw: build with `cargo build --release --features plot`");
}
