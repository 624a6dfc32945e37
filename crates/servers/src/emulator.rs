//! [`Emulator`]: a Firestore.

use crate::process::{Process, folder, free_port, until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::LazyLock;

/// The emulators that all tests share; they end with this process.
static HIDANE: LazyLock<Emulator> = LazyLock::new(|| Emulator::start(Make::Hidane));
static OFFICIAL: LazyLock<Emulator> = LazyLock::new(|| Emulator::start(Make::Official));

/// Who made an emulator.
#[derive(Clone, Copy, Debug)]
pub enum Make {
    /// The crate `hidane`; the variable `HEADWATER_HIDANE` names the program.
    Hidane,
    /// Google; the variable `HEADWATER_FIRESTORE_JAR` names the archive.
    Official,
}

impl Make {
    /// The address of an emulator that tests share: `host:port`. `FIRESTORE_EMULATOR_HOST` names
    /// another one.
    pub fn shared(self) -> String {
        if let Ok(host) = std::env::var("FIRESTORE_EMULATOR_HOST") {
            return host;
        }
        match self {
            Self::Hidane => HIDANE.host(),
            Self::Official => OFFICIAL.host(),
        }
    }

    fn command(self, port: u16) -> Vec<String> {
        let command = match self {
            Self::Hidane => format!("{} --host 127.0.0.1 --port {port}", program()),
            Self::Official => {
                let jar = std::env::var("HEADWATER_FIRESTORE_JAR").expect(
                    "HEADWATER_FIRESTORE_JAR names Google's emulator: ./scripts/test sets it",
                );
                format!(
                    "java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Duser.language=en -cp \
                     {jar} com.google.cloud.datastore.emulator.firestore.CloudFirestore start \
                     --host=127.0.0.1 --port={port}"
                )
            }
        };
        command.split_whitespace().map(str::to_owned).collect()
    }
}

/// Where `hidane` is: where the variable says, or where `./scripts/test` puts it.
fn program() -> String {
    let path = std::env::var_os("HEADWATER_HIDANE").map(PathBuf::from).unwrap_or_else(|| {
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
        cache.join("headwater/tools/hidane-0.6.0/bin/hidane")
    });
    let shown = path.display().to_string();
    assert!(path.is_file(), "there is no {shown}: run ./scripts/test, which builds it");
    shown
}

/// Runs each case on `hidane`, and on Google's emulator where it is asked for. A case is given what
/// the `on` of its argument's type makes.
#[macro_export]
macro_rules! on_each_emulator {
    ($($(#[$doc:meta])* async fn $name:ident($given:ident: $what:ident) $body:block)*) => {
        mod cases {
            use super::*;
            $($(#[$doc])* pub(super) async fn $name($given: $what) $body)*
        }

        mod on_hidane {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    cases::$name($what::on(Make::Hidane).await).await;
                }
            )*
        }

        mod on_the_official_emulator {
            use super::*;
            $(
                #[tokio::test]
                #[ignore = "needs Google's emulator: ./scripts/test runs it where that is"]
                async fn $name() {
                    cases::$name($what::on(Make::Official).await).await;
                }
            )*
        }
    };
}
pub use on_each_emulator;

/// An emulator that dies with this value.
#[derive(Debug)]
pub struct Emulator {
    make: Make,
    port: u16,
    folder: PathBuf,
    process: Option<Process>,
}

impl Emulator {
    /// One of its own for a test.
    pub async fn on(make: Make) -> Self {
        Self::start(make)
    }

    /// An empty emulator, which answers.
    pub fn start(make: Make) -> Self {
        let mut emulator = Self { make, port: free_port(), folder: folder(), process: None };
        emulator.restart();
        emulator
    }

    /// Its address: `host:port`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it (again), empty, on the same port.
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let command = self.make.command(self.port);
        let parts: Vec<&str> = command.iter().map(String::as_str).collect();
        self.process = Some(Process::start(&self.folder, parts[0], &parts[1..]));
        until("the start of an emulator", || self.answers());
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&mut self) {
        drop(self.process.take());
    }

    /// Sends it a signal (`-STOP`, `-CONT`).
    pub fn signal(&self, signal: &str) {
        self.process.as_ref().expect("it runs").signal(signal);
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut answer = [0; 12];
        stream.write_all(request).is_ok()
            && stream.read_exact(&mut answer).is_ok()
            && answer.starts_with(b"HTTP/1.1 200")
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
