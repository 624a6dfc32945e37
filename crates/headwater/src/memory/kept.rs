//! In which form a cache keeps its entries.

use std::borrow::Borrow;

use super::store::State;
use super::table::{
    Apart, Form, IsIt, Node, Receives, Table, Within, from_bits, is_small, is_small_key, to_bits,
};
use crate::{Cause, Key, Removals, Value};
use std::any::TypeId;
use std::marker::PhantomData;

/// The stores of a cache in one form.
type Shards<F> = super::table::Shards<F, State>;

/// The stores of a cache.
pub(super) enum Kept<K: ?Sized + Key, V: Value> {
    /// Entries of any kind.
    Apart(Shards<Apart<K, V>>),
    /// Keys that are whole numbers, and values that are numbers, if no store may have more of them than
    /// [this form](Form::MOST_ENTRIES) takes: they are looked up with one miss of the processor's cache less.
    Within(Shards<Within>),
    /// The same, where hits change an order: with each there is more to do than to look.
    Ordered(Shards<Within>),
}

/// Does the same with the stores, whatever the form of their entries.
macro_rules! each {
    ($kept:expr, $shards:ident => $what:expr) => {
        match $kept {
            Kept::Apart($shards) => $what,
            Kept::Within($shards) | Kept::Ordered($shards) => $what,
        }
    };
}
pub(super) use each;

impl<K: ?Sized + Key, V: Value> Kept<K, V> {
    /// So many stores, a power of two, in the form that fits.
    pub(super) fn new(shards: usize, tables: &impl Makes) -> Self {
        let are_within = are_numbers::<K, V>() && tables.most_entries() <= Within::MOST_ENTRIES;
        match (are_within, tables.are_ordered()) {
            (true, false) => Self::Within(all(shards, tables)),
            (true, true) => Self::Ordered(all(shards, tables)),
            (false, _) => Self::Apart(all(shards, tables)),
        }
    }
}

impl<K: ?Sized + Key, V: Value> Kept<K, V> {
    /// How many stores there are, and the most entries that one may have.
    pub(super) fn limits(&self) -> (usize, usize) {
        match self {
            Self::Apart(shards) => (shards.len(), <Apart<K, V> as Form>::MOST_ENTRIES),
            Self::Within(shards) | Self::Ordered(shards) => (shards.len(), Within::MOST_ENTRIES),
        }
    }
}

/// So many stores.
fn all<F: Form>(shards: usize, tables: &impl Makes) -> Shards<F> {
    Shards::new(shards, |number| tables.make(number))
}

/// Whether keys and values of these types can stand [within](Kept::Within). Decided when it is compiled,
/// so that other look-ups have no code for it.
#[inline(always)]
pub(super) fn are_numbers<K: ?Sized + Key, V: Value>() -> bool {
    let is_own = TypeId::of::<K>() == TypeId::of::<K::Owned>();
    is_own && is_small_key::<K>() && is_small::<V>()
}

/// Makes the tables of a cache.
pub(super) trait Makes {
    /// The most entries that any of them is to have.
    fn most_entries(&self) -> usize;

    /// Whether hits change an order.
    fn are_ordered(&self) -> bool;

    fn make<F: Form>(&self, number: usize) -> Table<F, State>;
}

/// Receives what left a store of this form.
struct Outwards<'a, K: ?Sized + Key, V: Value, F> {
    removals: &'a mut Removals<K::Owned, V>,
    form: PhantomData<F>,
}

impl<K: ?Sized + Key, V: Value, F: Keeps<K, V>> Receives<F::Key, F::Value>
    for Outwards<'_, K, V, F>
{
    fn push(&mut self, key: F::Key, value: Option<F::Value>, cause: Cause) {
        self.removals.push(F::key_out(key), value.map(F::value_out), cause);
    }

    fn discard(&mut self, key: F::Key, value: Option<F::Value>) {
        self.removals.discard(F::key_out(key), value.map(F::value_out));
    }
}

/// A form that keeps keys and values of these types.
pub(super) trait Keeps<K: ?Sized + Key, V: Value>: Form {
    fn is(key: &K) -> impl IsIt<Self::Key>;
    fn key_in(key: K::Owned) -> Self::Key;
    fn key_out(key: Self::Key) -> K::Owned;
    fn value_in(value: V) -> Self::Value;
    fn value_out(value: Self::Value) -> V;

    /// Has `read` look at the value where it is.
    fn with<R>(node: &Node<'_, Self>, read: impl FnOnce(Option<&V>) -> R) -> R;

    /// Has `removals` receive what left, as what it was.
    fn into(removals: &mut Removals<K::Owned, V>) -> impl Receives<Self::Key, Self::Value> {
        Outwards::<K, V, Self> { removals, form: PhantomData }
    }
}

impl<K: ?Sized + Key, V: Value> Keeps<K, V> for Apart<K, V> {
    #[inline(always)]
    fn is(key: &K) -> impl IsIt<K::Owned> {
        move |held| held.borrow() == key
    }

    fn key_in(key: K::Owned) -> K::Owned {
        key
    }

    fn key_out(key: K::Owned) -> K::Owned {
        key
    }

    fn value_in(value: V) -> V {
        value
    }

    fn value_out(value: V) -> V {
        value
    }

    #[inline(always)]
    fn with<R>(node: &Node<'_, Self>, read: impl FnOnce(Option<&V>) -> R) -> R {
        read(node.value())
    }
}

impl<K: ?Sized + Key, V: Value> Keeps<K, V> for Within {
    #[inline(always)]
    fn is(key: &K) -> impl IsIt<u64> {
        let bits = to_bits(key);
        move |held| *held == bits
    }

    fn key_in(key: K::Owned) -> u64 {
        to_bits(&key)
    }

    fn key_out(key: u64) -> K::Owned {
        from_bits(key)
    }

    fn value_in(value: V) -> u64 {
        to_bits(&value)
    }

    fn value_out(value: u64) -> V {
        from_bits(value)
    }

    #[inline(always)]
    fn with<R>(node: &Node<'_, Self>, read: impl FnOnce(Option<&V>) -> R) -> R {
        read(node.value().map(|value| from_bits(*value)).as_ref())
    }
}
