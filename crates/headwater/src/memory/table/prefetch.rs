//! Memory that is soon to be looked at is asked for ahead.

/// Has the cache line at which this begins fetched, and waits for nothing. Only a hint.
#[inline(always)]
pub(in crate::memory) fn prefetch<T>(soon: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: it reads nothing, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(soon).cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = soon;
}
