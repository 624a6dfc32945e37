//! Time: one monotonic clock for everything that counts lives.
//!
//! A [`Moment`] is a point on this process's own monotonic timeline. It never leaves the process:
//! what travels between machines is remaining life, so two wall clocks are never compared.

use std::fmt;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// A point in this process's monotonic time, one word wide also inside an `Option`.
///
/// ```
/// use headwater::Clock;
/// use std::time::Duration;
///
/// let now = Clock::system().now();
/// let later = now + Duration::from_secs(5);
/// assert!(later > now);
/// assert_eq!(later - now, Duration::from_secs(5));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(NonZeroU64);

impl Moment {
    /// The beginning of the timeline: no clock reads earlier than this.
    pub const START: Self = Self(NonZeroU64::MIN);
    /// The end of the timeline, some 584 years after its beginning.
    pub const END: Self = Self(NonZeroU64::MAX);

    /// As a number that is not 0, for a place that holds numbers.
    pub(crate) const fn bits(self) -> u64 {
        self.0.get()
    }

    /// The moment that [`bits`](Self::bits) are.
    pub(crate) const fn from_bits(bits: u64) -> Option<Self> {
        match NonZeroU64::new(bits) {
            Some(bits) => Some(Self(bits)),
            None => None,
        }
    }

    /// How long after `earlier` this is; zero if it is not.
    ///
    /// ```
    /// use headwater::Moment;
    /// use std::time::Duration;
    /// assert_eq!(Moment::START.since(Moment::END), Duration::ZERO);
    /// ```
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;
    /// Saturates at [`Moment::END`], so that "for ever" is no special case.
    fn add(self, span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl std::ops::Sub for Moment {
    type Output = Duration;
    /// Zero where the right side is later.
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Moment({:?})", self.since(Self::START))
    }
}

/// A future of nothing that ends when its moment has come.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a [`Clock`] gets its time from; implement it to drive time yourself.
///
/// ```
/// use headwater::{Clock, Moment, Sleep, TimeSource};
///
/// /// A clock that stands still.
/// #[derive(Debug)]
/// struct Stopped;
/// impl TimeSource for Stopped {
///     fn now(&self) -> Moment { Moment::START }
///     fn sleep_until(&self, _: Moment) -> Sleep { Box::pin(std::future::pending()) }
/// }
/// assert_eq!(Clock::new(Stopped).now(), Moment::START);
/// ```
pub trait TimeSource: Send + Sync + fmt::Debug + 'static {
    /// The present moment. Never goes back.
    fn now(&self) -> Moment;
    /// Ends when `now()` has reached `moment`.
    fn sleep_until(&self, moment: Moment) -> Sleep;
}

/// The clock of a chain and its tiers: the system's monotonic one, unless a test brings its own.
///
/// Give the same clock to a chain and to all of its tiers: moments of two clocks do not compare.
///
/// ```
/// let clock = headwater::Clock::system();
/// assert!(clock.now() <= clock.now());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<dyn TimeSource>>);

impl Clock {
    /// The system's monotonic clock; sleeping on it needs a tokio runtime with time enabled.
    #[must_use]
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that reads `time`.
    #[must_use]
    pub fn new(time: impl TimeSource) -> Self {
        Self(Some(Arc::new(time)))
    }

    /// Whether it is the system's, which goes on whatever happens.
    pub(crate) fn is_system(&self) -> bool {
        self.0.is_none()
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Moment {
        static ANCHOR: LazyLock<Instant> = LazyLock::new(Instant::now);
        match &self.0 {
            None => Moment::START + Instant::now().saturating_duration_since(*ANCHOR),
            Some(time) => time.now(),
        }
    }

    /// Ends after `span` on this clock.
    ///
    /// # Cancellation
    /// Dropping it costs nothing and leaves nothing behind.
    pub async fn sleep(&self, span: Duration) {
        match &self.0 {
            None => tokio::time::sleep(span).await,
            Some(time) => time.sleep_until(time.now() + span).await,
        }
    }
}
