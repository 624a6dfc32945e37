//! `moka::future`, read through by `try_get_with_by_ref`.

use super::{Cache, Contender, Fault, Outcome, Source, Value};
use std::sync::Arc;

pub(crate) struct Moka;

impl Contender for Moka {
    const NAME: &'static str = "moka";

    fn build<V: Value, S: Source<V>>(capacity: usize, source: Arc<S>) -> impl Cache<V> {
        MokaCache { cache: moka::future::Cache::new(capacity as u64), source }
    }
}

struct MokaCache<V: Value, S> {
    cache: moka::future::Cache<String, Option<V>>,
    source: Arc<S>,
}

impl<V: Value, S: Source<V>> Cache<V> for MokaCache<V, S> {
    async fn fetch(&self, key: &str) -> Outcome<V> {
        let load = self.source.load(key);
        self.cache
            .try_get_with_by_ref(key, load)
            .await
            .map_err(|fault: Arc<Fault>| (*fault).clone())
    }

    async fn invalidate(&self, key: &str) {
        self.cache.invalidate(key).await;
    }

    async fn insert(&self, key: &str, value: V) {
        self.cache.insert(key.to_owned(), Some(value)).await;
    }

    async fn tidy(&self) {
        self.cache.run_pending_tasks().await;
    }
}
