use super::listen;
use crate::redis::dial::Dialer;
use crate::redis::key::Layout;
use crate::sync::Mutex;
use crate::{Above, Hashed, Key};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Those who wait for a change share so many bells.
const STRIPES: usize = 64;

/// How a [`RedisCache`](crate::redis::RedisCache) hears of what others change.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Coherence {
    /// Not at all: it is switched off, or nothing is in front that could be told, or it is closed.
    #[default]
    Off,
    /// Not now: what is in front is emptied once per
    /// [`max_staleness`](crate::redis::RedisConfig::max_staleness) until it is heard again.
    Down,
    /// The server tells of each change, by whomever (`CLIENT TRACKING`).
    Tracking,
    /// Other caches tell of what they change, by messages (pub/sub), because the server does not.
    Messages,
}

impl Coherence {
    /// Whether changes are heard of at once.
    pub(crate) fn is_prompt(self) -> bool {
        matches!(self, Self::Tracking | Self::Messages)
    }

    fn of(number: u8) -> Self {
        [Self::Off, Self::Down, Self::Tracking, Self::Messages]
            .into_iter()
            .find(|own| *own as u8 == number)
            .unwrap_or_default()
    }
}

/// Who is told.
trait Ear: Send + Sync {
    /// The entries of these names were changed.
    fn forget(&self, names: &[Vec<u8>]);

    fn forget_all(&self);

    /// Whether anybody still listens.
    fn is_alive(&self) -> bool;
}

/// An [`Above`] by the names of its keys.
struct Named<K: ?Sized> {
    above: Weak<dyn Above<K>>,
    layout: Layout,
}

impl<K: ?Sized + Key + crate::redis::RedisKey> Ear for Named<K> {
    fn forget(&self, names: &[Vec<u8>]) {
        let Some(above) = self.above.upgrade() else { return };
        let mut keys: Vec<K::Owned> = Vec::with_capacity(names.len());
        for written in names.iter().filter_map(|name| self.layout.written(name)) {
            match K::read(&written) {
                Some(key) => keys.push(key),
                // Any key, if its type writes what it does not read.
                None if self.layout.prefix().is_some() => return above.forget_all(),
                None => {}
            }
        }
        let keys: Vec<Hashed<&K>> = keys.iter().map(|key| Hashed::new(key.borrow())).collect();
        above.forget(&keys);
    }

    fn forget_all(&self) {
        if let Some(above) = self.above.upgrade() {
            above.forget_all();
        }
    }

    fn is_alive(&self) -> bool {
        self.above.strong_count() > 0
    }
}

/// Where news arrive and who is told; clones of a cache share it.
pub(crate) struct Hub {
    pub(super) dialer: Arc<Dialer>,
    pub(super) layout: Layout,
    pub(super) max_staleness: Duration,
    is_wanted: bool,
    ears: Mutex<Vec<Arc<dyn Ear>>>,
    bells: Vec<watch::Sender<()>>,
    hasher: RandomState,
    /// The leases that this process holds and that nobody has voided, as far as is known.
    leases: Mutex<HashMap<Vec<u8>, u128>>,
    state: AtomicU8,
    is_listening: AtomicBool,
    /// Ends the task when it changes or is dropped.
    end: watch::Sender<bool>,
    heard: AtomicU64,
    losses: AtomicU64,
}

impl Hub {
    pub(crate) fn new(
        dialer: Arc<Dialer>,
        layout: Layout,
        max_staleness: Duration,
        is_wanted: bool,
    ) -> Self {
        Self {
            dialer,
            layout,
            max_staleness,
            is_wanted,
            ears: Mutex::default(),
            bells: (0..STRIPES).map(|_| watch::Sender::new(())).collect(),
            hasher: RandomState::new(),
            leases: Mutex::default(),
            state: AtomicU8::new(Coherence::Off as u8),
            is_listening: AtomicBool::new(false),
            end: watch::Sender::new(false),
            heard: AtomicU64::new(0),
            losses: AtomicU64::new(0),
        }
    }

    pub(crate) fn attach<K>(self: &Arc<Self>, above: Weak<dyn Above<K>>)
    where
        K: ?Sized + Key + crate::redis::RedisKey,
    {
        let ear = Named { above, layout: self.layout.clone() };
        let mut ears = self.ears.lock();
        ears.retain(|ear| ear.is_alive());
        ears.push(Arc::new(ear));
        drop(ears);
        self.start();
    }

