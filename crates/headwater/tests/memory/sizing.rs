//! The curve of a cache in use, and of a sampler, against an LRU of each size.

use super::face;
use headwater::{Entry, LruCache, MemoryCache, MissRatioCurve, MissRatioSampler, Tier};
use proptest::prelude::*;

/// How many keys an LRU of that capacity hits.
fn exact_hits(keys: &[u32], capacity: u64) -> usize {
    let cache = LruCache::<u32, ()>::new(capacity).unwrap();
    hits(&cache, keys)
}

fn hits(cache: &impl Tier<Key = u32, Value = ()>, keys: &[u32]) -> usize {
    let is_hit = |key: &&u32| {
        // By turns as a fetch of an entry looks, and as one of a value does.
        let is_hit = match **key % 2 {
            0 => face(cache).get(key).is_some(),
            _ => face(cache).value(key).is_some(),
        };
        if !is_hit {
            drop(face(cache).put(**key, face(cache).prepare(key, Entry::found(()))));
        }
        is_hit
    };
    keys.iter().filter(is_hit).count()
}

/// Wanted often, wanted lately, and wanted once, by turns.
fn mixed(count: u32) -> Vec<u32> {
    let mut random = fastrand::Rng::with_seed(7);
    let key = |at: u32| match at % 4 {
        0 => (f64::from(60_000).powf(random.f64())) as u32,
        1 => 100_000 + at / 8 + random.u32(..2_000),
        2 => 200_000 + at % 30_000,
        _ => 1_000_000 + at,
    };
    (0..count).map(key).collect()
}

/// How far a curve is from the exact one, on average over capacities.
fn error(exact: &MissRatioCurve, curve: &MissRatioCurve, capacities: &[u64]) -> f64 {
    let distance =
        |capacity: &u64| (curve.hit_ratio_at(*capacity) - exact.hit_ratio_at(*capacity)).abs();
    capacities.iter().map(distance).sum::<f64>() / capacities.len() as f64
}

/// Which keys are in the sample is chance; once in some dozens of samples they are off by 0.04.
const MOST_DISTANCE: f64 = 0.06;

#[test]
fn the_curve_of_a_cache_in_use_is_near_an_exact_lru_at_every_size() {
    let keys = mixed(120_000);
    let mut exact = MissRatioSampler::exact();
    keys.iter().for_each(|key| exact.record(key));
    let exact = exact.curve();
    // The sampler of all keys is itself right: what else it says, a test below checks.
    let hits_at = |capacity| exact.hit_ratio_at(capacity) * keys.len() as f64;
    assert!((hits_at(5_000) - exact_hits(&keys, 5_000) as f64).abs() < 1e-3);

    let capacities = [500, 1_000, 2_000, 5_000, 10_000, 20_000, 40_000];
    let lru = LruCache::<u32, ()>::builder(2_000).live_sizing(1.0).build().unwrap();
    hits(&lru, &keys);
    let curve = lru.miss_ratio_curve().unwrap();
    assert!(curve.share() < 0.1, "the sample has become small: {}", curve.share());
    let distance = error(&exact, &curve, &capacities);
    assert!(distance < MOST_DISTANCE, "{distance}");

    // A cache that keeps other entries than an LRU says the same of an LRU.
    let memory = MemoryCache::builder().capacity(2_000).live_sizing(0.05).build().unwrap();
    hits(&memory, &keys);
    let curve = memory.miss_ratio_curve().unwrap();
    let distance = error(&exact, &curve, &capacities);
    assert!(distance < MOST_DISTANCE, "{distance}");
    assert!(curve.requests().abs_diff(keys.len() as u64) < 100);
}

#[test]
fn half_twice_and_four_times_the_size_are_told_apart() {
    let cache = LruCache::<u32, ()>::builder(1_000).live_sizing(1.0).build().unwrap();
    let keys: Vec<u32> = (0..100_000).map(|at| at % 1_500).collect();
    hits(&cache, &keys);
    let curve = cache.miss_ratio_curve().unwrap();
    let ratios = [500, 1_000, 2_000, 4_000].map(|capacity| curve.hit_ratio_at(capacity));
    assert!(ratios[0] < 0.01 && ratios[1] < 0.01, "{ratios:?}");
    assert!(ratios[2] > 0.97 && ratios[3] > 0.97, "{ratios:?}");
}

#[test]
fn who_did_not_ask_has_no_curve_and_a_faulty_share_is_told() {
    let cache = LruCache::<u32, ()>::new(10).unwrap();
    hits(&cache, &[1, 1]);
    assert!(cache.miss_ratio_curve().is_none());
    for share in [0.0, -1.0, 1.5, f64::NAN] {
        let error = LruCache::<u32, ()>::builder(10).live_sizing(share).build().unwrap_err();
        assert!(error.to_string().contains("live_sizing"), "{error}");
    }
}

#[test]
fn threads_may_share_a_cache_that_measures() {
    let cache = MemoryCache::builder().capacity(500).live_sizing(1.0).build().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let cache = &cache;
            scope.spawn(move || {
                hits(cache, &(0..50_000).map(|at| (at * 7 + thread) % 900).collect::<Vec<_>>());
            });
        }
    });
    let curve = cache.miss_ratio_curve().unwrap();
    assert!(curve.requests().abs_diff(200_000) < 4 * 61);
    assert!(curve.hit_ratio_at(2_000) > 0.95, "{}", curve.hit_ratio_at(2_000));
}

proptest! {
    #[test]
    fn a_sampler_of_all_keys_agrees_with_an_lru(
        keys in prop::collection::vec(0_u32..40, 1..400),
        capacity in 1_u64..50,
    ) {
        let mut sampler = MissRatioSampler::exact();
        keys.iter().for_each(|key| sampler.record(key));
        let hits = sampler.curve().hit_ratio_at(capacity) * keys.len() as f64;
        prop_assert!((hits - exact_hits(&keys, capacity) as f64).abs() < 1e-6);
    }

    #[test]
    fn a_curve_rises_from_0_to_1_at_most(
        keys in prop::collection::vec(any::<u16>(), 0..2_000),
        share in 0.0..=1.0,
        most in 0_usize..300,
        capacities in prop::collection::vec(any::<u64>(), 2..20),
    ) {
        let mut sampler = MissRatioSampler::new(share, most);
        let (first, second) = keys.split_at(keys.len() / 2);
        first.iter().for_each(|key| sampler.record(key));
        let before = sampler.curve();
        second.iter().for_each(|key| sampler.record(key));
        let mut capacities = capacities;
        capacities.sort_unstable();
        let curve = sampler.curve();
        for curve in [&curve, &curve.since(&before), &before] {
            let ratios: Vec<f64> =
                capacities.iter().map(|capacity| curve.hit_ratio_at(*capacity)).collect();
            prop_assert!(ratios.is_sorted() && ratios.iter().all(|ratio| (0.0..=1.0).contains(ratio)));
            prop_assert!(curve.points().all(|point| (0.0..=1.0).contains(&point.hit_ratio)));
            prop_assert!(curve.points().map(|point| point.capacity).is_sorted());
        }
        prop_assert_eq!(curve.requests(), keys.len() as u64);
    }
}
