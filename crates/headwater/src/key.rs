//! What keys and values must be able to do.

use std::hash::Hash;

/// A key as it is looked up: `str`, `[u8]`, `u64`, or a type of your own.
///
/// Implemented for every type that fits; the owned form (`String` for `str`) is made only when
/// something has to be stored. `Hash` and `Eq` of the two forms must agree, as [`Borrow`] demands.
///
/// [`Borrow`]: std::borrow::Borrow
///
/// ```
/// fn accepts<K: headwater::Key + ?Sized>() {}
/// accepts::<str>();
/// accepts::<u64>();
/// accepts::<(u32, String)>();
/// ```
pub trait Key:
    Hash + Eq + ToOwned<Owned: Hash + Eq + Clone + Send + Sync + 'static> + Send + Sync + 'static
{
}

impl<K> Key for K
where
    K: ?Sized + Hash + Eq + ToOwned + Send + Sync + 'static,
    K::Owned: Hash + Eq + Clone + Send + Sync + 'static,
{
}

/// A value as it is kept. Use [`Arc<T>`](std::sync::Arc) where a clone would cost more than a
/// pointer: each hit clones.
///
/// ```
/// fn accepts<V: headwater::Value>() {}
/// accepts::<std::sync::Arc<Vec<u8>>>();
/// ```
pub trait Value: Clone + Send + Sync + 'static {}

impl<V: Clone + Send + Sync + 'static> Value for V {}
