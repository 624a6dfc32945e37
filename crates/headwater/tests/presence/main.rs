//! Presence, on all stores.

mod roster;
