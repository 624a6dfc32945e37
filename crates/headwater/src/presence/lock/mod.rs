//! [`Locks`]: leases on names, of which one owner at a time has each.

#[cfg(feature = "firestore")]
mod firestore;
mod held;
mod memory;
#[cfg(feature = "redis")]
mod redis;

pub use held::Lock;

#[cfg(feature = "firestore")]
use crate::firestore::FirestoreStore;
#[cfg(feature = "redis")]
use crate::redis::RedisStore;
use crate::token;
use crate::{Clock, Error, ErrorKind, Moment, Result};
use futures_util::future::{BoxFuture, select};
use held::{Asked, Claim};
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a lock lasts if nothing is said.
const TIME_TO_LIVE: Duration = Duration::from_secs(10);
/// The shortest lock: less would be over before its owner hears of it.
const LEAST: Duration = Duration::from_millis(20);
/// Between two attempts of one who waits, give or take.
const ATTEMPTS: std::ops::Range<u64> = 50..250;
/// ... but not less than this, however soon the lock should end.
const SOONEST: Duration = Duration::from_millis(5);

/// What an attempt to take a lock came to.
#[derive(Debug)]
enum Attempt {
    /// It is the owner's, with this fencing token.
    Taken(u64),
    /// Somebody else has it, for so long more unless they extend or release it.
    Held(Duration),
}

/// What a store says.
type Told<'a, T> = BoxFuture<'a, Result<T>>;

/// Where locks are kept. An owner that asks for what it has already gets it once more, with the
/// same fencing token: an attempt whose answer was lost may be made again.
trait LockStore: Send + Sync {
    fn acquire<'a>(&'a self, name: &'a str, owner: u128, ttl: Duration) -> Told<'a, Attempt>;

    /// Has the lock last for `ttl` from now on, if it is the owner's; whether it is.
    fn extend<'a>(&'a self, name: &'a str, owner: u128, ttl: Duration) -> Told<'a, bool>;

    /// Ends the lock, if it is the owner's; whether it was.
    fn release<'a>(&'a self, name: &'a str, owner: u128) -> Told<'a, bool>;

    /// Changes with each release, if the store can tell; without it who waits asks now and then: a
    /// connection for news would cost more than it saves.
    fn releases(&self) -> Option<watch::Receiver<()>> {
        None
    }
}

/// Locks by name, in memory, in Redis or in Firestore. Clones share them.
///
/// A lock is a lease: it ends by itself after its [time to live](Self::ttl), so that a crashed owner
/// holds up nobody for longer, and is [renewed](Self::renewed_for) only if told so.
///
/// # What is guaranteed (P5)
/// - One owner at a time has a lock *while the store keeps its data and its clock does not jump*, and
///   an owner that is paused does not notice that its time is over. So check
///   [`is_held`](Lock::is_held) or race [`lost`](Lock::lost), and for correctness hand
///   [`fence`](Lock::fence) to whatever is written to, and have that refuse smaller tokens than it
///   has seen. Without that a lock saves work, and no more.
/// - Fencing tokens of one name only grow, also after the store was emptied, restarted empty or failed
///   over: each is more than the last one and than the server's clock in microseconds. They can fall
///   back only if data is lost *and* the clock of the server then in charge is behind.
/// - A release, an extension or a renewal never touches a lock that somebody else has by now.
/// - Redis can give one lock twice when it loses what it confirmed: by a failover (it replicates
///   asynchronously), a restart without persistence, or eviction (use the policy `noeviction` or a
///   server of its own). Redlock is not offered: it too needs bounded pauses and clocks, and it has no
///   fencing.
/// - Firestore does not: each step there is serialised with all others and kept by a majority of
///   replicas before it is answered, and time is that of its commits. What is left is the owner that
///   is paused beyond its time, and for that the fencing token.
/// - Nobody is promised their turn: who waits asks again every 50 to 250 ms, in memory at once.
///
/// # In Redis
/// The lock `invoice` of namespace `shop` is the string `shop%lock:invoice`, holding its owner's
/// token, and its last fencing token is kept, for ever, as `{shop%lock:invoice}:fence`. With
/// `RedisConfig::go_compatible` the lock's key is the name as it is, so
/// that it excludes owners that use Go's `redislock` or `redsync` (with one pool) on that key; those
/// take no fencing tokens.
///
/// # In Firestore
/// The lock `invoice` is the document of that id (escaped or hashed, where it is none) in the
/// collection that it is given, with its `owner` and its last `fence`. To take one is a read and a
/// write, to extend or release it too, each billed; who waits is billed a read per attempt. A TTL
/// policy on `expires_at` may collect locks that nobody took for a day after they ended: the next
/// token then grows from the clock. Firestore takes about one change per second of one document for
/// long, so it is for locks that are held for a while.
///
/// ```
/// use headwater::presence::Locks;
/// use std::time::Duration;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let locks = Locks::memory().ttl(Duration::from_secs(5));
/// let Some(lock) = locks.acquire("invoice", Duration::from_secs(1)).await? else {
///     return Ok(()); // somebody else has it
/// };
/// assert!(locks.try_acquire("invoice").await?.is_none());
/// let fence = lock.fence(); // goes along with what is written
/// assert!(lock.release().await?);
/// assert!(locks.try_acquire("invoice").await?.is_some_and(|next| next.fence() > fence));
/// # Ok::<(), headwater::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Locks {
    store: Arc<dyn LockStore>,
    clock: Clock,
    ttl: Duration,
    longest: Option<Duration>,
}

