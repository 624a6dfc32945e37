//! Who reads, and how: each over one connection of its own to the same server.

use crate::harness::Contestant;
use cached::{AsyncRedisCache, ConcurrentCachedAsync};
use fred::interfaces::{ClientLike, KeysInterface};
use futures_util::future::join_all;
use headwater::redis::client::aio::MultiplexedConnection;
use headwater::redis::client::{AsyncConnectionConfig, Client, Pipeline, cmd, from_redis_value};
use headwater::redis::{RedisCache, RedisConfig};
use headwater::{BoxCache, Entry, Error, Fetcher, Headwater, Tier, fetch_fn};
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

const KEYS: usize = 10_000;
const BATCH: usize = 100;
const LIFE: Duration = Duration::from_secs(36_000);

/// What is cached: some 130 bytes of JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    tail: String,
    year: u16,
    maker: String,
    model: String,
    engines: u8,
    seats: u16,
    speed: Option<u32>,
}

impl Record {
    fn new(number: usize) -> Self {
        Self {
            tail: key(number),
            year: 1_960 + (number % 60) as u16,
            maker: "BOMBARDIER INC".to_owned(),
            model: format!("CL-600-{number}"),
            engines: 2,
            seats: (number % 400) as u16,
            speed: None,
        }
    }
}

fn key(number: usize) -> String {
    format!("N{number:05}")
}

/// The name of a key that the bare client reads.
fn bare(number: usize) -> String {
    format!("bare:{}", key(number))
}

/// The server's content, and everybody who reads it.
pub(super) struct World {
    runtime: Runtime,
    chain: BoxCache<str, Record>,
    tier: RedisCache<str, Record>,
    bare: MultiplexedConnection,
    cached: AsyncRedisCache<String, Record>,
    fred: fred::clients::Client,
    /// Of keys, in the order in which they are read.
    numbers: Vec<usize>,
}

impl World {
    /// Fills the server; everybody is to run on so many threads.
    pub(super) fn new(url: &str, threads: usize, seed: u64) -> Self {
        let mut builder = match threads {
            1 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        let runtime =
            builder.worker_threads(threads).enable_all().build().expect("the system gives one");
        let mut random = fastrand::Rng::with_seed(seed);
        let numbers = (0..100_000).map(|_| random.usize(..KEYS)).collect();
        let ((chain, tier), bare, cached, fred) = runtime.block_on(async {
            (chain(url).await, connection(url).await, cached(url).await, fred(url).await)
        });
        let world = Self { runtime, chain, tier, bare, cached, fred, numbers };
        world.runtime.block_on(world.check());
        world
    }

    /// Everybody finds the same.
    async fn check(&self) {
        for number in [0, KEYS - 1] {
            let expected = Record::new(number);
            for who in One::ALL {
                assert_eq!(who.read(self, number).await, expected, "{}", who.name());
            }
        }
    }

    /// Runs tasks at once, which make so many operations among them; nanoseconds per operation.
    fn lap<F, R>(self: &Arc<Self>, tasks: usize, operations: usize, task: F) -> f64
    where
        F: Fn(Arc<Self>, usize, usize) -> R,
        R: Future<Output = ()> + Send + 'static,
    {
        let each = operations / tasks;
        let began = Instant::now();
        self.runtime.block_on(async {
            let running =
                (0..tasks).map(|at| tokio::spawn(task(Arc::clone(self), at * each, each)));
            for ended in join_all(running).await {
                ended.expect("reads do not panic");
            }
        });
        began.elapsed().as_nanos() as f64 / (each * tasks) as f64
    }

    /// The key that is read at this place of the order.
    fn number(&self, at: usize) -> usize {
        self.numbers[at % self.numbers.len()]
    }
}

/// Ways to read one key.
#[derive(Clone, Copy)]
pub(super) enum One {
    Headwater,
    /// Without the engine around it.
    Tier,
    Get,
    Cached,
    Fred,
}

impl One {
    pub(super) const ALL: [Self; 5] =
        [Self::Headwater, Self::Tier, Self::Get, Self::Cached, Self::Fred];

