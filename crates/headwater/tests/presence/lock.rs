//! Locks: one owner at a time, told when it is lost, with tokens that only grow.

use crate::conformance::{cluster_store, store};
use crate::server::Server;
use futures_util::future::join_all;
use headwater::presence::Locks;
use headwater::redis::RedisConfig;
use headwater::testkit::ManualClock;
use std::collections::HashSet;
use std::future::Future;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// A guard against hanging, far above what anything takes.
const GUARD: Duration = Duration::from_secs(30);

async fn locks(server: &Server) -> Locks {
    let config = RedisConfig::new(&server.url()).expect("a URL");
    Locks::redis(&config.connect_store().await.expect("it is there"))
}

async fn every_kind() -> [Locks; 3] {
    [Locks::memory(), Locks::redis(&store().await), Locks::redis(&cluster_store().await)]
}

async fn guarded<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, work).await.expect("hangs")
}

/// Waits for what happens behind the caller.
async fn until<F: Future<Output = bool>>(what: &str, mut done: impl FnMut() -> F) {
    let began = Instant::now();
    while !done().await {
        assert!(began.elapsed() < GUARD, "{what} takes too long");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn one_owner_at_a_time_and_tokens_that_grow() {
    for locks in every_kind().await {
        let mut last = 0;
        for name in ["a", "{a}", "a b\r\n", &"n".repeat(10_000)] {
            let lock = locks.try_acquire(name).await.expect("an answer").expect("free");
            assert!(locks.try_acquire(name).await.expect("an answer").is_none());
            assert!(lock.is_held() && lock.remaining() > SECOND);
            let fence = lock.fence();
            assert!(lock.release().await.expect("an answer"));
            let next = locks.try_acquire(name).await.expect("an answer").expect("free again");
            assert!(next.fence() > fence && fence > 0);
            last = next.fence().max(last);
            next.release().await.expect("an answer");
        }
        assert!(last < 1 << 53);
    }
}

#[tokio::test]
async fn locks_of_strange_names_are_told_apart() {
    let long = "n".repeat(10_000);
    let names = ["", " ", "a", "{a}", "{a", "a}b", "a\u{0}\u{1f}b", "a\r\nGET b", "%7Ba%7D", &long];
    for locks in every_kind().await {
        let mut held = Vec::new();
        for name in names {
            held.push(locks.try_acquire(name).await.expect("an answer").expect("free"));
        }
        for (name, lock) in names.into_iter().zip(held) {
            assert!(locks.try_acquire(name).await.expect("an answer").is_none(), "{name:?}");
            assert!(lock.release().await.expect("an answer"), "{name:?}");
            assert!(locks.try_acquire(name).await.expect("an answer").is_some(), "{name:?}");
        }
    }
}

#[tokio::test]
async fn of_many_that_wait_all_have_their_turn_alone() {
    for locks in every_kind().await {
        let inside = std::sync::atomic::AtomicU32::new(0);
        let turns = (0..10).map(|_| async {
            let lock = locks.acquire("a", GUARD).await.expect("an answer").expect("a turn");
            use std::sync::atomic::Ordering::SeqCst;
            assert_eq!(inside.fetch_add(1, SeqCst), 0, "alone");
            tokio::task::yield_now().await;
            inside.fetch_sub(1, SeqCst);
            let fence = lock.fence();
            assert!(lock.release().await.expect("an answer"));
            fence
        });
        let fences: HashSet<u64> = guarded(join_all(turns)).await.into_iter().collect();
        assert_eq!(fences.len(), 10);
    }
}

#[tokio::test]
async fn waiting_ends() {
    for locks in every_kind().await {
        let lock = locks.try_acquire("a").await.expect("an answer").expect("free");
        let began = Instant::now();
        let wait = Duration::from_millis(100);
        assert!(locks.acquire("a", wait).await.expect("an answer").is_none());
        assert!(began.elapsed() >= wait);
        drop(lock);
    }
}

#[tokio::test]
async fn a_lock_ends_by_itself_and_its_owner_cannot_release_the_next_ones() {
    let time = ManualClock::new();
    let locks = Locks::memory_by(time.clock());
    let lock = locks.try_acquire("a").await.expect("an answer").expect("free");
    time.advance(10 * SECOND);
    assert!(!lock.is_held());
    assert_eq!(lock.remaining(), Duration::ZERO);
    guarded(lock.lost()).await;
    let next = locks.try_acquire("a").await.expect("an answer").expect("free again");
    assert!(!lock.release().await.expect("an answer"), "it was not held");
    assert!(next.is_held());
    assert!(locks.try_acquire("a").await.expect("an answer").is_none());
}

#[tokio::test]
async fn a_dropped_lock_is_released_behind_the_caller() {
    for locks in every_kind().await {
        drop(locks.try_acquire("a").await.expect("an answer").expect("free"));
        assert!(locks.acquire("a", 5 * SECOND).await.expect("an answer").is_some());
    }
}

#[tokio::test]
async fn a_dropped_acquire_leaves_nothing_behind() {
    let server = Server::start();
    let locks = locks(&server).await.ttl(600 * SECOND);
    let mut fences = Vec::new();
    for polls in 1..20 {
        let mut asking = Box::pin(locks.try_acquire("a"));
        for _ in 0..polls {
            if let Poll::Ready(taken) =
                asking.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            {
                drop(taken);
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(asking);
        let lock = guarded(locks.acquire("a", GUARD)).await.expect("an answer").expect("free");
        fences.push(lock.fence());
        assert!(lock.release().await.expect("an answer"));
    }
    assert!(fences.is_sorted());
    until("the release", || async { server.tell("EXISTS headwater%lock:a") == "0" }).await;
}

#[tokio::test]
async fn renewal_keeps_a_lock_and_ends_at_its_bound() {
    let server = Server::start();
    let locks = locks(&server).await.ttl(SECOND / 5).renewed_for(SECOND);
    let began = Instant::now();
    let lock = locks.try_acquire("a").await.expect("an answer").expect("free");
    until("three lives", || async {
        assert!(lock.is_held(), "after {:?}", began.elapsed());
        began.elapsed() > SECOND * 3 / 5
    })
    .await;
    assert!(locks.try_acquire("a").await.expect("an answer").is_none());
    guarded(lock.lost()).await;
    let lasted = began.elapsed();
    assert!(lasted > SECOND * 3 / 4 && lasted <= SECOND * 3 / 2, "{lasted:?}");
    assert!(!lock.is_held());
    assert!(locks.acquire("a", SECOND).await.expect("an answer").is_some());
}

#[tokio::test]
async fn tokens_grow_also_after_the_server_lost_everything() {
    let mut server = Server::start();
    let locks = locks(&server).await;
    let mut last = 0;
    for round in 0..6 {
        let lock = guarded(async {
            loop {
                // An outage is an error, and ends.
                if let Ok(Some(lock)) = locks.try_acquire("a").await {
                    return lock;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        assert!(lock.fence() > last, "{} after {last}", lock.fence());
        last = lock.fence();
        match round % 3 {
            0 => assert_eq!(server.tell("FLUSHALL"), "OK"),
            1 => {
                server.kill();
                server.restart();
            }
            _ => assert!(lock.release().await.expect("an answer")),
        }
    }
    // A counter ahead of the clock goes on from where it was.
    server.tell("SET {headwater%lock:b}:fence 8000000000000000");
    let lock = locks.try_acquire("b").await.expect("an answer").expect("free");
    assert_eq!(lock.fence(), 8_000_000_000_000_001);
}

#[tokio::test]
async fn a_renewed_lock_that_was_flushed_away_is_lost_and_harms_nobody() {
    let server = Server::start();
    let renewed = locks(&server).await.ttl(SECOND).renewed_for(600 * SECOND);
    let lock = renewed.try_acquire("a").await.expect("an answer").expect("free");
    server.tell("FLUSHALL");
    let next = locks(&server).await.try_acquire("a").await.expect("an answer").expect("free");
    guarded(lock.lost()).await;
    assert!(!lock.is_held() && lock.remaining() == Duration::ZERO);
    assert!(!lock.release().await.expect("an answer"));
    assert!(next.fence() > 0 && next.release().await.expect("an answer"), "still theirs");
}

#[tokio::test]
async fn a_server_that_stops_for_longer_than_a_lock_lasts_loses_it() {
    let server = Server::start();
    let locks = locks(&server).await.ttl(SECOND).renewed_for(600 * SECOND);
    let lock = locks.try_acquire("a").await.expect("an answer").expect("free");
    server.freeze();
    guarded(lock.lost()).await;
    assert!(!lock.is_held());
    let error = locks.try_acquire("b").await.expect_err("nobody answers");
    assert!(error.is_retryable(), "{error}");
    server.thaw();
    until("recovery", || async { locks.try_acquire("a").await.is_ok_and(|next| next.is_some()) })
        .await;
    until("the lock that nobody heard of to go", || async {
        server.tell("EXISTS headwater%lock:b") == "0"
    })
    .await;
}

#[tokio::test]
async fn a_lock_excludes_what_go_takes_on_the_same_key() {
    let server = Server::start();
    let config = RedisConfig::new(&server.url()).expect("a URL").go_compatible();
    let locks = Locks::redis(&config.connect_store().await.expect("it is there"));
    let lock = locks.try_acquire("invoice").await.expect("an answer").expect("free");
    // redsync: SET NX PX; redislock: the same, and its release only of what it holds.
    assert_eq!(server.tell("SET invoice theirs NX PX 9000"), "(nil)");
    let release = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";
    let theirs =
        |server: &Server| server.ask(&[b"EVAL", release.as_bytes(), b"1", b"invoice", b"theirs"]);
    assert_eq!(theirs(&server), "0");
    assert!(lock.release().await.expect("an answer"));
    assert_eq!(server.tell("SET invoice theirs NX PX 9000"), "OK");
    assert!(locks.try_acquire("invoice").await.expect("an answer").is_none());
    assert_eq!(theirs(&server), "1");
    assert!(locks.try_acquire("invoice").await.expect("an answer").is_some());
}

#[tokio::test]
async fn a_lock_without_an_end_or_of_another_type_is_told() {
    let server = Server::start();
    let locks = locks(&server).await;
    server.tell("SET headwater%lock:a theirs");
    assert!(locks.acquire("a", SECOND / 20).await.expect("an answer").is_none());
    server.tell("RPUSH headwater%lock:b x");
    let error = locks.try_acquire("b").await.expect_err("no lock");
    assert!(error.to_string().contains("type"), "{error}");
}
