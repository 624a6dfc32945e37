use super::boarding::Few;
use super::scope::{Loading, Node, Waiting, current_node, enter};
use super::table::{FlightId, Flights, Request};
use crate::sync::{Arc, Mutex, OnceLock};
use crate::{Entry, Error, ErrorKind, Hashed, Moment, Result};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::task::{ArcWake, waker_ref};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// How a load ended: one outcome per key, and of which keys it is not the landing that ends the
/// registration: the load has done so, or their fill goes on behind the caller's back, and will (until
/// then, others may have the outcome from the flight). Of keys that are not told, it is.
pub(crate) struct Landing<V> {
    pub(crate) outcomes: Few<Result<Entry<V>>>,
    pub(crate) settled: Few<bool>,
    /// When it ended.
    pub(crate) at: Moment,
}

/// A load, and the keys that are registered for it.
pub(super) struct UnderWay<K, V> {
    pub(super) keys: Arc<[Hashed<K>]>,
    pub(super) load: BoxFuture<'static, Landing<V>>,
}

/// One load of one or more keys.
pub(crate) struct Flight<K, V> {
    pub(super) id: FlightId,
    pub(super) request: Request,
    node: OnceLock<Arc<Node>>,
    outcomes: OnceLock<(Few<Result<Entry<V>>>, Moment)>,
    state: Mutex<State<K, V>>,
}

struct State<K, V> {
    load: Load<K, V>,
    /// How many rides there are that have not seen it land; a flight without any before that is abandoned.
    riders: usize,
    seats: Seats,
}

/// Where the load is.
enum Load<K, V> {
    /// Keys are still being registered.
    Boarding,
    /// Nobody polls it just now.
    Idle(UnderWay<K, V>),
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

    /// Puts a waker into a seat, in exchange for the one that was there.
    fn wait(&mut self, seat: usize, waker: &mut Option<Waker>) {
        std::mem::swap(&mut self.wakers[seat], waker);
    }

    fn take_wakers(&mut self) -> Few<Waker> {
        self.wakers.iter_mut().filter_map(Option::take).collect()
    }
}

impl<K, V> Flight<K, V> {
    /// A flight with one rider, and its seat.
    pub(super) fn boarding(id: FlightId, request: Request) -> (Self, usize) {
        let mut seats = Seats::default();
        let seat = seats.take_one();
        let state = State { load: Load::Boarding, riders: 1, seats };
        let flight = Self {
            id,
            request,
            node: OnceLock::new(),
            outcomes: OnceLock::new(),
            state: Mutex::new(state),
        };
        (flight, seat)
    }

    /// Notes that the current load, if there is one, waits for this one until the result is dropped.
    pub(super) fn wait(&self) -> Option<Waiting> {
        Some(Waiting::new(current_node()?, Arc::clone(self.own_node())))
    }

    /// How many loads at the most stand one inside the other above this one.
    pub(super) fn depth(&self) -> usize {
        self.node.get().map_or(0, |node| node.depth())
    }

    fn own_node(&self) -> &Arc<Node> {
        self.node.get_or_init(Arc::default)
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

    /// All keys are registered, and the load may begin.
    pub(super) fn depart(&self, load: UnderWay<K, V>) {
        let wakers = {
            let mut state = self.state.lock();
            state.load = Load::Idle(load);
            state.seats.take_wakers()
        };
        wakers.into_iter().for_each(Waker::wake);
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

impl<K: Send + Sync, V: Send + Sync> Loading for Flight<K, V> {
    fn node(self: Arc<Self>) -> Arc<Node> {
        Arc::clone(self.own_node())
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
    /// Whether it has seen the flight land.
    pub(super) is_over: bool,
}

impl<K, V> Ride<K, V>
where
    K: Clone + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Takes the load out for a poll, if it is there; otherwise waits to be woken.
    fn take_load(&self, waker: &mut Option<Waker>) -> Turn<K, V> {
        let mut state = self.flight.state.lock();
        match std::mem::replace(&mut state.load, Load::Polled { woken: false }) {
            Load::Idle(load) => return Turn::Poll(load),
            other => state.load = other,
        }
        if matches!(state.load, Load::Landed) {
            return Turn::Over;
        }
        state.seats.wait(self.seat, waker);
        Turn::Wait
    }

    /// Polls the load; what a panic leaves behind is an error for everybody.
    fn poll_load(
        &self,
        load: &mut BoxFuture<'static, Landing<V>>,
    ) -> Poll<Result<Landing<V>, Error>> {
        let waker = waker_ref(&self.flight);
        let _entered = enter(Arc::clone(&self.flight) as _);
        AssertUnwindSafe(load)
            .catch_unwind()
            .poll_unpin(&mut Context::from_waker(&waker))
            .map_err(panicked)
    }

    /// Puts the load back and waits to be woken. If the load was woken while it was polled, everybody is: who
    /// was polled meanwhile could not take it.
    fn put_back(&self, load: UnderWay<K, V>, waker: &mut Option<Waker>) {
        let wakers = {
            let mut state = self.flight.state.lock();
            let was_woken = matches!(state.load, Load::Polled { woken: true });
            state.load = Load::Idle(load);
            state.seats.wait(self.seat, waker);
            if was_woken { state.seats.take_wakers() } else { Few::new() }
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Ends a flight that has not departed: everybody who boarded gets `error`.
    pub(super) fn fail(&self, keys: &[Hashed<K>], error: &Error) {
        self.land(keys, Err(error.clone()));
    }

    fn land(&self, keys: &[Hashed<K>], landing: Result<Landing<V>, Error>) {
        let landing = landing.unwrap_or_else(|error| Landing {
            outcomes: keys.iter().map(|_| Err(error.clone())).collect(),
            settled: Few::new(),
            at: Moment::START,
        });
        self.flight.land(landing.outcomes, landing.at);
        for (place, key) in keys.iter().enumerate() {
            if !landing.settled.get(place).copied().unwrap_or(false) {
                self.flights.retire(self.flight.id, key);
            }
        }
    }
}

/// What there is to do for a ride that is polled.
enum Turn<K, V> {
    Over,
    Wait,
    Poll(UnderWay<K, V>),
}

/// The error of whoever waited for something that panicked.
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Error {
    let said = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    // What somebody panicked with may panic once more when it is dropped, and others wait for this.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
    Error::new(ErrorKind::Panicked, said)
}

impl<K, V> Future for Ride<K, V>
where
    K: Clone + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.is_over {
            return Poll::Ready(());
        }
        // Cloned before the lock and dropped after it: a waker may be more than a pointer.
        let waker = &mut Some(context.waker().clone());
        match self.take_load(waker) {
            Turn::Over => {}
            Turn::Wait => return Poll::Pending,
            Turn::Poll(mut under_way) => match self.poll_load(&mut under_way.load) {
                Poll::Ready(landing) => self.land(&under_way.keys, landing),
                Poll::Pending => {
                    self.put_back(under_way, waker);
                    return Poll::Pending;
                }
            },
        }
        self.is_over = true;
        Poll::Ready(())
    }
}

impl<K, V> Drop for Ride<K, V>
where
    K: Clone + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn drop(&mut self) {
        // A flight that has landed needs no riders.
        if self.is_over {
            return;
        }
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
                left_behind = match std::mem::replace(&mut state.load, Load::Abandoned) {
                    Load::Idle(under_way) => Some(under_way),
                    _ => None,
                };
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
                is_over: false,
            });
        }
        if let Some(UnderWay { keys, load }) = left_behind {
            keys.iter().for_each(|key| self.flights.retire(self.flight.id, key));
            drop(load);
        }
    }
}