    fn name(self) -> &'static str {
        match self {
            Self::Headwater => "headwater",
            Self::Tier => "tier alone",
            Self::Get => "bare GET",
            Self::Cached => "cached",
            Self::Fred => "fred GET",
        }
    }

    async fn read(self, world: &World, number: usize) -> Record {
        match self {
            Self::Headwater => world.chain.fetch(&key(number)).await.expect("it is resident"),
            Self::Tier => {
                let found = world.tier.get(&key(number)).await.expect("the server answers");
                found.and_then(Entry::into_value).expect("it is resident")
            }
            Self::Get => {
                let mut connection = world.bare.clone();
                let bytes: Vec<u8> = cmd("GET")
                    .arg(bare(number))
                    .query_async(&mut connection)
                    .await
                    .expect("the server answers");
                decoded(&bytes)
            }
            Self::Cached => {
                let found = world.cached.async_cache_get(&key(number)).await;
                found.expect("the server answers").expect("it is resident")
            }
            Self::Fred => {
                let bytes: Vec<u8> = world.fred.get(bare(number)).await.expect("the server answers");
                decoded(&bytes)
            }
        }
    }

    /// A lap of `fetches` fetches in so many tasks. One alone gives the median of its fetches.
    pub(super) fn contestant(
        self,
        world: &Arc<World>,
        tasks: usize,
        fetches: usize,
    ) -> Contestant {
        let world = Arc::clone(world);
        Contestant::new(self.name(), move |_| match tasks {
            1 => self.median(&world, fetches),
            _ => world.lap(tasks, fetches, move |world, from, count| async move {
                for at in from..from + count {
                    black_box(self.read(&world, world.number(at)).await);
                }
            }),
        })
    }

    fn median(self, world: &Arc<World>, fetches: usize) -> f64 {
        let mut times = Vec::with_capacity(fetches);
        world.runtime.block_on(async {
            for at in 0..fetches {
                let began = Instant::now();
                black_box(self.read(world, world.number(at)).await);
                times.push(began.elapsed().as_nanos() as f64);
            }
        });
        times.sort_unstable_by(f64::total_cmp);
        times[times.len() / 2]
    }
}

/// Ways to read [`BATCH`] keys.
#[derive(Clone, Copy)]
pub(super) enum Many {
    Headwater,
    /// Without the engine around it.
    Tier,
    GetAndLives,
    Get,
    Fred,
}

impl Many {
    pub(super) const ALL: [Self; 5] =
        [Self::Headwater, Self::Tier, Self::GetAndLives, Self::Get, Self::Fred];

