//! [`FirestoreSource`], a collection of Google's Firestore as the source of truth; and
//! [`FirestoreStore`], a database for [presence](crate::presence), locks, sessions and, with
//! [`FirestoreRoster`], rosters. Feature `firestore`.
//!
//! A source reads through a client that stays the caller's: [`connect`] makes one, or the
//! [client crate](client) itself does. Tested on Google's emulator (where it is at hand) and on its
//! twin `hidane`; never yet on the service.
//!
//! # Documents
//! A key is the id of a document, as [`DocumentKey`] writes it. Firestore takes most text as an id,
//! up to [`MAX_ID`] bytes, but no empty one, no `/`, not `.`, `..` and `__x__`: such a key is
//! [`ErrorKind::Codec`](crate::ErrorKind::Codec), for it alone, or is
//! [escaped](FirestoreBuilder::escape_keys).
//!
//! A value is any type of serde's. Timestamps are read as the client's `FirestoreTimestamp`, as
//! [`SystemTime`](std::time::SystemTime) or as text (RFC 3339); bytes by `serde_bytes` or as
//! `Vec<u8>`; references as text; points as `latitude` and `longitude`; whole numbers are exact to 64
//! bits, and are refused where the type has no room for them. A field that may be null or missing is
//! an `Option`. Fields called (or aliased) `_firestore_id`, `_firestore_full_id`,
//! `_firestore_created` and `_firestore_updated` are told what stands beside a document's fields. A
//! document that does not fit is [`ErrorKind::Codec`](crate::ErrorKind::Codec), and never "not
//! found"; the error's source names the document and the field.
//!
//! The Go package's documents are read as they are. There, fields are called as the `firestore` tag or
//! the Go field says (`#[serde(rename_all = "PascalCase")]`), a nil slice or map is null (`Option`),
//! and a zero time is the year 1.
//!
//! # Versions
//! The [`Version`](crate::Version) of what is found is the time of the document's last change, and of
//! what is absent the time of the read, in nanoseconds since 1970 by the server's clock. So tiers keep
//! the newer of two answers, whichever comes last.
//!
//! # Many at once
//! A `fetch_many` reads up to 100 documents per call (`BatchGetDocuments`) and up to four calls at a
//! time. What came before a call failed is kept, and only the rest is asked for again. Each document
//! that is answered, missing ones too, is billed as one read: [`FirestoreStats::reads`].
//!
//! # When the server is in trouble
//! A call ends within [`timeout`](FirestoreBuilder::timeout) (10 s), whatever happens. Until then it
//! is made again where that may help, after pauses of random length: unavailable, internal, aborted,
//! deadline exceeded, resource exhausted (longer pauses), a broken connection. Retries are bounded per
//! call and, together, to a tenth of all calls and a burst of ten, so that a server in trouble is not
//! asked several times as much. Nothing else is asked twice: the client crate's own retries and
//! pauses are not used.
//!
//! A connection on which nothing comes back any more is replaced by the client after two minutes at
//! most; calls fail by their timeout meanwhile. A memo of errors
//! ([`Source::error_memo`](crate::Source::error_memo)) spares callers the wait.

mod budget;
mod builder;
mod call;
mod connect;
mod error;
pub(crate) mod field;
mod key;
pub(crate) mod life;
mod query;
mod read;
mod roster;
mod source;
mod stats;
mod store;
mod time;
mod value;
mod write;

pub use builder::FirestoreBuilder;
pub use connect::{connect, connect_with};
pub use key::{DocumentKey, MAX_ID};
pub use roster::FirestoreRoster;
pub use source::FirestoreSource;
pub use stats::FirestoreStats;
pub use store::{FirestoreStore, FirestoreStoreBuilder};

pub(crate) use key::Collection;
pub(crate) use read::Known;
pub(crate) use store::Seen;
pub(crate) use value::{Misfit, from_document, from_value, to_fields, to_value};
pub(crate) use write::{Condition, Fate, Fields, patch, set};

/// The client crate, whose `FirestoreDb` a source reads through: its version and ours must match.
pub use ::firestore as client;
