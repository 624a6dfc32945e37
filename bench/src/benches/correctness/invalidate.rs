//! `invalidate` racing a load: afterwards nobody may see what was loaded before it.

use super::source::{Gated, KEY, NEW};
use super::stage::{Crowd, Tally, on_stage, on_threads, settle};
use super::Case;
use crate::contenders::{Cache, Contender, Outcome, Source};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use tokio::task::{JoinSet, yield_now};

const CAPACITY: usize = 64;

/// The load read the old value before the invalidation and ends after it. Then somebody fetches.
pub(super) struct Afterwards;

impl Case for Afterwards {
    const NAME: &'static str = "invalidate during a load: stale afterwards";
    const TRIES: u64 = 10_000;
    const QUICK_TRIES: u64 = 500;

    fn run<C: Contender>(&self, tries: u64, _: u64) -> Tally {
        on_stage(tries, async || {
            let source = Gated::closed();
            let cache = Arc::new(C::build(CAPACITY, Arc::clone(&source)));
            let mut leader = Crowd::new();
            leader.fetch(&cache, KEY);
            source.begun().await;
            source.set(NEW);
            cache.invalidate(KEY).await;
            source.open();
            leader.answers().await;
            Tally::of(u64::from(cache.fetch(KEY).await != Ok(Some(NEW))))
        })
    }
}

/// As above, but the fetch after the invalidation comes while the old load is still under way.
pub(super) struct Meanwhile;

impl Case for Meanwhile {
    const NAME: &'static str = "invalidate during a load: stale while it goes on";
    const TRIES: u64 = 10_000;
    const QUICK_TRIES: u64 = 500;

    fn run<C: Contender>(&self, tries: u64, _: u64) -> Tally {
        on_stage(tries, async || {
            let source = Gated::closed();
            let cache = Arc::new(C::build(CAPACITY, Arc::clone(&source)));
            let (mut leader, mut late) = (Crowd::new(), Crowd::new());
            leader.fetch(&cache, KEY);
            source.begun().await;
            source.set(NEW);
            cache.invalidate(KEY).await;
            late.fetch(&cache, KEY);
            settle().await;
            source.open();
            let late = late.answers().await;
            Tally { violations: late.other_than(&Ok(Some(NEW))), hung: late.hung }
        })
    }
}

/// Writers change the source and invalidate, readers fetch, all at once: a reader may not see less
/// than what was written when an invalidation last returned before it began.
pub(super) struct AtRandom;

const KEYS: [&str; 4] = ["north", "east", "south", "west"];
const READERS: usize = 3;

impl Case for AtRandom {
    const NAME: &'static str = "invalidate and fetch at random: stale reads";
    const TRIES: u64 = 10_000;
    const QUICK_TRIES: u64 = 500;
    const UNIT: &'static str = "invalidations";

    fn run<C: Contender>(&self, tries: u64, seed: u64) -> Tally {
        on_threads(1, async || {
            let world = Arc::new(World::default());
            let cache = Arc::new(C::build(CAPACITY, Arc::clone(&world)));
            let mut writers = JoinSet::new();
            for place in 0..KEYS.len() {
                let (world, cache) = (Arc::clone(&world), Arc::clone(&cache));
                let writes = tries / KEYS.len() as u64;
                writers.spawn(async move { world.write(&*cache, place, writes).await });
            }
            let mut readers = JoinSet::new();
            for reader in 0..READERS {
                let (world, cache) = (Arc::clone(&world), Arc::clone(&cache));
                let random = fastrand::Rng::with_seed(seed + reader as u64);
                readers.spawn(async move { world.read(&*cache, random).await });
            }
            writers.join_all().await;
            world.is_over.store(true, SeqCst);
            let stale: u64 = readers.join_all().await.into_iter().sum();
            Tally::of(stale + world.left_stale(&*cache).await)
        })
    }
}

/// The source, and what readers may rely on.
#[derive(Default)]
struct World {
    now: [AtomicU64; KEYS.len()],
    /// The least that a fetch which begins now may see.
    floors: [AtomicU64; KEYS.len()],
    is_over: AtomicBool,
}

impl World {
    async fn write(&self, cache: &impl Cache<u64>, place: usize, writes: u64) {
        for version in 1..=writes {
            self.now[place].store(version, SeqCst);
            cache.invalidate(KEYS[place]).await;
            self.floors[place].store(version, SeqCst);
            yield_now().await;
        }
    }

    async fn read(&self, cache: &impl Cache<u64>, mut random: fastrand::Rng) -> u64 {
        let mut stale = 0;
        while !self.is_over.load(SeqCst) {
            let place = random.usize(..KEYS.len());
            stale += u64::from(self.is_stale(cache, place).await);
            yield_now().await;
        }
        stale
    }

    async fn is_stale(&self, cache: &impl Cache<u64>, place: usize) -> bool {
        let floor = self.floors[place].load(SeqCst);
        !matches!(cache.fetch(KEYS[place]).await, Ok(Some(version)) if version >= floor)
    }

    /// How many keys stay stale, now that nothing is written any more.
    async fn left_stale(&self, cache: &impl Cache<u64>) -> u64 {
        let mut stale = 0;
        for place in 0..KEYS.len() {
            stale += u64::from(self.is_stale(cache, place).await);
        }
        stale
    }
}

impl Source<u64> for World {
    async fn load(&self, key: &str) -> Outcome<u64> {
        let place = KEYS.iter().position(|known| *known == key);
        let version = self.now[place.expect("only known keys are fetched")].load(SeqCst);
        for _ in 0..version % 4 {
            yield_now().await;
        }
        Ok(Some(version))
    }
}