impl Locks {
    /// Locks among the tasks of this process that share the value.
    #[must_use]
    pub fn memory() -> Self {
        Self::memory_by(Clock::system())
    }

    /// As [`memory`](Self::memory), by another clock than the system's monotonic one.
    #[must_use]
    pub fn memory_by(clock: Clock) -> Self {
        Self::on(memory::MemoryLocks::new(clock.clone()), clock)
    }

    /// Locks among all that use the same Redis and namespace.
    #[cfg(feature = "redis")]
    #[must_use]
    pub fn redis(store: &RedisStore) -> Self {
        Self::on(redis::RedisLocks::new(store), Clock::system())
    }

    /// Locks among all that use the same collection of the same Firestore database.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if `path` is no collection's; the message names it.
    #[cfg(feature = "firestore")]
    pub fn firestore(store: &FirestoreStore, path: impl AsRef<str>) -> Result<Self> {
        Ok(Self::on(firestore::FirestoreLocks::new(store, path.as_ref())?, Clock::system()))
    }

    fn on(store: impl LockStore + 'static, clock: Clock) -> Self {
        Self { store: Arc::new(store), clock, ttl: TIME_TO_LIVE, longest: None }
    }

    /// How long a lock lasts from when it was asked for, or renewed. At least 20 ms, at most a
    /// year. Default: 10 seconds.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl.clamp(LEAST, Duration::from_secs(365 * 24 * 3_600));
        self
    }

    /// Has locks renewed by a task, every third of their time to live, until they are released or
    /// dropped, but for no longer than `longest` after they were asked for: then they are lost.
    /// Default: they are not renewed.
    #[must_use]
    pub fn renewed_for(mut self, longest: Duration) -> Self {
        self.longest = Some(longest);
        self
    }

    /// Takes a lock, or `None` if somebody else has it.
    ///
    /// # Errors
    /// By what the store meets: [`ErrorKind::Unavailable`] or [`ErrorKind::Timeout`] if it is in
    /// trouble. Nobody knows then whether the lock was taken, so it is given back behind the caller
    /// for as long as it could last. [`ErrorKind::Timeout`] also if the answer came so late that the
    /// lock was over.
    ///
    /// # Cancellation
    /// What was asked for is given back behind the caller, in a task. At worst, with the store out of
    /// reach, a lock is left behind that ends by itself.
    pub async fn try_acquire(&self, name: &str) -> Result<Option<Lock>> {
        match self.attempt(name, token::unique()).await? {
            Ok(lock) => Ok(Some(lock)),
            Err(_) => Ok(None),
        }
    }

    /// Takes a lock, and waits for it for up to `wait`; `None` if somebody else had it all the time.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire), at the first attempt that fails.
    ///
    /// # Cancellation
    /// As [`try_acquire`](Self::try_acquire).
    pub async fn acquire(&self, name: &str, wait: Duration) -> Result<Option<Lock>> {
        let (owner, end) = (token::unique(), self.clock.now() + wait);
        let mut releases = self.store.releases();
        loop {
            if let Some(releases) = &mut releases {
                releases.mark_unchanged();
            }
            let left = match self.attempt(name, owner).await? {
                Ok(lock) => return Ok(Some(lock)),
                Err(left) => left,
            };
            let now = self.clock.now();
            if now >= end {
                return Ok(None);
            }
            let jitter = Duration::from_millis(fastrand::u64(ATTEMPTS));
            let pause = self.clock.sleep(left.min(jitter).max(SOONEST).min(end - now));
            match &mut releases {
                Some(releases) => {
                    select(pin!(pause), pin!(releases.changed())).await;
                }
                None => pause.await,
            }
        }
    }

    /// The lock, or how long somebody else has it.
    async fn attempt(
        &self,
        name: &str,
        owner: u128,
    ) -> Result<std::result::Result<Lock, Duration>> {
        let asked = self.clock.now();
        let claim = Claim {
            store: Arc::clone(&self.store),
            clock: self.clock.clone(),
            name: Arc::from(name),
            owner,
            ttl: self.ttl,
        };
        // From here on nobody knows whether the lock was taken, until the answer is here.
        let unsure = Asked::new(claim);
        match self.store.acquire(name, owner, self.ttl).await? {
            Attempt::Held(left) => {
                unsure.settled();
                Ok(Err(left))
            }
            Attempt::Taken(fence) => match Lock::begin(unsure, asked, fence, self.longest) {
                Some(lock) => Ok(Ok(lock)),
                None => {
                    let message = "the lock was over before the answer came";
                    Err(Error::new(ErrorKind::Timeout, message))
                }
            },
        }
    }
}

/// Until when an owner may rely on a lock that it asked for at `asked`: clocks drift.
fn reliable_until(asked: Moment, ttl: Duration) -> Moment {
    asked + (ttl - ttl / 100).saturating_sub(Duration::from_millis(2))
}

impl fmt::Debug for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Locks");
        debug.field("ttl", &self.ttl).field("longest", &self.longest).finish_non_exhaustive()
    }
}
