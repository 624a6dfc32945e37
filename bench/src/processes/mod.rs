//! What benches of several processes share: servers that they start themselves, a source that
//! all processes ask, and children, which are this same binary started again.

mod child;
#[cfg(feature = "servers")]
mod documents;
#[cfg(feature = "servers")]
mod faults;
#[cfg(feature = "servers")]
mod proxy;
#[cfg(feature = "servers")]
mod server;
#[cfg(feature = "servers")]
mod source;

pub(crate) use child::{Children, again, arguments, role};
#[cfg(feature = "servers")]
pub(crate) use documents::{Documents, Numbered, client};
#[cfg(feature = "servers")]
pub(crate) use faults::Faults;
#[cfg(feature = "servers")]
pub(crate) use proxy::Proxy;
#[cfg(feature = "servers")]
pub(crate) use server::{cpu, memory};
#[cfg(feature = "servers")]
pub(crate) use source::{Answer, RemoteSource, SourceServer, write};

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds on a clock that all processes of one machine share: each anchors the machine's clock
/// once, and goes on by its own monotonic one.
pub(crate) fn now() -> u64 {
    static ANCHOR: LazyLock<(SystemTime, Instant)> =
        LazyLock::new(|| (SystemTime::now(), Instant::now()));
    let (system, instant) = *ANCHOR;
    let since = system.duration_since(UNIX_EPOCH).expect("it is later than 1970");
    (since + instant.elapsed()).as_nanos() as u64
}
