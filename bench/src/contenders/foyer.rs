//! `foyer`, in memory, read through by `get_or_fetch`.

use super::{Cache, Contender, Fault, Outcome, Source, Value};
use foyer_memory::CacheBuilder;
use std::sync::Arc;

pub(crate) struct Foyer;

impl Contender for Foyer {
    const NAME: &'static str = "foyer";

    fn build<V: Value, S: Source<V>>(capacity: usize, source: Arc<S>) -> impl Cache<V> {
        FoyerCache { cache: CacheBuilder::new(capacity).build(), source }
    }
}

struct FoyerCache<V: Value, S> {
    cache: foyer_memory::Cache<String, Option<V>>,
    source: Arc<S>,
}

impl<V: Value, S: Source<V>> Cache<V> for FoyerCache<V, S> {
    async fn fetch(&self, key: &str) -> Outcome<V> {
        // `get_or_fetch` wants a load that owns its key, even for a hit: looking first spares that.
        if let Some(entry) = self.cache.get(key) {
            return Ok(entry.value().clone());
        }
        let (source, own_key) = (Arc::clone(&self.source), key.to_owned());
        let load = async move { source.load(&own_key).await };
        match self.cache.get_or_fetch(key, || load).await {
            Ok(entry) => Ok(entry.value().clone()),
            Err(error) => Err(fault(&error)),
        }
    }

    async fn invalidate(&self, key: &str) {
        self.cache.remove(key);
    }

    async fn insert(&self, key: &str, value: V) {
        self.cache.insert(key.to_owned(), Some(value));
    }
}

/// The source's own fault, if it had one.
fn fault(error: &(dyn std::error::Error + 'static)) -> Fault {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    let fault = causes.find_map(|cause| cause.downcast_ref::<Fault>());
    fault.cloned().unwrap_or_else(|| Fault::Cache(error.to_string()))
}
