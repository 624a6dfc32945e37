//! A folder for one test, and the program run in it.

use serde_json::Value;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// The options that nearly every run has.
pub(crate) const BASE: [&str; 7] = ["enrich", "--key", "k", "--as", "v", "--source", "source.csv"];

/// A source for [`BASE`]: keys `a`, `b` and `1`.
pub(crate) const SOURCE: &str = "k,name\na,Anna\nb,Bert\n1,One\n";

/// A folder that is removed when the test ends.
pub(crate) struct Room(TempDir);

/// How a run ended, and what it said.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Room {
    /// With `source.csv` in it.
    pub(crate) fn new() -> Self {
        let room = Self(TempDir::new().unwrap());
        room.write("source.csv", SOURCE);
        room
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The program, in this folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.command(args).output().unwrap().into()
    }

    /// Runs the program with text on its stdin.
    pub(crate) fn pipe(&self, args: &[&str], stdin: impl AsRef<[u8]>) -> Run {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let text = stdin.as_ref().to_vec();
        // The program may end before it has read all.
        let feeder = std::thread::spawn(move || drop(pipe.write_all(&text)));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        output.into()
    }

    /// Runs `enrich` with [`BASE`] and `more` on stdin.
    pub(crate) fn enrich(&self, stdin: impl AsRef<[u8]>, more: &[&str]) -> Run {
        self.pipe(&[&BASE, more].concat(), stdin)
    }

    /// Runs `enrich` with [`BASE`] on a file.
    pub(crate) fn enrich_file(&self, name: &str, more: &[&str]) -> Run {
        self.run(&[&BASE[..], &["--input", name], more].concat())
    }
}

impl fmt::Debug for Run {
    /// Short, whatever was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| text.chars().take(2_000).collect::<String>();
        let mut debug = f.debug_struct("Run");
        debug.field("code", &self.code).field("stderr", &shown(&self.stderr));
        debug.field("stdout", &shown(&self.stdout)).finish()
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    /// Asserts the exit code and returns stdout.
    #[track_caller]
    pub(crate) fn ends_with(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:#?}");
        &self.stdout
    }

    /// Asserts success and returns stdout.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        self.ends_with(0)
    }

    /// Asserts an exit code, and a piece of what is said on stderr.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, words: &str) {
        self.ends_with(code);
        assert!(self.stderr.contains(words), "no {words:?} in {self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
    }

    /// The summary on stderr, where nothing else may be.
    #[track_caller]
    pub(crate) fn summary(&self) -> Value {
        serde_json::from_str(&self.stderr).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }
}

/// One record of [`SOURCE`] as it is spliced.
pub(crate) fn row(key: &str) -> &'static str {
    match key {
        "a" => r#"{"k":"a","name":"Anna"}"#,
        "b" => r#"{"k":"b","name":"Bert"}"#,
        _ => r#"{"k":"1","name":"One"}"#,
    }
}

pub(crate) fn gzip(data: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data.as_ref()).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(data: impl AsRef<[u8]>) -> Vec<u8> {
    zstd::encode_all(data.as_ref(), 1).unwrap()
}

/// The sample data that the repository ships.
pub(crate) fn sample(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data");
    folder.join(name).display().to_string()
}

/// The port of something that listens, and answers everybody as a web server does. It lives as long
/// as this process.
#[cfg(feature = "redis")]
pub(crate) fn web_server() -> u16 {
    use std::io::Read;

    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let _ = (&stream).read(&mut [0; 512]);
            let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        }
    });
    port
}
