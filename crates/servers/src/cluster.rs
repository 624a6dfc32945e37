//! What several servers of Redis make: [`Cluster`] and [`Sentinels`].

use crate::process::{folder, free_port, until, until_or};
use crate::redis::{Server, start};
use std::path::{Path, PathBuf};
use std::process::Command;

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
#[derive(Debug)]
pub struct Cluster(Vec<Server>);

impl Cluster {
    /// Starts them, empty, and waits until they serve.
    pub fn start() -> Self {
        Self::of(3, 0)
    }

    /// Three masters with a replica each.
    pub fn with_replicas() -> Self {
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
    pub fn replica_of(&self, master: usize) -> usize {
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
    pub fn until_replicated(&self, master: usize) {
        until_replicated(&self.0[master], &self.0[self.replica_of(master)]);
    }

    /// Has a master change places with its replica; who is master now.
    pub fn hand_over(&self, master: usize) -> usize {
        let replica = self.replica_of(master);
        assert_eq!(self.0[replica].tell("CLUSTER FAILOVER"), "OK");
        self.until_promoted(replica);
        self.until_introduced();
        replica
    }

    /// Kills a master, and waits for its replica to take its place; who is master now.
    pub fn lose(&mut self, master: usize) -> usize {
        let replica = self.replica_of(master);
        self.0[master].kill();
        self.until_promoted(replica);
        replica
    }

    /// Freezes a master until its replica has taken its place, and thaws it: for a moment it does not
    /// know that it is none any more. Who is master now.
    pub fn hang(&self, master: usize) -> usize {
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
    pub fn until_promoted(&self, replica: usize) {
        until("the replica's promotion", || self.0[replica].tell("ROLE").starts_with("master"));
        for node in 0..self.0.len() {
            if self.0[node].process.is_some() {
                self.until_served(node);
            }
        }
    }

    /// Starts a node again that was lost, which follows whoever has its place.
    pub fn bring_back(&mut self, node: usize) {
        self.0[node].restart();
        let node = &self.0[node];
        until("a replica", || node.tell("INFO replication").contains("master_link_status:up"));
        self.until_introduced();
    }

    /// Waits until a node says that all slots are served.
    pub fn until_served(&self, node: usize) {
        let node = &self.0[node];
        let info = || node.tell("CLUSTER INFO");
        let told = || format!("{}\n{}", info(), node.tell("CLUSTER NODES"));
        until_or("the cluster", || info().contains("cluster_state:ok"), told);
    }

    /// The addresses of its nodes.
    pub fn urls(&self) -> Vec<String> {
        self.0.iter().map(Server::url).collect()
    }

    /// One of its nodes.
    pub fn node(&mut self, at: usize) -> &mut Server {
        &mut self.0[at]
    }

    /// Moves so many slots from one node to another, with the keys in them.
    pub fn move_slots(&self, from: usize, to: usize, slots: usize) {
        let id = |at: usize| self.0[at].tell("CLUSTER MYID");
        let moved = Command::new("redis-cli")
            .args(["--cluster", "reshard", &format!("127.0.0.1:{}", self.0[from].port)])
            .args(["--cluster-from", &id(from), "--cluster-to", &id(to)])
            .args(["--cluster-slots", &slots.to_string(), "--cluster-yes"])
            .output()
            .expect("redis-cli runs");
        assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stdout));
    }

    /// Who serves a key.
    pub fn owner_of(&self, key: &str) -> usize {
        let serves = |server: &Server| server.tell(&format!("EXISTS {key}")).parse::<u64>().is_ok();
        self.0.iter().position(serves).expect("somebody serves it")
    }

    /// Begins to move a key's slot to another node, and leaves it at that: from now on its owner sends
    /// on whoever asks for a key of the slot that it does not have.
    pub fn begin_to_move_the_slot_of(&self, key: &str, to: usize) {
        let from = self.owner_of(key);
        let slot = self.0[from].tell(&format!("CLUSTER KEYSLOT {key}"));
        for (at, verb, peer) in [(to, "IMPORTING", from), (from, "MIGRATING", to)] {
            let peer = self.0[peer].tell("CLUSTER MYID");
            let said = self.0[at].tell(&format!("CLUSTER SETSLOT {slot} {verb} {peer}"));
            assert_eq!(said, "OK");
        }
    }

    /// Adds a node that follows another one.
    pub fn add_replica_of(&mut self, master: usize) {
        let replica = Server::with(&CLUSTER);
        let id = self.0[master].tell("CLUSTER MYID");
        self.0[master].tell(&format!("CLUSTER MEET 127.0.0.1 {}", replica.port));
        // A shard is what a master and its replicas are called together, where servers know that. Who
        // follows a master before it has heard the name keeps one that it made up, and the other
        // nodes do not believe that it has its master's slots, should it get them.
        let shard = self.0[master].tell("CLUSTER MYSHARDID");
        let has_heard = || {
            let notes = std::fs::read_to_string(replica.folder.join("nodes.conf"));
            shard.starts_with("ERR") || notes.is_ok_and(|notes| notes.contains(&shard))
        };
        // Refused until it has heard of its master; once accepted, each further one begins anew.
        until("the acquaintance", || {
            has_heard() && replica.tell(&format!("CLUSTER REPLICATE {id}")) == "OK"
        });
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

/// Waits until a replica has all that its master has now.
fn until_replicated(master: &Server, replica: &Server) {
    let offset = |server: &Server, field: &str| {
        let info = server.tell("INFO replication");
        let line = info.lines().find_map(|line| line.strip_prefix(field).map(str::to_owned));
        line.and_then(|offset| offset.trim().parse::<u64>().ok())
    };
    let wanted = offset(master, "master_repl_offset:");
    until("replication", || offset(replica, "slave_repl_offset:") >= wanted);
}

/// A master, a replica, and three sentinels that watch over them under the name `mymaster`.
#[derive(Debug)]
pub struct Sentinels {
    /// The master at first.
    pub master: Server,
    /// Who follows it.
    pub replica: Server,
    sentinels: Vec<Server>,
}

impl Sentinels {
    /// Starts them, and waits until they know each other.
    pub fn start() -> Self {
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

    /// Kills the master as soon as the replica has all that it has, and waits until that is master.
    pub fn lose(&mut self) {
        until_replicated(&self.master, &self.replica);
        self.master.kill();
        let new = format!("127.0.0.1 {}", self.replica.port);
        // The replica itself is not asked: who talks to it is cut off when it is promoted.
        for sentinel in &self.sentinels {
            until("the promotion", || {
                sentinel.tell("SENTINEL GET-MASTER-ADDR-BY-NAME mymaster") == new
            });
        }
    }

    /// The addresses of the sentinels.
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(Server::url).collect()
    }
}

fn sentinel(master: u16) -> Server {
    let folder = folder();
    let file = folder.join("sentinel.conf");
    let lines = format!(
        "sentinel monitor mymaster 127.0.0.1 {master} 2\n\
         sentinel down-after-milliseconds mymaster 1000\n\
         sentinel failover-timeout mymaster 3000\n"
    );
    std::fs::write(&file, lines).expect("a configuration");
    start_sentinel(&file, folder)
}

fn start_sentinel(file: &Path, folder: PathBuf) -> Server {
    let port = free_port();
    let arguments = ["--sentinel", "--port", &port.to_string(), "--bind", "127.0.0.1"];
    let file = file.to_str().expect("a plain path");
    let arguments = [&[file], &arguments[..], &["--protected-mode", "no"]].concat();
    let process = Some(start(&folder, &arguments));
    let server = Server { port, folder, arguments: Vec::new(), process };
    server.wait_until_it_listens();
    server
}
