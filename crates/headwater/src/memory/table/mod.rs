//! A table that is read without a lock, and written under one. All unsafe code is in here.
//!
//! # What keeps it right
//! 1. *Published whole*: an entry is written into a slot that nobody knows, and then its slot is
//!    written into the [index] (release); who reads it there (acquire) sees all of it. Keys,
//!    values and notes do not change after that, but for atomics. Of some numbers all stands in the
//!    index, and their slots may be known: see below.
//! 2. *Unlinked, then waited for, then freed*: who leaves is first taken out of the index. Its slot
//!    is emptied and used again only when everybody who read at that time has [moved on](records).
//!    The same goes for an index that grew too small. For some numbers nobody is waited for: see below.
//! 3. *One writer*: [`Writer`] and [`View`] exist under the table's mutex only, and stay in the thread
//!    that has it. All that changes the table takes a writer by `&mut`, but that a number comes home, has
//!    another value, or that another one takes its slot: there is an entry in the slot all the time, and
//!    nothing is freed.
//!
//! So a look-up sees each key either there or not, as it was at some moment while it ran: an entry
//! that is replaced is replaced in its place, and an index that is replaced does not change any more.
//!
//! # Two forms
//! Keys and values of any type stand in slots ([`Apart`]); numbers stand in the index ([`Within`]). A
//! [`Form`] says what differs: a bucket of the [index], and how an entry is looked at and taken out. Slots,
//! readers and the writer are the same. What stands in the index is copied by who looks, between two looks at
//! the bucket's version; so is whether there is anything in its slot, as its end or its version. If so, the slot
//! is kept by 1 and 2 as any other. If not, nobody looks into it any further, and another entry may have it at
//! once, but not while an old index may be read, whose versions do not change any more.
#![allow(unsafe_code, reason = "each use says which of the three above it rests on")]

mod apart;
mod barrier;
mod bits;
mod form;
mod index;
mod prefetch;
mod readers;
mod records;
mod shards;
mod shared;
mod slots;
mod tags;
mod view;
mod within;
#[cfg(test)]
mod within_tests;
mod writer;

pub(super) use self::apart::Apart;
pub(super) use self::bits::{from_bits, is_small, is_small_key, to_bits};
pub(super) use self::form::{Form, IsIt};
pub(super) use self::prefetch::prefetch;
pub(super) use self::readers::{pin, pin_quickly};
pub(super) use self::records::Pinned;
pub(super) use self::shards::Shards;
pub(super) use self::shared::{Locked, Table};
pub(super) use self::slots::{Content, LANES, Lane, Node, Notes, Slot};
pub(super) use self::view::{Located, View};
pub(super) use self::within::{Glance, Within};
pub(super) use self::writer::{Freeing, Limits, Receives, Writer};

#[cfg(test)]
mod tests;
