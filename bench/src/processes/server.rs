use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A `redis-server` without persistence that dies with this value.
pub(crate) struct RedisServer {
    port: u16,
    directory: PathBuf,
    child: Option<Child>,
}

/// A port that nobody listens on just now.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Sends a signal to a child.
pub(super) fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

impl RedisServer {
    pub(crate) fn start() -> Self {
        let port = free_port();
        let directory =
            std::env::temp_dir().join(format!("headwater-bench-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory for the server");
        let mut server = Self { port, directory, child: None };
        server.restart();
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it (again), empty, on the same port.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "no", "--dir"])
            .arg(&self.directory)
            .stdout(File::create(self.directory.join("log")).expect("a log"))
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server starts: install it from the system's packages");
        self.child = Some(child);
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it, or lets it go on; its kernel acknowledges meanwhile.
    pub(crate) fn freeze(&self, frozen: bool) {
        signal(self.child.as_ref().expect("it runs"), if frozen { "-STOP" } else { "-CONT" });
    }

    /// How long it has computed so far, in nanoseconds.
    pub(crate) fn cpu(&self) -> u64 {
        let child = self.child.as_ref().expect("it runs");
        let told = std::fs::read_to_string(format!("/proc/{}/schedstat", child.id()));
        let told = told.expect("the system tells");
        told.split(' ').next().and_then(|time| time.parse().ok()).expect("a number")
    }

    /// The bytes that its data take, and what it needs to find them.
    pub(crate) fn memory(&self) -> u64 {
        let told = self.tell("INFO memory");
        let used = told.lines().find_map(|line| line.strip_prefix("used_memory:"));
        used.and_then(|bytes| bytes.trim().parse().ok()).expect("a number")
    }

    /// Sends a command in one line; what comes back at once.
    pub(crate) fn tell(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a time limit");
        stream.write_all(format!("{command}\r\n").as_bytes()).expect("it listens");
        let mut reply = Vec::new();
        // Ends with the time limit.
        let _ = stream.read_to_end(&mut reply);
        String::from_utf8_lossy(&reply).into_owned()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
