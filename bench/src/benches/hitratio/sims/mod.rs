//! Policies that no crate at hand implements, simulated exactly: one thread, one shard, every request
//! seen. They are no contestants, but say how much is left to win.

mod lists;
mod w_tiny_lfu;

pub(super) use w_tiny_lfu::WTinyLfu;
