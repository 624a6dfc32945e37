//! Keys as they are wanted in practice: few of them often, most of them rarely.

/// Zipf's law: the n-th most wanted key is asked for in proportion to `1 / n^exponent`.
pub(crate) struct Zipf {
    /// The probability of each key and all before it.
    cumulative: Vec<f64>,
}

impl Zipf {
    pub(crate) fn new(count: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=count).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        let mut cumulative: Vec<f64> = weights.collect();
        cumulative.iter_mut().for_each(|weight| *weight /= sum);
        Self { cumulative }
    }

    /// The key for a random number from 0 to 1.
    pub(crate) fn sample(&self, random: f64) -> u32 {
        let at = self.cumulative.partition_point(|weight| *weight < random);
        u32::try_from(at.min(self.cumulative.len() - 1)).expect("fewer than 2^32 keys")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_gives_the_first_key_its_share() {
        let zipf = Zipf::new(100_000, 0.99);
        let mut random = fastrand::Rng::with_seed(1);
        let first = (0..100_000).filter(|_| zipf.sample(random.f64()) == 0).count();
        // 1 / (1^-0.99 + ... + 100,000^-0.99) is 7.8 %.
        assert!((7_300..8_300).contains(&first), "{first}");
    }
}
