//! Hit ratios by capacity, as they follow from how many other keys are used between two uses of one.

use std::fmt;

/// How many uses came after how many other keys. Small distances have a bucket each; of larger ones,
/// each doubling has as many buckets as there are small ones.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Histogram {
    /// The binary logarithm of the number of small distances.
    fine_bits: u32,
    buckets: Vec<f64>,
    /// All uses but the first of each key.
    again: f64,
    /// First uses of keys, which hit in no cache.
    first: f64,
}

impl Histogram {
    pub(super) fn new(fine_bits: u32) -> Self {
        Self { fine_bits, buckets: Vec::new(), again: 0.0, first: 0.0 }
    }

    pub(super) fn add(&mut self, distance: u64, uses: f64) {
        let bucket = self.bucket(distance);
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0.0);
        }
        self.buckets[bucket] += uses;
        self.again += uses;
    }

    pub(super) fn add_first(&mut self, uses: f64) {
        self.first += uses;
    }

    /// Uses at distances below `capacity`. Within a bucket they count as spread evenly.
    fn below(&self, capacity: u64) -> f64 {
        let bucket = self.bucket(capacity);
        let whole: f64 = self.buckets.iter().take(bucket).sum();
        let (start, width) = self.range(bucket);
        let part = (capacity - start) as f64 / width as f64;
        whole + self.buckets.get(bucket).map_or(0.0, |uses| uses * part)
    }

    fn uses(&self) -> f64 {
        self.again + self.first
    }

    fn bucket(&self, distance: u64) -> usize {
        let shift = match distance >> self.fine_bits {
            0 => 0,
            high => high.ilog2(),
        };
        ((u64::from(shift) << self.fine_bits) + (distance >> shift)) as usize
    }

    /// The least distance of a bucket, and how many distances it has.
    fn range(&self, bucket: usize) -> (u64, u64) {
        let bucket = bucket as u64;
        let shift = (bucket >> self.fine_bits).saturating_sub(1);
        ((bucket - (shift << self.fine_bits)) << shift, 1 << shift)
    }
}

/// The hit ratios that an LRU of any capacity would have had, of the same requests.
///
/// From [`LruCache::miss_ratio_curve`](crate::LruCache::miss_ratio_curve), measured while the cache is
/// in use, or from a [`MissRatioSampler`](crate::MissRatioSampler) of your own. Capacities are entries,
/// also where a cache weighs them: divide a weight by the mean (`weight() / len()`).
///
/// It models LRU, because only LRU's hits at all capacities follow from one pass. A
/// [`MemoryCache`](crate::MemoryCache) mostly has more hits than that at any capacity; how much a larger
/// one gains is alike, except for loops longer than the cache, where LRU gains nothing until the whole
/// loop fits. It says what capacities would do and nothing of lives: as if nothing expired.
///
/// ```
/// use headwater::MissRatioSampler;
///
/// let mut sampler = MissRatioSampler::exact();
/// for key in (0..10_000).map(|at| at % 100) {
///     sampler.record(&key);
/// }
/// let curve = sampler.curve();
/// assert_eq!(curve.hit_ratio_at(99), 0.0); // a loop: all or nothing
/// assert_eq!(curve.hit_ratio_at(100), 0.99);
/// ```
#[derive(Clone, PartialEq)]
pub struct MissRatioCurve {
    distances: Histogram,
    requests: u64,
    share: f64,
}

/// A corner of a [`MissRatioCurve`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// In entries.
    pub capacity: u64,
    /// From 0 to 1.
    pub hit_ratio: f64,
}

impl MissRatioCurve {
    pub(super) fn new(distances: Histogram, requests: u64, share: f64) -> Self {
        Self { distances, requests, share }
    }

