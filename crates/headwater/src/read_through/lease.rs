//! One load per key across processes: loads under leases of a shared tier.
//!
//! The scheme is that of memcache leases (Nishtala et al., "Scaling Memcache at Facebook", NSDI
//! 2013): a miss asks for the right to load; one process gets it, and its fill counts only while
//! nobody has changed the key; the others wait for news of the key and ask again.

use super::background::spawn;
use super::load::{Load, Outcomes};
use super::{Inner, Owned};
use crate::fetcher::one_per_key;
use crate::{Cache, Lease, Leased, Moment, Shared, Tier};
use futures_util::future::select;
use std::borrow::Borrow;
use std::collections::HashMap;
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
    held: HashMap<Owned<T>, Lease>,
}

impl<T, N> Leases<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    pub(super) fn none(inner: &Arc<Inner<T, N>>) -> Self {
        Self { inner: Arc::clone(inner), held: HashMap::new() }
    }

    pub(super) fn of(&self, key: &Owned<T>) -> Option<Lease> {
        self.held.get::<Owned<T>>(key).copied()
    }

    /// The leases of these keys have ended.
    pub(super) fn spent<'a>(&mut self, keys: impl Iterator<Item = &'a Owned<T>>) {
        keys.for_each(|key| drop(self.held.remove::<Owned<T>>(key)));
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
        let active = inner.work.begin();
        // Outside of a runtime, or after a failure, the leases end by themselves.
        let _ = spawn(async move {
            let leases: Vec<(&T::Key, Lease)> =
                held.iter().map(|(key, lease)| (key.borrow(), *lease)).collect();
            if let Some(shared) = inner.tier.shared() {
                let released = shared.release(&leases).await;
                inner.counters.errors.add(u64::from(released.is_err()));
            }
            drop(active);
        });
    }
}

/// What a shared tier said of the keys of a load.
#[derive(Default)]
struct Answers {
    /// Places of keys that this load may load, or has to without a lease.
    own: Vec<usize>,
    /// Places of keys that somebody else loads.
    held: Vec<usize>,
    /// When to ask again for those at the latest.
    until: Option<Moment>,
}

impl<T, N> Load<T, N>
where
    T: Tier,
    N: Cache<Key = T::Key, Value = T::Value>,
{
    /// Loads keys that a shared tier does not have: those whose leases it gets, at once; the others
    /// when somebody else has loaded them, or has given up.
    pub(super) async fn load_leased(
        &self,
        shared: &dyn Shared<T::Key, T::Value>,
        missed: &[usize],
    ) -> (Outcomes<T::Value>, Leases<T, N>) {
        let mut outcomes: Vec<_> = missed.iter().map(|_| None).collect();
        let mut leases = Leases::none(&self.inner);
        let mut open: Vec<usize> = (0..missed.len()).collect();
        while !open.is_empty() {
            let keys: Vec<&T::Key> = open.iter().map(|at| self.key(missed[*at])).collect();
            let changed = shared.changed(&keys);
            let answers = self.ask_for_leases(shared, missed, &open, &mut outcomes, &mut leases);
            let answers = answers.await;
            let places: Vec<usize> = answers.own.iter().map(|at| missed[*at]).collect();
            for (at, outcome) in answers.own.iter().zip(self.ask_next(&places).await) {
                outcomes[*at] = Some(outcome);
            }
            if let Some(until) = answers.until {
                let clock = &self.inner.settings.clock;
                let wait = clock.sleep(until - clock.now());
                select(changed, pin!(wait)).await;
            }
            open = answers.held;
        }
        (outcomes.into_iter().flatten().collect(), leases)
    }

    async fn ask_for_leases(
        &self,
        shared: &dyn Shared<T::Key, T::Value>,
        missed: &[usize],
        open: &[usize],
        outcomes: &mut [Option<crate::Result<crate::Entry<T::Value>>>],
        leases: &mut Leases<T, N>,
    ) -> Answers {
        let keys: Vec<&T::Key> = open.iter().map(|at| self.key(missed[*at])).collect();
        let looks = self.request.options.is_default();
        let said = one_per_key(keys.len(), shared.lease(&keys, looks).await);
        let mut answers = Answers::default();
        for (at, said) in open.iter().zip(said) {
            match said {
                Ok(Leased::Found(entry)) => {
                    self.inner.count_hit(&entry);
                    outcomes[*at] = Some(Ok(entry));
                }
                Ok(Leased::Granted(lease)) => {
                    leases.held.insert(self.keys[missed[*at]].clone(), lease);
                    answers.own.push(*at);
                }
                Ok(Leased::Held(until)) => {
                    answers.until = Some(answers.until.map_or(until, |own| own.min(until)));
                    answers.held.push(*at);
                }
                Err(_) => {
                    // The tier's trouble: the key is loaded, and stored nowhere (R6).
                    self.inner.counters.errors.add(1);
                    answers.own.push(*at);
                }
            }
        }
        answers
    }
}
