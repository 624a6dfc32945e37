//! The sample of real data, against counts that are made here without the program's code.

use crate::support::{Room, sample};
use flate2::read::MultiGzDecoder;
use std::collections::{HashMap, HashSet};
use std::fs::{File, read_to_string};
use std::io::{BufRead, BufReader};

/// What the summary should say, and the records that should come out.
pub(crate) struct Expected {
    pub(crate) enriched: u64,
    pub(crate) absent: u64,
    pub(crate) no_key: u64,
    pub(crate) keys: u64,
    lines: Vec<String>,
}

#[cfg(all(feature = "firestore", feature = "redis"))]
impl Expected {
    pub(crate) fn records(&self) -> u64 {
        self.lines.len() as u64
    }
}

/// Counts by hand: the sample's CSV has no quotes, and its records one spelling of `tailnum`.
pub(crate) fn count() -> Expected {
    count_of(&sample("flights-sample.ndjson.gz"), &sample("planes.csv"))
}

pub(crate) fn count_of(flights: &str, planes: &str) -> Expected {
    let planes = read_to_string(planes).unwrap();
    assert!(!planes.contains('"'));
    let mut planes = planes.lines();
    let header: Vec<_> = planes.next().unwrap().split(',').collect();
    let object = |row: &str| {
        let fields = header.iter().zip(row.split(','));
        let fields: Vec<_> =
            fields.map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        format!("{{{}}}", fields.join(","))
    };
    let planes: HashMap<_, _> =
        planes.map(|row| (row.split(',').next().unwrap(), object(row))).collect();
    let flights = File::open(flights).unwrap();
    let mut expected = Expected { enriched: 0, absent: 0, no_key: 0, keys: 0, lines: Vec::new() };
    let mut keys = HashSet::new();
    for line in BufReader::new(MultiGzDecoder::new(flights)).lines().map(Result::unwrap) {
        let tail = line.split("\"tailnum\":\"").nth(1).map(|rest| rest.split('"').next().unwrap());
        keys.extend(tail.map(str::to_owned));
        let plane = tail.and_then(|tail| planes.get(tail));
        match (tail, plane) {
            (None, _) => expected.no_key += 1,
            (_, None) => expected.absent += 1,
            (_, Some(_)) => expected.enriched += 1,
        }
        expected.lines.push(match plane {
            Some(plane) => format!("{},\"plane\":{plane}}}", line.strip_suffix('}').unwrap()),
            None => line,
        });
    }
    expected.keys = keys.len() as u64;
    expected
}

#[test]
fn the_sample_comes_out_as_counted_by_hand() {
    let expected = count();
    assert_eq!((expected.lines.len(), expected.keys), (5_027, 2_194), "as its README says");
    let room = Room::new();
    let (flights, planes) = (sample("flights-sample.ndjson.gz"), sample("planes.csv"));
    let base = ["enrich", "--input", &flights, "--key", "tailnum", "--as", "plane"];
    let check = |source: &str| {
        let more = ["--source", source, "--memory", "10000", "--json", "-o", "out.ndjson"];
        let run = room.run(&[&base[..], &more].concat());
        let summary: serde_json::Value = serde_json::from_str(run.ok()).unwrap();
        let count = |name: &str| summary[name].as_u64().unwrap();
        assert_eq!(count("records"), expected.lines.len() as u64);
        assert_eq!(count("enriched"), expected.enriched);
        assert_eq!(count("absent"), expected.absent);
        assert_eq!(count("no_key"), expected.no_key);
        assert_eq!(count("rejected"), 0);
        assert_eq!(count("source_calls"), expected.keys, "each key is asked for once");
        let out = room.read("out.ndjson");
        assert!(out.lines().eq(expected.lines.iter()), "another record came out");
    };
    check(&planes);
    if cfg!(feature = "sqlite") {
        let table = "sqlite:planes.db?table=planes&key=tailnum";
        room.run(&["load", &planes, table]).ok();
        check(table);
    }
}
