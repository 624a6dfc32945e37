//! Rosters full of connections, and who asks for what of them.

use super::bare;
use crate::processes::{cpu, memory};
use headwater_servers::Server;
use futures_util::stream::{self, StreamExt};
use headwater::presence::{ConnectionId, MemoryRoster, RosterStore, Seat};
use headwater::redis::client::aio::MultiplexedConnection;
use headwater::redis::client::{AsyncConnectionConfig, Client, Pipeline};
use headwater::redis::{RedisConfig, RedisRoster};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// As many a roster sends at once.
const BATCH: usize = 500;
/// Connections that join in a lap.
const JOINS: usize = 2_000;
/// Joins under way at once.
const AT_ONCE: usize = 256;
const TTL: Duration = Duration::from_secs(3_600);
const PATIENCE: Duration = Duration::from_secs(10);
/// What each says.
const VALUE: &str = r#"{"device":"laptop","away":false}"#;

type Seats = Vec<Seat<String>>;

pub(super) struct World {
    runtime: Runtime,
    server: Server,
    redis: RedisRoster<str, String>,
    memory: MemoryRoster<str, String>,
    bare: MultiplexedConnection,
    seats: Seats,
    /// The same, for who sends by hand.
    members: Vec<String>,
    /// Per connection, by contender.
    pub(super) bytes: Vec<(&'static str, u64)>,
}

impl World {
    pub(super) const BEATS: &[super::Lap] = &[
        ("headwater", |world| world.server_lap(world.touch(&world.redis), world.seats.len())),
        ("bare ZADD XX", |world| world.server_lap(world.send(bare::touch), world.seats.len())),
        ("bare PEXPIRE", |world| world.server_lap(world.send(bare::expire), world.seats.len())),
        ("memory", |world| {
            let began = Instant::now();
            world.runtime.block_on(world.touch(&world.memory));
            began.elapsed().as_nanos() as f64 / world.seats.len() as f64
        }),
    ];

    pub(super) const JOINS: &[super::Lap] = &[
        ("headwater", |world| {
            let seats = seats(JOINS);
            let lap = world.server_lap(join(&world.redis, &seats), JOINS);
            world.runtime.block_on(leave(&world.redis, &seats));
            lap
        }),
        ("bare join", |world| {
            let lap = world.server_lap(
                async {
                    for members in world.members[..JOINS].chunks(bare::BATCH) {
                        world.ask(bare::join(members, VALUE)).await;
                    }
                },
                JOINS,
            );
            world.runtime.block_on(world.ask(bare::forget_joined()));
            lap
        }),
        ("memory", |world| {
            let seats = seats(JOINS);
            let began = Instant::now();
            world.runtime.block_on(join(&world.memory, &seats));
            let lap = began.elapsed().as_nanos() as f64 / JOINS as f64;
            world.runtime.block_on(leave(&world.memory, &seats));
            lap
        }),
    ];

    /// A server and this process with so many connections in each roster.
    pub(super) fn start(count: usize) -> Self {
        let server = Server::start();
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the system gives a runtime");
        let config = RedisConfig::new(&server.url()).expect("a URL").namespace("bench");
        let config = config.write_timeout(PATIENCE);
        let redis = runtime.block_on(RedisRoster::connect(config)).expect("the server is there");
        let bare = runtime.block_on(connection(&server.url()));
        let seats = seats(count);
        let members = seats.iter().map(|seat| format!("{}\u{1f}{}", seat.key, seat.connection));
        let members = members.collect();
        let (memory, bytes) = (MemoryRoster::new(), Vec::new());
        let mut world = Self { runtime, server, redis, memory, bare, seats, members, bytes };
        world.fill();
        world
    }

    pub(super) fn url(&self) -> String {
        self.server.url()
    }

    /// Has all join, and notes what memory it takes.
    fn fill(&mut self) {
        let mut bytes = Vec::new();
        let mut note = |name, now: &dyn Fn() -> u64, fill: &dyn Fn()| {
            let before = now();
            fill();
            bytes.push((name, now().saturating_sub(before) / self.seats.len() as u64));
        };
        let of_server = || memory(&self.server);
        note("headwater", &of_server, &|| self.runtime.block_on(join(&self.redis, &self.seats)));
        note("bare ZADD XX", &of_server, &|| self.runtime.block_on(self.send(bare::add)));
        note("bare PEXPIRE", &of_server, &|| {
            self.runtime.block_on(self.send(|members| bare::set(members, VALUE)));
        });
        note("memory", &resident, &|| self.runtime.block_on(join(&self.memory, &self.seats)));
        self.bytes = bytes;
    }

    /// Nanoseconds of the server's time, per connection.
    fn server_lap(&self, work: impl Future<Output = ()>, count: usize) -> f64 {
        let before = cpu(&self.server);
        self.runtime.block_on(work);
        (cpu(&self.server) - before) as f64 / count as f64
    }

    async fn touch<S: RosterStore<Key = str>>(&self, store: &S) {
        for batch in self.seats.chunks(BATCH) {
            let batch: Vec<&Seat<String>> = batch.iter().collect();
            let outcomes = store.touch(&batch, TTL).await;
            assert!(outcomes.iter().all(|found| matches!(found, Ok(true))), "all are there");
        }
    }

    /// Sends a pipeline for each batch.
    async fn send(&self, request: impl Fn(&[String]) -> Pipeline) {
        for members in self.members.chunks(bare::BATCH) {
            self.ask(request(members)).await;
        }
    }

    async fn ask(&self, request: Pipeline) {
        request.exec_async(&mut self.bare.clone()).await.expect("the server answers");
    }
}

async fn connection(url: &str) -> MultiplexedConnection {
    // Nobody is kept waiting here, and a busy machine is slow.
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let client = Client::open(url).expect("a URL");
    client.get_multiplexed_async_connection_with_config(&config).await.expect("the server answers")
}

fn seats(count: usize) -> Seats {
    let topic: Arc<str> = Arc::from("room");
    let seat = |number| Seat {
        topic: Arc::clone(&topic),
        key: format!("user-{number}-{}", fastrand::u32(..)),
        connection: ConnectionId::random(),
    };
    (0..count).map(seat).collect()
}

async fn join<S: RosterStore<Key = str, Value = String>>(store: &S, seats: &[Seat<String>]) {
    let value = VALUE.to_owned();
    let joins = stream::iter(seats).map(|seat| store.join(seat, &value, TTL));
    joins.buffer_unordered(AT_ONCE).for_each(async |joined| assert!(joined.expect("it joins").connections > 0)).await;
}

async fn leave<S: RosterStore<Key = str>>(store: &S, seats: &[Seat<String>]) {
    let leaves = stream::iter(seats).map(|seat| store.leave(seat, Duration::ZERO));
    leaves.buffer_unordered(AT_ONCE).for_each(async |left| assert!(left.expect("it leaves"))).await;
}

/// The memory of this process, in bytes.
fn resident() -> u64 {
    let told = std::fs::read_to_string("/proc/self/statm").expect("the system tells");
    let pages = told.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("a number of pages") * 4_096
}
