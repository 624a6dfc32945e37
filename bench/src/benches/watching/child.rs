use super::{KEYS, MAX_STALENESS, SILENCE, TAKEOVER};
use crate::processes::{Documents, Numbered, now};
use headwater::firestore::{FirestoreSource, Watch};
use headwater::redis::{RedisCache, RedisConfig};
use headwater::{Fetcher, Headwater, LruCache, ReadThrough, Source};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, stdin};
use tokio::task::LocalSet;

const READERS: u64 = 4;

type Redis = RedisCache<str, Numbered>;
type Numbers = FirestoreSource<str, Numbered>;
type Chain = ReadThrough<LruCache<str, Numbered>, ReadThrough<Redis, Source<Numbers>>>;

/// One process: reads until nobody listens any more.
pub(crate) fn child(arguments: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system gives a runtime");
    runtime.block_on(LocalSet::new().run_until(work(arguments)));
}

async fn work(arguments: &[String]) {
    let [url, host, mode, seed, file] = arguments else { panic!("five arguments") };
    let seed: u64 = seed.parse().expect("a number");
    let (chain, watch) = begin(url, host, mode == "watch").await;
    let history = Rc::new(RefCell::new(String::new()));
    let mut tasks = Vec::new();
    for number in 0..READERS {
        let random = fastrand::Rng::with_seed(seed * 100 + number);
        let (chain, watch, history) = (chain.clone(), Rc::clone(&watch), Rc::clone(&history));
        tasks.push(tokio::task::spawn_local(read(chain, watch, history, random)));
    }
    println!("begun");
    // Ends with the pipe.
    let _ = stdin().read_to_end(&mut Vec::new()).await;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    std::fs::write(file, &*history.borrow()).expect("a place for the history");
    println!("ended");
}

async fn begin(url: &str, host: &str, is_watching: bool) -> (Chain, Rc<Option<Watch>>) {
    let source = Documents::at(host).await.source();
    let config = RedisConfig::new(url)
        .expect("a URL")
        .namespace("watching")
        .time_to_live(Duration::from_secs(3_600))
        .max_staleness(MAX_STALENESS);
    let redis: Redis = config.connect_lazy().expect("a valid configuration");
    let store = redis.store();
    let lru = LruCache::new(1_000).expect("a capacity");
    let chain = Headwater::source(source.clone()).through(redis).through(lru).build();
    let start = || {
        let watch = source.watch().fleet(&store).silence(SILENCE).takeover(TAKEOVER);
        watch.start(&chain).expect("valid settings")
    };
    let watch = is_watching.then(start);
    if let Some(watch) = &watch {
        watch.caught_up().await.expect("it is not closed");
    }
    (chain, Rc::new(watch))
}

/// Records `key began ended version lag is_prompt`.
async fn read(
    chain: Chain,
    watch: Rc<Option<Watch>>,
    history: Rc<RefCell<String>>,
    mut random: fastrand::Rng,
) {
    loop {
        tokio::time::sleep(Duration::from_micros(random.u64(500..4_000))).await;
        let key = format!("k{}", random.u32(..KEYS));
        let status = (*watch).as_ref().map(Watch::status);
        let began = now();
        let Ok(Numbered { number }) = chain.fetch(&key).await else { continue };
        let lag = status.as_ref().map_or(Duration::ZERO, |status| status.lag.expect("it was live"));
        let is_prompt = status.is_none_or(|status| status.state.is_prompt());
        let (ended, lag, is_prompt) = (now(), lag.as_nanos(), u8::from(is_prompt));
        // Writing to a string cannot fail.
        let _ = writeln!(history.borrow_mut(), "{key} {began} {ended} {number} {lag} {is_prompt}");
    }
}
