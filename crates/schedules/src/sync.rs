//! The schedule explorer's primitives, under the names by which the library knows them.

pub(crate) use shuttle::sync::atomic::{
    AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
pub(crate) use shuttle::sync::{Arc, MutexGuard};
pub(crate) use shuttle::thread_local;
// What is set takes no step in which others could come in: nothing to explore.
pub(crate) use std::sync::OnceLock;

/// Lets others come in.
pub(crate) fn pause(_: &mut u32) {
    shuttle::thread::yield_now();
}

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok()
    }
}
