use super::boarding::{Boarded, Boarding};
use super::ride::{Flight, Ride};
use crate::fetcher::{FetchOptions, is_young};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};
use crate::{Entry, Hashed, Moment, Result};
use futures_util::future::BoxFuture;
use hashbrown::hash_table::{Entry as Slot, HashTable};
use std::borrow::Borrow;
use std::time::Duration;

/// Shards of the table: as many threads open flights without meeting.
const SHARDS: usize = 32;

/// For how long after its end a load may still fill, and answers those who come meanwhile: a tier
/// that hangs must not make an old answer last.
pub(crate) const LATE_AFTER: Duration = Duration::from_secs(1);

/// How many loads may be nested, each fetching what the next loads. They are polled inside each other,
/// and every one takes some of the stack; in a chain of several tiers each tier counts.
pub(super) const MAX_DEPTH: usize = 32;

/// The name of a flight, never used twice.
pub(crate) type FlightId = u64;

/// Runs the rest of a load whose riders all left.
pub(crate) type Heirs = Box<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// What a call asks for beyond its key: the form of [`FetchOptions`] that flights compare.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) options: FetchOptions,
    /// The earliest load time that the call accepts.
    pub(crate) floor: Option<Moment>,
    /// When the call was made; `None` where nothing that has landed is an answer any more.
    pub(crate) now: Option<Moment>,
}

impl Request {
    /// Whether a load made for `self` skipped all that `other` wants skipped.
    fn skips_enough_for(&self, other: &Self) -> bool {
        other.options.skips_no_more_than(&self.options)
    }

    /// Whether the outcome of a load that has ended, and whose fill goes on, answers this call.
    fn accepts_landed<V>(&self, outcome: &Result<Entry<V>>, at: Moment) -> bool {
        let (Ok(entry), Some(now)) = (outcome, self.now) else { return false };
        now - at < LATE_AFTER && entry.is_live(now) && is_young(entry, self.floor)
    }
}

/// All flights that may still fill, by key.
pub(crate) struct Flights<K, V> {
    shards: Box<[Shard<K, V>]>,
    next_id: AtomicU64,
    heirs: Option<Heirs>,
}

struct Shard<K, V> {
    /// Grows with each commit: who missed before one looks again instead of loading again.
    commits: AtomicU64,
    registered: Mutex<HashTable<Registered<K, V>>>,
}

struct Registered<K, V> {
    key: Hashed<K>,
    /// Which of the flight's keys it is.
    place: usize,
    flight: Arc<Flight<K, V>>,
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A table without flights. With `heirs`, loads that everybody left are finished by them.
    pub(crate) fn new(heirs: Option<Heirs>) -> Self {
        let shard = || Shard { commits: AtomicU64::new(0), registered: Mutex::default() };
        Self { shards: (0..SHARDS).map(|_| shard()).collect(), next_id: AtomicU64::new(1), heirs }
    }

