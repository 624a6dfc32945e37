//! Emulators that tests start, stop, freeze and kill: processes of their own, on free ports.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How long anything here may take: a guard against hanging, far above what it does take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The emulators that all tests share; they end with this process.
static HIDANE: LazyLock<Emulator> = LazyLock::new(|| Emulator::start(Make::Hidane));
static OFFICIAL: LazyLock<Emulator> = LazyLock::new(|| Emulator::start(Make::Official));

/// Who made an emulator.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Make {
    /// The crate `hidane`; the variable `HEADWATER_HIDANE` names the program.
    Hidane,
    /// Google; the variable `HEADWATER_FIRESTORE_JAR` names the archive.
    Official,
}

impl Make {
    /// The address of an emulator that tests share: `host:port`. `FIRESTORE_EMULATOR_HOST` names
    /// another one.
    pub(crate) fn shared(self) -> String {
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
pub(crate) use on_each_emulator;

/// An emulator that dies with this value.
pub(crate) struct Emulator {
    make: Make,
    port: u16,
    process: Option<Process>,
}

impl Emulator {
    /// One of its own for a test.
    pub(crate) async fn on(make: Make) -> Self {
        Self::start(make)
    }

    /// An empty emulator, which answers.
    pub(crate) fn start(make: Make) -> Self {
        let mut emulator = Self { make, port: free_port(), process: None };
        emulator.restart();
        emulator
    }

    /// Its address: `host:port`.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it (again), empty, on the same port.
    pub(crate) fn restart(&mut self) {
        assert!(self.process.is_none(), "it runs");
        self.process = Some(Process::start(&self.make.command(self.port)));
        let began = Instant::now();
        while !self.answers() {
            assert!(began.elapsed() < PATIENCE, "the start of an emulator takes too long");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        drop(self.process.take());
    }

    /// Sends it a signal (`-STOP`, `-CONT`).
    pub(crate) fn signal(&self, signal: &str) {
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

/// A running server, and a shell that kills it when this process ends, however it ends: also when
/// nothing is dropped any more, as with statics.
struct Process {
    shell: Child,
    id: String,
}

impl Process {
    fn start(command: &[String]) -> Self {
        let script = "{ \"$0\" \"$@\" </dev/null >/dev/null 2>&1 & } && echo $! && \
                      { cat >/dev/null; kill -9 $!; wait $!; } 2>/dev/null";
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let mut id = String::new();
        let output = shell.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut id).expect("the server's process id");
        Self { shell, id: id.trim().to_owned() }
    }

    /// Returns when the signal has taken effect: a busy machine may take a while to stop all threads,
    /// which go on answering until then.
    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.id]).status();
        assert!(sent.expect("kill runs").success());
        let began = Instant::now();
        while signal == "-STOP" && !self.is_stopped() {
            assert!(began.elapsed() < PATIENCE, "stopping an emulator takes too long");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether all of its threads are, where the system tells.
    fn is_stopped(&self) -> bool {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", self.id)) else { return true };
        threads.flatten().all(|thread| {
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            // The state follows the name, which may hold anything.
            stat.rsplit(") ").next().is_none_or(|state| state.starts_with('T'))
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
