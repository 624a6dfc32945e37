use super::server::{free_port, signal};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An emulator of Firestore, the crate `hidane`, that dies with this value.
pub(crate) struct Hidane {
    host: String,
    child: Child,
}

impl Hidane {
    pub(crate) fn start() -> Self {
        let port = free_port();
        let child = Command::new(program())
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("hidane starts");
        let server = Self { host: format!("127.0.0.1:{port}"), child };
        let began = Instant::now();
        while TcpStream::connect(&server.host).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "hidane does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    /// `HOST:PORT`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        let (_, port) = self.host.split_once(':').expect("a host and a port");
        port.parse().expect("a number")
    }

    /// Stops it, or lets it go on; its kernel acknowledges meanwhile.
    pub(crate) fn freeze(&self, frozen: bool) {
        signal(&self.child, if frozen { "-STOP" } else { "-CONT" });
    }
}

/// Where it is: where the variable says, or where `./scripts/test` puts it.
fn program() -> PathBuf {
    let path = std::env::var_os("HEADWATER_HIDANE").map(PathBuf::from).unwrap_or_else(|| {
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
        cache.join("headwater/tools/hidane-0.6.0/bin/hidane")
    });
    assert!(path.is_file(), "there is no {}: run ./scripts/test, which builds it", path.display());
    path
}

impl Drop for Hidane {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
