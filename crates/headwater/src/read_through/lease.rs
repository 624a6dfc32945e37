//! One load per key across processes: loads under leases of a shared tier.
//!
//! The scheme is that of memcache leases (Nishtala et al., "Scaling Memcache at Facebook", NSDI
//! 2013): a miss asks for the right to load; one process gets it, and its fill counts only while
//! nobody has changed the key; the others wait for news of the key and ask again.

use super::load::Load;
use super::{Inner, Owned};
use crate::fetcher::one_per_key;
use crate::hashed::HashedMap;
use crate::runtime::spawn;
use crate::{Cache, Hashed, Lease, Leased, Moment, Shared, Tier};
use futures_util::future::select;
use std::borrow::Borrow;
use std::pin::pin;
use std::sync::Arc;

/// The leases that a load holds. Those that are left when it is dropped are given back, so that the
/// other processes need not wait for their end.
pub(super) struct Leases<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    inner: Arc<Inner<T, N>>,
    held: HashedMap<Owned<T>, Lease>,
}

impl<T, N> Leases<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    pub(super) fn none(inner: &Arc<Inner<T, N>>) -> Self {
        Self { inner: Arc::clone(inner), held: HashedMap::default() }
    }

    pub(super) fn of(&self, key: &Hashed<Owned<T>>) -> Option<Lease> {
        self.held.get(key).copied()
    }

    /// The leases of these keys have ended.
    pub(super) fn spent<'a>(&mut self, keys: impl Iterator<Item = &'a Hashed<Owned<T>>>) {
        for key in keys {
            self.held.remove(key);
        }
    }
}

impl<T, N> Drop for Leases<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    fn drop(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let (inner, held) = (Arc::clone(&self.inner), std::mem::take(&mut self.held));
        let active = inner.work.begin(1);
        // Outside of a runtime, or after a failure, the leases end by themselves.
        let _ = spawn(async move {
            let leases: Vec<(&T::Key, Lease)> =
                held.iter().map(|(key, lease)| (key.key().borrow(), *lease)).collect();
            if let Some(shared) = inner.tier.shared() {
                let released = shared.release(&leases).await;
                inner.counters.errors.add(u64::from(released.is_err()));
            }
            drop(active);
        });
    }
}

/// What a shared tier said of the keys of a load.
struct Answers<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    /// Places of keys that this load may load, or has to without a lease.
    own: Vec<usize>,
    leases: Leases<T, N>,
    /// Places of keys that somebody else loads.
    held: Vec<usize>,
    /// When to ask again for those at the latest.
    until: Option<Moment>,
    /// Places of keys whose entries are too old for the call: to be leased past what is there.
    too_old: Vec<usize>,
}

impl<T, N> Load<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    /// Loads keys that a shared tier does not have: those whose leases it gets, at once; the others
    /// when somebody else has loaded them, or has given up. While it waits it holds no lease, so
    /// that no two loads ever wait for each other.
    pub(super) async fn load_leased(
        &mut self,
        shared: &dyn Shared<T::Key, T::Value>,
        missed: Vec<usize>,
    ) {
        let looks = !self.request.options.skips(self.inner.tier.name());
        let (mut open, mut looks) = (missed, looks);
        while !open.is_empty() {
            let changed = shared.changed(&self.keys_at(&open));
            let Answers { own, leases, held, until, too_old } =
                self.ask_for_leases(shared, &open, looks).await;
            self.load(&own, leases).await;
            if let Some(until) = until {
                let clock = self.inner.settings.clock.clone();
                let wait = clock.sleep(until - clock.now());
                select(changed, pin!(wait)).await;
            }
            looks &= too_old.is_empty();
            open = held;
            open.extend(too_old);
        }
    }

    async fn ask_for_leases(
        &mut self,
        shared: &dyn Shared<T::Key, T::Value>,
        open: &[usize],
        looks: bool,
    ) -> Answers<T, N> {
        let said = shared.lease(&self.keys_at(open), looks).await;
        let said = one_per_key(open.len(), said);
        let mut answers = Answers {
            own: Vec::new(),
            leases: Leases::none(&self.inner),
            held: Vec::new(),
            until: None,
            too_old: Vec::new(),
        };
        for (place, said) in open.iter().zip(said) {
            match said {
                Ok(Leased::Found(entry)) if self.accepts(*place, &entry) => {
                    self.inner.count_hit(&entry);
                    self.outcomes[*place] = Some(Ok(entry));
                }
                Ok(Leased::Found(_)) => answers.too_old.push(*place),
                Ok(Leased::Granted(lease)) => {
                    answers.leases.held.insert(self.keys[*place].clone(), lease);
                    answers.own.push(*place);
                }
                Ok(Leased::Held(until)) => {
                    answers.until = Some(answers.until.map_or(until, |own| own.min(until)));
                    answers.held.push(*place);
                }
                Err(_) => {
                    // The tier's trouble: the key is loaded, and stored nowhere (R6).
                    self.inner.counters.errors.add(1);
                    answers.own.push(*place);
                }
            }
        }
        answers
    }
}
