//! Watching on emulators, alone and as a fleet over Redis: what anybody changes is fresh in every
//! memory, without any life given to it, whatever dies meanwhile.

use crate::emulator::{Emulator, Make, on_each_emulator};
use crate::server::Server;
use crate::world::{Plane, Planes, World, client, plane, text};
use headwater::firestore::{Watch, WatchBuilder, WatchState};
use headwater::redis::{Coherence, RedisCache, RedisConfig, RedisStore};
use headwater::testkit::{Gate, Tally};
use headwater::{
    Cache, Entry, FetchOptions, Fetcher, Headwater, LruCache, ReadThrough, Result, Source, Tier,
};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

type Memory = LruCache<str, Plane>;
type Small = ReadThrough<Memory, Source<Planes>>;
type Large = ReadThrough<Memory, ReadThrough<RedisCache<str, Plane>, Source<Planes>>>;

/// Waits until `done`; whoever takes so long hangs.
async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !done().await {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn state(watch: &Watch, wanted: WatchState) {
    let what = format!("it is {wanted:?} in the end");
    until(&what, async || watch.status().state == wanted).await;
}

async fn set(world: &World, id: &str, model: &str) {
    world.set(&format!("planes/{id}"), vec![("model", text(model))]).await;
}

/// Waits until a chain has a model, or knows that there is none.
async fn sees(chain: &impl Cache<Key = str, Value = Plane>, id: &str, model: Option<&str>) {
    let what = format!("{id} is {model:?} in the end");
    until(&what, async || match (chain.fetch(id).await, model) {
        (Ok(seen), Some(model)) => seen == plane(model),
        (Err(error), None) => error.is_not_found(),
        _ => false,
    })
    .await;
}

/// Memory over a source.
fn small(planes: &Planes) -> Small {
    let memory = LruCache::new(100).expect("a capacity");
    Headwater::source(planes.clone()).through(memory).build()
}

/// A source that has read, and does not answer until it may.
struct Held {
    planes: Planes,
    read: Tally,
    gate: Gate,
}

impl Fetcher for Held {
    type Key = str;
    type Value = Plane;

    async fn fetch(&self, key: &str) -> Result<Plane> {
        self.fetch_entry(key, &FetchOptions::new()).await?.into_outcome()
    }

    async fn fetch_many(&self, keys: &[&str]) -> Vec<Result<Plane>> {
        let mut outcomes = Vec::new();
        for key in keys {
            outcomes.push(self.fetch(key).await);
        }
        outcomes
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    async fn fetch_entry(&self, key: &str, options: &FetchOptions) -> Result<Entry<Plane>> {
        let entry = self.planes.fetch_entry(key, options).await;
        self.read.add(1);
        self.gate.passed().await;
        entry
    }
}

on_each_emulator! {
    async fn what_is_made_changed_and_deleted_is_fresh(world: World) {
        let planes = world.planes();
        let chain = small(&planes);
        let watch = planes.watch().start(&chain).expect("valid settings");
        watch.caught_up().await.expect("it is live");
        sees(&chain, "a", None).await;
        world.have(&["a", "b"]).await;
        sees(&chain, "a", Some("a")).await;
        sees(&chain, "b", Some("b")).await;
        set(&world, "a", "changed").await;
        sees(&chain, "a", Some("changed")).await;
        world.delete("planes/a").await;
        sees(&chain, "a", None).await;
        let reads = planes.stats().reads;
        sees(&chain, "b", Some("b")).await;
        assert_eq!(planes.stats().reads, reads, "what nobody changed is kept");
        assert_eq!((watch.stats().streams, watch.stats().breaks), (1, 0));
        watch.close().await.expect("closed");
        set(&world, "b", "changed").await;
        assert_eq!(chain.fetch("b").await.expect("kept"), plane("b"), "nobody told");
    }

    async fn a_load_that_began_before_a_change_leaves_nothing_old(world: World) {
        world.have(&["a"]).await;
        let (read, gate) = (Tally::new(), Gate::new());
        let held = Held { planes: world.planes(), read: read.clone(), gate: gate.clone() };
        let memory = LruCache::<str, Plane>::new(100).expect("a capacity");
        let chain = Headwater::source(held).through(memory).build();
        let watch = world.planes().watch().start(&chain).expect("valid settings");
        watch.caught_up().await.expect("it is live");
        let load = tokio::spawn({
            let chain = chain.clone();
            async move { chain.fetch("a").await }
        });
        read.reached(1).await;
        set(&world, "a", "changed").await;
        until("it is passed on", async || watch.stats().invalidations > 0).await;
        gate.open();
        let _ = load.await.expect("no panic");
        assert_eq!(chain.fetch("a").await.expect("a plane"), plane("changed"));
    }

    async fn fills_spare_the_reading(world: World) {
        world.have(&["a"]).await;
        let planes = world.planes();
        let chain = small(&planes);
        let watch = planes.watch().fill().start(&chain).expect("valid settings");
        watch.caught_up().await.expect("it is live");
        assert_eq!(chain.fetch("a").await.expect("a plane"), plane("a"));
        let reads = planes.stats().reads;
        set(&world, "a", "changed").await;
        sees(&chain, "a", Some("changed")).await;
        set(&world, "new", "unasked").await;
        until("it is passed on", async || watch.stats().fills >= 2).await;
        assert_eq!(chain.fetch("new").await.expect("a plane"), plane("unasked"));
        assert_eq!(planes.stats().reads, reads);
    }

    async fn a_part_of_a_collection_is_watched_alone(world: World) {
        for (id, model) in [("a", "jet"), ("b", "jet"), ("c", "glider")] {
            set(&world, id, model).await;
        }
        let planes = world.planes();
        let chain = small(&planes);
        let watch = planes.watch().only("model", "jet").start(&chain).expect("valid settings");
        watch.caught_up().await.expect("it is live");
        sees(&chain, "a", Some("jet")).await;
        sees(&chain, "c", Some("glider")).await;
        set(&world, "c", "kite").await;
        set(&world, "a", "balloon").await;
        sees(&chain, "a", Some("balloon")).await;
        assert_eq!(chain.fetch("c").await.expect("kept"), plane("glider"), "nobody told");
    }

    async fn a_server_that_died_and_came_back_empty_is_believed(emulator: Emulator) {
        let mut emulator = emulator;
        let world = World::at(&emulator.host()).await;
        world.have(&["a", "b"]).await;
        let planes = world.planes();
        let chain = small(&planes);
        let watch = planes.watch().start(&chain).expect("valid settings");
        watch.caught_up().await.expect("it is live");
        sees(&chain, "a", Some("a")).await;
        sees(&chain, "b", Some("b")).await;
        emulator.kill();
        state(&watch, WatchState::Down).await;
        assert!(watch.status().error.is_some());
        assert_eq!(chain.fetch("a").await.expect("kept"), plane("a"));
        emulator.restart();
        // The client's connection may not know yet that it is broken.
        let project = world.db.get_options().google_project_id.clone();
        let world = World { db: client(&emulator.host(), &project, "(default)").await };
        set(&world, "a", "reborn").await;
        sees(&chain, "a", Some("reborn")).await;
        sees(&chain, "b", None).await;
        state(&watch, WatchState::Live).await;
        set(&world, "a", "changed").await;
        sees(&chain, "a", Some("changed")).await;
    }

    async fn a_server_that_falls_silent_is_noticed_and_heard_again(emulator: Emulator) {
        let world = World::at(&emulator.host()).await;
        world.have(&["a"]).await;
        let planes = world.planes();
        let chain = small(&planes);
        let watch = planes.watch().silence(Duration::from_millis(800));
        let watch = watch.start(&chain).expect("valid settings");
        watch.caught_up().await.expect("it is live");
        sees(&chain, "a", Some("a")).await;
        emulator.signal("-STOP");
        state(&watch, WatchState::Down).await;
        emulator.signal("-CONT");
        state(&watch, WatchState::Live).await;
        until("a probe", async || watch.stats().probes > 1).await;
        set(&world, "a", "changed").await;
        sees(&chain, "a", Some("changed")).await;
    }

    async fn one_listener_serves_every_process(world: World) {
        let redis = Server::start();
        world.have(&["a"]).await;
        let (one, two) = (Process::new(&world, &redis).await, Process::new(&world, &redis).await);
        // Nobody dies here, and a busy machine must not look as if.
        let patient = |process: &Process| process.watch().takeover(Duration::from_secs(10));
        let first = patient(&one).start(&one.chain).expect("valid settings");
        state(&first, WatchState::Live).await;
        let second = patient(&two).start(&two.chain).expect("valid settings");
        state(&second, WatchState::Following).await;
        for process in [&one, &two] {
            sees(&process.chain, "a", Some("a")).await;
        }
        set(&world, "a", "changed").await;
        for process in [&one, &two] {
            sees(&process.chain, "a", Some("changed")).await;
        }
        assert_eq!((first.stats().streams, second.stats().streams), (1, 0));
        first.close().await.expect("closed");
        set(&world, "a", "changed meanwhile").await;
        for process in [&one, &two] {
            sees(&process.chain, "a", Some("changed meanwhile")).await;
        }
        state(&second, WatchState::Live).await;
    }
}

/// What a process has: memory over the Redis that all share.
struct Process {
    planes: Planes,
    chain: Large,
    store: RedisStore,
}

impl Process {
    async fn new(world: &World, redis: &Server) -> Self {
        Self::at(world, &redis.url()).await
    }

    async fn at(world: &World, redis: &str) -> Self {
        let config = RedisConfig::new(redis).expect("a URL").namespace("planes");
        let redis: RedisCache<str, Plane> = config.connect().await.expect("Redis is there");
        let (store, planes) = (redis.store(), world.planes());
        let memory = LruCache::new(100).expect("a capacity");
        let chain = Headwater::source(planes.clone()).through(redis).through(memory).build();
        let process = Self { planes, chain, store };
        process.is_coherent().await;
        process
    }

    async fn is_coherent(&self) {
        let coherence = || self.chain.next().tier().coherence();
        until("news", async || matches!(coherence(), Coherence::Tracking | Coherence::Messages))
            .await;
    }

    fn watch(&self) -> WatchBuilder<str, Plane> {
        self.planes.watch().fleet(&self.store).takeover(Duration::from_secs(1))
    }
}

#[tokio::test]
async fn changes_that_redis_could_not_be_told_of_are_told_when_it_is_back() {
    let (world, redis) = (World::on(Make::Hidane).await, Server::start());
    world.have(&["a"]).await;
    let process = Process::new(&world, &redis).await;
    let watch = process.planes.watch().start(&process.chain).expect("valid settings");
    watch.caught_up().await.expect("it is live");
    sees(&process.chain, "a", Some("a")).await;
    let kept = async || process.chain.next().tier().get("a").await.ok().flatten();
    until("a fill", async || kept().await.is_some()).await;
    redis.freeze();
    set(&world, "a", "changed").await;
    state(&watch, WatchState::Down).await;
    let error = watch.status().error.expect("a reason");
    assert_eq!(error.tier(), Some("redis"), "{error}");
    redis.thaw();
    state(&watch, WatchState::Live).await;
    assert_ne!(kept().await.and_then(Entry::into_value), Some(plane("a")));
    sees(&process.chain, "a", Some("changed")).await;
}

#[tokio::test]
async fn a_fleet_that_lost_redis_listens_again_when_it_is_back() {
    let (world, mut redis) = (World::on(Make::Hidane).await, Server::start());
    world.have(&["a"]).await;
    let process = Process::new(&world, &redis).await;
    let watch = process.watch().start(&process.chain).expect("valid settings");
    state(&watch, WatchState::Live).await;
    sees(&process.chain, "a", Some("a")).await;
    redis.kill();
    state(&watch, WatchState::Down).await;
    set(&world, "a", "changed").await;
    redis.restart();
    state(&watch, WatchState::Live).await;
    sees(&process.chain, "a", Some("changed")).await;
    process.is_coherent().await;
    set(&world, "a", "changed again").await;
    sees(&process.chain, "a", Some("changed again")).await;
}

/// What a child of a test is told: where its servers are, and what its project is.
const CHILD: &str = "HEADWATER_TEST_LISTENER";

#[tokio::test]
async fn another_process_takes_over_from_one_that_was_killed() {
    if let Ok(told) = std::env::var(CHILD) {
        return listen(&told).await;
    }
    let (world, redis) = (World::on(Make::Hidane).await, Server::start());
    world.have(&["a", "b"]).await;
    let options = world.db.get_options();
    let told = format!("{} {} {}", Make::Hidane.shared(), options.google_project_id, redis.url());
    let test = "watch::another_process_takes_over_from_one_that_was_killed";
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, told)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let output = child.stdout.take().expect("a pipe");
    let lines = BufReader::new(output).lines();
    let heard = lines.map_while(std::result::Result::ok).any(|line| line.contains("it is live"));
    assert!(heard, "the child is live");

    let process = Process::new(&world, &redis).await;
    let watch = process.watch().start(&process.chain).expect("valid settings");
    state(&watch, WatchState::Following).await;
    for id in ["a", "b"] {
        sees(&process.chain, id, Some(id)).await;
    }
    child.kill().expect("it runs");
    child.wait().expect("it is dead");
    set(&world, "a", "changed").await;
    state(&watch, WatchState::Live).await;
    sees(&process.chain, "a", Some("changed")).await;
    assert_eq!(watch.stats().clears, 0, "it went on from the token");
    set(&world, "b", "changed").await;
    sees(&process.chain, "b", Some("changed")).await;
}

/// The child: listens until it is killed.
async fn listen(told: &str) {
    let mut told = told.split(' ');
    let mut next = || told.next().expect("three words");
    let (host, project, redis) = (next(), next(), next());
    let world = World { db: client(host, project, "(default)").await };
    let process = Process::at(&world, redis).await;
    let watch = process.watch().start(&process.chain).expect("valid settings");
    state(&watch, WatchState::Live).await;
    // Tokens are noted at most once per second; what matters is that there is one.
    println!("it is live");
    std::future::pending::<()>().await;
}
