//! Every fetcher, cache and tier of the library, held to the promises of its trait.

#![allow(clippy::expect_used, reason = "helpers of tests may panic as tests may")]

use headwater::testkit::{Fleet, ManualClock, Member, RemoteTier, TestSource};
use headwater::{
    Batching, BoxCache, BoxFetcher, Headwater, LruCache, MemoryCache, Orphans, ReadThrough, Source,
    cache_conformance, fetcher_conformance, tier_conformance,
};

type Origin = TestSource<str, String>;
type Lru = LruCache<str, String>;

fn lru(time: &ManualClock) -> Lru {
    LruCache::builder(8_000).clock(time.clock()).build().expect("a valid configuration")
}

fn memory(time: &ManualClock) -> MemoryCache<str, String> {
    MemoryCache::builder().clock(time.clock()).build().expect("a valid configuration")
}

fn bounded(time: &ManualClock) -> MemoryCache<str, String> {
    let builder = MemoryCache::builder().capacity(8_000).shards(4);
    builder.clock(time.clock()).build().expect("a valid configuration")
}

fn remote(time: &ManualClock) -> RemoteTier<MemoryCache<str, String>> {
    RemoteTier::new(memory(time))
}

async fn source(origin: Origin, time: ManualClock) -> Source<Origin> {
    Source::new(origin).clock(time.clock())
}

async fn one_tier(origin: Origin, time: ManualClock) -> ReadThrough<Lru, Source<Origin>> {
    Headwater::source(origin).clock(time.clock()).through(lru(&time)).build()
}

async fn unbounded(
    origin: Origin,
    time: ManualClock,
) -> ReadThrough<MemoryCache<str, String>, Source<Origin>> {
    let (memory, clock) = (memory(&time), time.clock());
    Headwater::over(source(origin, time).await, clock).through(memory).build()
}

async fn bounded_tier(
    origin: Origin,
    time: ManualClock,
) -> ReadThrough<MemoryCache<str, String>, Source<Origin>> {
    Headwater::source(origin).clock(time.clock()).through(bounded(&time)).build()
}

async fn one_remote_tier(
    origin: Origin,
    time: ManualClock,
) -> ReadThrough<RemoteTier<MemoryCache<str, String>>, Source<Origin>> {
    Headwater::source(origin).clock(time.clock()).through(remote(&time)).build()
}

type Two = ReadThrough<Lru, ReadThrough<RemoteTier<MemoryCache<str, String>>, Source<Origin>>>;

async fn two_tiers(origin: Origin, time: ManualClock) -> Two {
    let chain = Headwater::source(origin).clock(time.clock());
    chain.through(remote(&time)).through(lru(&time)).build()
}

async fn batched(origin: Origin, time: ManualClock) -> Two {
    let chain = Headwater::source(origin).clock(time.clock()).limit(2).batching(Batching::new());
    chain.orphans(Orphans::Finish).through(remote(&time)).through(lru(&time)).build()
}

type Process = ReadThrough<Lru, ReadThrough<Member<str, String>, Source<Origin>>>;

async fn one_of_a_fleet(origin: Origin, time: ManualClock) -> Process {
    let chain = Headwater::source(origin).clock(time.clock());
    chain.through(Fleet::new(&time).member()).through(lru(&time)).build()
}

fetcher_conformance!(source_fetcher, source);
fetcher_conformance!(one_tier_fetcher, one_tier);
fetcher_conformance!(bounded_tier_fetcher, bounded_tier);
fetcher_conformance!(one_remote_tier_fetcher, one_remote_tier);
fetcher_conformance!(two_tiers_fetcher, two_tiers);
fetcher_conformance!(batched_fetcher, batched);
fetcher_conformance!(one_of_a_fleet_fetcher, one_of_a_fleet);
fetcher_conformance!(boxed_fetcher, async |origin, time| BoxFetcher::new(
    one_tier(origin, time).await
));

cache_conformance!(one_tier_cache, one_tier);
cache_conformance!(unbounded_cache, unbounded);
cache_conformance!(bounded_tier_cache, bounded_tier);
cache_conformance!(one_remote_tier_cache, one_remote_tier);
cache_conformance!(two_tiers_cache, two_tiers);
cache_conformance!(batched_cache, batched);
cache_conformance!(one_of_a_fleet_cache, one_of_a_fleet);
cache_conformance!(boxed_cache, async |origin, time| BoxCache::new(two_tiers(origin, time).await));

tier_conformance!(lru_tier, async |time: ManualClock| lru(&time));
tier_conformance!(memory_tier, async |time: ManualClock| memory(&time));
tier_conformance!(bounded_memory_tier, async |time: ManualClock| bounded(&time));
tier_conformance!(remote_tier, async |time: ManualClock| remote(&time));
