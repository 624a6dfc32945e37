//! Ourselves: a chain, as a newcomer would build it.

use super::shelf::Shelf;
use super::{Cache, Contender, Fault, Outcome, Source, Value};
use headwater::{Error, ErrorKind, Fetcher, MemoryCache, fetch_fn};
use std::sync::Arc;

/// `source -> MemoryCache`: the chain that is compared with the rivals.
pub(crate) struct Headwater;

/// `source -> a store that takes its time -> MemoryCache`: the promises hold with a slower tier too.
pub(crate) struct TwoTiers;

impl Contender for Headwater {
    const NAME: &'static str = "headwater";
    const KEEPS_ABSENT_APART: bool = true;

    fn build<V: Value, S: Source<V>>(capacity: usize, source: Arc<S>) -> impl Cache<V> {
        let chain = headwater::Headwater::source(fetcher(source)).through(memory(capacity));
        Chain(chain.build())
    }
}

impl Contender for TwoTiers {
    const NAME: &'static str = "headwater, 2 tiers";
    const KEEPS_ABSENT_APART: bool = true;

    fn build<V: Value, S: Source<V>>(capacity: usize, source: Arc<S>) -> impl Cache<V> {
        let chain = headwater::Headwater::source(fetcher(source)).through(Shelf::default());
        Chain(chain.through(memory(capacity)).build())
    }
}

fn memory<V: Value>(capacity: usize) -> MemoryCache<str, V> {
    MemoryCache::with_capacity(capacity as u64).expect("the capacity is not 0")
}

fn fetcher<V: Value, S: Source<V>>(source: Arc<S>) -> impl Fetcher<Key = str, Value = V> {
    fetch_fn(move |key: String| {
        let source = Arc::clone(&source);
        async move {
            match source.load(&key).await {
                Ok(Some(value)) => Ok(value),
                Ok(None) => Err(Error::not_found()),
                Err(fault) => Err(Error::new(ErrorKind::Unavailable, "").with_source(fault)),
            }
        }
    })
}

struct Chain<C>(C);

impl<V: Value, C: headwater::Cache<Key = str, Value = V>> Cache<V> for Chain<C> {
    async fn fetch(&self, key: &str) -> Outcome<V> {
        outcome(self.0.fetch(key).await)
    }

    async fn invalidate(&self, key: &str) {
        self.0.invalidate(key).await.expect("every tier can be reached");
    }

    async fn insert(&self, key: &str, value: V) {
        self.0.insert(key, value).await.expect("every tier can be reached");
    }

    async fn fetch_many(&self, keys: &[&str]) -> Vec<Outcome<V>> {
        self.0.fetch_many(keys).await.into_iter().map(outcome).collect()
    }
}

fn outcome<V>(fetched: headwater::Result<V>) -> Outcome<V> {
    match fetched {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(fault(&error)),
    }
}

/// The source's own fault, if it had one.
fn fault(error: &Error) -> Fault {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    source.cloned().unwrap_or_else(|| Fault::Cache(error.to_string()))
}
