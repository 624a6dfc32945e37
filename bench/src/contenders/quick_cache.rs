//! `quick_cache::sync`, read through by `get_or_insert_async`, which is its guard with the loop
//! around it.

use super::{Cache, Contender, Outcome, Source, Value};
use std::sync::Arc;

pub(crate) struct QuickCache;

impl Contender for QuickCache {
    const NAME: &'static str = "quick_cache";

    fn build<V: Value, S: Source<V>>(capacity: usize, source: Arc<S>) -> impl Cache<V> {
        Quick { cache: quick_cache::sync::Cache::new(capacity), source }
    }
}

struct Quick<V: Value, S> {
    cache: quick_cache::sync::Cache<String, Option<V>>,
    source: Arc<S>,
}

impl<V: Value, S: Source<V>> Cache<V> for Quick<V, S> {
    async fn fetch(&self, key: &str) -> Outcome<V> {
        self.cache.get_or_insert_async(key, self.source.load(key)).await
    }

    async fn invalidate(&self, key: &str) {
        self.cache.remove(key);
    }

    async fn insert(&self, key: &str, value: V) {
        self.cache.insert(key.to_owned(), Some(value));
    }
}
