//! Of the policy, what stands beside each entry.

#[path = "../../../headwater/src/memory/policy/mark.rs"]
mod mark;

pub(in crate::memory) use mark::{Counts, Mark, Queue, Uses};
