//! Help, completions, and command lines that make no sense.

use crate::support::{BASE, Room};

#[test]
fn help_has_examples_and_exit_codes() {
    let room = Room::new();
    let help = room.run(&["--help"]);
    assert!(help.ok().contains("Examples:") && help.stdout.contains("enrich"));
    let help = room.run(&["enrich", "--help"]);
    for words in
        ["Examples:", "Exit codes:", "--on-missing", "- drop: Leave it out", "source_calls"]
    {
        assert!(help.ok().contains(words), "{words}");
    }
    for words in [
        "firestore://",
        "billed",
        "--watch",
        "35,000 reads a day",
        "\"latitude\":..",
        "FIRESTORE_EMULATOR_HOST",
    ] {
        assert!(help.stdout.contains(words), "{words}");
    }
    let help = room.run(&["load", "--help"]);
    for words in ["firestore://", "--resume", "\"sigint\"", "007, +1 and 1e5"] {
        assert!(help.ok().contains(words), "{words}");
    }
    for command in ["load", "simulate", "doctor"] {
        assert!(room.run(&[command, "--help"]).ok().contains("Exit codes:"), "{command}");
    }
    let version = room.run(&["--version"]);
    assert_eq!(version.ok(), format!("headwater {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_are_made_for_each_shell() {
    let room = Room::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = room.run(&["completions", shell]);
        assert!(script.ok().contains("on-missing"), "{shell}");
    }
    room.run(&["completions", "cmd"]).fails(2, "invalid value 'cmd'");
}

#[test]
fn completions_into_a_closed_pipe_are_no_trouble() {
    let room = Room::new();
    let mut child = room.command(&["completions", "bash"]).spawn().unwrap();
    drop(child.stdout.take());
    let run: crate::support::Run = child.wait_with_output().unwrap().into();
    assert_eq!((run.ok(), run.stderr.as_str()), ("", ""));
}

#[test]
fn a_command_line_that_makes_no_sense_is_told() {
    let room = Room::new();
    room.run(&["enrich"]).fails(2, "--key <FIELD>");
    room.run(&["enrichh"]).fails(2, "unrecognized subcommand");
    let fails = |more: &[&str], words: &str| room.enrich("{}", more).fails(2, words);
    fails(&["--memory=-1"], "--memory");
    fails(&["--batch", "0"], "--batch");
    fails(&["--concurrency", "0"], "--concurrency");
    fails(&["--ttl", "soon"], "--ttl");
    fails(&["--ttl", "0s"], "must be longer than zero");
    fails(&["--absent-ttl", "1m", "--no-absent"], "cannot be used with");
    fails(&["--on-missing", "skip"], "[possible values: pass, drop, fail]");
    fails(&["--max-line", "64XB"], "--max-line");
    fails(&["--limit", "many"], "--limit");
    fails(&["--namespace", "n"], "--redis <URL>");
    fails(&["--redis-optional"], "--redis <URL>");
    fails(&["--go-compatible"], "--go-compatible: is for a Redis, and there is none");
    fails(&["--redis", "redis://h", "--namespace", "n", "--go-compatible"], "cannot be used with");
    let run = room.run(&["enrich", "--key", "k", "--as", "k", "--source", "source.csv"]);
    run.fails(2, "--as k: is the key itself");
}

#[test]
fn a_watch_that_cannot_be_kept_is_refused() {
    let room = Room::new();
    let words = "--watch: follows the changes of a collection of Firestore, which --source";
    room.enrich("{}", &["--watch", "-o", "out"]).fails(2, words);
    let place = "firestore://demo/planes";
    let fails = |more: &[&str], words: &str| {
        let base = ["enrich", "--key", "k", "--as", "v", "--watch", "--source", place, "-o", "out"];
        room.run(&[&base[..], more].concat()).fails(2, words);
    };
    fails(&["--redis", "redis://h", "--go-compatible"], "--watch: cannot be used with --go-compat");
    fails(&["--memory", "0"], "--watch: there is nothing to keep up: --memory is 0");
    assert!(!room.has("out"));
}

#[cfg(not(feature = "redis"))]
#[test]
fn a_build_without_redis_says_how_to_get_it() {
    let room = Room::new();
    let url = "redis://127.0.0.1:6379/0?namespace=n&key=k";
    let words =
        "this build has no Redis support: build with `cargo build --release --features redis`";
    room.enrich("{}", &["--redis", url, "-o", "out"]).fails(2, words);
    room.run(&["enrich", "--key", "k", "--as", "v", "--source", url]).fails(2, words);
    room.run(&["load", "source.csv", url]).fails(2, words);
    room.run(&["doctor", "--redis", url]).fails(2, words);
    assert!(!room.has("out"));
}

#[cfg(not(feature = "firestore"))]
#[test]
fn a_build_without_firestore_says_how_to_get_it() {
    let room = Room::new();
    let place = "firestore://demo/planes?key=k";
    let words = "this build has no Firestore support: build with `cargo build --release --features firestore`";
    room.run(&["enrich", "--key", "k", "--as", "v", "--source", place]).fails(2, words);
    let watched = ["enrich", "--key", "k", "--as", "v", "--source", place, "--watch"];
    room.run(&watched).fails(2, words);
    room.run(&["load", "source.csv", place]).fails(2, words);
}

#[test]
fn extreme_settings_are_no_trouble() {
    let room = Room::new();
    let most = u64::MAX.to_string();
    for more in [
        ["--memory", &most],
        ["--memory", "1"],
        ["--ttl", "1ns"],
        ["--ttl", "500years"],
        ["--absent-ttl", "0s"],
        ["--batch", &most],
        ["--concurrency", &most],
        ["--max-line", &most],
        ["--limit", &most],
    ] {
        let run = room.enrich("{\"k\":\"a\"}\n{\"k\":\"zz\"}\n", &more);
        assert_eq!(run.ok().lines().count(), 2, "{more:?}");
    }
}

#[test]
fn colours_are_never_forced_on_a_pipe() {
    let room = Room::new();
    let mut command = room.command(&[&BASE[..], &["--batch", "0"]].concat());
    let output = command.env("NO_COLOR", "1").output().unwrap();
    assert!(!output.stderr.contains(&0x1b));
}
