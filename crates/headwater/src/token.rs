//! Tokens that tell owners apart.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A token that nobody else makes: random numbers of the operating system per process (std seeds its
/// hashers with them), and a count. It need not be secret, because who can read it can also delete it.
pub(crate) fn unique() -> u128 {
    static PROCESS: LazyLock<u128> = LazyLock::new(|| {
        let half = |salt: u8| u128::from(RandomState::new().hash_one((salt, std::process::id())));
        (half(0) << 64) | half(1)
    });
    static COUNT: AtomicU64 = AtomicU64::new(0);
    *PROCESS ^ u128::from(COUNT.fetch_add(1, Relaxed))
}

/// As it stands in a store.
pub(crate) fn written(token: u128) -> String {
    format!("{token:032x}")
}
