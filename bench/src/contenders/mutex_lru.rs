//! What people write by hand: an `lru::LruCache` behind a mutex, looked up before each load.

use super::{Cache, Contender, Outcome, Source, Value};
use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) struct MutexLru;

impl Contender for MutexLru {
    const NAME: &'static str = "Mutex<lru>";

    fn build<V: Value, S: Source<V>>(capacity: usize, source: Arc<S>) -> impl Cache<V> {
        let capacity = NonZeroUsize::new(capacity).expect("the capacity is not 0");
        Hand { cache: Mutex::new(LruCache::new(capacity)), source }
    }
}

struct Hand<V, S> {
    cache: Mutex<LruCache<String, Option<V>>>,
    source: Arc<S>,
}

impl<V, S> Hand<V, S> {
    fn lock(&self) -> MutexGuard<'_, LruCache<String, Option<V>>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Value, S: Source<V>> Cache<V> for Hand<V, S> {
    async fn fetch(&self, key: &str) -> Outcome<V> {
        let hit = self.lock().get(key).cloned();
        if let Some(value) = hit {
            return Ok(value);
        }
        let value = self.source.load(key).await?;
        let displaced = self.lock().push(key.to_owned(), value.clone());
        drop(displaced);
        Ok(value)
    }

    async fn invalidate(&self, key: &str) {
        let gone = self.lock().pop(key);
        drop(gone);
    }

    async fn insert(&self, key: &str, value: V) {
        let displaced = self.lock().push(key.to_owned(), Some(value));
        drop(displaced);
    }
}
