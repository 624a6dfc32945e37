//! How many instructions a hit takes, on one thread.

use super::{ALL, KEYS, name, numbers, wanted};
use crate::contenders::shelves::{Key, Value, makers_and_map};
use crate::harness::{Options, Table, instructions};
use std::borrow::Borrow;
use std::sync::Arc;

pub(super) fn rows(table: &mut Table, options: &Options) {
    let hits = options.scale(400_000, 100_000);
    for what in ["u64", "&str"] {
        let arguments = |name: &str| {
            vec![what.to_owned(), name.to_owned(), hits.to_string(), options.seed.to_string()]
        };
        let runs: Vec<_> = ALL.iter().map(|name| (*name, arguments(name))).collect();
        let row = format!("{what}, instructions per hit");
        table.push_or_miss(&row, instructions::row(&row, "hits", &runs, hits, ALL[0]));
    }
}

/// Fills a cache and asks it: what it is told to, by whom, how often and with which seed.
pub(crate) fn child(arguments: &[String]) {
    let [what, cache, hits, seed] = arguments else { panic!("four arguments") };
    let mut random = fastrand::Rng::with_seed(seed.parse().expect("a number"));
    let hits: usize = hits.parse().expect("a number");
    let (warming, counted) = (wanted(&mut random, hits), wanted(&mut random, hits));
    match what.as_str() {
        "u64" => ask::<u64, _>(cache, &numbers(KEYS), || 7_u64, &warming, &counted),
        "&str" => {
            let keys: Vec<String> = (0..KEYS).map(name).collect();
            ask::<str, _>(cache, &keys, || Arc::new([7_u8; 200]), &warming, &counted);
        }
        _ => panic!("there are no keys called {what:?}"),
    }
}

fn ask<Q: ?Sized + Key, V: Value>(
    cache: &str,
    keys: &[Q::Owned],
    value: fn() -> V,
    warming: &[u32],
    counted: &[u32],
) {
    let makers = makers_and_map::<Q, V>();
    let (_, make) = makers.iter().find(|maker| maker.0 == cache).expect("a contender's name");
    let shelf = make(2 * KEYS, value);
    keys.iter().for_each(|key| shelf.put(key.borrow()));
    assert_eq!(shelf.hits(keys, warming), warming.len(), "all keys are resident");
    let mut hits = 0;
    instructions::counted(&mut || hits = shelf.hits(keys, counted));
    assert_eq!(hits, counted.len(), "all keys are resident");
}
