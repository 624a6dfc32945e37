//! How large a simulated cache is.

use std::str::FromStr;

/// What is simulated if nothing is said, in thousandths of the different keys.
const USUAL: [u64; 15] = [1, 2, 5, 10, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1_000];

/// A capacity, as it is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Size {
    Entries(u64),
    /// Of the different keys.
    Percent(f64),
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected a number of entries, or percent: `1000`, `2.5%`".to_owned();
        let size = match text.trim().strip_suffix('%') {
            Some(percent) => Self::Percent(percent.trim_end().parse().map_err(|_| expected())?),
            None => Self::Entries(text.trim().parse().map_err(|_| expected())?),
        };
        match size {
            Self::Entries(0) => Err("must be more than zero".to_owned()),
            Self::Percent(percent) if !(percent > 0.0 && percent <= 100.0) => {
                Err("must be above 0% and 100% at most".to_owned())
            }
            _ => Ok(size),
        }
    }
}

/// The capacities in entries, from the smallest, each once.
pub(super) fn resolve(sizes: &[Size], keys: usize) -> Vec<u64> {
    let keys = keys as u64;
    let of = |size: &Size| match size {
        Size::Entries(entries) => *entries,
        Size::Percent(percent) => ((keys as f64 * percent / 100.0).ceil() as u64).max(1),
    };
    let mut entries: Vec<u64> = match sizes {
        [] => USUAL.map(|per_mille| (keys * per_mille).div_ceil(1_000)).to_vec(),
        sizes => sizes.iter().map(of).collect(),
    };
    entries.sort_unstable();
    entries.dedup();
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_entries_or_percent() {
        let parse = |text: &str| text.parse::<Size>();
        assert_eq!(parse("1000"), Ok(Size::Entries(1_000)));
        assert_eq!(parse(" 2.5 % "), Ok(Size::Percent(2.5)));
        for bad in ["0", "0%", "-1%", "101%", "NaN%", "many", "", "%", "-5"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn capacities_are_in_order_and_at_least_one() {
        let sizes = [Size::Percent(50.0), Size::Entries(7), Size::Percent(0.01), Size::Entries(7)];
        assert_eq!(resolve(&sizes, 100), [1, 7, 50]);
        assert_eq!(resolve(&[], 3), [1, 2, 3]);
        assert_eq!(resolve(&[], 1_000).len(), USUAL.len());
    }
}
