//! The benches. Adding one takes a file here that has a `BENCH`, and a line below.

use crate::harness::{Options, Table};

/// One measurement: what `bench/run NAME` runs.
pub(crate) struct Bench {
    /// What it is called on the command line and in `targets.toml`.
    pub(crate) name: &'static str,
    /// What it measures, in one line.
    pub(crate) about: &'static str,
    /// The crates whose versions belong under the table.
    pub(crate) crates: &'static [&'static str],
    pub(crate) run: fn(&Options) -> Table,
}

/// Declares the modules of the benches and lists them.
macro_rules! benches {
    ($($(#[$when:meta])? $name:ident,)*) => {
        $($(#[$when])? mod $name;)*

        /// All benches, in the order in which they are listed.
        pub(crate) const ALL: &[Bench] = &[$($(#[$when])? $name::BENCH,)*];
    };
}

benches! {
    #[cfg(feature = "servers")] coherence,
    correctness,
    #[cfg(feature = "servers")] firestore,
    first,
    #[cfg(feature = "servers")] fleet,
    #[cfg(feature = "servers")] freshness,
    hitratio,
    hits,
    #[cfg(feature = "servers")] locks,
    #[cfg(feature = "servers")] presence,
    memory,
    readthrough,
    #[cfg(feature = "servers")] redis,
    sizing,
    #[cfg(feature = "servers")] watch,
    #[cfg(feature = "servers")] watching,
}

/// Whether a bench replays traces, so that FILES mean something to it.
pub(crate) fn replays(name: &str) -> bool {
    matches!(name, "hitratio" | "sizing")
}

/// What a child does in its role: see [`crate::processes`].
pub(crate) fn play(role: &str, arguments: &[String]) {
    match role {
        #[cfg(feature = "servers")]
        "coherence" => coherence::child(arguments),
        #[cfg(feature = "servers")]
        "fleet" => fleet::child(arguments),
        #[cfg(feature = "servers")]
        "freshness" => freshness::child(arguments),
        #[cfg(feature = "servers")]
        "locks" => locks::child(arguments),
        #[cfg(feature = "servers")]
        "presence" => presence::child(arguments),
        #[cfg(feature = "servers")]
        "watch" => watch::child(arguments),
        #[cfg(feature = "servers")]
        "watching" => watching::child(arguments),
        "hits" => hits::child(arguments),
        "memory" => memory::child(arguments),
        "readthrough" => readthrough::child(arguments),
        _ => panic!("there is no role {role:?}"),
    }
}
