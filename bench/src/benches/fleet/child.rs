use crate::processes::{RemoteSource, now};
use headwater::redis::{Coherence, RedisCache, RedisConfig};
use headwater::{Fetcher, Headwater, LruCache};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

/// One process of the fleet: fetches the keys that it is told to, when it is told to.
pub(crate) fn child(arguments: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("the system gives a runtime").block_on(serve(arguments));
}

async fn serve(arguments: &[String]) {
    let [url, source, mode] = arguments else { panic!("three arguments") };
    let source = RemoteSource(source.parse().expect("a port"));
    let has_news = mode == "news";
    let config = RedisConfig::new(url).expect("a URL").namespace("fleet").coherence(has_news);
    let redis: RedisCache<str, String> = config.connect().await.expect("the server is there");
    let lru = LruCache::new(1_000).expect("a capacity");
    let chain = Headwater::source(source).through(redis).through(lru).build();
    while has_news && chain.next().tier().coherence() != Coherence::Tracking {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("ready");
    let mut lines = BufReader::new(stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let (at, key) = line.split_once(' ').expect("a moment and a key");
        let at: u64 = at.parse().expect("a moment");
        tokio::time::sleep(Duration::from_nanos(at.saturating_sub(now()))).await;
        chain.fetch(key).await.expect("the source has every key");
        println!("{}", now());
    }
}
