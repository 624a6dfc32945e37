use crate::{Entry, Hashed, Key, Moment, Result, Value};
use futures_util::future::BoxFuture;
use std::sync::Weak;

/// Whoever keeps entries that came from a shared tier, and must forget them when they change there.
///
/// The engine implements it for each cache of a chain; a [`Shared`] tier calls it.
pub trait Above<K: ?Sized + Key>: Send + Sync {
    /// These keys were changed by somebody else: what is kept of them, or on its way, is old.
    fn forget(&self, keys: &[Hashed<&K>]);

    /// Anything may have been changed by somebody else.
    fn forget_all(&self);
}

/// The right, given by a shared tier, to load a key and to store what came; void as soon as anybody
/// changes the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease(u128);

impl Lease {
    /// A lease that is told apart from others by `token`.
    #[must_use]
    pub const fn new(token: u128) -> Self {
        Self(token)
    }

    /// What tells it apart from others.
    #[must_use]
    pub const fn token(self) -> u128 {
        self.0
    }
}

/// What a shared tier says to one who missed a key and wants to load it.
#[derive(Clone, Debug)]
pub enum Leased<V> {
    /// Somebody has stored it meanwhile.
    Found(Entry<V>),
    /// Load it, then [`fill`](Shared::fill) or [`release`](Shared::release).
    Granted(Lease),
    /// Somebody else loads it; ask again when it has changed, or at this moment.
    Held(Moment),
}

/// The face of a [`Tier`](crate::Tier) that other processes use at the same time: one load per key
/// across all of them, and news of what the others change.
///
/// # Semantics
/// - At most one lease of a key is valid at a time, unless its holder is slower than the lease lasts
///   (R2).
/// - A fill is stored only while its lease is valid. Removing a key, by whomever, voids its lease;
///   so a value loaded before an invalidation is not stored after it (R4).
/// - After somebody else has changed a key, everybody attached is told, within the time that the
///   tier states; if news may have been lost, everybody is told to forget all.
pub trait Shared<K: ?Sized + Key, V: Value>: Send + Sync {
    /// Tells `above` from now on what others change; for as long as it exists.
    fn attach(&self, above: Weak<dyn Above<K>>);

    /// Asks for the right to load keys, one outcome per key and in their order. With `look`, an
    /// entry that is there is returned instead.
    fn lease<'a>(&'a self, keys: &'a [&'a K], look: bool) -> BoxFuture<'a, Vec<Result<Leased<V>>>>;

    /// Stores what was loaded under leases, which end; one outcome per key and in their order,
    /// `false` where the lease was void and nothing was stored.
    fn fill<'a>(
        &'a self,
        fills: &'a [(&'a K, &'a Entry<V>, Lease)],
    ) -> BoxFuture<'a, Vec<Result<bool>>>;

    /// Ends leases without storing anything.
    fn release<'a>(&'a self, leases: &'a [(&'a K, Lease)]) -> BoxFuture<'a, Result<()>>;

    /// Ends when one of the keys was changed after this call, or news of it may have been lost.
    fn changed(&self, keys: &[&K]) -> BoxFuture<'static, ()>;
}
