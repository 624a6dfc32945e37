//! Streams of requested keys, for whoever replays them through caches: the program's `simulate` and
//! the benches. What a cache of the library's makes of one, the library says; [`Optimum`] is what no
//! cache can surpass.

mod optimum;
mod trace;

pub use optimum::Optimum;
pub use trace::{Cut, Requests, Trace};
