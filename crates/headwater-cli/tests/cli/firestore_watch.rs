//! `enrich --watch`: documents that others change while a run goes on.

use crate::firestore::{World, until};
use crate::support::Run;
use headwater_servers::emulator::{Emulator, Make};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout};

/// A run that is given one record after the other.
struct Talk {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Talk {
    fn start(world: &World, more: &[&str]) -> Self {
        let source = world.people("");
        let base = ["enrich", "--key", "k", "--as", "v", "--source", &source, "--watch"];
        let mut child = world.start(&[&base[..], more].concat());
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stdin, stdout, stderr }
    }

    /// What `a` is enriched with: its name, or null.
    fn name_of_a(&mut self) -> Value {
        self.ask_for_a();
        self.answer()
    }

    fn ask_for_a(&mut self) {
        self.stdin.write_all(b"{\"k\":\"a\"}\n").unwrap();
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let record: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
        record["v"]["name"].clone()
    }

    /// Asks again and again.
    fn hears(&mut self, name: Option<&str>) {
        until("the change", || self.name_of_a() == json!(name));
    }

    /// Waits until something is said; what was.
    fn says(&mut self, words: &str) -> String {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert!(self.stderr.read_line(&mut line).unwrap() > 0, "it never said {words:?}");
        }
        line
    }

    /// Ends its input.
    fn end(mut self) -> Run {
        drop(self.stdin);
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.stderr.read_to_string(&mut stderr).unwrap();
        Run { code: self.child.wait().unwrap().code(), stdout, stderr }
    }

    /// Ends its input; what it told of the watch.
    fn end_json(self) -> Value {
        let run = self.end();
        run.ok();
        run.summary()["watch"].clone()
    }
}

/// Somebody else's change.
fn name_a(world: &World, name: &str) {
    world.put("(default)/documents/people/a", &json!({"name": {"stringValue": name}}));
}

fn count(watch: &Value, name: &str) -> u64 {
    watch[name].as_u64().unwrap_or_else(|| panic!("no {name} in {watch}"))
}

#[test]
fn what_others_change_add_and_delete_comes_out_of_a_run_that_goes_on() {
    let world = World::new();
    let mut talk = Talk::start(&world, &["--json"]);
    // That there is none is remembered for the whole run.
    assert_eq!(talk.name_of_a(), Value::Null);
    name_a(&world, "old");
    talk.hears(Some("old"));
    name_a(&world, "new");
    talk.hears(Some("new"));
    let (status, _) = world.rest("DELETE", "(default)/documents/people/a", &Value::Null);
    assert_eq!(status, 200);
    talk.hears(None);
    let watch = talk.end_json();
    assert_eq!(
        (&watch["caught_up"], &watch["state"], &watch["error"]),
        (&true.into(), &"live".into(), &Value::Null)
    );
    assert!(count(&watch, "invalidations") >= 3 && count(&watch, "reads") >= 2, "{watch}");
    assert_eq!(count(&watch, "failures"), 0);
}

#[test]
fn the_documents_of_its_beginning_are_told_as_billed() {
    let world = World::new();
    name_a(&world, "old");
    let mut talk = Talk::start(&world, &[]);
    assert_eq!(talk.name_of_a(), "old");
    name_a(&world, "new");
    talk.hears(Some("new"));
    let run = talk.end();
    run.ok();
    let row = run.stderr.lines().find(|line| line.starts_with("watch ")).unwrap_or_default();
    assert!(row.contains(" invalidations ") && row.ends_with(" live"), "{run:?}");
    let reads = row.split_once(" reads billed").unwrap().0.rsplit(' ').next().unwrap();
    assert!(reads.parse::<u64>().unwrap() >= 2, "{row}");
}

#[test]
fn a_watch_that_breaks_is_told_of_and_made_up_for() {
    let mut emulator = Emulator::start(Make::Hidane);
    let world = World::at(emulator.host());
    name_a(&world, "old");
    let mut talk = Talk::start(&world, &[]);
    assert_eq!(talk.name_of_a(), "old");
    emulator.kill();
    let said = talk.says("--watch is down (");
    assert!(said.starts_with("headwater: warning: firestore://"), "{said}");
    // What memory has, goes on.
    assert_eq!(talk.name_of_a(), "old");
    emulator.restart();
    talk.says("--watch has caught up");
    // The server has lost everything.
    talk.hears(None);
    emulator.kill();
    talk.says("--watch is down (");
    let run = talk.end();
    run.ok();
    let words = "warning: --watch was down at the end, so later changes were not seen: firestore: ";
    assert!(run.stderr.contains(words), "{run:?}");
}

#[cfg(feature = "redis")]
mod with_redis {
    use super::*;
    use headwater_servers::{Server, free_port};

    #[test]
    fn runs_that_share_a_redis_have_one_listener() {
        let (world, redis) = (World::new(), Server::start());
        name_a(&world, "old");
        let url = redis.url();
        let more = ["--redis", &url, "--json"];
        let mut first = Talk::start(&world, &more);
        assert_eq!(first.name_of_a(), "old");
        let mut second = Talk::start(&world, &more);
        assert_eq!(second.name_of_a(), "old");
        name_a(&world, "new");
        second.hears(Some("new"));
        first.hears(Some("new"));
        let (second, first) = (second.end_json(), first.end_json());
        assert_eq!((&first["state"], &second["state"]), (&"live".into(), &"following".into()));
        assert_eq!((&first["caught_up"], &second["caught_up"]), (&true.into(), &true.into()));
        assert!(count(&first, "reads") >= 2, "{first}");
        assert_eq!(count(&second, "reads"), 0, "{second}");
    }

    #[test]
    fn a_run_goes_on_where_the_watch_cannot_begin() {
        let world = World::new();
        name_a(&world, "old");
        let url = format!("redis://127.0.0.1:{}", free_port());
        let mut talk = Talk::start(&world, &["--redis", &url, "--redis-optional"]);
        talk.ask_for_a();
        let said = talk.says("--watch has not caught up within 10 s (");
        assert!(said.contains("going on without it"), "{said}");
        assert_eq!(talk.answer(), "old");
        let run = talk.end();
        run.ok();
        assert!(run.stderr.contains("warning: --watch was down at the end"), "{run:?}");
    }
}
