//! Processes that tests start and kill: this program once more, running the same test, by a wall clock
//! of its own.
//!
//! Parent and child talk in lines. Shifting the clock takes a C compiler, as building for Linux does.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// In the environment of a child: where the servers are.
const PLACE: &str = "HEADWATER_TEST_PLACE";
/// In the environment of a child: the file that shifts its clock; `clock.c` knows it too.
const CLOCK: &str = "HEADWATER_TEST_CLOCK";
/// What a child tells follows this; what the test harness prints does not.
const TOLD: &str = "the child tells: ";
/// How long a child may take to say something: a guard against hanging.
const PATIENCE: Duration = Duration::from_secs(90);

/// A process that dies with this value.
pub(crate) struct Child {
    process: std::process::Child,
    told: UnboundedReceiver<String>,
    clock: PathBuf,
}

/// In a child: where the servers are. Nothing in the test that starts it.
pub(crate) fn place() -> Option<String> {
    std::env::var(PLACE).ok()
}

/// In a child: tells its parent something.
pub(crate) fn tell(what: &str) {
    println!("{TOLD}{what}");
}

/// In a child: what its parent asks. It ends with the parent.
pub(crate) fn asked() -> UnboundedReceiver<String> {
    lines(std::io::stdin())
}

fn lines(from: impl Read + Send + 'static) -> UnboundedReceiver<String> {
    let (sender, lines) = unbounded_channel();
    std::thread::spawn(move || {
        let mut read = BufReader::new(from).lines().map_while(Result::ok);
        while read.next().is_some_and(|line| sender.send(line).is_ok()) {}
    });
    lines
}

impl Child {
    /// Starts `test` of this program in a process whose clock is so many seconds ahead.
    pub(crate) fn start(test: &str, place: &str, ahead: i64) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (own, next) = (std::process::id(), NEXT.fetch_add(1, Relaxed));
        let clock = std::env::temp_dir().join(format!("headwater-clock-{own}-{next}"));
        std::fs::write(&clock, ahead.to_ne_bytes()).expect("a file");
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", test, "--nocapture"])
            .env(PLACE, place)
            .env(CLOCK, &clock)
            .env("LD_PRELOAD", &*SHIFTING)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let told = lines(process.stdout.take().expect("a pipe"));
        Self { process, told, clock }
    }

    /// What it tells next.
    pub(crate) async fn hear(&mut self) -> String {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.told.recv()).await;
            let line = line.expect("it says nothing").expect("it has failed");
            if let Some((_, told)) = line.split_once(TOLD) {
                return told.to_owned();
            }
        }
    }

    /// What it answers.
    pub(crate) async fn ask(&mut self, what: &str) -> String {
        let mut stdin = self.process.stdin.as_ref().expect("a pipe");
        stdin.write_all(format!("{what}\n").as_bytes()).expect("it runs");
        self.hear().await
    }

    /// Sets its clock so many seconds ahead of what it would be.
    pub(crate) fn set_clock(&self, ahead: i64) {
        let file = File::options().write(true).open(&self.clock).expect("the file");
        file.write_all_at(&ahead.to_ne_bytes(), 0).expect("a write");
    }

    /// Stops it, or has it go on (`-STOP`, `-CONT`).
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(&self.clock);
    }
}

/// What shifts the clock of a process that loads it.
static SHIFTING: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let own = folder.join(format!("clock-{}.so", std::process::id()));
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let compiled = Command::new(compiler)
        .args(["-shared", "-fPIC", "-o"])
        .arg(&own)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/presence/clock.c"))
        .status();
    assert!(compiled.expect("there is a C compiler").success());
    // Other tests may load theirs meanwhile.
    let library = folder.join("clock.so");
    std::fs::rename(own, &library).expect("it is there");
    library
});
