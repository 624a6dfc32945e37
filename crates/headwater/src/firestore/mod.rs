//! [`FirestoreSource`], a collection of Google's Firestore as the source of truth. Feature
//! `firestore`.

mod budget;
mod builder;
mod call;
mod connect;
mod error;
mod key;
mod read;
mod source;
mod stats;
mod value;

pub use builder::FirestoreBuilder;
pub use connect::{connect, connect_with};
pub use key::{DocumentKey, MAX_ID};
pub use source::FirestoreSource;
pub use stats::FirestoreStats;

/// The client crate, whose `FirestoreDb` a source reads through: its version and ours must match.
pub use ::firestore as client;
