//! Tiers in this process's memory: [`LruCache`], in exact order of use, and [`MemoryCache`], which
//! keeps what is wanted most, or everything.
//!
//! # The store
//! Entries stand in the slots of a slab (a vector that reuses freed slots), and a hash table maps
//! a key to its slot's number, so the table's own cells are four bytes wide and never move an
//! entry. Each slot is linked into a circular list by slot numbers instead of pointers. The links lie
//! apart from the entries: moving a slot writes to its two neighbours and to the list's head, and
//! eight-byte links share cache lines where whole entries would not. So does all that not every entry
//! has: ends, versions, weights.
//!
//! An exact LRU has one list of found entries, from the one used last to the one that was not used for
//! longest: a hit moves its entry to the hot end, an eviction takes the cold end. A [`MemoryCache`]
//! with a capacity leaves that to its [`policy`]: a hit only bumps a counter, under a lock that other
//! hits may hold too.
//!
//! What keeps it correct:
//! - *Room is made before an entry moves in*, so that no observer ever sees more than the capacity,
//!   and the sum of weights cannot overflow.
//! - *User code runs outside the lock*: weigher, life, listener, and the destructors of keys and
//!   values. Whatever leaves is handed out as [`Removals`](crate::Removals). Hashes are computed
//!   before locking and kept with the entry, so that growing the table hashes nothing. Only a
//!   key's `Eq`, a value's `Clone` and the clock's `now` run inside: they must not use the cache.
//! - *Absent entries compete with each other only*: their list has its own bound, so made-up keys
//!   cannot push out found entries, nor the other way round (promise R7).
//!
//! # The rooms
//! `cache` has the two public faces, `builder` their settings, `memory` what is behind both: the
//! shards, the lives and everything that must run without a lock. `store` is what one lock
//! guards: `slab` and `node` are its entries, `lists` their order, `policy` who leaves.

mod builder;
mod cache;
mod life;
mod lists;
#[expect(clippy::module_inception, reason = "it is the memory itself, behind both faces")]
mod memory;
mod node;
mod policy;
mod stats;
mod store;
mod table;

pub use builder::MemoryBuilder;
pub use cache::{LruCache, MemoryCache};
pub use stats::MemoryStats;
