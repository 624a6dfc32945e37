//! Children: this binary, started again in another role.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

const ROLE: &str = "HEADWATER_BENCH_ROLE";

/// The role of this process, if it is a child.
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// What the parent gave a child to know.
pub(crate) fn arguments() -> Vec<String> {
    std::env::args().skip(1).collect()
}

fn binary() -> PathBuf {
    std::env::current_exe().expect("this runs from a file")
}

/// Adds to a command, which runs what it is told, what starts this binary in a role.
pub(crate) fn again(command: &mut Command, role: &str, arguments: &[String]) {
    command.arg(binary()).args(arguments).env(ROLE, role);
}

/// Children that read lines and write lines. They die with this value.
pub(crate) struct Children {
    children: Vec<(Child, Option<ChildStdin>)>,
    lines: Receiver<(usize, String)>,
}

impl Children {
    /// Starts a child for each of the lists of arguments.
    pub(crate) fn start(role: &str, arguments: &[Vec<String>]) -> Self {
        let (sender, lines) = channel();
        let start = |(number, arguments): (usize, &Vec<String>)| {
            let mut command = Command::new(binary());
            let mut child = command
                .args(arguments)
                .env(ROLE, role)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("this binary starts again");
            let (stdin, stdout) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send((number, line)).is_err() {
                        return;
                    }
                }
            });
            (child, stdin)
        };
        let children = arguments.iter().enumerate().map(start).collect();
        Self { children, lines }
    }

    /// Says a line to all.
    pub(crate) fn say(&mut self, line: &str) {
        for (_, stdin) in &mut self.children {
            let stdin = stdin.as_mut().expect("it listens");
            writeln!(stdin, "{line}").expect("it listens");
        }
    }

    /// The next line of anybody; `None` after all have ended.
    pub(crate) fn hear(&self) -> Option<(usize, String)> {
        self.lines.recv_timeout(std::time::Duration::from_secs(60)).ok()
    }

    /// Tells all that nothing more comes.
    pub(crate) fn end(&mut self) {
        self.children.iter_mut().for_each(|(_, stdin)| drop(stdin.take()));
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for (child, _) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
