//! The synchronization primitives of everything that threads share, in one place, so that the
//! schedule explorer (`crates/schedules`) can build the same code on its own.

pub(crate) use std::sync::atomic::{
    AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
pub(crate) use std::sync::{Arc, MutexGuard, OnceLock};
pub(crate) use std::thread_local;

/// Waits a little for somebody who will be done at once, unless the system has put him off.
#[cold]
pub(crate) fn pause(tries: &mut u32) {
    *tries += 1;
    if tries.is_multiple_of(64) { std::thread::yield_now() } else { std::hint::spin_loop() }
}

/// A mutex that a panic does not poison: what it guards is changed in steps that each leave it
/// whole. Of user code only `Hash`, `Eq`, a value's `Clone` and a clock's `now` run under it.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Does not wait; `None` if somebody has it.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}
