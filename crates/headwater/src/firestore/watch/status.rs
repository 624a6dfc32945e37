use crate::observe::Counter;
use crate::sync::Mutex;
use crate::{Clock, Error, Moment};
use std::time::Duration;
use tokio::sync::watch;

/// What a [`Watch`](super::Watch) is doing.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WatchState {
    /// It hears of changes at once, and has passed all of them on.
    Live,
    /// Another process of the fleet does.
    Following,
    /// It listens, and has not yet heard, or not yet passed on, all that changed before.
    CatchingUp,
    /// Changes are not heard of, or cannot be passed on: [`WatchStatus::error`] says why. Entries live
    /// as long as their tiers let them.
    Down,
    /// It was closed, or the chain was.
    Closed,
}

impl WatchState {
    /// Whether what the tiers have is kept up with the source.
    ///
    /// ```
    /// use headwater::firestore::WatchState;
    /// assert!(WatchState::Following.is_prompt() && !WatchState::CatchingUp.is_prompt());
    /// ```
    #[must_use]
    pub const fn is_prompt(self) -> bool {
        matches!(self, Self::Live | Self::Following)
    }
}

/// How a [`Watch`](super::Watch) stands.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct WatchStatus {
    /// What it is doing.
    pub state: WatchState,
    /// How long it has been doing that.
    pub for_long: Duration,
    /// Whatever had changed so long ago has been passed on, and more may have. While all is well it is
    /// less than [`silence`](super::WatchBuilder::silence), and for those who follow not much more
    /// than that and [`takeover`](super::WatchBuilder::takeover), because they hear of the listener
    /// now and then; that says nothing of how soon changes arrive, which is at once. `None` if nothing
    /// is known yet.
    pub lag: Option<Duration>,
    /// What went wrong last, if nothing has gone well since.
    pub error: Option<Error>,
}

/// What a [`Watch`](super::Watch) has counted so far. Counters only grow.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchStats {
    /// Documents that the server has sent, those of beginnings too, and answers to probes: each is
    /// billed as one read.
    pub reads: u64,
    /// Changes of documents, deletions among them.
    pub changes: u64,
    /// Keys that were invalidated in all tiers.
    pub invalidations: u64,
    /// Entries that were put into all tiers.
    pub fills: u64,
    /// How often everything was invalidated, because nobody knew what had changed.
    pub clears: u64,
    /// Streams that were begun.
    pub streams: u64,
    /// Streams that broke, fell silent or were refused.
    pub breaks: u64,
    /// Questions on streams that were silent.
    pub probes: u64,
    /// How often a tier could not be told; it is told again.
    pub failures: u64,
    /// Documents that do not fit the type of values, and were invalidated instead of filled.
    pub undecodable: u64,
    /// Keys that a tier refuses, and so cannot have.
    pub refused: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) reads: Counter,
    pub(super) changes: Counter,
    pub(super) invalidations: Counter,
    pub(super) fills: Counter,
    pub(super) clears: Counter,
    pub(super) streams: Counter,
    pub(super) breaks: Counter,
    pub(super) probes: Counter,
    pub(super) failures: Counter,
    pub(super) undecodable: Counter,
    pub(super) refused: Counter,
}

/// What everybody who has a part in a watch tells, and its owner reads.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) clock: Clock,
    pub(super) counters: Counters,
    told: Mutex<Told>,
    bell: watch::Sender<()>,
}

#[derive(Debug)]
struct Told {
    state: WatchState,
    since: Moment,
    /// When it was learned last that all had been passed on, and how long before it may have been.
    covered: Option<(Moment, Duration)>,
    error: Option<Error>,
    /// The stream that is listened to and has caught up.
    stream: Option<u64>,
}

impl Board {
    pub(super) fn new(clock: Clock) -> Self {
        let told = Told {
            state: WatchState::CatchingUp,
            since: clock.now(),
            covered: None,
            error: None,
            stream: None,
        };
        let bell = watch::Sender::new(());
        Self { clock, counters: Counters::default(), told: Mutex::new(told), bell }
    }

