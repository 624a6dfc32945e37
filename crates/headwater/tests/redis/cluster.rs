//! A cluster whose slots and masters change while it is used.

use crate::chain::{Chain, GUARD, over, until, until_stored};
use crate::processes::{Origin, Process, redis, until_coherent, until_value};
use crate::server::Cluster;
use crate::trouble::keys;
use headwater::redis::{BreakerState, RedisConfig};
use headwater::{Cache, Fetcher, Headwater, LruCache};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::time::timeout;

const KEYS: usize = 200;

/// Two processes on one cluster, which never stop reading, writing and invalidating.
struct Load {
    origin: Origin,
    one: Process,
    other: Process,
    is_over: AtomicBool,
}

fn key(number: usize) -> String {
    format!("key {number}")
}

impl Load {
    async fn on(cluster: &Cluster) -> Arc<Self> {
        let origin = Origin::new();
        (0..KEYS).for_each(|number| origin.set(&key(number), "0".to_owned()));
        let process = async || {
            let config = RedisConfig::cluster(cluster.urls()).expect("URLs");
            let lru = LruCache::new(KEYS as u64 / 2).expect("a capacity");
            let redis = config.connect_lazy().expect("a valid configuration");
            let process: Process =
                Headwater::source(origin.clone()).through(redis).through(lru).build();
            until_coherent(&process).await;
            process
        };
        let (one, other) = (process().await, process().await);
        Arc::new(Self { origin, one, other, is_over: AtomicBool::new(false) })
    }

    /// Changes one key after the other until it is over; how many changes were made. What was
    /// invalidated is never read again by whoever invalidated it, and nobody waits for long (R4).
    async fn run(self: Arc<Self>) -> usize {
        let mut changes = 0;
        while !self.is_over.load(Relaxed) {
            changes += 1;
            let (key, value) = (key(changes % KEYS), changes.to_string());
            self.origin.set(&key, value.clone());
            let invalidated = timeout(GUARD, self.one.invalidate(&key)).await.expect("it hangs");
            let read = timeout(GUARD, self.one.fetch(&key)).await.expect("it hangs");
            let read = read.expect("the source has it");
            assert!(invalidated.is_err() || read == value, "{key}: {read}, and not {value}");
            if changes % 20 == 0 {
                self.read_all(&self.other).await;
            }
        }
        changes
    }

    async fn read_all(&self, process: &Process) {
        let keys: Vec<String> = (0..KEYS).map(key).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let read = timeout(GUARD, process.fetch_many(&keys)).await.expect("it hangs");
        assert!(read.iter().all(Result::is_ok), "the source has them all");
    }

    /// Everything works again, and everybody agrees.
    async fn settle(&self) {
        for number in 0..KEYS {
            let (key, value) = (key(number), format!("last of {number}"));
            self.origin.set(&key, value.clone());
            until("an invalidation", || async { self.one.invalidate(&key).await.is_ok() }).await;
            until_value(&self.one, &key, &value).await;
            until_value(&self.other, &key, &value).await;
        }
        for process in [&self.one, &self.other] {
            let breaker = || redis(process).stats().breaker;
            until("the breaker", || async { breaker() == BreakerState::Closed }).await;
        }
    }
}

/// Does `change` to a cluster that is in use.
async fn under_load(cluster: Cluster, change: impl FnOnce(&mut Cluster) + Send + 'static) {
    let load = Load::on(&cluster).await;
    let running = tokio::spawn(Arc::clone(&load).run());
    let mut cluster = cluster;
    let cluster = tokio::task::spawn_blocking(move || {
        change(&mut cluster);
        cluster
    });
    let _cluster = cluster.await.expect("the change is made");
    load.is_over.store(true, Relaxed);
    assert!(running.await.expect("no promise is broken") > 0);
    load.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_may_move_while_they_are_used() {
    under_load(Cluster::start(), |cluster| cluster.move_slots(0, 1, 1_500)).await;
}

/// A cluster, a chain on it, and keys for which one of its nodes is asked at once.
async fn one_batch() -> (Cluster, Chain, Vec<String>) {
    let cluster = Cluster::start();
    // No time limit is to end what is tested here.
    let patient = RedisConfig::cluster(cluster.urls()).expect("URLs").lease_time(10 * GUARD);
    let patient = patient.read_timeout(GUARD / 2).write_timeout(GUARD);
    let chain = over(patient.connect().await.expect("it is there"));
    let mut keys = keys();
    keys.retain(|key| cluster.owner_of(&name(key)) == 0);
    // The node has seen the scripts.
    until_stored(&chain, &keys.remove(0)).await;
    assert!(keys.len() > 2, "a batch for one node");
    (cluster, chain, keys)
}

fn name(key: &str) -> String {
    format!("headwater:{key}")
}

/// What is moving cannot be stored, nor its lease be given back, before it has arrived; all others can.
async fn others_are_stored(mut cluster: Cluster, chain: Chain, moving: &str, keys: &[&str]) {
    let lease = format!("{{{}}}:lease", name(moving));
    for at in 0..3 {
        until("the end of the leases", || {
            let left = cluster.node(at).tell("KEYS *:lease");
            let is_over = left.is_empty() || left == lease;
            async move { is_over }
        })
        .await;
    }
    chain.close().await.expect("closed");
    assert_eq!(chain.tier().stats().timeouts, 0, "none was loaded without a lease for that");
    let stats = chain.stats().tiers.swap_remove(0);
    // One was stored before.
    assert_eq!((stats.superseded_fills, stats.fills), (0, keys.len() as u64), "{stats:?}");
}

#[tokio::test]
async fn a_batch_that_meets_a_moving_slot_waits_for_no_lease_of_its_own() {
    let (cluster, chain, keys) = one_batch().await;
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    cluster.begin_to_move_the_slot_of(&name(keys[0]), 1);
    let read = timeout(GUARD, chain.fetch_many(&keys)).await.expect("it hangs");
    assert!(read.iter().all(Result::is_ok), "the source has them all");
    others_are_stored(cluster, chain, keys[0], &keys).await;
}

#[tokio::test]
async fn fills_that_are_sent_again_are_none_that_were_superseded() {
    let (cluster, chain, keys) = one_batch().await;
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let source = chain.next().fetcher();
    let (gate, asked) = (source.gate(), source.calls().count());
    let moving = async {
        source.calls().reached(asked + 1).await;
        cluster.begin_to_move_the_slot_of(&name(keys[0]), 1);
        gate.open();
    };
    let read = futures_util::future::join(chain.fetch_many(&keys), moving);
    let (read, ()) = timeout(GUARD, read).await.expect("it hangs");
    assert!(read.iter().all(Result::is_ok), "the source has them all");
    others_are_stored(cluster, chain, keys[0], &keys).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_may_fail_while_it_is_used() {
    let mut cluster = Cluster::start();
    cluster.add_replica_of(0);
    under_load(cluster, |cluster| {
        cluster.node(0).kill();
        crate::server::until("the replica's promotion", || {
            cluster.node(3).tell("ROLE").starts_with("master")
        });
        cluster.until_served(1);
    })
    .await;
}
