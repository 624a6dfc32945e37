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

//!
//! # Watching: what others change
//! Documents are changed by other programs too, which invalidate nothing.
//! [`watch`](FirestoreSource::watch) has the server tell of each change of the collection (or of the
//! documents that fit [`only`](WatchBuilder::only)), and passes it on to a chain as an invalidation, or
//! [fills](WatchBuilder::fill) it in: so also memory without any life is fresh a moment later, in each
//! process whose chain is over the same shared tier. Loads under way are overtaken as by any
//! invalidation (R4).
//!
//! - **One listener per fleet.** With [`fleet`](WatchBuilder::elected), processes elect one by a lease,
//!   and it notes in the store up to where all has been passed on; who takes over, within
//!   [`takeover`](WatchBuilder::takeover) (5 s), goes on from there. It needs a tier in the chain that
//!   the processes share and that has news (Redis): only the listener's own chain is told. Without a
//!   fleet, each process listens for itself, which costs the reads below each time, and empties a
//!   shared tier each time a process begins. A listener that lost its lease without noticing yet does
//!   no harm: invalidating again changes nothing but hits, and fills have versions. One that has heard
//!   nothing, or could not tell its tiers, for as long as a takeover takes gives its lease up.
//! - **Beginnings.** A listener that knows nothing of what came before (the first one, or one whose
//!   token the server does not take any more) is told all documents, and then invalidates everything,
//!   once ([`clear`](crate::Cache::clear), with what that costs on the tiers; one that is shared with
//!   the Go package cannot be cleared, and a watch over it stays down). One that goes on from a
//!   token is told what has changed. One that is told all again compares, and invalidates what differs.
//!   For that it keeps id and time of each document: some 100 bytes each.
//! - **What it costs.** Each document that is told is billed as a read, those of a beginning too, and a
//!   probe of a silent stream as one: [`WatchStats::reads`].
//! - **Trouble.** A stream that breaks is noticed at once; one that is silent is
//!   [probed](WatchBuilder::silence), on the stream itself, since only that shows that *it* is alive,
//!   and given up after 5 s. [`Watch::status`] says so, and how old what the tiers have may be. It is
//!   begun again after pauses that grow from 100 ms to 5 s (to 30 s where that cannot help by itself,
//!   as without permission). If the whole connection is silent, the client replaces it within two
//!   minutes. A tier that cannot be told is told again, at least once per second, and only then is a
//!   change noted as passed on; the latest change of up to 10,000 keys is kept, and beyond that
//!   everything is invalidated.
//! - **Meanwhile**, while nobody listens, entries are as old as their tiers let them get: give them a
//!   life that you can live with. All that changed is made up for afterwards.
//! - **Not seen**: a document that was made *and* deleted again while nobody was connected leaves no
//!   trace. Who read it in between keeps it for as long as its life is. So it is with what changes
//!   outside of the `only` that is watched.

mod budget;
mod builder;
mod call;
mod connect;
mod error;
pub(crate) mod field;
mod key;
pub(crate) mod life;
mod listen;
mod query;
mod read;
mod roster;
mod source;
mod stats;
mod store;
mod time;
mod value;
mod watch;
mod write;

pub use builder::FirestoreBuilder;
pub use connect::{connect, connect_with};
pub use error::explain;
pub use key::{DocumentKey, MAX_ID};
pub use roster::FirestoreRoster;
pub use source::FirestoreSource;
pub use stats::FirestoreStats;
pub use store::{FirestoreStore, FirestoreStoreBuilder};
pub use watch::{Operand, Watch, WatchBuilder, WatchState, WatchStats, WatchStatus};

pub(crate) use key::Collection;
pub(crate) use read::Known;
pub(crate) use store::Seen;
pub(crate) use value::{Misfit, from_document, from_value, to_fields, to_value};
pub(crate) use write::{Condition, Fate, Fields, patch, set};

/// The client crate, whose `FirestoreDb` a source reads through: its version and ours must match.
pub use ::firestore as client;
