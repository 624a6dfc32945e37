use super::boarding::Few;
use super::scope::{Node, Waiting, enter};
use super::table::{FlightId, Flights, Request};
use crate::sync::{Arc, Mutex, OnceLock};
use crate::{Entry, Error, ErrorKind, Hashed, Moment, Result};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::task::{ArcWake, waker};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// How a load ended: one outcome per key, and which keys stay registered because their fill goes on
/// behind the caller's back (until it ended, others may have the outcome from the flight). The keys
/// that are not told are not being stored.
pub(crate) struct Landing<V> {
    pub(crate) outcomes: Few<Result<Entry<V>>>,
    pub(crate) filling: Few<bool>,
    /// When it ended.
    pub(crate) at: Moment,
}

/// One load of one or more keys.
pub(crate) struct Flight<K, V> {
    pub(super) id: FlightId,
    pub(super) request: Request,
    pub(super) node: Arc<Node>,
    keys: OnceLock<Arc<[Hashed<K>]>>,
    outcomes: OnceLock<(Few<Result<Entry<V>>>, Moment)>,
    state: Mutex<State<V>>,
}

struct State<V> {
    load: Load<V>,
    /// How many rides there are; a flight without any is abandoned.
    riders: usize,
    seats: Seats,
}

/// Where the load is.
enum Load<V> {
    /// Keys are still being registered.
    Boarding,
    /// Nobody polls it just now.
    Idle(BoxFuture<'static, Landing<V>>),
    /// Somebody polls it; `woken` tells whether it was woken meanwhile.
    Polled { woken: bool },
    /// It ended; the outcomes are there.
    Landed,
    /// The last rider left before it ended.
    Abandoned,
}

/// The wakers of those who wait, each in the seat of its ride.
#[derive(Default)]
struct Seats {
    wakers: Few<Option<Waker>>,
    free: Few<usize>,
}

impl Seats {
    fn take_one(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.wakers.push(None);
            self.wakers.len() - 1
        })
    }

    fn leave(&mut self, seat: usize) -> Option<Waker> {
        self.free.push(seat);
        self.wakers[seat].take()
    }

    /// Puts a waker into a seat, and hands out the one that was there.
    fn wait(&mut self, seat: usize, waker: Waker) -> Option<Waker> {
        self.wakers[seat].replace(waker)
    }

    fn take_wakers(&mut self) -> Few<Waker> {
        self.wakers.iter_mut().filter_map(Option::take).collect()
    }
}

impl<K, V> Flight<K, V> {
    pub(super) fn boarding(id: FlightId, request: Request) -> Self {
        let state = State { load: Load::Boarding, riders: 0, seats: Seats::default() };
        Self {
            id,
            request,
            node: Arc::default(),
            keys: OnceLock::new(),
            outcomes: OnceLock::new(),
            state: Mutex::new(state),
        }
    }

    /// Takes a seat, unless everybody has left.
    pub(super) fn take_seat(&self) -> Option<usize> {
        let mut state = self.state.lock();
        if matches!(state.load, Load::Abandoned) {
            return None;
        }
        state.riders += 1;
        Some(state.seats.take_one())
    }

    /// All keys are registered: these.
    pub(super) fn list(&self, keys: Arc<[Hashed<K>]>) {
        let _ = self.keys.set(keys);
    }

