//! What flights need of the library's room of this name.

#[path = "../../headwater/src/fetcher/options.rs"]
mod options;

pub(crate) use options::{FetchOptions, is_young};
