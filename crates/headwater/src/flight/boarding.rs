use super::ride::{Flight, Landing, Ride, UnderWay};
use super::table::{FlightId, Flights, MAX_DEPTH, Request};
use crate::sync::Arc;
use crate::{Entry, Error, ErrorKind, Hashed, Result};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// One thing per key or per ride, of which there is nearly always one.
pub(crate) type Few<T> = SmallVec<[T; 1]>;

/// What a caller got for one of its keys.
pub(crate) enum Boarded<V> {
    /// The entry came while boarding.
    Hit(Entry<V>),
    /// The outcome will be that of the ride with this index, in this place.
    Riding { ride: usize, place: usize },
    /// The load of this key waits, directly or not, for this very call.
    Refused(Error),
}

/// A caller's keys, rides, and whether it leads one.
///
/// If it is dropped before its own flight has departed, because user code panicked, that flight
/// lands with an error.
pub(crate) struct Boarding<K, V>
where
    K: Clone + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) keys: Few<Boarded<V>>,
    rides: Few<Ride<K, V>>,
    /// Which ride is on which flight; the first is not listed.
    known: HashMap<FlightId, usize>,
    opened: Option<Opened<K>>,
}

/// A flight that the caller opened and whose load it has to state.
struct Opened<K> {
    keys: Few<Hashed<K>>,
    /// All of them, when no more will come.
    all: Option<Arc<[Hashed<K>]>>,
    /// Index of its ride.
    ride: usize,
}

/// The flight of a boarding's own keys, the index of its ride, and the place of its next key.
type Berth<K, V> = (Arc<Flight<K, V>>, usize, usize);

