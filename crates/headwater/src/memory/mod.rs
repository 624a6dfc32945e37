//! Tiers in this process's memory: [`LruCache`], in exact order of use, and [`MemoryCache`], which
//! keeps what is wanted most, or everything.
//!
//! # The store
//! Entries stand in numbered slots that never move, and an index of cache lines maps a key's hash to its
//! slot: the [`table`]. Where keys are whole numbers and values are numbers, these stand in the index itself,
//! so that a hit waits for one line of memory instead of two; slots, lists and all else are the same. (They
//! do not where there may be more than 2^23 entries in a shard, or any number of them.) Each slot is linked
//! into a circular list by slot numbers instead of pointers. The links lie apart from the entries: moving a
//! slot writes to its two neighbours and to the list's head, and eight-byte links share cache lines where
//! whole entries would not. So does all that not every entry has: ends, versions, weights.
//!
//! An exact LRU has one list of found entries, from the one used last to the one that was not used for
//! longest: a hit moves its entry to the hot end, an eviction takes the cold end. A hit does not take
//! the lock for that, but notes its [turn](touches), and whoever takes the lock first brings the list up to
//! date. A [`MemoryCache`] leaves the order to its [`policy`], and a hit only bumps a counter that ends
//! at 3: it takes no lock, and writes nothing that another thread reads once the entry is hot.
//!
//! What keeps it correct:
//! - *Room is made before an entry moves in*, so that no observer ever sees more than the capacity,
//!   and the sum of weights cannot overflow.
//! - *An entry that is replaced is there all the time*: its successor takes its place in the index.
//! - *What left is freed when nobody reads it any more*, a few at a time: see [`table`]. Until then it
//!   is told to a listener as a clone, so that a listener hears of it at once.
//! - *User code runs outside the lock*: weigher, life, listener, and the destructors of keys and
//!   values. Whatever leaves is handed out as [`Removals`](crate::Removals). Hashes are computed
//!   before locking and kept with the entry, so that growing the index hashes nothing. Only a
//!   key's `Eq`, the clock and the `Clone` of what is told early run inside: they must not use the cache.
//! - *Absent entries compete with each other only*: their list has its own bound, so made-up keys
//!   cannot push out found entries, nor the other way round (promise R7).
//!
//! # The rooms
//! `cache` has the two public faces, `builder` their settings, `memory` what is behind both: the
//! lives and everything that must run without a lock, and `kept` the shards, in the form that their entries have. `table` has the entries, and all that
//! is unsafe; `store` is what is done under its lock, with `bounds` for what it may hold, `node` for what an entry says, `lists` for
//! the order, `touches` for hits on their way into it, `policy` for who leaves and `wheel` for whose life ends,
//! which `sweeper` looks at where nobody else does. `sizing` is what a larger or smaller cache would do, measured
//! beside it; `snapshot` takes entries to a file and back.

mod bounds;
mod builder;
mod cache;
mod kept;
mod life;
mod lists;
#[expect(clippy::module_inception, reason = "it is the memory itself, behind both faces")]
mod memory;
mod node;
mod policy;
mod sizing;
#[cfg(feature = "snapshot")]
mod snapshot;
mod stats;
mod store;
mod sweeper;
mod table;
mod touches;
#[cfg(test)]
mod touches_tests;
mod wheel;

pub use builder::MemoryBuilder;
pub use cache::{LruCache, MemoryCache};
pub use sizing::{CurvePoint, MissRatioCurve, MissRatioSampler};
pub use stats::MemoryStats;