    /// Takes a seat for each key: in the flight that loads it already, or in one new flight for all
    /// others. `look` is asked once more for each key, so that what a flight has just committed is
    /// not loaded again. Keys must not repeat.
    pub(crate) fn board<Q>(
        self: &Arc<Self>,
        keys: &[Hashed<&Q>],
        request: &Request,
        look: impl Fn(Hashed<&Q>) -> Option<Entry<V>>,
    ) -> Boarding<K, V>
    where
        Q: ?Sized + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        let mut boarding = Boarding::of(keys.len());
        for key in keys {
            let boarded = self.board_one(*key, request, &look, &mut boarding);
            boarding.keys.push(boarded);
        }
        boarding
    }

    fn board_one<Q>(
        self: &Arc<Self>,
        key: Hashed<&Q>,
        request: &Request,
        look: impl Fn(Hashed<&Q>) -> Option<Entry<V>>,
        boarding: &mut Boarding<K, V>,
    ) -> Boarded<V>
    where
        Q: ?Sized + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        let shard = self.shard(key.hash());
        // Made before the lock, because it may run user code.
        let (own_key, listed_key) = (key.to_stored(), key.to_stored());
        loop {
            let seen = shard.commits.load(Ordering::Acquire);
            if let Some(entry) = look(key) {
                return Boarded::Hit(entry);
            }
            let mut registered = shard.registered.lock();
            let slot =
                registered.entry(key.hash(), |other| other.key.is(key), |other| other.key.hash());
            let joined = match &slot {
                Slot::Occupied(slot) => self.join(slot.get(), request),
                Slot::Vacant(_) if shard.commits.load(Ordering::Acquire) != seen => continue,
                Slot::Vacant(_) => None,
            };
            if let Some((ride, place)) = joined {
                drop(registered);
                return boarding.ride_along(ride, place);
            }
            let (flight, ride, place) = match boarding.open(self, request) {
                Ok(opened) => opened,
                Err(refusal) => return Boarded::Refused(refusal),
            };
            boarding.list(listed_key);
            let own = Registered { key: own_key, place, flight };
            let replaced = match slot {
                Slot::Occupied(mut slot) => Some(std::mem::replace(slot.get_mut(), own)),
                Slot::Vacant(slot) => {
                    slot.insert(own);
                    None
                }
            };
            drop(registered);
            drop(replaced);
            return Boarded::Riding { ride, place };
        }
    }

    /// A ride on a registered flight, unless it was abandoned or asked for less.
    fn join(
        self: &Arc<Self>,
        registered: &Registered<K, V>,
        request: &Request,
    ) -> Option<(Ride<K, V>, usize)> {
        let flight = &registered.flight;
        if !flight.request.skips_enough_for(request) {
            return None;
        }
        let ride = match flight.landed(registered.place) {
            Some((outcome, at)) if request.accepts_landed(outcome, at) => self.ride(flight, None),
            None if flight.request.floor >= request.floor => {
                self.ride(flight, Some(flight.take_seat()?))
            }
            _ => return None,
        };
        Some((ride, registered.place))
    }

    /// A ride in a seat; without one, on a flight that has landed.
    fn ride(self: &Arc<Self>, flight: &Arc<Flight<K, V>>, seat: Option<usize>) -> Ride<K, V> {
        Ride {
            flights: Arc::clone(self),
            flight: Arc::clone(flight),
            seat: seat.unwrap_or_default(),
            waiting: None,
            is_heir: false,
            is_over: seat.is_none(),
        }
    }

    /// A new flight, and the first ride on it.
    pub(super) fn open(self: &Arc<Self>, request: &Request) -> (Arc<Flight<K, V>>, Ride<K, V>) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (flight, seat) = Flight::boarding(id, request.clone());
        let flight = Arc::new(flight);
        let ride = self.ride(&flight, Some(seat));
        (flight, ride)
    }

    /// Ends the registration of `key` to the flight `id` and runs `fill` with the key as it was registered,
    /// both in one critical section; `None` if the key is not, or no longer, registered to it.
    pub(crate) fn commit<R>(
        &self,
        id: FlightId,
        key: &Hashed<K>,
        fill: impl FnOnce(Hashed<K>) -> R,
    ) -> Option<R> {
        let shard = self.shard(key.hash());
        let mut registered = shard.registered.lock();
        let slot = registered.find_entry(key.hash(), |other| other.key == *key).ok()?;
        if slot.get().flight.id != id {
            return None;
        }
        let (Registered { key, flight, .. }, _) = slot.remove();
        let filled = fill(key);
        // By who has the lock only.
        let commits = shard.commits.load(Ordering::Relaxed);
        shard.commits.store(commits + 1, Ordering::Release);
        drop(registered);
        drop(flight);
        Some(filled)
    }

    /// Whether `key` is still registered to the flight `id`.
    pub(crate) fn is_current(&self, id: FlightId, key: &Hashed<K>) -> bool {
        let registered = self.shard(key.hash()).registered.lock();
        let own = registered.find(key.hash(), |other| other.key == *key);
        own.is_some_and(|own| own.flight.id == id)
    }

    /// Ends the registration of `key` to the flight `id`, if it still is.
    pub(crate) fn retire(&self, id: FlightId, key: &Hashed<K>) {
        let _gone = self.commit(id, key, |key| key);
    }

    /// Ends the registration of `key` to whichever flight, and runs `change`, both in one critical
    /// section: no flight that was under way fills `key` afterwards, and nobody joins it.
    pub(crate) fn void<Q, R>(&self, key: Hashed<&Q>, change: impl FnOnce() -> R) -> R
    where
        Q: ?Sized + Eq,
        K: Borrow<Q>,
    {
        let mut registered = self.shard(key.hash()).registered.lock();
        let slot = registered.find_entry(key.hash(), |other| other.key.is(key));
        let gone = slot.ok().map(|slot| slot.remove().0);
        let changed = change();
        drop(registered);
        drop(gone);
        changed
    }

    /// Ends every registration.
    pub(crate) fn void_all(&self) {
        for shard in &self.shards {
            let gone = std::mem::take(&mut *shard.registered.lock());
            drop(gone);
        }
    }

    pub(super) fn has_heirs(&self) -> bool {
        self.heirs.is_some()
    }

    pub(super) fn inherit(&self, ride: Ride<K, V>) {
        if let Some(heirs) = &self.heirs {
            heirs(Box::pin(ride));
        }
    }

    fn shard(&self, hash: u64) -> &Shard<K, V> {
        // By bits that the table inside a shard does not go by, which takes the lowest and highest.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }
}
