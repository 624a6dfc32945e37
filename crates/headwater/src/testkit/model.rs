use std::collections::HashMap;
use std::hash::Hash;

/// What a cache in front of a source of truth may answer: a record of what the source held when,
/// and of what was invalidated.
///
/// Drive a cache and its model with the same operations, one after the other, and hold every answer
/// against [`may_answer`](Self::may_answer). A cache may answer an old value until the key is
/// invalidated (R4), and never one that the source did not hold.
///
/// ```
/// use headwater::testkit::Model;
///
/// let mut model = Model::new();
/// model.write("a", Some(1));
/// model.write("a", Some(2)); // behind the cache's back
/// assert!(model.may_answer(&"a", &Some(1)) && model.may_answer(&"a", &Some(2)));
/// model.invalidate(&"a");
/// assert!(!model.may_answer(&"a", &Some(1)) && model.may_answer(&"a", &Some(2)));
/// ```
#[derive(Clone, Debug)]
pub struct Model<K, V> {
    /// What each key has held since it was last invalidated, the present value last.
    held: HashMap<K, Vec<Option<V>>>,
}

impl<K: Hash + Eq, V: PartialEq> Default for Model<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Hash + Eq, V: PartialEq> Model<K, V> {
    /// A source in which every key is absent.
    #[must_use]
    pub fn new() -> Self {
        Self { held: HashMap::new() }
    }

    /// The source now holds `value` (or nothing) under `key`.
    pub fn write(&mut self, key: K, value: Option<V>) {
        self.held.entry(key).or_insert_with(|| vec![None]).push(value);
    }

    /// The cache was told to forget `key`.
    pub fn invalidate(&mut self, key: &K) {
        if let Some(held) = self.held.get_mut(key) {
            held.drain(..held.len() - 1);
        }
    }

    /// The cache was told to forget everything.
    pub fn clear(&mut self) {
        for held in self.held.values_mut() {
            held.drain(..held.len() - 1);
        }
    }

    /// What the source holds under `key`.
    #[must_use]
    pub fn present(&self, key: &K) -> Option<&V> {
        self.held.get(key)?.last()?.as_ref()
    }

    /// Whether a fetch of `key` that begins now may answer `value`, `None` for "not found".
    #[must_use]
    pub fn may_answer(&self, key: &K, value: &Option<V>) -> bool {
        self.held.get(key).map_or(value.is_none(), |held| held.contains(value))
    }
}
