//! How many other keys were used between two uses of one, measured on a sample of the keys.
//!
//! This is SHARDS in its variant of fixed size (Waldspurger, Park, Garthwaite and Ahmad, FAST 2015). A
//! key is in the sample if its hash is below a threshold, so either all of its uses are seen or
//! none. What is counted among sampled keys stands for as many times more as keys are not sampled. When
//! the sample is full, the threshold comes down to its largest hash, whose key leaves.
//!
//! Each sampled key has the time of its last use, counted in sampled uses, and a Fenwick tree (1994)
//! has a one at each such time: a key's distance is the number of ones after its own. When the tree
//! has no time left, times are numbered anew.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, Hash};

use foldhash::quality::FixedState;

use super::curve::{Histogram, MissRatioCurve};

/// Times per key in the sample, after which they are numbered anew.
const TIMES_PER_KEY: usize = 4;

/// The fewest times that there is room for.
const FEWEST_TIMES: usize = 256;

/// The hashes there are: one more than the largest.
const HASHES: f64 = 18_446_744_073_709_551_616.0;

/// Of distances, these are told apart (as a power of two) in a sample, and where all keys are in.
const FINE_BITS: u32 = 6;
const EXACT_FINE_BITS: u32 = 20;

/// Makes a [`MissRatioCurve`] of requests that you tell it: of a log of keys, say, before there is a
/// cache. A cache in use does it [by itself](crate::MemoryBuilder::live_sizing).
///
/// It keeps a sample of the keys, chosen by their hashes, with the time of each one's last use
/// (SHARDS: Waldspurger, Park, Garthwaite and Ahmad, FAST 2015): some 30 bytes per key in the sample.
///
/// ```
/// use headwater::MissRatioSampler;
///
/// // A quarter of the keys, and never more than 1,000.
/// let mut sampler = MissRatioSampler::new(0.25, 1_000);
/// for key in (0..100_000_u64).map(|at| at * at % 9_973) {
///     sampler.record(&key);
/// }
/// let curve = sampler.curve();
/// assert_eq!(curve.requests(), 100_000);
/// assert!(curve.hit_ratio_at(10_000) > curve.hit_ratio_at(2_000));
/// ```
pub struct MissRatioSampler {
    /// The most keys in the sample.
    most_keys: usize,
    /// Keys whose hashes are below are sampled.
    threshold: u64,
    /// The time of the last use, by hash.
    last_uses: BTreeMap<u64, u32>,
    now: u32,
    ones: Fenwick,
    distances: Histogram,
    recorded: u64,
}

impl MissRatioSampler {
    /// Begins with a `share` of the keys, from 0 to 1, and lowers it so that the sample never has
    /// more than `most_keys`, which counts as 1 at least.
    #[must_use]
    pub fn new(share: f64, most_keys: usize) -> Self {
        Self::with(share, most_keys, FINE_BITS)
    }

    /// All keys, however many: the curve is then exact (up to a million entries, and to a part in a
    /// million beyond), and the memory grows with the keys.
    #[must_use]
    pub fn exact() -> Self {
        Self::with(1.0, usize::MAX, EXACT_FINE_BITS)
    }

    fn with(share: f64, most_keys: usize, fine_bits: u32) -> Self {
        Self {
            most_keys: most_keys.max(1),
            // The conversion saturates: 1 is all keys but one in 2^64, and what is no number is none.
            threshold: (share * HASHES) as u64,
            last_uses: BTreeMap::new(),
            now: 0,
            ones: Fenwick::new(FEWEST_TIMES),
            distances: Histogram::new(fine_bits),
            recorded: 0,
        }
    }

    /// Takes note of a request of `key`.
    pub fn record<K: Hash + ?Sized>(&mut self, key: &K) {
        self.recorded += 1;
        self.note(FixedState::default().hash_one(key));
    }

    /// What follows from the requests so far.
    #[must_use]
    pub fn curve(&self) -> MissRatioCurve {
        self.curve_of(self.recorded)
    }

    /// What follows from so many requests, of which those of the sample were noted.
    pub(super) fn curve_of(&self, requests: u64) -> MissRatioCurve {
        MissRatioCurve::new(self.distances.clone(), requests, self.threshold as f64 / HASHES)
    }

    pub(super) fn threshold(&self) -> u64 {
        self.threshold
    }

    /// Notes a use of a key, if that is in the sample.
    pub(super) fn note(&mut self, hash: u64) {
        if hash >= self.threshold {
            return;
        }
        let keys_per_sampled = HASHES / self.threshold as f64;
        if self.now as usize == self.ones.len() {
            self.number_anew();
        }
        match self.last_uses.insert(hash, self.now) {
            Some(last) => {
                self.ones.subtract(last);
                let others = self.ones.total() - self.ones.up_to(last);
                // So many sampled keys in between stand for any number up to those of one more.
                let others = (f64::from(others) + 0.5) * keys_per_sampled - 0.5;
                self.distances.add(others.round() as u64, keys_per_sampled);
            }
            None => self.distances.add_first(keys_per_sampled),
        }
        self.ones.add(self.now);
        self.now += 1;
        if self.last_uses.len() > self.most_keys {
            self.thin();
        }
    }

    /// Takes the largest hash out of the sample, and lets no such one in again.
    fn thin(&mut self) {
        if let Some((hash, last)) = self.last_uses.pop_last() {
            self.ones.subtract(last);
            self.threshold = hash;
        }
    }

    /// Counts times from 0 again, in the same order, with room for as many as there are keys, and more.
    fn number_anew(&mut self) {
        let mut uses: Vec<&mut u32> = self.last_uses.values_mut().collect();
        uses.sort_unstable();
        self.ones = Fenwick::new((uses.len() * TIMES_PER_KEY).max(FEWEST_TIMES));
        self.now = 0;
        for last in uses {
            *last = self.now;
            self.ones.add(self.now);
            self.now += 1;
        }
    }
}

impl fmt::Debug for MissRatioSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MissRatioSampler")
            .field("requests", &self.recorded)
            .field("keys", &self.last_uses.len())
            .field("share", &(self.threshold as f64 / HASHES))
            .finish_non_exhaustive()
    }
}

/// Ones at places, of which those up to a place are counted in logarithmic time.
struct Fenwick {
    sums: Box<[u32]>,
    total: u32,
}

impl Fenwick {
    fn new(len: usize) -> Self {
        Self { sums: vec![0; len].into(), total: 0 }
    }

    fn len(&self) -> usize {
        self.sums.len()
    }

    fn total(&self) -> u32 {
        self.total
    }

    fn add(&mut self, place: u32) {
        self.total += 1;
        self.change(place, |sum| sum + 1);
    }

    fn subtract(&mut self, place: u32) {
        self.total -= 1;
        self.change(place, |sum| sum - 1);
    }

    fn change(&mut self, place: u32, change: impl Fn(u32) -> u32) {
        let mut at = place as usize;
        while let Some(sum) = self.sums.get_mut(at) {
            *sum = change(*sum);
            at |= at + 1;
        }
    }

    /// How many ones are at `place` and before.
    fn up_to(&self, place: u32) -> u32 {
        let mut count = 0;
        let mut end = place as usize + 1;
        while end > 0 {
            count += self.sums[end - 1];
            end &= end - 1;
        }
        count
    }
}
