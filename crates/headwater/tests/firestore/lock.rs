//! Locks in Firestore: one owner at a time, told when it is lost, with tokens that only grow.

use crate::emulator::{Emulator, Make, on_each_emulator};
use crate::world::{World, integer, text};
use futures_util::future::join_all;
use headwater::ErrorKind;
use headwater::firestore::FirestoreStore;
use headwater::presence::{Lock, Locks};
use std::collections::HashSet;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// A guard against hanging, far above what anything takes.
const GUARD: Duration = Duration::from_secs(60);

impl World {
    fn locks(&self) -> Locks {
        Locks::firestore(&self.store(), "locks").expect("a path")
    }
}

async fn guarded<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, work).await.expect("hangs")
}

/// A lock that lasts for so little that a slow server's answer may be too late.
async fn taken(locks: &Locks, name: &str) -> Lock {
    guarded(async {
        loop {
            if let Ok(Some(lock)) = locks.try_acquire(name).await {
                return lock;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

on_each_emulator! {
    async fn one_owner_at_a_time_and_tokens_that_grow(world: World) {
        let (locks, others) = (world.locks(), world.locks());
        for name in ["", "a", "a/b", "{a}", "a b\r\n\u{0}", "__x__", &"n".repeat(10_000)] {
            let lock = locks.try_acquire(name).await.expect("an answer").expect("free");
            assert!(others.try_acquire(name).await.expect("an answer").is_none());
            assert!(lock.is_held() && lock.remaining() > SECOND);
            let fence = lock.fence();
            assert!(lock.release().await.expect("an answer"));
            let next = others.try_acquire(name).await.expect("an answer").expect("free again");
            assert!(next.fence() > fence && fence > 0);
            next.release().await.expect("an answer");
        }
    }

    async fn of_many_that_wait_all_have_their_turn_alone(world: World) {
        let inside = AtomicU32::new(0);
        let turns = (0..10).map(|_| async {
            let locks = world.locks();
            let lock = locks.acquire("a", GUARD).await.expect("an answer").expect("a turn");
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

    async fn a_lock_ends_by_itself_and_its_owner_cannot_release_the_next_ones(world: World) {
        // Such a life is a short one for a busy machine.
        let (short, others) = (world.locks().ttl(2 * SECOND), world.locks().ttl(60 * SECOND));
        let lock = taken(&short, "a").await;
        let next = guarded(others.acquire("a", GUARD)).await.expect("an answer").expect("it ends");
        assert!(!lock.is_held() && next.fence() > lock.fence());
        assert!(!lock.release().await.expect("an answer"), "it was not held");
        assert!(next.is_held());
        assert!(world.locks().try_acquire("a").await.expect("an answer").is_none());
    }

    async fn a_dropped_lock_and_a_dropped_acquire_are_given_back(world: World) {
        let locks = world.locks().ttl(600 * SECOND);
        let mut last = 0;
        for polls in 1..12 {
            let mut asking = Box::pin(locks.try_acquire("a"));
            for _ in 0..polls {
                let mut context = Context::from_waker(Waker::noop());
                if let Poll::Ready(taken) = asking.as_mut().poll(&mut context) {
                    drop(taken);
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            drop(asking);
            let lock = guarded(locks.acquire("a", GUARD)).await.expect("an answer").expect("free");
            assert!(lock.fence() > last);
            last = lock.fence();
            drop(lock);
        }
    }

    async fn renewal_keeps_a_lock_and_ends_at_its_bound(world: World) {
        let locks = world.locks().ttl(SECOND).renewed_for(3 * SECOND);
        let began = Instant::now();
        let lock = locks.try_acquire("a").await.expect("an answer").expect("free");
        while began.elapsed() < 2 * SECOND {
            assert!(lock.is_held(), "after {:?}", began.elapsed());
            assert!(world.locks().try_acquire("a").await.expect("an answer").is_none());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        guarded(lock.lost()).await;
        assert!(!lock.is_held() && began.elapsed() > 2 * SECOND);
        assert!(guarded(locks.acquire("a", GUARD)).await.expect("an answer").is_some());
    }

    async fn tokens_grow_also_after_the_server_lost_everything(emulator: Emulator) {
        let mut emulator = emulator;
        let world = World::warm(&emulator).await;
        let locks = world.locks();
        let mut last = 0;
        for round in 0..4 {
            let taken = guarded(async {
                loop {
                    // An outage is an error, and ends.
                    if let Ok(Some(lock)) = locks.try_acquire("a").await {
                        return lock;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
            let lock = taken.await;
            assert!(lock.fence() > last, "{} after {last}", lock.fence());
            last = lock.fence();
            match round % 2 {
                0 => assert!(lock.release().await.expect("an answer")),
                _ => {
                    emulator.kill();
                    emulator.restart();
                }
            }
        }
        // A counter ahead of the clock goes on from where it was.
        guarded(async { while locks.try_acquire("warm").await.is_err() {} }).await;
        world.set("locks/b", vec![("fence", integer(8_000_000_000_000_000))]).await;
        let ended = vec![("fence", integer(8_000_000_000_000_007)), ("expires_after_ms", integer(0))];
        world.set("locks/b", ended).await;
        let lock = locks.try_acquire("b").await.expect("an answer").expect("free");
        assert_eq!(lock.fence(), 8_000_000_000_000_008);
    }

    async fn a_renewed_lock_that_was_lost_by_the_server_is_lost_and_harms_nobody(world: World) {
        let locks = world.locks().ttl(SECOND).renewed_for(600 * SECOND);
        let lock = locks.try_acquire("a").await.expect("an answer").expect("free");
        world.delete("locks/a").await;
        let next = world.locks().try_acquire("a").await.expect("an answer").expect("free");
        guarded(lock.lost()).await;
        assert!(!lock.is_held() && lock.remaining() == Duration::ZERO);
        assert!(!lock.release().await.expect("an answer"));
        assert!(next.release().await.expect("an answer"), "still theirs");
    }

    async fn a_server_that_stops_for_longer_than_a_lock_lasts_loses_it(emulator: Emulator) {
        let world = World::warm(&emulator).await;
        let store = FirestoreStore::builder(world.db.clone()).timeout(SECOND / 2).build();
        let locks = Locks::firestore(&store.expect("settings"), "locks").expect("a path");
        world.locks().try_acquire("warm").await.expect("an answer");
        let locks = locks.ttl(SECOND).renewed_for(600 * SECOND);
        let lock = taken(&locks, "a").await;
        emulator.signal("-STOP");
        guarded(lock.lost()).await;
        assert!(!lock.is_held());
        let error = locks.try_acquire("b").await.expect_err("nobody answers");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        emulator.signal("-CONT");
        guarded(async { while !matches!(locks.try_acquire("a").await, Ok(Some(_))) {} }).await;
    }

    async fn a_lock_of_another_form_is_held_by_nobody(world: World) {
        world.set("locks/a", vec![("owner", integer(7)), ("fence", text("x"))]).await;
        let lock = world.locks().try_acquire("a").await.expect("an answer").expect("free");
        assert!(lock.fence() > 1_000_000_000_000_000, "by the clock");
        world.set("locks/b", vec![("owner", text("theirs"))]).await;
        let waited = world.locks().acquire("b", SECOND / 20).await;
        assert!(waited.expect("an answer").is_none(), "theirs has no end");
    }
}
