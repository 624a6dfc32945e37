//! A fence of two halves: all its cost is on the side that needs it seldom.
//!
//! A reader says that it reads, then reads; a writer unlinks, then looks who reads. Both must not
//! pass each other, which takes a full fence on each side. Where Linux helps, by `membarrier`, the
//! writer's half makes every running thread of the process execute one, and a reader's half only keeps
//! the compiler from moving things. Elsewhere both halves are full fences.

use std::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};

/// Whether [`heavy`] reaches all threads. Set before anybody reads, and never changed after.
static REACHES_ALL: AtomicBool = AtomicBool::new(false);

/// A reader's half. [`prepare`] has to have run before.
#[inline]
pub(super) fn light() {
    if reaches_all() {
        light_if_heavy_reaches_all();
    } else {
        fence(Ordering::SeqCst);
    }
}

/// Whether a writer's half reaches all threads. [`prepare`] has to have run before.
pub(super) fn reaches_all() -> bool {
    REACHES_ALL.load(Ordering::Relaxed)
}

/// A reader's half where [that is so](reaches_all).
#[inline(always)]
pub(super) fn light_if_heavy_reaches_all() {
    compiler_fence(Ordering::SeqCst);
}

/// A writer's half; whether it is done.
pub(super) fn heavy() -> bool {
    prepare();
    fence(Ordering::SeqCst);
    !REACHES_ALL.load(Ordering::Relaxed) || system::fence_all_threads()
}

/// Finds out, once, what the system can do.
pub(super) fn prepare() {
    static PREPARED: std::sync::Once = std::sync::Once::new();
    PREPARED.call_once(|| REACHES_ALL.store(system::prepare(), Ordering::Relaxed));
}

#[cfg(all(target_os = "linux", not(miri)))]
mod system {
    const COMMAND_EXPEDITED: libc::c_long = 1 << 3;
    const COMMAND_REGISTER_EXPEDITED: libc::c_long = 1 << 4;

    /// Announces that this process will use it; whether it can.
    pub(super) fn prepare() -> bool {
        call(COMMAND_REGISTER_EXPEDITED) && call(COMMAND_EXPEDITED)
    }

    pub(super) fn fence_all_threads() -> bool {
        call(COMMAND_EXPEDITED)
    }

    fn call(command: libc::c_long) -> bool {
        // SAFETY: `membarrier` takes three numbers and touches no memory of the caller's.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod system {
    pub(super) fn prepare() -> bool {
        false
    }

    pub(super) fn fence_all_threads() -> bool {
        false
    }
}
