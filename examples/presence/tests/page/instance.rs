use headwater_servers::{Server, until};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};

/// An instance of the example's server, which dies with this value.
pub(crate) struct Instance {
    process: Child,
    /// As it prints it.
    pub(crate) url: String,
}

impl Instance {
    /// Starts it with a name of its own, on a port that it finds, with further arguments.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        Self::on("0", name, arguments)
    }

    /// As [`start`](Self::start), with others on a Redis.
    pub(crate) fn sharing(redis: &Server, name: &str, arguments: &[&str]) -> Self {
        Self::start(name, &[&["--redis", &redis.url()], arguments].concat())
    }

    fn on(port: &str, name: &str, arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_headwater-presence-example"))
            .args(["--port", port, "--name", name])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let mut line = String::new();
        let output = process.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("its first line");
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned();
        Self { process, url }
    }

    /// Starts it again where it was.
    pub(crate) fn restart(&mut self, name: &str, arguments: &[&str]) {
        self.kill();
        let (_, port) = self.url.rsplit_once(':').expect("a port");
        *self = Self::on(port, name, arguments);
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Asks it to end, as `kill` does, and waits until it has.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.expect("kill runs").success());
        let mut status = None;
        until("the end of an instance", || {
            status = self.process.try_wait().expect("it is a child of ours");
            status.is_some()
        });
        status.expect("it has ended")
    }

    pub(crate) fn socket(&self) -> String {
        format!("{}/ws", self.url.replace("http:", "ws:"))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}
