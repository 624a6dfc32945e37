//! Memory that is soon to be looked at is asked for ahead.

/// Whether asking ahead does anything here.
pub(super) const IS_DONE: bool = cfg!(all(target_arch = "x86_64", not(miri)));

/// Has the cache line at which this begins fetched, and waits for nothing. Only a hint.
#[inline(always)]
pub(in crate::memory) fn prefetch<T>(soon: &T) {
    prefetch_at(std::ptr::from_ref(soon).cast());
}

/// The same for an address, at which there may be anything or nothing.
#[inline(always)]
pub(super) fn prefetch_at(soon: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: it reads nothing, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(soon.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = soon;
}