    /// A stream begins to be listened to.
    pub(super) fn listening(&self) {
        self.turn(|told| {
            told.stream = None;
            Some(WatchState::CatchingUp)
        });
    }

    /// A stream has said all that had changed before it began.
    pub(super) fn current(&self, stream: u64) {
        self.told.lock().stream = Some(stream);
    }

    /// All that was heard on a stream until then has been passed on.
    pub(super) fn covered(&self, stream: u64, until: Moment) {
        self.turn(|told| {
            if told.stream != Some(stream) {
                return None;
            }
            told.covered = Some((until, Duration::ZERO));
            told.error = None;
            Some(WatchState::Live)
        });
    }

    /// Another process has told, at most so long ago, that all had been passed on.
    pub(super) fn following(&self, margin: Duration) {
        let now = self.clock.now();
        self.turn(|told| {
            told.covered = Some((now, margin));
            told.error = None;
            Some(WatchState::Following)
        });
    }

    /// A tier could not be told.
    pub(super) fn failed(&self, error: Error) {
        self.counters.failures.add(1);
        self.turn(|told| {
            told.error = Some(error);
            Some(WatchState::Down)
        });
    }

    /// Nothing is heard.
    pub(super) fn deaf(&self, error: Error) {
        self.turn(|told| {
            told.stream = None;
            told.error = Some(error);
            Some(WatchState::Down)
        });
    }

    /// It is over, for good.
    pub(super) fn closed(&self, error: Option<Error>) {
        self.turn(|told| {
            told.error = error.or(told.error.take());
            Some(WatchState::Closed)
        });
    }

    /// Changes what is told, and rings if the state is another one then. What is closed stays so.
    fn turn(&self, change: impl FnOnce(&mut Told) -> Option<WatchState>) {
        let now = self.clock.now();
        let mut told = self.told.lock();
        if told.state == WatchState::Closed {
            return;
        }
        let turned = change(&mut told).filter(|state| *state != told.state);
        if let Some(state) = turned {
            (told.state, told.since) = (state, now);
        }
        drop(told);
        if turned.is_some() {
            self.bell.send_replace(());
        }
    }

    pub(super) fn state(&self) -> WatchState {
        self.told.lock().state
    }

    pub(super) fn status(&self) -> WatchStatus {
        let now = self.clock.now();
        let told = self.told.lock();
        WatchStatus {
            state: told.state,
            for_long: now - told.since,
            lag: told.covered.map(|(covered, margin)| now - covered + margin),
            error: told.error.clone(),
        }
    }

    /// Ends when the state is one that `is_it`, or it is closed.
    pub(super) async fn reaches(&self, is_it: impl Fn(WatchState) -> bool) -> WatchState {
        let mut bell = self.bell.subscribe();
        loop {
            bell.borrow_and_update();
            let state = self.state();
            if is_it(state) || state == WatchState::Closed || bell.changed().await.is_err() {
                return state;
            }
        }
    }
}

impl Board {
    /// Ends when it has been down for so long from now on, without a break.
    pub(super) async fn is_down_for(&self, span: Duration) {
        let began = self.clock.now();
        loop {
            if self.reaches(|state| state == WatchState::Down).await == WatchState::Closed {
                return std::future::pending().await;
            }
            let since = self.told.lock().since;
            self.clock.sleep(since.max(began) + span - self.clock.now()).await;
            let told = self.told.lock();
            if (told.state, told.since) == (WatchState::Down, since) {
                return;
            }
        }
    }
}

impl Counters {
    pub(super) fn snapshot(&self) -> WatchStats {
        WatchStats {
            reads: self.reads.get(),
            changes: self.changes.get(),
            invalidations: self.invalidations.get(),
            fills: self.fills.get(),
            clears: self.clears.get(),
            streams: self.streams.get(),
            breaks: self.breaks.get(),
            probes: self.probes.get(),
            failures: self.failures.get(),
            undecodable: self.undecodable.get(),
            refused: self.refused.get(),
        }
    }
}
