//! Redis servers that tests start, stop, freeze and kill: processes of their own, on free ports.
//!
//! They are of the system's version, or what `HEADWATER_REDIS_SERVER` names.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long anything here may take: a guard against hanging, far above what it does take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A `redis-server` that dies with this value.
pub(crate) struct Server {
    port: u16,
    directory: PathBuf,
    arguments: Vec<String>,
    process: Option<Process>,
}

/// A running server, and a shell that kills it when this process ends, however it ends: also when
/// nothing is dropped any more, as with statics.
struct Process {
    shell: Child,
    id: String,
}

impl Process {
    fn start(directory: &Path, arguments: &[&str]) -> Self {
        let server = std::env::var("HEADWATER_REDIS_SERVER");
        let server = server.unwrap_or_else(|_| "redis-server".to_owned());
        let version = Command::new(&server).arg("--version").output();
        assert!(version.is_ok(), "there is no {server}: run ./scripts/test, which brings it");
        let script = "cd \"$0\" && { \"$@\" </dev/null >log 2>&1 & } && echo $! && \
                      { cat >/dev/null; kill -9 $!; wait $!; } 2>/dev/null";
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .arg(directory)
            .arg(&server)
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

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.id]).status();
        assert!(sent.expect("kill runs").success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// A directory that goes with its test.
fn fresh_directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("headwater-redis-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).expect("a directory for a server");
    path
}

/// A port that nobody listens on, also 10,000 above it, where a cluster's nodes talk.
///
/// Servers of parallel tests race for ports: so each process has its own range, and counts up.
pub(crate) fn free_port() -> u16 {
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
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what} takes too long");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Server {
    /// A server without persistence, which answers.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// A server with further arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let mut server = Self {
            port: free_port(),
            directory: fresh_directory(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            process: None,
        };
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
        assert!(self.process.is_none(), "it runs");
        let port = self.port.to_string();
        let mut arguments = vec!["--port", &port, "--bind", "127.0.0.1", "--save", ""];
        arguments.extend(["--appendonly", "no", "--daemonize", "no", "--protected-mode", "no"]);
        arguments.extend(["--repl-diskless-sync-delay", "0"]);
        arguments.extend(self.arguments.iter().map(String::as_str));
        self.process = Some(Process::start(&self.directory, &arguments));
        self.wait_until_it_listens();
    }

    fn wait_until_it_listens(&self) {
        until("the start of a server", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        drop(self.process.take());
    }

    /// Freezes it: its kernel goes on acknowledging.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        self.process.as_ref().expect("it runs").signal(signal);
    }

    /// The reply to a command, as it comes over the wire; for strings, numbers and errors.
    pub(crate) fn ask(&self, command: &[&[u8]]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it answers");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let mut request = format!("*{}\r\n", command.len()).into_bytes();
        for part in command {
            request.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
            request.extend_from_slice(part);
            request.extend_from_slice(b"\r\n");
        }
        stream.write_all(&request).expect("it listens");
        read_reply(&mut stream)
    }

    /// As [`ask`](Self::ask), for text.
    pub(crate) fn tell(&self, command: &str) -> String {
        let parts: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        self.ask(&parts)
    }
}

fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a reply");
        line.push(byte[0]);
    }
    line.truncate(line.len() - 2);
    String::from_utf8_lossy(&line).into_owned()
}

