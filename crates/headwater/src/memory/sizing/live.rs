//! A sampler in a cache that threads share.

use std::cell::Cell;

use super::curve::MissRatioCurve;
use super::reuse::MissRatioSampler;
use crate::sync::{AtomicU64, Mutex, Ordering::Relaxed, thread_local};

/// The most keys in the sample. It takes some 60 kB then.
const MOST_KEYS: usize = 1_792;

/// One use in so many of a thread, of whichever cache, is counted, and counts for all of them. A prime,
/// so that turns that caches take do not come out the same each time.
const USES_PER_COUNT: u32 = 61;

thread_local! {
    /// This thread's uses until it counts one. Down to 0, because that is the cheapest to notice.
    static LEFT: Cell<u32> = const { Cell::new(USES_PER_COUNT) };
}

/// The curve of a cache that was told to measure one; nothing otherwise.
pub(in crate::memory) struct Sizing(Option<Box<Live>>);

struct Live {
    /// The sampler's, where it can be read without the lock.
    threshold: AtomicU64,
    requests: AtomicU64,
    sampler: Mutex<MissRatioSampler>,
}

impl Sizing {
    /// Samples a share of the keys to begin with; `None` for no sizing.
    pub(in crate::memory) fn new(share: Option<f64>) -> Self {
        Self(share.map(|share| Box::new(Live::new(MissRatioSampler::new(share, MOST_KEYS)))))
    }

    /// Notes a use of the key of a hash: a hit, or the put after a miss.
    #[inline]
    pub(in crate::memory) fn note(&self, hash: u64) {
        if self.is_due(hash) {
            self.record(hash);
        }
    }

    /// Notes a use, if there is little to do for that; whether it has to be [recorded](Self::record).
    #[inline(always)]
    pub(in crate::memory) fn is_due(&self, hash: u64) -> bool {
        self.0.as_ref().is_some_and(|live| live.is_due(hash))
    }

    #[cold]
    pub(in crate::memory) fn record(&self, hash: u64) {
        if let Some(live) = &self.0 {
            live.record(hash);
        }
    }

    pub(in crate::memory) fn curve(&self) -> Option<MissRatioCurve> {
        let live = self.0.as_ref()?;
        Some(live.sampler.lock().curve_of(live.requests.load(Relaxed)))
    }
}

impl Live {
    fn new(sampler: MissRatioSampler) -> Self {
        Self {
            threshold: AtomicU64::new(sampler.threshold()),
            requests: AtomicU64::new(0),
            sampler: Mutex::new(sampler),
        }
    }

    #[inline(always)]
    fn is_due(&self, hash: u64) -> bool {
        let left = LEFT.get() - 1;
        LEFT.set(left);
        left == 0 || hash < self.threshold.load(Relaxed)
    }

    fn record(&self, hash: u64) {
        if LEFT.get() == 0 {
            LEFT.set(USES_PER_COUNT);
            self.requests.fetch_add(u64::from(USES_PER_COUNT), Relaxed);
        }
        if hash < self.threshold.load(Relaxed) {
            self.sample(hash);
        }
    }

    fn sample(&self, hash: u64) {
        // Nobody waits for this: a use that is not noted now and then changes nothing.
        if let Some(mut sampler) = self.sampler.try_lock() {
            sampler.note(hash);
            self.threshold.store(sampler.threshold(), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash of a key.
    fn hash(key: u64) -> u64 {
        key.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    #[test]
    fn requests_are_counted_whatever_turns_two_caches_take() {
        let caches = [Sizing::new(Some(0.1)), Sizing::new(Some(0.1))];
        for use_ in 0..122_000 {
            caches[use_ % 2].note(hash(use_ as u64));
        }
        for cache in caches {
            let requests = cache.curve().map_or(0, |curve| curve.requests());
            assert!((60_000..62_000).contains(&requests), "{requests}");
        }
    }

    #[test]
    fn nothing_is_measured_that_nobody_asked_for() {
        let sizing = Sizing::new(None);
        sizing.note(1);
        assert!(sizing.curve().is_none());
        assert_eq!(size_of::<Sizing>(), 8);
    }
}
