//! Interleaved rounds: what keeps a ratio true on a machine that is not quiet.
//!
//! Every contender runs one lap per round, in an order that is shuffled anew each round, so that
//! what disturbs the machine disturbs all of them alike, and nobody always runs in a cache that the
//! same neighbour has warmed. The first round is a warm-up and does not count. A ratio is the
//! median of the rounds' own ratios, never a ratio of two medians taken at different times.

use super::table::{Cell, Row};

/// One contender on the track.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    /// Runs the lap of a round; what it measured, in nanoseconds per operation.
    pub(crate) lap: Box<dyn FnMut(usize) -> f64>,
}

impl Contestant {
    pub(crate) fn new(name: &'static str, lap: impl FnMut(usize) -> f64 + 'static) -> Self {
        Self { name, lap: Box::new(lap) }
    }
}

/// What each contender measured in each round.
pub(crate) struct Laps(Vec<(&'static str, Vec<f64>)>);

/// Runs `rounds` rounds that count. The warm-up is round 0.
pub(crate) fn interleave(mut contestants: Vec<Contestant>, rounds: usize, seed: u64) -> Laps {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut laps = vec![Vec::with_capacity(rounds); contestants.len()];
    let mut order: Vec<usize> = (0..contestants.len()).collect();
    for round in 0..=rounds {
        random.shuffle(&mut order);
        for at in &order {
            let measured = (contestants[*at].lap)(round);
            if round > 0 {
                laps[*at].push(measured);
            }
        }
    }
    Laps(contestants.iter().map(|contestant| contestant.name).zip(laps).collect())
}

impl Laps {
    /// What was measured in each round, contestant by contestant, in the order in which they came.
    pub(crate) fn into_times(self) -> Vec<Vec<f64>> {
        self.0.into_iter().map(|(_, laps)| laps).collect()
    }

    /// The row of a time: medians, and how many times as long each takes as `baseline` does.
    pub(crate) fn row(&self, name: &str, baseline: &str) -> Row {
        let base = self.0.iter().find(|(contender, _)| *contender == baseline);
        let (_, base) = base.expect("the baseline runs in each round too");
        let cell = |laps: &[f64]| {
            let ratios = laps.iter().zip(base).map(|(lap, base)| lap / base).collect();
            Cell::time(median(laps.to_vec()), median(ratios))
        };
        let cells = self.0.iter().map(|(contender, laps)| (*contender, cell(laps))).collect();
        Row { name: name.to_owned(), detail: None, cells }
    }
}

/// The one in the middle.
pub(crate) fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    let middle = samples.len() / 2;
    match samples.len() % 2 {
        1 => samples[middle],
        _ => f64::midpoint(samples[middle - 1], samples[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_or_between_the_middles() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        // A machine that gets ten times slower from round to round: the ratio does not notice.
        let slower = |factor: f64| {
            move |round: usize| factor * 10_f64.powi(i32::try_from(round).expect("few rounds"))
        };
        let contestants =
            vec![Contestant::new("ours", slower(1.0)), Contestant::new("rival", slower(3.0))];
        let row = interleave(contestants, 5, 1).row("time", "ours");
        let ratio = row.cell("rival").and_then(|cell| cell.ratio).expect("a ratio");
        assert!((ratio - 3.0).abs() < 1e-9, "{ratio}");
    }
}
