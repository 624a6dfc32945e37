use super::{LIFE, MAX_STALENESS};
use crate::processes::{Answer, RemoteSource, now, write};
use headwater::redis::{RedisCache, RedisConfig};
use headwater::{Cache, Fetcher, Headwater, LruCache, ReadThrough, Source};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, stdin};
use tokio::task::LocalSet;

const KEYS: u32 = 16;
const READERS: u64 = 4;

type Redis = RedisCache<str, String>;
type Chain = ReadThrough<LruCache<str, String>, ReadThrough<Redis, Source<RemoteSource>>>;

/// One process: reads, writes and invalidates until nobody listens any more.
pub(crate) fn child(arguments: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system gives a runtime");
    runtime.block_on(LocalSet::new().run_until(work(arguments)));
}

async fn work(arguments: &[String]) {
    let [url, source, fence, seed, file] = arguments else { panic!("five arguments") };
    let source: u16 = source.parse().expect("a port");
    let seed: u64 = seed.parse().expect("a number");
    let chain = chain(url, source, fence == "fence");
    let history = Rc::new(RefCell::new(String::new()));
    let mut tasks = Vec::new();
    for number in 0..READERS {
        let random = fastrand::Rng::with_seed(seed * 100 + number);
        tasks.push(tokio::task::spawn_local(read(chain.clone(), Rc::clone(&history), random)));
    }
    let random = fastrand::Rng::with_seed(seed * 100 + READERS);
    tasks.push(tokio::task::spawn_local(change(chain, source, Rc::clone(&history), random)));
    println!("begun");
    // Ends with the pipe.
    let _ = stdin().read_to_end(&mut Vec::new()).await;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    std::fs::write(file, &*history.borrow()).expect("a place for the history");
    println!("ended");
}

fn chain(url: &str, source: u16, has_fence: bool) -> Chain {
    let config = RedisConfig::new(url)
        .expect("a URL")
        .namespace("coherence")
        .time_to_live(LIFE)
        .max_staleness(MAX_STALENESS)
        .leases(has_fence);
    let redis: Redis = config.connect_lazy().expect("a valid configuration");
    let lru = LruCache::new(1_000).expect("a capacity");
    Headwater::source(RemoteSource(source)).through(redis).through(lru).build()
}

async fn read(chain: Chain, history: Rc<RefCell<String>>, mut random: fastrand::Rng) {
    loop {
        tokio::time::sleep(Duration::from_micros(random.u64(500..4_000))).await;
        let key = format!("k{}", random.u32(..KEYS));
        let began = now();
        let Ok(value) = chain.fetch(&key).await else { continue };
        let Answer { version, at } = Answer::parse(&value).expect("the source's answer");
        // Writing to a string cannot fail.
        let _ = writeln!(history.borrow_mut(), "r {key} {began} {version} {at}");
    }
}

async fn change(chain: Chain, source: u16, history: Rc<RefCell<String>>, mut random: fastrand::Rng) {
    loop {
        tokio::time::sleep(Duration::from_millis(random.u64(5..60))).await;
        let key = format!("k{}", random.u32(..KEYS));
        let Some(version) = write(source, &key).await else { continue };
        let confirmed = chain.invalidate(&key).await.is_ok();
        let verb = if confirmed { "i" } else { "f" };
        let _ = writeln!(history.borrow_mut(), "{verb} {key} {} {version}", now());
    }
}