impl<K, V> Boarding<K, V>
where
    K: Clone + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn of(keys: usize) -> Self {
        Self {
            keys: Few::with_capacity(keys),
            rides: Few::new(),
            known: HashMap::new(),
            opened: None,
        }
    }

    /// Lets the flight that this boarding opened, if it opened one, begin the load that `load` makes
    /// for it and its keys. Returns how many keys these are.
    pub(crate) fn depart(
        &mut self,
        load: impl FnOnce(FlightId, Arc<[Hashed<K>]>) -> BoxFuture<'static, Landing<V>>,
    ) -> usize {
        let Some(opened) = &mut self.opened else { return 0 };
        let flight = &self.rides[opened.ride].flight;
        let all = opened.all.insert(shared(std::mem::take(&mut opened.keys)));
        let load = load(flight.id, Arc::clone(all));
        let keys = self.opened.take().and_then(|opened| opened.all).unwrap_or_default();
        let count = keys.len();
        flight.depart(UnderWay { keys, load });
        count
    }

    /// Waits for the outcome of the caller's key, which has to be the only one.
    ///
    /// # Cancellation
    /// Leaves the flight.
    pub(crate) fn landed_alone(mut self) -> Trip<K, V> {
        let outcome = match (self.keys.pop(), self.rides.pop()) {
            (Some(Boarded::Riding { place, .. }), Some(ride)) => {
                return Trip::Riding { ride, place };
            }
            (Some(Boarded::Hit(entry)), _) => Ok(entry),
            (Some(Boarded::Refused(error)), _) => Err(error),
            _ => Err(Error::new(ErrorKind::Unexpected, "a key was left out")),
        };
        Trip::Over(Some(Box::new(outcome)))
    }

    /// Waits until every flight has landed; the outcomes by the places of the caller's keys.
    ///
    /// # Cancellation
    /// Leaves all flights.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` would hold the boarding twice")]
    pub(crate) fn landed(mut self) -> impl Future<Output = Few<Result<Entry<V>>>> + Send {
        async move {
            let mut rides = std::mem::take(&mut self.rides);
            let mut flights: Few<_> = rides.iter().map(|ride| Arc::clone(&ride.flight)).collect();
            match &mut rides[..] {
                [] => {}
                [ride] => ride.await,
                _ => drop(join_all(rides.drain(..)).await),
            }
            // Who is alone on a flight takes what it brought along.
            drop(rides);
            let outcome = |boarded| match boarded {
                Boarded::Hit(entry) => Ok(entry),
                Boarded::Riding { ride, place } => Flight::outcome(&mut flights[ride], place),
                Boarded::Refused(error) => Err(error),
            };
            std::mem::take(&mut self.keys).into_iter().map(outcome).collect()
        }
    }

    /// The flight of this boarding's own keys, opened on first use.
    pub(super) fn open(
        &mut self,
        flights: &Arc<Flights<K, V>>,
        request: &Request,
    ) -> Result<Berth<K, V>> {
        if let Some(opened) = &self.opened {
            let flight = Arc::clone(&self.rides[opened.ride].flight);
            return Ok((flight, opened.ride, opened.keys.len()));
        }
        let (flight, mut ride) = flights.open(request);
        ride.waiting = flight.wait();
        if flight.depth() > MAX_DEPTH {
            return Err(Error::new(
                ErrorKind::Reentrant,
                format!("loads that fetch are nested more than {MAX_DEPTH} deep"),
            ));
        }
        let ride = self.keep(ride);
        self.opened = Some(Opened { keys: Few::new(), all: None, ride });
        Ok((flight, ride, 0))
    }

    pub(super) fn list(&mut self, key: Hashed<K>) {
        if let Some(opened) = &mut self.opened {
            opened.keys.push(key);
        }
    }

    /// Keeps a ride on somebody else's flight, unless that flight waits for this very call.
    pub(super) fn ride_along(&mut self, mut ride: Ride<K, V>, place: usize) -> Boarded<V> {
        if let Some(ride) = self.known(ride.flight.id) {
            return Boarded::Riding { ride, place };
        }
        ride.waiting = ride.flight.wait();
        if let Some(waiting) = &ride.waiting {
            if waiting.is_circular() {
                return Boarded::Refused(Error::new(
                    ErrorKind::Reentrant,
                    "the load of a key fetched that key, itself or through another load: \
                     fetch what a load needs from another chain, or before it",
                ));
            }
            waiting.release_held();
        }
        Boarded::Riding { ride: self.keep(ride), place }
    }

    /// The ride on this flight.
    fn known(&self, id: FlightId) -> Option<usize> {
        let first = self.rides.first()?;
        if first.flight.id == id { Some(0) } else { self.known.get(&id).copied() }
    }

    fn keep(&mut self, ride: Ride<K, V>) -> usize {
        let index = self.rides.len();
        if index > 0 {
            self.known.insert(ride.flight.id, index);
        }
        self.rides.push(ride);
        index
    }
}

/// The way of one key to its outcome. It is small, so that it needs no box.
pub(crate) enum Trip<K, V>
where
    K: Clone + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Riding { ride: Ride<K, V>, place: usize },
    Over(Option<Box<Result<Entry<V>>>>),
}

impl<K, V> Future for Trip<K, V>
where
    K: Clone + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    type Output = Result<Entry<V>>;

    /// Out of the way, so that the code of a hit stays small.
    #[cold]
    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Riding { ride, place } => {
                ready!(ride.poll_unpin(context));
                let outcome = Flight::outcome(&mut ride.flight, *place);
                *self = Self::Over(None);
                Poll::Ready(outcome)
            }
            Self::Over(outcome) => match outcome.take() {
                Some(outcome) => Poll::Ready(*outcome),
                None => Poll::Pending,
            },
        }
    }
}

/// The same keys, in one allocation.
fn shared<K>(keys: Few<K>) -> Arc<[K]> {
    match keys.into_inner() {
        Ok([key]) => Arc::new([key]),
        Err(keys) => Arc::from(keys.into_vec()),
    }
}

impl<K, V> Drop for Boarding<K, V>
where
    K: Clone + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn drop(&mut self) {
        let Some(opened) = self.opened.take() else { return };
        let Some(ride) = self.rides.get(opened.ride) else { return };
        let error = Error::new(ErrorKind::Panicked, "while keys were looked up together");
        ride.fail(opened.all.as_deref().unwrap_or(&opened.keys), &error);
    }
}
