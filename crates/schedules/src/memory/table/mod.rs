//! The library's table, but for where it finds the records of threads.
#![allow(unsafe_code, reason = "the files are the library's")]

#[path = "../../../../headwater/src/memory/table/apart.rs"]
mod apart;
#[path = "../../../../headwater/src/memory/table/form.rs"]
mod form;
#[path = "../../../../headwater/src/memory/table/index.rs"]
mod index;
#[path = "../../../../headwater/src/memory/table/prefetch.rs"]
mod prefetch;
mod readers;
#[path = "../../../../headwater/src/memory/table/records.rs"]
mod records;
#[path = "../../../../headwater/src/memory/table/shared.rs"]
mod shared;
#[path = "../../../../headwater/src/memory/table/slots.rs"]
mod slots;
#[path = "../../../../headwater/src/memory/table/tags.rs"]
mod tags;
#[path = "../../../../headwater/src/memory/table/view.rs"]
mod view;
#[path = "../../../../headwater/src/memory/table/within.rs"]
mod within;
#[path = "../../../../headwater/src/memory/table/writer.rs"]
mod writer;

pub(super) use self::apart::Apart;
pub(super) use self::form::Form;
pub(super) use self::prefetch::prefetch;
pub(super) use self::readers::pin;
pub(super) use self::shared::Table;
pub(super) use self::slots::{LANES, Lane, Node, Slot};
pub(super) use self::within::{Glance, Within};
pub(super) use self::writer::{Freeing, Limits, Writer};
