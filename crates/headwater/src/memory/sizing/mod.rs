//! Live sizing: how many more hits a larger cache would have, measured while a cache is in use.
//!
//! [`reuse`] measures, on a sample of the keys, how many others are used between two uses of one: an LRU
//! of more entries than that would have had the second as a hit. [`curve`] is what follows for each
//! capacity. [`live`] is what a cache asks on its way, when it was told to.

mod curve;
mod live;
mod reuse;

pub use curve::{CurvePoint, MissRatioCurve};
pub(super) use live::Sizing;
pub use reuse::MissRatioSampler;