    /// `load` may begin.
    pub(super) fn depart(&self, load: BoxFuture<'static, Landing<V>>) {
        let wakers = {
            let mut state = self.state.lock();
            state.load = Load::Idle(load);
            state.seats.take_wakers()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn keys(&self) -> &[Hashed<K>] {
        self.keys.get().map_or(&[], |keys| keys)
    }

    /// The outcome of the key in place `place`, once it landed. It is cloned, unless nobody else
    /// knows this flight any more; then it may be had once.
    pub(super) fn outcome(flight: &mut Arc<Self>, place: usize) -> Result<Entry<V>>
    where
        V: Clone,
    {
        let outcome = match Arc::get_mut(flight) {
            Some(alone) => alone
                .outcomes
                .get_mut()
                .and_then(|(outcomes, _)| outcomes.get_mut(place))
                .map(|outcome| std::mem::replace(outcome, Err(Error::not_found()))),
            None => flight.landed(place).map(|(outcome, _)| outcome.clone()),
        };
        outcome.unwrap_or_else(|| Err(Error::new(ErrorKind::Unexpected, "a load had no outcome")))
    }

    /// The outcome of the key in place `place`, and when it came, if the load has ended.
    pub(super) fn landed(&self, place: usize) -> Option<(&Result<Entry<V>>, Moment)> {
        let (outcomes, at) = self.outcomes.get()?;
        Some((outcomes.get(place)?, *at))
    }

    fn land(&self, outcomes: Few<Result<Entry<V>>>, at: Moment) {
        let _ = self.outcomes.set((outcomes, at));
        let wakers = {
            let mut state = self.state.lock();
            state.load = Load::Landed;
            state.seats.take_wakers()
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> ArcWake for Flight<K, V> {
    /// Wakes everybody who waits: the first of them to be polled goes on with the load.
    fn wake_by_ref(flight: &Arc<Self>) {
        let wakers = {
            let mut state = flight.state.lock();
            if let Load::Polled { woken } = &mut state.load {
                *woken = true;
            }
            state.seats.take_wakers()
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// A place in a flight: ends when the flight has landed. Dropping it leaves the flight, and the
/// last to leave abandons the load.
pub(crate) struct Ride<K, V>
where
    K: Clone + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) flights: Arc<Flights<K, V>>,
    pub(super) flight: Arc<Flight<K, V>>,
    pub(super) seat: usize,
    /// That the current load waits for this flight, if a load made this ride.
    pub(super) waiting: Option<Waiting>,
    /// Whether it goes on in the background for riders who all left.
    pub(super) is_heir: bool,
}

impl<K, V> Ride<K, V>
where
    K: Clone + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Takes the load out for a poll, if it is there; otherwise waits to be woken.
    fn take_load(&self, waker: &Waker) -> Turn<V> {
        // Cloned before the lock and dropped after it: a waker may be more than a pointer.
        let waker = waker.clone();
        let before;
        let turn = {
            let mut state = self.flight.state.lock();
            if matches!(state.load, Load::Landed) {
                return Turn::Over;
            }
            before = state.seats.wait(self.seat, waker);
            match std::mem::replace(&mut state.load, Load::Polled { woken: false }) {
                Load::Idle(load) => Turn::Poll(load),
                other => {
                    state.load = other;
                    Turn::Wait
                }
            }
        };
        drop(before);
        turn
    }

    /// Polls the load; what a panic leaves behind is an error for everybody.
    fn poll_load(
        &self,
        load: &mut BoxFuture<'static, Landing<V>>,
    ) -> Poll<Result<Landing<V>, Error>> {
        let waker = waker(Arc::clone(&self.flight));
        let _entered = enter(&self.flight.node);
        AssertUnwindSafe(load)
            .catch_unwind()
            .poll_unpin(&mut Context::from_waker(&waker))
            .map_err(|panic| panicked(panic.as_ref()))
    }

    /// Puts the load back; whoever was polled meanwhile could not take it and is woken again.
    fn put_back(&self, load: BoxFuture<'static, Landing<V>>) {
        let wakers = {
            let mut state = self.flight.state.lock();
            let was_woken = matches!(state.load, Load::Polled { woken: true });
            state.load = Load::Idle(load);
            if was_woken { state.seats.take_wakers() } else { Few::new() }
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Ends a flight that has not departed: everybody who boarded gets `error`.
    pub(super) fn fail(&self, keys: Arc<[Hashed<K>]>, error: &Error) {
        self.flight.list(keys);
        self.land(Err(error.clone()));
    }

    fn land(&self, landing: Result<Landing<V>, Error>) {
        let keys = self.flight.keys();
        let landing = landing.unwrap_or_else(|error| Landing {
            outcomes: keys.iter().map(|_| Err(error.clone())).collect(),
            filling: Few::new(),
            at: Moment::START,
        });
        self.flight.land(landing.outcomes, landing.at);
        for (place, key) in keys.iter().enumerate() {
            if !landing.filling.get(place).copied().unwrap_or(false) {
                self.flights.retire(self.flight.id, key);
            }
        }
    }
}

/// What there is to do for a ride that is polled.
enum Turn<V> {
    Over,
    Wait,
    Poll(BoxFuture<'static, Landing<V>>),
}

/// The error of whoever waited for something that panicked.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let said = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Error::new(ErrorKind::Panicked, said)
}

impl<K, V> Future for Ride<K, V>
where
    K: Clone + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut load = match self.take_load(context.waker()) {
            Turn::Over => return Poll::Ready(()),
            Turn::Wait => return Poll::Pending,
            Turn::Poll(load) => load,
        };
        match self.poll_load(&mut load) {
            Poll::Ready(landing) => {
                self.land(landing);
                Poll::Ready(())
            }
            Poll::Pending => {
                self.put_back(load);
                Poll::Pending
            }
        }
    }
}

impl<K, V> Drop for Ride<K, V>
where
    K: Clone + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn drop(&mut self) {
        let mut left_behind = None;
        let mut heir = None;
        let own_waker = {
            let mut state = self.flight.state.lock();
            state.riders -= 1;
            let own_waker = state.seats.leave(self.seat);
            // Whoever is left needs no wake-up: what wakes the load wakes all.
            let is_abandoned =
                state.riders == 0 && matches!(state.load, Load::Idle(_) | Load::Boarding);
            let is_begun = matches!(state.load, Load::Idle(_));
            if is_abandoned && is_begun && !self.is_heir && self.flights.has_heirs() {
                state.riders = 1;
                heir = Some(state.seats.take_one());
            } else if is_abandoned {
                left_behind = Some(std::mem::replace(&mut state.load, Load::Abandoned));
            }
            own_waker
        };
        drop(own_waker);
        if let Some(seat) = heir {
            self.flights.inherit(Ride {
                flights: Arc::clone(&self.flights),
                flight: Arc::clone(&self.flight),
                seat,
                waiting: None,
                is_heir: true,
            });
        }
        if let Some(load) = left_behind {
            self.flight.keys().iter().for_each(|key| self.flights.retire(self.flight.id, key));
            drop(load);
        }
    }
}
