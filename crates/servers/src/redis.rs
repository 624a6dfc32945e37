//! [`Server`]: a Redis.

use crate::process::{PATIENCE, Process, folder, free_port, until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How much of a server's log is shown when a test fails.
const LAST_LINES: usize = 12;

/// A `redis-server` that dies with this value: of the system's version, or what the variable
/// `HEADWATER_REDIS_SERVER` names.
#[derive(Debug)]
pub struct Server {
    pub(crate) port: u16,
    pub(crate) folder: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) process: Option<Process>,
}

impl Server {
    /// A server without persistence, which answers.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// A server with further arguments.
    pub fn with(arguments: &[&str]) -> Self {
        let mut server = Self {
            port: free_port(),
            folder: folder(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            process: None,
        };
        server.restart();
        server
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, as `redis://HOST:PORT`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it (again), empty, on the same port.
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let port = self.port.to_string();
        let mut arguments = vec!["--port", &port, "--bind", "127.0.0.1", "--save", ""];
        arguments.extend(["--appendonly", "no", "--daemonize", "no", "--protected-mode", "no"]);
        arguments.extend(["--repl-diskless-sync-delay", "0"]);
        arguments.extend(self.arguments.iter().map(String::as_str));
        self.process = Some(start(&self.folder, &arguments));
        self.wait_until_it_listens();
    }

    pub(crate) fn wait_until_it_listens(&self) {
        until("the start of a server", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&mut self) {
        drop(self.process.take());
    }

    /// Freezes it: its kernel goes on acknowledging.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Has it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        self.process.as_ref().expect("it runs").signal(signal);
    }

    /// The id of its process.
    pub fn id(&self) -> &str {
        self.process.as_ref().expect("it runs").id()
    }

    /// For whoever reads why a test failed.
    fn tell_the_end_of_its_log(&self) {
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        eprintln!("the server on port {} said last:\n{}", self.port, last.join("\n"));
    }

    /// The reply to a command, as it comes over the wire; for strings, numbers and errors.
    pub fn ask(&self, command: &[&[u8]]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it answers");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let mut request = format!("*{}\r\n", command.len()).into_bytes();
        for part in command {
            request.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
            request.extend_from_slice(part);
            request.extend_from_slice(b"\r\n");
        }
        stream.write_all(&request).expect("it listens");
        read_reply(&mut stream)
    }

    /// As [`ask`](Self::ask), for text.
    pub fn tell(&self, command: &str) -> String {
        let parts: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        self.ask(&parts)
    }
}

/// A server of Redis with these arguments.
pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Process {
    let server = std::env::var("HEADWATER_REDIS_SERVER");
    let server = server.unwrap_or_else(|_| "redis-server".to_owned());
    let version = Command::new(&server).arg("--version").output();
    assert!(version.is_ok(), "there is no {server}: run ./scripts/test, which brings it");
    Process::start(folder, &server, arguments)
}

fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a reply");
        line.push(byte[0]);
    }
    line.truncate(line.len() - 2);
    String::from_utf8_lossy(&line).into_owned()
}

fn read_reply(stream: &mut TcpStream) -> String {
    let line = read_line(stream);
    match line.split_at(1) {
        ("$", "-1") => "(nil)".to_owned(),
        ("$", length) => {
            let mut bytes = vec![0; length.parse::<usize>().expect("a length") + 2];
            stream.read_exact(&mut bytes).expect("the bytes");
            bytes.truncate(bytes.len() - 2);
            String::from_utf8_lossy(&bytes).into_owned()
        }
        ("*", count) => {
            let count: usize = count.parse().unwrap_or(0);
            (0..count).map(|_| read_reply(stream)).collect::<Vec<_>>().join(" ")
        }
        (_, rest) => rest.to_owned(),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            self.tell_the_end_of_its_log();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
