//! Redis servers that a test starts, kills and restarts, on ports of their own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Far above what anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A `redis-server` that dies with this value.
pub(crate) struct Server {
    pub(crate) port: u16,
    folder: TempDir,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let folder = TempDir::new().unwrap();
        let mut server = Self { port: 0, folder, arguments, process: None };
        // Another process may take a free port before the server does.
        while server.process.is_none() {
            server.port = free_port();
            server.try_start();
        }
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it again, empty, on the same port.
    pub(crate) fn restart(&mut self) {
        let began = Instant::now();
        while self.process.is_none() {
            assert!(began.elapsed() < PATIENCE, "the port is taken");
            self.try_start();
        }
    }

    fn try_start(&mut self) {
        let port = self.port.to_string();
        let fixed = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"];
        let started = Command::new("redis-server")
            .args(fixed)
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut process = started.unwrap_or_else(|error| {
            panic!("redis-server: {error}; run ./scripts/test, which installs it")
        });
        let began = Instant::now();
        while process.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                self.process = Some(process);
                return;
            }
            assert!(began.elapsed() < PATIENCE, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The reply to a command of words without spaces; of strings and numbers.
    pub(crate) fn tell(&self, command: &str) -> String {
        self.ask(&command.split(' ').collect::<Vec<_>>())
    }

    pub(crate) fn ask(&self, command: &[&str]) -> String {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("*{}\r\n", command.len());
        for part in command {
            request.push_str(&format!("${}\r\n{part}\r\n", part.len()));
        }
        (&stream).write_all(request.as_bytes()).unwrap();
        reply(&mut BufReader::new(stream))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn reply(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let (kind, rest) = line.trim_end().split_at(1);
    match (kind, rest.parse::<i64>()) {
        ("$", Ok(-1)) => "(nil)".to_owned(),
        ("$", Ok(length)) => {
            let mut bytes = vec![0; usize::try_from(length).unwrap() + 2];
            stream.read_exact(&mut bytes).unwrap();
            bytes.truncate(bytes.len() - 2);
            String::from_utf8_lossy(&bytes).into_owned()
        }
        ("*", Ok(count)) => (0..count).map(|_| reply(stream)).collect::<Vec<_>>().join(" "),
        _ => rest.to_owned(),
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A port on which nobody listens, for as long as nobody takes it.
pub(crate) fn closed_port() -> u16 {
    free_port()
}

/// The port of something that listens, and answers everybody as a web server does. It lives as long
/// as this process.
pub(crate) fn web_server() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let _ = (&stream).read(&mut [0; 512]);
            let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        }
    });
    port
}

/// Waits until something is so.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what} takes too long");
        std::thread::sleep(Duration::from_millis(10));
    }
}
