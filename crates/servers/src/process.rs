//! What all servers have in common: a process, a folder, a port.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long anything here may take: a guard against hanging, far above what it does take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A running server, and a shell that kills it when this process ends, however it ends: also when
/// nothing is dropped any more, as with statics.
#[derive(Debug)]
pub(crate) struct Process {
    shell: Child,
    id: String,
}

impl Process {
    /// Starts a program in a folder, where its output goes into the file `log`.
    pub(crate) fn start(folder: &Path, program: &str, arguments: &[&str]) -> Self {
        let script = "cd \"$0\" && { \"$@\" </dev/null >log 2>&1 & } && echo $! && \
                      { cat >/dev/null; kill -9 $!; wait $!; } 2>/dev/null";
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .arg(folder)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let mut id = String::new();
        let output = shell.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut id).expect("the server's process id");
        Self { shell, id: id.trim().to_owned() }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns when the signal has taken effect: a busy machine may take a while to stop all threads,
    /// which go on answering until then.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.id]).status();
        assert!(sent.expect("kill runs").success());
        if signal == "-STOP" {
            until("the stop of a server", || self.is_stopped());
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

/// A folder that goes with its server.
pub(crate) fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("headwater-server-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).expect("a folder for a server");
    path
}

/// A port that nobody listens on, also 10,000 above it, where a cluster's nodes talk.
///
/// Servers of parallel tests race for ports: so each process has its own range, and counts up.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..2_000 {
        let start = std::process::id().wrapping_mul(97);
        let port = 12_000 + ((start + NEXT.fetch_add(1, Relaxed)) % 20_000) as u16;
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
    panic!("no free port");
}

/// Waits for `done`, and panics with `what` if that takes for ever.
pub fn until(what: &str, done: impl FnMut() -> bool) {
    until_or(what, done, String::new);
}

/// As [`until`]; the panic tells more: `why`.
pub(crate) fn until_or(what: &str, mut done: impl FnMut() -> bool, why: impl Fn() -> String) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what} takes too long\n{}", why());
        std::thread::sleep(Duration::from_millis(10));
    }
}
