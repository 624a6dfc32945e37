//! A key with its hash, which is computed once per call and handed down.

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use std::borrow::Borrow;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::OnceLock;

/// A key, borrowed or owned, with its hash.
///
/// A chain hashes each key once per call, where the call enters it, and hands key and hash down
/// together: to the tiers in memory, to the table of flights, and to the cache behind it. There is no
/// way to say what the hash is, so it is always that of the key.
///
/// The hash is the same for the borrowed and the owned form of a key, and everywhere in this process;
/// in no two processes is it the same, because its seed is random, so that nobody can make up keys that
/// collide. All of its 64 bits are good, and none is worth keeping: it means nothing to another process.
///
/// ```
/// use headwater::Hashed;
///
/// let key = Hashed::new("N14228");
/// assert_eq!(key.hash(), Hashed::new(String::from("N14228")).hash());
/// assert_eq!(*key.key(), "N14228");
/// assert_eq!(key.to_stored().into_key(), String::from("N14228"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Hashed<K> {
    hash: u64,
    key: K,
}

/// Of this process. Who hashes often has a copy of its own, which needs no look whether it was drawn.
pub(crate) type Seed = (u64, SharedSeed);

static SEED: OnceLock<Seed> = OnceLock::new();

/// Draws the seed, by the system's randomness. Apart, so that it takes no room where hashes are computed.
#[cold]
#[inline(never)]
fn draw_seed() -> &'static Seed {
    let random = || RandomState::new().hash_one(());
    SEED.get_or_init(|| (random(), SharedSeed::from_u64(random())))
}

/// The seed of all hashes.
#[inline]
pub(crate) fn seed() -> &'static Seed {
    SEED.get().unwrap_or_else(draw_seed)
}

impl<K: Hash> Hashed<K> {
    /// Computes the hash of `key`: an owned key, or a reference to one.
    #[inline]
    pub fn new(key: K) -> Self {
        Self::seeded(key, seed())
    }

    /// The same by a copy of the [`seed`].
    #[inline(always)]
    pub(crate) fn seeded(key: K, (own, shared): &Seed) -> Self {
        let mut hasher = FoldHasher::with_seed(*own, shared);
        key.hash(&mut hasher);
        Self { hash: hasher.finish(), key }
    }
}

impl<K> Hashed<K> {
    /// The hash.
    #[inline]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// The key.
    #[inline]
    pub const fn key(&self) -> &K {
        &self.key
    }

    /// The key without its hash.
    #[inline]
    pub fn into_key(self) -> K {
        self.key
    }

    /// The same with the key borrowed as one looks it up: as `str`, say, of a `String`.
    #[inline]
    pub fn borrowed<Q: ?Sized>(&self) -> Hashed<&Q>
    where
        K: Borrow<Q>,
    {
        Hashed { hash: self.hash, key: self.key.borrow() }
    }

    /// Whether the keys are the same; compares them only if the hashes are.
    #[inline]
    pub(crate) fn is<Q: ?Sized + Eq>(&self, other: Hashed<&Q>) -> bool
    where
        K: Borrow<Q>,
    {
        self.hash == other.hash && self.key.borrow() == other.key
    }
}

impl<Q: ?Sized + ToOwned> Hashed<&Q> {
    /// The same with a key of its own, as it is stored.
    #[inline]
    pub fn to_stored(self) -> Hashed<Q::Owned> {
        Hashed { hash: self.hash, key: self.key.to_owned() }
    }
}

impl<K: PartialEq> PartialEq for Hashed<K> {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.key == other.key
    }
}

impl<K: Eq> Eq for Hashed<K> {}

/// Feeds the hash that is there, so that a map by these does not hash keys again.
impl<K> Hash for Hashed<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Computes the hash of each key.
pub(crate) fn hashed<'a, K: ?Sized + Hash>(keys: &[&'a K]) -> Vec<Hashed<&'a K>> {
    keys.iter().copied().map(Hashed::new).collect()
}

/// The keys alone.
pub(crate) fn plain<'a, K: ?Sized>(keys: &[Hashed<&'a K>]) -> Vec<&'a K> {
    keys.iter().map(|key| key.into_key()).collect()
}

/// A map by keys whose hashes are known.
pub(crate) type HashedMap<K, V> = hashbrown::HashMap<Hashed<K>, V, BuildHasherDefault<Ready>>;

/// A set of keys whose hashes are known.
pub(crate) type HashedSet<K> = hashbrown::HashSet<Hashed<K>, BuildHasherDefault<Ready>>;

/// Makes nothing of a [`Hashed`] but its hash.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ready(u64);

impl Hasher for Ready {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    /// Not reached by a [`Hashed`].
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_tells_keys_of_one_hash_apart() {
        let mut map = HashedMap::default();
        for key in [1_u32, 2] {
            map.insert(Hashed { hash: 7, key }, key);
        }
        assert_eq!(map.get(&Hashed { hash: 7, key: 2 }), Some(&2));
        assert_eq!(map.get(&Hashed { hash: 8, key: 2 }), None);
    }

    #[test]
    fn keys_that_differ_in_one_bit_differ_in_half_of_the_hash() {
        let bits = |key: u64| (Hashed::new(key).hash() ^ Hashed::new(key ^ 1).hash()).count_ones();
        let mean = f64::from((0..1_000).map(bits).sum::<u32>()) / 1_000.0;
        assert!((30.0..34.0).contains(&mean), "{mean}");
    }
}
