use crate::sync::Mutex;

/// What a call brings, what a retry costs, and the most that is saved up: in the long run one retry
/// per ten calls, and a burst of ten.
const INCOME: u32 = 1;
const PRICE: u32 = 10;
const SAVINGS: u32 = 10 * PRICE;

/// Keeps retries to a fraction of calls, so that a server in trouble is not asked several times as
/// much as a healthy one.
#[derive(Debug)]
pub(super) struct RetryBudget(Mutex<u32>);

impl RetryBudget {
    pub(super) fn new() -> Self {
        Self(Mutex::new(SAVINGS))
    }

    /// A call begins.
    pub(super) fn earn(&self) {
        let mut saved = self.0.lock();
        *saved = (*saved + INCOME).min(SAVINGS);
    }

    /// Whether a retry may be made; it is paid for.
    pub(super) fn spend(&self) -> bool {
        let mut saved = self.0.lock();
        let left = saved.checked_sub(PRICE);
        *saved = left.unwrap_or(*saved);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_burst_and_then_one_in_ten_calls() {
        let budget = RetryBudget::new();
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
        let retries = (0..1_000).filter(|_| {
            budget.earn();
            budget.spend()
        });
        assert_eq!(retries.count(), 100);
    }

    #[test]
    fn no_more_than_the_burst_is_saved_up() {
        let budget = RetryBudget::new();
        (0..1_000).for_each(|_| budget.earn());
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
    }
}