    /// Hits per request that an LRU of `capacity` entries would have had, from 0 to 1, the requests
    /// since the measuring began; 0 if there were none.
    ///
    /// ```
    /// use headwater::{Entry, LruCache, Tier};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache: LruCache<u64, u64> = LruCache::builder(1_000).live_sizing(1.0).build()?;
    /// for key in (0..50_000).map(|at| at * at % 4_001) {
    ///     if cache.get(&key).await?.is_none() {
    ///         cache.put(&key, &Entry::found(key)).await?;
    ///     }
    /// }
    /// let curve = cache.miss_ratio_curve().unwrap();
    /// let ratios = [500, 1_000, 2_000, 4_000].map(|capacity| curve.hit_ratio_at(capacity));
    /// assert!(ratios.is_sorted() && ratios[3] > 0.9);
    /// # Ok::<(), headwater::Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn hit_ratio_at(&self, capacity: u64) -> f64 {
        match capacity {
            0 => 0.0,
            _ => self.ratio(self.distances.below(capacity)),
        }
    }

    /// The corners of the curve, from the smallest capacity to the one beyond which nothing is gained.
    pub fn points(&self) -> impl Iterator<Item = CurvePoint> + '_ {
        let mut uses = 0.0;
        let buckets = self.distances.buckets.iter().enumerate();
        buckets.filter(|(_, in_it)| **in_it > 0.0).map(move |(bucket, in_it)| {
            uses += in_it;
            let (start, width) = self.distances.range(bucket);
            CurvePoint { capacity: start.saturating_add(width), hit_ratio: self.ratio(uses) }
        })
    }

    /// How many requests it was measured on. In a cache that is in use this is itself an estimate,
    /// right to within some 60 per thread.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// The share of the keys that is in the sample at present, from 0 to 1. It falls as keys become
    /// more than the sample has room for.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.share
    }

    /// The curve of what came after `earlier`, an earlier curve of the same cache: of the last hour,
    /// say, where lately keys are wanted otherwise than before.
    ///
    /// ```
    /// use headwater::MissRatioSampler;
    ///
    /// let mut sampler = MissRatioSampler::exact();
    /// (0..1_000).for_each(|key| sampler.record(&key)); // once each: no hits
    /// let before = sampler.curve();
    /// (0..1_000).for_each(|_| sampler.record(&1)); // and now nothing else
    /// assert!(sampler.curve().hit_ratio_at(10) < 0.5);
    /// assert!(sampler.curve().since(&before).hit_ratio_at(10) > 0.99);
    /// ```
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = earlier.distances.buckets.iter().copied().chain(std::iter::repeat(0.0));
        let buckets = self.distances.buckets.iter().zip(before);
        let left = |now: f64, before: f64| (now - before).max(0.0);
        let buckets: Vec<f64> = buckets.map(|(now, before)| left(*now, before)).collect();
        let distances = Histogram {
            fine_bits: self.distances.fine_bits,
            again: buckets.iter().sum(),
            buckets,
            first: left(self.distances.first, earlier.distances.first),
        };
        let requests = self.requests.saturating_sub(earlier.requests);
        Self { distances, requests, share: self.share }
    }

    /// Sampled uses as a part of all requests. By how much the sampled uses together are wrong is known,
    /// and nearly all of it is due to few keys that are used most, which any cache holds: so it is
    /// taken as hits (this is SHARDS-adj).
    fn ratio(&self, uses: f64) -> f64 {
        let requests = self.requests as f64;
        let missing = requests - self.distances.uses();
        if self.requests == 0 { 0.0 } else { ((uses + missing) / requests).clamp(0.0, 1.0) }
    }
}

impl fmt::Debug for MissRatioCurve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MissRatioCurve")
            .field("requests", &self.requests)
            .field("share", &self.share)
            .field("points", &self.points().count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        let histogram = Histogram::new(3);
        let mut next = 0;
        for bucket in 0..400 {
            let (start, width) = histogram.range(bucket);
            assert_eq!((start, histogram.bucket(start)), (next, bucket));
            assert_eq!(histogram.bucket(start + width - 1), bucket);
            next = start + width;
        }
        assert!(histogram.bucket(u64::MAX) < 1_000);
    }

    #[test]
    fn a_capacity_within_a_bucket_has_its_part() {
        let mut histogram = Histogram::new(1);
        histogram.add(9, 4.0); // of 8 to 11
        assert_eq!([8, 9, 10, 12, u64::MAX].map(|c| histogram.below(c)), [0.0, 1.0, 2.0, 4.0, 4.0]);
    }
}
