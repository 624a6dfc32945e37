//! Coalescing: one load per key, shared by everyone who asks meanwhile (also known as single
//! flight; the cure for cache stampedes).
//!
//! # How a load is shared
//! A *flight* is one load of one or more keys. Who opens it is its leader; later callers of its
//! keys join and wait. The load is a boxed future that nobody owns: whoever is polled takes it out,
//! polls it in place and puts it back, so a load costs no task of its own. When the load is woken,
//! everybody who waits is woken, and the first to be polled goes on with it. So there is no
//! hand-over that could fail: a rider that is dropped, or is alive but not polled (an arm of a
//! `select!` whose turn does not come), holds up nobody.
//!
//! # How invalidation wins
//! The table of flights is the truth about who may still fill. A flight commits a key only while
//! the key is registered to it, and the check, the fill and the end of the registration are one
//! critical section; invalidation ends the registration and drops the entry in one critical section
//! too. The rule is otter's (`cache_impl.go`): the load that was deleted commits nothing.
//!
//! # Lock order
//! A table's shard, then a flight's state. Under them runs no user code but what
//! [`sync`](crate::sync) names; wakers, futures, keys and entries are woken and dropped outside.

mod boarding;
mod ride;
mod scope;
mod table;

pub(crate) use boarding::{Boarded, Boarding, Few, Trip};
pub(crate) use ride::{Landing, panicked};
pub(crate) use scope::{Node, current_node, enter, hold_while, is_held};
pub(crate) use table::{FlightId, Flights, Heirs, LATE_AFTER, Request};
