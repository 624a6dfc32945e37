use crate::processes::{Documents, Numbered, now};
use headwater::firestore::{FirestoreSource, WatchState};
use headwater::redis::{Coherence, RedisCache, RedisConfig};
use headwater::{Cache, Fetcher, Headwater, LruCache, ReadThrough, Source};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

type Redis = RedisCache<str, Numbered>;
type Numbers = FirestoreSource<str, Numbered>;
type Chain = ReadThrough<LruCache<str, Numbered>, ReadThrough<Redis, Source<Numbers>>>;

/// One process: fetches what it is told to, until it sees what it is told to.
pub(crate) fn child(arguments: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("the system gives a runtime").block_on(serve(arguments));
}

async fn serve(arguments: &[String]) {
    let [url, host] = arguments else { panic!("two arguments") };
    let source = Documents::at(host).await.source();
    let config = RedisConfig::new(url).expect("a URL").namespace("freshness");
    let redis: Redis = config.connect().await.expect("the server is there");
    let store = redis.store();
    let lru = LruCache::new(1_000).expect("a capacity");
    let chain = Headwater::source(source.clone()).through(redis).through(lru).build();
    let watch = source.watch().fleet(&store).start(&chain).expect("valid settings");
    watch.caught_up().await.expect("it is not closed");
    while chain.next().tier().coherence() != Coherence::Tracking {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let is_listener = watch.status().state == WatchState::Live;
    println!("{}", if is_listener { "listener" } else { "follower" });
    let mut lines = BufReader::new(stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let words: Vec<&str> = line.split(' ').collect();
        let [verb, key, number] = words[..] else { panic!("three words") };
        let number = number.parse().expect("a number");
        until(&chain, key, number, verb == "keep").await;
        println!("{}", now());
    }
}

/// Fetches until the number is there, and from memory if it is to be kept.
async fn until(chain: &Chain, key: &str, number: u64, kept: bool) {
    loop {
        let hits = || chain.stats().tiers[0].hits;
        let before = hits();
        let found = chain.fetch(key).await;
        if found.is_ok_and(|found| found.number >= number) && (!kept || hits() > before) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