fn read_reply(stream: &mut TcpStream) -> String {
    let line = read_line(stream);
    match line.split_at(1) {
        ("$", "-1") => "(nil)".to_owned(),
        ("$", length) => {
            let mut bytes = vec![0; length.parse::<usize>().expect("a length") + 2];
            stream.read_exact(&mut bytes).expect("the bytes");
            bytes.truncate(bytes.len() - 2);
            String::from_utf8_lossy(&bytes).into_owned()
        }
        ("*", count) => {
            let count: usize = count.parse().unwrap_or(0);
            (0..count).map(|_| read_reply(stream)).collect::<Vec<_>>().join(" ")
        }
        (_, rest) => rest.to_owned(),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// What makes a server a cluster's node.
const CLUSTER: [&str; 6] = [
    "--cluster-enabled",
    "yes",
    "--cluster-node-timeout",
    "2000",
    // A replica may follow however long it has heard nothing: a busy machine is slow to notice.
    "--cluster-replica-validity-factor",
    "0",
];

/// Three masters that share the slots.
pub(crate) struct Cluster(Vec<Server>);

impl Cluster {
    pub(crate) fn start() -> Self {
        Self::of(3, 0)
    }

    /// Three masters with a replica each.
    pub(crate) fn with_replicas() -> Self {
        let cluster = Self::of(6, 1);
        for replica in &cluster.0 {
            until("a replica", || {
                replica.tell("ROLE").starts_with("master")
                    || replica.tell("INFO replication").contains("master_link_status:up")
            });
        }
        cluster.until_introduced();
        cluster
    }

    fn of(count: usize, replicas: usize) -> Self {
        let servers: Vec<Server> = (0..count).map(|_| Server::with(&CLUSTER)).collect();
        let addresses = servers.iter().map(|server| format!("127.0.0.1:{}", server.port));
        let created = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", &replicas.to_string(), "--cluster-yes"])
            .output()
            .expect("redis-cli runs");
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
        for server in &servers {
            until("the cluster", || {
                let info = server.tell("CLUSTER INFO");
                info.contains("cluster_state:ok")
                    && info.contains(&format!("cluster_known_nodes:{count}"))
            });
        }
        Self(servers)
    }

    /// The node that follows a master.
    pub(crate) fn replica_of(&self, master: usize) -> usize {
        let master = self.0[master].tell("CLUSTER MYID");
        let follows = |server: &Server| {
            let nodes = server.tell("CLUSTER NODES");
            let own = nodes.lines().find(|line| line.contains("myself"));
            own.is_some_and(|own| own.split(' ').nth(3) == Some(&master))
        };
        let is_up = |server: &Server| server.process.is_some();
        let at = self.0.iter().position(|server| is_up(server) && follows(server));
        at.expect("it has a replica that runs")
    }

    /// Waits until a master's replica has all that the master has now.
    pub(crate) fn until_replicated(&self, master: usize) {
        let offset = |server: &Server, field: &str| {
            let info = server.tell("INFO replication");
            let line = info.lines().find_map(|line| line.strip_prefix(field).map(str::to_owned));
            line.and_then(|offset| offset.trim().parse::<u64>().ok())
        };
        let wanted = offset(&self.0[master], "master_repl_offset:");
        let replica = &self.0[self.replica_of(master)];
        until("replication", || offset(replica, "slave_repl_offset:") >= wanted);
    }

    /// Has a master change places with its replica; who is master now.
    pub(crate) fn hand_over(&self, master: usize) -> usize {
        let replica = self.replica_of(master);
        assert_eq!(self.0[replica].tell("CLUSTER FAILOVER"), "OK");
        self.until_promoted(replica);
        self.until_introduced();
        replica
    }

    /// Kills a master, and waits for its replica to take its place; who is master now.
    pub(crate) fn lose(&mut self, master: usize) -> usize {
        let replica = self.replica_of(master);
        self.0[master].kill();
        self.until_promoted(replica);
        replica
    }

    /// Freezes a master until its replica has taken its place, and thaws it: for a moment it does not
    /// know that it is none any more. Who is master now.
    pub(crate) fn hang(&self, master: usize) -> usize {
        let replica = self.replica_of(master);
        self.0[master].freeze();
        until("the replica's promotion", || self.0[replica].tell("ROLE").starts_with("master"));
        self.0[master].thaw();
        until("its demotion", || self.0[master].tell("ROLE").starts_with("slave"));
        self.until_promoted(replica);
        self.until_introduced();
        replica
    }

    /// Waits until a replica has become a master, and all that run serve all slots.
    pub(crate) fn until_promoted(&self, replica: usize) {
        until("the replica's promotion", || self.0[replica].tell("ROLE").starts_with("master"));
        for server in self.0.iter().filter(|server| server.process.is_some()) {
            until("the cluster", || server.tell("CLUSTER INFO").contains("cluster_state:ok"));
        }
    }

    /// Starts a node again that was lost, which follows whoever has its place.
    pub(crate) fn bring_back(&mut self, node: usize) {
        self.0[node].restart();
        let node = &self.0[node];
        until("a replica", || node.tell("INFO replication").contains("master_link_status:up"));
        self.until_introduced();
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.0.iter().map(Server::url).collect()
    }

    pub(crate) fn node(&mut self, at: usize) -> &mut Server {
        &mut self.0[at]
    }

    /// Moves so many slots from one node to another, with the keys in them.
    pub(crate) fn move_slots(&self, from: usize, to: usize, slots: usize) {
        let id = |at: usize| self.0[at].tell("CLUSTER MYID");
        let moved = Command::new("redis-cli")
            .args(["--cluster", "reshard", &format!("127.0.0.1:{}", self.0[from].port)])
            .args(["--cluster-from", &id(from), "--cluster-to", &id(to)])
            .args(["--cluster-slots", &slots.to_string(), "--cluster-yes"])
            .output()
            .expect("redis-cli runs");
        assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stdout));
    }

    /// Adds a node that follows another one.
    pub(crate) fn add_replica_of(&mut self, master: usize) {
        let replica = Server::with(&CLUSTER);
        let id = self.0[master].tell("CLUSTER MYID");
        self.0[master].tell(&format!("CLUSTER MEET 127.0.0.1 {}", replica.port));
        // Refused until it has heard of its master; once accepted, each further one begins anew.
        until("the acquaintance", || replica.tell(&format!("CLUSTER REPLICATE {id}")) == "OK");
        until("the replica", || replica.tell("INFO replication").contains("master_link_status:up"));
        self.0.push(replica);
        self.until_introduced();
    }

    /// Waits until each node, all of which run, knows what each other one is. Whoever is still being
    /// introduced is forgotten, with its slots, should it fail; and does not get its master's place.
    fn until_introduced(&self) {
        for server in &self.0 {
            until("the introductions", || {
                let nodes = server.tell("CLUSTER NODES");
                let count = |what: &str| nodes.lines().filter(|line| line.contains(what)).count();
                let is_strange = nodes.contains("handshake") || nodes.contains("fail");
                let known = (count(" connected"), count("slave"));
                known == (self.0.len(), self.0.len() - 3) && !is_strange
            });
        }
    }
}

