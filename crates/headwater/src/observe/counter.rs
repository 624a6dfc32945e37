use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// How many lines a counter is spread over: as many threads count without meeting.
const STRIPES: usize = 16;

/// One line of the memory system, so that two stripes never share one. Some processors fetch
/// lines in pairs, hence 128 bytes.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

/// A counter that threads bump without writing the same line. Reading sums the stripes.
#[derive(Debug, Default)]
pub(crate) struct Counter([Stripe; STRIPES]);

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        self.0[own_stripe()].0.fetch_add(amount, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.iter().map(|stripe| stripe.0.load(Relaxed)).sum()
    }
}

/// The stripe of this thread: threads take turns when they first count.
fn own_stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static OWN: Cell<usize> = const { Cell::new(usize::MAX) });
    // During the destruction of a thread's locals any stripe will do.
    OWN.try_with(|own| {
        if own.get() == usize::MAX {
            own.set(NEXT.fetch_add(1, Relaxed) % STRIPES);
        }
        own.get()
    })
    .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_threads_add_up() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| (0..1_000).for_each(|_| counter.add(1)));
            }
        });
        assert_eq!(counter.get(), 20_000);
    }
}
