//! A second tier that is not in the chain's memory, as far as the chain knows: every call waits for
//! a turn of the scheduler before and after it does its work, so that whatever can happen meanwhile
//! does.

use super::Value;
use headwater::{Batching, Entry, Moment, Resident, Result, Shared, Tier};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::task::yield_now;

pub(super) struct Shelf<V>(Mutex<HashMap<String, Entry<V>>>);

impl<V> Default for Shelf<V> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<V: Value> Shelf<V> {
    /// Does `work` between two turns.
    async fn slowly<R>(&self, work: impl FnOnce(&mut HashMap<String, Entry<V>>) -> R) -> R {
        yield_now().await;
        let done = work(&mut self.lock());
        yield_now().await;
        done
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Value> Tier for Shelf<V> {
    type Key = str;
    type Value = V;

    fn name(&self) -> &'static str {
        "shelf"
    }

    async fn get(&self, key: &str) -> Result<Option<Entry<V>>> {
        Ok(self.slowly(|shelf| shelf.get(key).cloned()).await)
    }

    async fn get_many(&self, keys: &[&str]) -> Vec<Result<Option<Entry<V>>>> {
        self.slowly(|shelf| keys.iter().map(|key| Ok(shelf.get(*key).cloned())).collect()).await
    }

    async fn put(&self, key: &str, entry: &Entry<V>) -> Result<()> {
        let (key, entry) = (key.to_owned(), entry.clone());
        self.slowly(|shelf| drop(shelf.insert(key, entry))).await;
        Ok(())
    }

    async fn put_many(&self, entries: &[(&str, &Entry<V>)]) -> Vec<Result<()>> {
        let owned = entries.iter().map(|(key, entry)| ((*key).to_owned(), (*entry).clone()));
        let owned: Vec<_> = owned.collect();
        self.slowly(|shelf| shelf.extend(owned)).await;
        entries.iter().map(|_| Ok(())).collect()
    }

    async fn remove(&self, key: &str) -> Result<()> {
        self.remove_many(&[key]).await
    }

    async fn remove_many(&self, keys: &[&str]) -> Result<()> {
        self.slowly(|shelf| keys.iter().for_each(|key| drop(shelf.remove(*key)))).await;
        Ok(())
    }

    async fn clear(&self) -> Result<()> {
        self.slowly(HashMap::clear).await;
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    fn life(&self, _: &str, entry: &Entry<V>) -> Option<Moment> {
        entry.expiry()
    }

    fn batching(&self) -> Option<Batching> {
        None
    }

    fn resident(&self) -> Option<&dyn Resident<str, V>> {
        None
    }

    fn shared(&self) -> Option<&dyn Shared<str, V>> {
        None
    }
}