    /// Starts listening, if it is not done yet, somebody is to be told and there is a runtime.
    pub(crate) fn start(self: &Arc<Self>) {
        if !self.is_wanted || self.is_listening.load(SeqCst) || *self.end.borrow() {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        if self.ears.lock().is_empty() || self.is_listening.swap(true, SeqCst) {
            return;
        }
        self.set_state(Coherence::Down);
        runtime.spawn(listen::listen(Listening(Arc::downgrade(self)), self.end.subscribe()));
    }

    pub(crate) fn close(&self) {
        self.end.send_replace(true);
        self.set_state(Coherence::Off);
    }

    pub(crate) fn state(&self) -> Coherence {
        Coherence::of(self.state.load(SeqCst))
    }

    fn set_state(&self, state: Coherence) -> Coherence {
        Coherence::of(self.state.swap(state as u8, SeqCst))
    }

    /// Names heard of, and how often the link was lost.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.heard.load(SeqCst), self.losses.load(SeqCst))
    }

    /// Where changes are to be published, unless the server is known to tell of them itself.
    pub(crate) fn channel(&self) -> Vec<u8> {
        match self.state() {
            Coherence::Tracking => Vec::new(),
            // The Go package's own would wonder.
            Coherence::Off if self.layout.prefix().is_none() => Vec::new(),
            _ => self.layout.channel(),
        }
    }

    /// News flow from now on. What came before is not to be trusted.
    pub(super) fn trusted(&self, state: Coherence) {
        self.set_state(state);
        self.forget_all();
    }

    /// News may have been lost from now on, or were already.
    pub(super) fn lost(&self) {
        if self.set_state(Coherence::Down) != Coherence::Down {
            self.losses.fetch_add(1, SeqCst);
            self.leases.lock().clear();
        }
        self.forget_all();
    }

    pub(super) fn heard(&self, names: &[Vec<u8>]) {
        self.heard.fetch_add(names.len() as u64, SeqCst);
        let all = self.layout.all();
        if names.contains(&all) {
            self.leases.lock().clear();
            self.forget_all();
            return;
        }
        let mut leases = self.leases.lock();
        names.iter().for_each(|name| {
            leases.remove(name);
        });
        drop(leases);
        self.tell(|ear| ear.forget(names));
        for name in names {
            self.bell(Layout::woken(name).unwrap_or(name)).send_replace(());
        }
    }

    pub(super) fn forget_all(&self) {
        self.tell(|ear| ear.forget_all());
        for bell in &self.bells {
            bell.send_replace(());
        }
    }

    /// Keys are read by user code: should that panic, any key may be the one.
    fn tell(&self, tell: impl Fn(&dyn Ear)) {
        let ears = self.ears.lock().clone();
        for ear in ears {
            if catch_unwind(AssertUnwindSafe(|| tell(&*ear))).is_err() {
                let _ = catch_unwind(AssertUnwindSafe(|| ear.forget_all()));
            }
        }
    }

    /// Rings when one of these entries changes, or news may have been lost.
    pub(crate) fn bells(&self, names: &[Vec<u8>]) -> Vec<watch::Receiver<()>> {
        let mut stripes: Vec<usize> = names.iter().map(|name| self.stripe(name)).collect();
        stripes.sort_unstable();
        stripes.dedup();
        stripes.into_iter().map(|at| self.bells[at].subscribe()).collect()
    }

    /// Notes a lease that was given to this process.
    pub(crate) fn granted(&self, name: &[u8], token: u128) {
        self.leases.lock().insert(name.to_vec(), token);
    }

    /// Notes that a lease ends here; whether it is valid as far as is known.
    pub(crate) fn ends(&self, name: &[u8], token: u128) -> bool {
        let mut leases = self.leases.lock();
        let is_known = leases.get(name) == Some(&token);
        if is_known {
            leases.remove(name);
        }
        is_known
    }

    fn bell(&self, name: &[u8]) -> &watch::Sender<()> {
        &self.bells[self.stripe(name)]
    }

    fn stripe(&self, name: &[u8]) -> usize {
        self.hasher.hash_one(name) as usize % STRIPES
    }
}

/// The task's hold on the hub; should the task be dropped, with its runtime, nothing is heard.
pub(super) struct Listening(Weak<Hub>);

impl Listening {
    pub(super) fn hub(&self) -> Option<Arc<Hub>> {
        self.0.upgrade()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(hub) = self.hub() {
            hub.lost();
            hub.is_listening.store(false, SeqCst);
            if *hub.end.borrow() {
                hub.set_state(Coherence::Off);
            }
        }
    }
}