/// A master, a replica, and three sentinels that watch over them under the name `mymaster`.
pub(crate) struct Sentinels {
    pub(crate) master: Server,
    pub(crate) replica: Server,
    sentinels: Vec<Server>,
}

impl Sentinels {
    pub(crate) fn start() -> Self {
        let master = Server::start();
        let replica = Server::with(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
        // Sentinels that begin before it is there notice it only ten seconds later.
        until("the replica", || master.tell("INFO replication").contains("state=online"));
        let sentinels: Vec<Server> = (0..3).map(|_| sentinel(master.port)).collect();
        for server in &sentinels {
            until("the sentinels", || {
                let info = server.tell("INFO sentinel");
                info.contains("slaves=1,sentinels=3")
            });
        }
        Self { master, replica, sentinels }
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(Server::url).collect()
    }
}

fn sentinel(master: u16) -> Server {
    let directory = fresh_directory();
    let file = directory.join("sentinel.conf");
    let lines = format!(
        "sentinel monitor mymaster 127.0.0.1 {master} 2\n\
         sentinel down-after-milliseconds mymaster 1000\n\
         sentinel failover-timeout mymaster 3000\n"
    );
    std::fs::write(&file, lines).expect("a configuration");
    start_sentinel(&file, directory)
}

fn start_sentinel(file: &Path, directory: PathBuf) -> Server {
    let port = free_port();
    let arguments = ["--sentinel", "--port", &port.to_string(), "--bind", "127.0.0.1"];
    let file = file.to_str().expect("a plain path");
    let arguments = [&[file], &arguments[..], &["--protected-mode", "no"]].concat();
    let process = Some(Process::start(&directory, &arguments));
    let server = Server { port, directory, arguments: Vec::new(), process };
    server.wait_until_it_listens();
    server
}
