//! The source of all processes: a version for each key, asked over TCP, which takes its time.

use super::now;
use headwater::{Error, ErrorKind, Fetcher, Result};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

/// What the source knows of a key, and how often it was asked.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    version: u64,
    reads: u64,
    answered: u64,
}

type State = Arc<Mutex<HashMap<String, Known>>>;

/// The source, in the parent.
pub(crate) struct SourceServer {
    port: u16,
    state: State,
}

impl SourceServer {
    /// A source that takes between `least` and `most` for an answer.
    pub(crate) fn start(least: Duration, most: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = State::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &state, least, most));
            }
        });
        Self { port, state }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How often a key was read, and when the last answer left.
    pub(crate) fn reads(&self, key: &str) -> (u64, u64) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.get(key).map_or((0, 0), |known| (known.reads, known.answered))
    }
}

/// Answers `R key` with version and moment, `W key` with the version that it then has.
fn serve(stream: TcpStream, state: &State, least: Duration, most: Duration) {
    let mut lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
    let mut stream = stream;
    while let Some(Ok(line)) = lines.next() {
        let Some((verb, key)) = line.split_once(' ') else { return };
        let with = |change: &dyn Fn(&mut Known)| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let known = state.entry(key.to_owned()).or_default();
            change(known);
            *known
        };
        let known = if verb == "W" {
            with(&|known| known.version += 1)
        } else {
            let read = with(&|known| known.reads += 1);
            let span = (most - least).mul_f64(fastrand::f64());
            std::thread::sleep(least + span);
            let answered = now();
            with(&|known| known.answered = answered);
            Known { answered, ..read }
        };
        if writeln!(stream, "{} {}", known.version, known.answered).is_err() {
            return;
        }
    }
}

/// A version, and when the source said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) version: u64,
    pub(crate) at: u64,
}

impl Answer {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (version, at) = text.trim().split_once(' ')?;
        Some(Self { version: version.parse().ok()?, at: at.parse().ok()? })
    }
}

/// The source, as a child sees it: a connection for each call.
pub(crate) struct RemoteSource(pub(crate) u16);

impl Fetcher for RemoteSource {
    type Key = str;
    type Value = String;

    async fn fetch(&self, key: &str) -> Result<String> {
        ask(self.0, "R", key).await
    }

    async fn fetch_many(&self, keys: &[&str]) -> Vec<Result<String>> {
        futures_util::future::join_all(keys.iter().map(|key| self.fetch(key))).await
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// Has the source write a key; its new version.
pub(crate) async fn write(port: u16, key: &str) -> Option<u64> {
    let answer = ask(port, "W", key).await.ok()?;
    Answer::parse(&answer).map(|answer| answer.version)
}

async fn ask(port: u16, verb: &str, key: &str) -> Result<String> {
    let lost = |error: std::io::Error| {
        Error::new(ErrorKind::Unavailable, "the source is gone").with_source(error)
    };
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.map_err(lost)?;
    stream.write_all(format!("{verb} {key}\n").as_bytes()).await.map_err(lost)?;
    let mut line = String::new();
    tokio::io::BufReader::new(stream).read_line(&mut line).await.map_err(lost)?;
    Ok(line.trim().to_owned())
}
