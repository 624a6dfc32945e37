use std::cell::Cell;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// How many lines a counter is spread over: as many threads count without meeting.
const STRIPES: usize = 16;

/// One line of the memory system, so that two stripes never share one. Some processors fetch
/// lines in pairs, hence 128 bytes.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

/// A counter that threads bump without writing the same line. Reading sums the stripes.
///
/// The first threads have a stripe of their own each, in every counter, and need no more than a load and
/// a store to bump it; all others share one.
#[derive(Debug, Default)]
pub(crate) struct Counter([Stripe; STRIPES]);

impl Counter {
    #[inline]
    pub(crate) fn add(&self, amount: u64) {
        match OWN.get() {
            SHARED => self.add_shared(amount),
            own => self.add_own(own, amount),
        }
    }

    fn add_own(&self, own: usize, amount: u64) {
        let stripe = &self.0[own % STRIPES].0;
        stripe.store(stripe.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    /// Takes a stripe at the first count of a thread, if one is left.
    #[cold]
    #[inline(never)]
    fn add_shared(&self, amount: u64) {
        // During the destruction of a thread's locals it is the shared one.
        let own = LEASE.try_with(|lease| lease.0).unwrap_or(SHARED);
        if own == SHARED {
            self.0[SHARED].0.fetch_add(amount, Relaxed);
        } else {
            OWN.set(own);
            self.add_own(own, amount);
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.iter().map(|stripe| stripe.0.load(Relaxed)).sum()
    }
}

/// The stripe of those that have none of their own.
const SHARED: usize = 0;

/// The stripes that nobody owns, as bits.
static FREE: AtomicU32 = AtomicU32::new((1 << STRIPES) - 1 - (1 << SHARED));

thread_local! {
    /// This thread's stripe, for quick reach; the shared one before it first counts.
    static OWN: Cell<usize> = const { Cell::new(SHARED) };
    /// The same, given back when the thread ends.
    static LEASE: Lease = Lease::take();
}

struct Lease(usize);

impl Lease {
    fn take() -> Self {
        let lowest = |free: u32| if free == 0 { None } else { Some(free & (free - 1)) };
        match FREE.fetch_update(Acquire, Relaxed, lowest) {
            Ok(free) => Self(free.trailing_zeros() as usize),
            Err(_) => Self(SHARED),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        OWN.set(SHARED);
        if self.0 != SHARED {
            // Released, so that who takes it sees all that was counted.
            FREE.fetch_or(1 << self.0, Release);
        }
    }
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
