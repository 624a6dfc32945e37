//! Readers hammering keys of which one writer writes each: the stress under which client-side caches
//! keep values that were overwritten while their reply was on its way.

use crate::chain::until;
use crate::processes::{Process, World};
use futures_util::future::join_all;
use headwater::{Cache, Fetcher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

const KEYS: usize = 60;
const READERS: usize = 8;
const WRITES: usize = 40;

/// Reads one key until it is told to stop, and then has read at least once.
async fn read(process: Process, key: String, stop: Arc<AtomicBool>) {
    while !stop.load(Relaxed) {
        process.fetch(&key).await.expect("the source has it");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reader_is_left_with_an_overwritten_value() {
    let world = World::new();
    let (reading, writing) = (world.process().await, world.process().await);
    let keys: Vec<String> = (0..KEYS).map(|number| format!("key {number}")).collect();
    keys.iter().for_each(|key| world.origin.set(key, "0".to_owned()));
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = keys
        .iter()
        .flat_map(|key| (0..READERS).map(move |_| key.clone()))
        .map(|key| tokio::spawn(read(reading.clone(), key, Arc::clone(&stop))))
        .collect();
    let write = async |key: &String| {
        for number in 1..=WRITES {
            world.origin.set(key, number.to_string());
            writing.invalidate(key).await.expect("the server is well");
        }
    };
    join_all(keys.iter().map(write)).await;
    stop.store(true, Relaxed);
    join_all(readers).await.into_iter().for_each(|reader| reader.expect("no reader panics"));
    let last = WRITES.to_string();
    until("the news of the last writes", || async {
        let asked: Vec<&str> = keys.iter().map(String::as_str).collect();
        let answers = reading.fetch_many(&asked).await;
        answers.into_iter().all(|answer| answer.is_ok_and(|value| value == last))
    })
    .await;
}
