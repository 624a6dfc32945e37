//! Servers that die, freeze, come back empty, never answer, or are something else.

use crate::emulator::{Emulator, Make, on_each_emulator};
use crate::world::{World, client, plane, project};
use headwater::firestore::client::FirestoreDbOptions;
use headwater::firestore::{FirestoreSource, connect, connect_with};
use headwater::{Error, ErrorKind, Fetcher};
use headwater_servers::free_port;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

/// Far above any limit that is set here: whoever waits so long hangs.
const GUARD: Duration = Duration::from_secs(60);

/// A limit for calls that are to run into it.
const SHORT: Duration = Duration::from_millis(300);

async fn guarded<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, work).await.expect("it hangs")
}

on_each_emulator! {
    async fn a_server_that_died_is_unavailable_and_used_again_when_it_is_back(emulator: Emulator) {
        let mut emulator = emulator;
        let world = World::at(&emulator.host()).await;
        world.have(&["a"]).await;
        // Google's takes its time for the first answer after a start.
        let planes = world.builder().retries(1).timeout(GUARD).build().expect("valid settings");
        assert_eq!(guarded(planes.fetch("a")).await.expect("found"), plane("a"));
        emulator.kill();
        let error = guarded(planes.fetch("a")).await.expect_err("nobody there");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        emulator.restart();
        let error = guarded(planes.fetch("a")).await.expect_err("it lost everything");
        assert!(error.is_not_found(), "{error}");
        world.have(&["a"]).await;
        assert_eq!(guarded(planes.fetch("a")).await.expect("found"), plane("a"));
    }

    async fn a_frozen_server_costs_a_timeout_and_is_used_again_when_it_thaws(emulator: Emulator) {
        let world = World::at(&emulator.host()).await;
        world.have(&["a"]).await;
        let impatient = world.builder().timeout(SHORT).build().expect("valid settings");
        guarded(world.planes().fetch("a")).await.expect("warm");
        emulator.signal("-STOP");
        let error = guarded(impatient.fetch("a")).await.expect_err("silence");
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.to_string().contains("300ms"), "{error}");
        let outcomes = guarded(impatient.fetch_many(&["a", "b"])).await;
        assert!(outcomes.iter().all(|outcome| outcome.as_ref().is_err_and(Error::is_retryable)));
        emulator.signal("-CONT");
        assert_eq!(guarded(world.planes().fetch("a")).await.expect("found"), plane("a"));
        assert_eq!(impatient.stats().timeouts, 2);
    }

    async fn calls_that_a_frozen_server_has_are_answered_when_it_thaws(emulator: Emulator) {
        let world = World::at(&emulator.host()).await;
        world.have(&["a", "b", "c"]).await;
        let planes = world.builder().batch(2).timeout(GUARD).retries(0).build();
        let planes = planes.expect("valid settings");
        guarded(planes.fetch("a")).await.expect("warm");
        emulator.signal("-STOP");
        let fetches = tokio::spawn({
            let planes = planes.clone();
            async move { tokio::join!(planes.fetch("a"), planes.fetch_many(&["c", "none", "b"])) }
        });
        while planes.stats().calls < 4 {
            tokio::task::yield_now().await;
        }
        emulator.signal("-CONT");
        let (one, many) = guarded(fetches).await.expect("no panic");
        assert_eq!(one.expect("found"), plane("a"));
        let found: Vec<_> = many.into_iter().map(Result::ok).collect();
        assert_eq!(found, [Some(plane("c")), None, Some(plane("b"))]);
    }

    async fn a_fetch_that_a_dying_server_had_is_made_again(emulator: Emulator) {
        let mut emulator = emulator;
        let world = World::at(&emulator.host()).await;
        world.have(&["a"]).await;
        let planes = world.builder().timeout(GUARD).retries(100).build().expect("valid settings");
        emulator.signal("-STOP");
        let fetch = tokio::spawn({
            let planes = planes.clone();
            async move { planes.fetch("a").await }
        });
        while planes.stats().calls < 1 {
            tokio::task::yield_now().await;
        }
        emulator.kill();
        while planes.stats().retries == 0 {
            assert!(!fetch.is_finished(), "given up: {:?}", fetch.await);
            tokio::task::yield_now().await;
        }
        emulator.restart();
        let error = guarded(fetch).await.expect("no panic").expect_err("it came back empty");
        assert!(error.is_not_found(), "{error}");
    }

    async fn calls_that_a_dying_server_had_are_made_again(emulator: Emulator) {
        let mut emulator = emulator;
        let world = World::at(&emulator.host()).await;
        world.have(&["a", "b", "c", "d", "e"]).await;
        let planes = world.builder().batch(2).timeout(GUARD).retries(100).build();
        let planes = planes.expect("valid settings");
        emulator.signal("-STOP");
        let fetch = tokio::spawn({
            let planes = planes.clone();
            async move { planes.fetch_many(&["a", "b", "c", "d", "e"]).await }
        });
        while planes.stats().calls < 3 {
            tokio::task::yield_now().await;
        }
        emulator.kill();
        while planes.stats().retries == 0 {
            assert!(!fetch.is_finished(), "given up: {:?}", fetch.await);
            tokio::task::yield_now().await;
        }
        emulator.restart();
        let outcomes = guarded(fetch).await.expect("no panic");
        assert_eq!(outcomes.len(), 5);
        for outcome in outcomes {
            assert!(outcome.expect_err("it came back empty").is_not_found());
        }
    }
}