    fn name(self) -> &'static str {
        match self {
            Self::Headwater => "headwater",
            Self::Tier => "tier alone",
            Self::GetAndLives => "bare MGET + PTTL",
            Self::Get => "bare MGET",
            Self::Fred => "fred MGET",
        }
    }

    /// A lap of `batches` batches in so many tasks.
    pub(super) fn contestant(
        self,
        world: &Arc<World>,
        tasks: usize,
        batches: usize,
    ) -> Contestant {
        let world = Arc::clone(world);
        Contestant::new(self.name(), move |_| {
            world.lap(tasks, batches, move |world, from, count| async move {
                for at in from..from + count {
                    let numbers = (at * BATCH..(at + 1) * BATCH).map(|at| world.number(at));
                    let numbers: Vec<usize> = numbers.collect();
                    let read = self.read(&world, &numbers).await;
                    assert_eq!(black_box(read).len(), BATCH);
                }
            })
        })
    }

    async fn read(self, world: &World, numbers: &[usize]) -> Vec<Record> {
        match self {
            Self::Headwater => {
                let keys: Vec<String> = numbers.iter().map(|number| key(*number)).collect();
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                let found = world.chain.fetch_many(&keys).await;
                found.into_iter().map(|record| record.expect("it is resident")).collect()
            }
            Self::Tier => {
                let keys: Vec<String> = numbers.iter().map(|number| key(*number)).collect();
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                let found = world.tier.get_many(&keys).await.into_iter();
                found
                    .map(|found| found.expect("the server answers"))
                    .map(|found| found.and_then(Entry::into_value).expect("it is resident"))
                    .collect()
            }
            Self::GetAndLives => {
                let names: Vec<String> = numbers.iter().map(|number| bare(*number)).collect();
                let mut commands = Pipeline::new();
                for name in &names {
                    commands.cmd("PTTL").arg(name);
                }
                commands.cmd("MGET").arg(&names);
                let mut connection = world.bare.clone();
                let mut replies: Vec<headwater::redis::client::Value> =
                    commands.query_async(&mut connection).await.expect("the server answers");
                let values = replies.pop().expect("a reply to MGET");
                for life in replies {
                    let life: i64 = from_redis_value(life).expect("a number");
                    assert!(black_box(life) > 0);
                }
                let values: Vec<Vec<u8>> = from_redis_value(values).expect("all are resident");
                values.iter().map(|bytes| decoded(bytes)).collect()
            }
            Self::Get => {
                let names: Vec<String> = numbers.iter().map(|number| bare(*number)).collect();
                let mut connection = world.bare.clone();
                let values: Vec<Vec<u8>> = cmd("MGET")
                    .arg(&names)
                    .query_async(&mut connection)
                    .await
                    .expect("the server answers");
                values.iter().map(|bytes| decoded(bytes)).collect()
            }
            Self::Fred => {
                let names: Vec<String> = numbers.iter().map(|number| bare(*number)).collect();
                let values: Vec<Vec<u8>> = world.fred.mget(names).await.expect("the server answers");
                values.iter().map(|bytes| decoded(bytes)).collect()
            }
        }
    }
}

fn decoded(bytes: &[u8]) -> Record {
    serde_json::from_slice(bytes).expect("a record")
}

/// A chain with one tier, which has everything; and such a tier alone.
async fn chain(url: &str) -> (BoxCache<str, Record>, RedisCache<str, Record>) {
    let config = RedisConfig::new(url).expect("a URL").namespace("bench").time_to_live(LIFE);
    let filling: RedisCache<str, Record> = config.clone().connect().await.expect("it answers");
    for start in (0..KEYS).step_by(BATCH) {
        let keys: Vec<String> = (start..start + BATCH).map(key).collect();
        let entries: Vec<_> =
            (start..start + BATCH).map(|number| Entry::found(Record::new(number))).collect();
        let pairs: Vec<_> = keys.iter().map(String::as_str).zip(&entries).collect();
        for outcome in filling.put_many(&pairs).await {
            outcome.expect("the server stores");
        }
    }
    let source = fetch_fn(async |key: String| Err::<Record, _>(unwanted(&key)));
    let tier: RedisCache<str, Record> = config.connect().await.expect("it answers");
    (BoxCache::new(Headwater::source(source).through(tier).build()), filling)
}

fn unwanted(key: &str) -> Error {
    panic!("the source was asked for {key}")
}

/// The bare client's connection, and what it reads.
async fn connection(url: &str) -> MultiplexedConnection {
    let client = Client::open(url).expect("a URL");
    let config = AsyncConnectionConfig::new().set_pipeline_buffer_size(1_024);
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .expect("the server answers");
    for number in 0..KEYS {
        let json = serde_json::to_vec(&Record::new(number)).expect("JSON");
        let mut set = cmd("SET");
        set.arg(bare(number)).arg(json).arg("PX").arg(LIFE.as_millis() as u64);
        set.query_async::<()>(&mut connection).await.expect("the server stores");
    }
    connection
}

async fn cached(url: &str) -> AsyncRedisCache<String, Record> {
    let cache = AsyncRedisCache::builder("bench").connection_string(url).ttl(LIFE).build().await;
    let cache = cache.expect("the server answers");
    for number in 0..KEYS {
        let set = cache.async_cache_set(key(number), Record::new(number)).await;
        set.expect("the server stores");
    }
    cache
}

async fn fred(url: &str) -> fred::clients::Client {
    let config = fred::types::config::Config::from_url(url).expect("a URL");
    let client = fred::types::Builder::from_config(config).build().expect("a configuration");
    client.init().await.expect("the server answers");
    client
}