/// Listens and gives each connection to `serve`, in a thread of its own; returns its address. The
/// connections stay open.
fn listener(serve: fn(&mut TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let host = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().flatten() {
            kept.push(stream.try_clone());
            std::thread::spawn(move || serve(&mut stream));
        }
    });
    host
}

async fn error_from(host: &str, limit: Duration) -> Error {
    let db = client(host, &project(), "(default)").await;
    let planes =
        FirestoreSource::<str, u8>::builder(db, "planes").timeout(limit).retries(0).build();
    let error = guarded(planes.expect("valid settings").fetch("a")).await.expect_err("no answer");
    assert!(!error.is_not_found());
    error
}

#[tokio::test]
async fn a_peer_that_never_answers_costs_a_timeout() {
    assert_eq!(error_from(&listener(|_| ()), SHORT).await.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_peer_that_is_no_firestore_is_called_that() {
    let http = |stream: &mut TcpStream| {
        let mut request = [0; 1_024];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    };
    let error = error_from(&listener(http), GUARD).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("no Firestore"), "{error}");
}

#[tokio::test]
async fn connecting_to_nobody_is_an_error_that_says_so() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let options = FirestoreDbOptions::new(project()).with_firebase_api_url(nobody);
    let error = guarded(connect_with(options)).await.expect_err("nobody there");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("check the network and the address"), "{error}");
    let options = FirestoreDbOptions::new(project()).with_firebase_api_url("nonsense".to_owned());
    let error = guarded(connect_with(options)).await.expect_err("no address");
    assert!(matches!(error.kind(), ErrorKind::InvalidConfig | ErrorKind::Unavailable), "{error}");
}

/// Runs one of the tests here in a process of its own, with a variable in its environment, and
/// returns what it printed.
fn alone(test: &str, variable: &str, value: &str) -> String {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", &format!("trouble::{test}"), "--nocapture"])
        .env_remove("FIRESTORE_EMULATOR_HOST")
        .env(variable, value)
        .env(CHILD, "yes")
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Set in the environment of a process that a test has started.
const CHILD: &str = "HEADWATER_TEST_CHILD";

#[tokio::test]
async fn the_environment_names_the_emulator() {
    if std::env::var_os(CHILD).is_some() {
        let db = guarded(connect(project())).await.expect("the emulator is there");
        let planes = FirestoreSource::<str, u8>::new(db, "planes").expect("a path");
        assert!(guarded(planes.fetch("a")).await.expect_err("absent").is_not_found());
        println!("answered");
        return;
    }
    let emulator = Emulator::start(Make::Hidane);
    let test = "the_environment_names_the_emulator";
    assert!(alone(test, "FIRESTORE_EMULATOR_HOST", &emulator.host()).contains("answered"));
}

/// `FIRESTORE_EMULATOR_HOST` wins over the emulators that the tests would start.
#[test]
fn the_tests_use_the_emulator_that_the_environment_names() {
    let mut emulator = Emulator::start(Make::Hidane);
    let run = |host: &str| {
        let test = "documents::on_hidane::a_document_is_found_and_a_missing_one_is_absent";
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", test]).env("FIRESTORE_EMULATOR_HOST", host);
        command.env("HEADWATER_HIDANE", "/there/is/no/such/file").output().expect("it runs")
    };
    let output = run(&emulator.host());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    emulator.kill();
    assert!(!run(&emulator.host()).status.success(), "somebody else answered");
}

#[tokio::test]
async fn an_emulator_that_does_not_run_is_named() {
    if std::env::var_os(CHILD).is_some() {
        println!("{}", guarded(connect(project())).await.expect_err("nobody there"));
        return;
    }
    let nobody = format!("127.0.0.1:{}", free_port());
    let test = "an_emulator_that_does_not_run_is_named";
    let text = alone(test, "FIRESTORE_EMULATOR_HOST", &nobody);
    assert!(text.contains("unavailable: nothing answers where FIRESTORE_EMULATOR_HOST"), "{text}");
}

#[tokio::test]
async fn connecting_without_credentials_says_how_to_get_some() {
    if std::env::var_os(CHILD).is_some() {
        let somebody = format!("http://{}", listener(|_| ()));
        let options = FirestoreDbOptions::new(project()).with_firebase_api_url(somebody);
        println!("{}", guarded(connect_with(options)).await.expect_err("no credentials"));
        return;
    }
    let test = "connecting_without_credentials_says_how_to_get_some";
    let text = alone(test, "GOOGLE_APPLICATION_CREDENTIALS", "/there/is/no/such/file");
    assert!(text.contains("unavailable: the credentials are missing"), "{text}");
}
