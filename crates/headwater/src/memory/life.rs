//! How long an entry may live in a tier: the shortest of what anybody says.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use crate::{Clock, Entry, Moment};

/// The present moment for one operation. The clock is read only if somebody asks, and once.
pub(super) struct Now<'a> {
    clock: &'a Clock,
    read: Cell<Option<Moment>>,
}

impl<'a> Now<'a> {
    pub(super) fn new(clock: &'a Clock) -> Self {
        Self { clock, read: Cell::new(None) }
    }

    pub(super) fn get(&self) -> Moment {
        self.read.get().unwrap_or_else(|| {
            let now = self.clock.now();
            self.read.set(Some(now));
            now
        })
    }

    /// Whether a life that ends then, if ever, goes on.
    pub(super) fn is_before(&self, end: Option<Moment>) -> bool {
        end.is_none_or(|end| self.get() < end)
    }
}

/// A life decided from the value.
type LifeOf<K, V> = Box<dyn Fn(&K, &V) -> Option<Duration> + Send + Sync>;

/// A tier's rules for lives counted from the put.
pub(super) struct Life<K: ?Sized, V> {
    pub(super) time_to_live: Option<Duration>,
    pub(super) time_to_live_with: Option<LifeOf<K, V>>,
    pub(super) absent_ttl: Duration,
    /// From 0 to 1.
    pub(super) jitter: f64,
}

impl<K: ?Sized, V> Life<K, V> {
    /// The entry with its life cut to these rules. An end that it has already can only come nearer
    /// (R5). The clock is read only if some rule applies.
    ///
    /// An end that is within these rules already is left alone, jitter or not: it was drawn when the
    /// entry began its way through the tiers, and a faster tier goes by it. Drawn once more when the
    /// entry is put, it would end here before it ends there.
    #[inline]
    pub(super) fn shorten(&self, key: &K, mut entry: Entry<V>, clock: &Clock) -> Entry<V> {
        if (self.has_rules() || entry.is_absent())
            && let Some(end) = self.end(key, &entry, clock)
        {
            entry.shorten(Some(end));
        }
        entry
    }

    /// Whether the life of a found value is bounded.
    #[inline]
    pub(super) fn has_rules(&self) -> bool {
        self.time_to_live.is_some() || self.time_to_live_with.is_some()
    }

    /// When these rules end its life, if that is before it ends anyway.
    #[inline(never)]
    fn end(&self, key: &K, entry: &Entry<V>, clock: &Clock) -> Option<Moment> {
        let span = match entry.value() {
            None => self.absent_ttl,
            Some(value) => {
                let own = self.time_to_live_with.as_ref().and_then(|life| life(key, value));
                own.into_iter().chain(self.time_to_live).min()?
            }
        };
        let now = clock.now();
        let ends_before = entry.expiry().is_some_and(|end| end <= now + span);
        (!ends_before).then(|| now + jittered(span, self.jitter))
    }
}

impl<K: ?Sized, V> fmt::Debug for Life<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Life")
            .field("time_to_live", &self.time_to_live)
            .field("time_to_live_with", &self.time_to_live_with.is_some())
            .field("absent_ttl", &self.absent_ttl)
            .field("jitter", &self.jitter)
            .finish()
    }
}

/// `span`, shortened at random by less than `fraction` of it, so that what was stored together
/// does not die together. Drawn from this thread's generator: no state, no lock.
fn jittered(span: Duration, fraction: f64) -> Duration {
    if fraction == 0.0 {
        return span;
    }
    // Clocks count nanoseconds in 64 bits, so nothing longer can be told from this.
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    let cut = nanos as f64 * fraction * fastrand::f64();
    Duration::from_nanos(nanos.saturating_sub(cut as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_its_fraction_and_uses_all_of_it() {
        fastrand::seed(7);
        let span = Duration::from_secs(100);
        let lives: Vec<Duration> = (0..10_000).map(|_| jittered(span, 0.25)).collect();
        let (least, most) = (lives.iter().min().unwrap(), lives.iter().max().unwrap());
        assert!(*least >= Duration::from_secs(75) && *least < Duration::from_secs(76));
        assert!(*most <= span && *most > Duration::from_secs(99));
    }

    #[test]
    fn jitter_has_no_trouble_at_the_ends() {
        fastrand::seed(7);
        assert_eq!(jittered(Duration::MAX, 0.0), Duration::MAX);
        assert_eq!(jittered(Duration::ZERO, 1.0), Duration::ZERO);
        for _ in 0..1_000 {
            assert!(jittered(Duration::MAX, 1.0) > Duration::ZERO);
            assert_eq!(jittered(Duration::from_nanos(1), 1.0), Duration::from_nanos(1));
        }
    }

    #[test]
    fn an_end_within_the_rules_is_not_drawn_again() {
        fastrand::seed(7);
        let clock = Clock::system();
        let life = Life::<str, u8> {
            time_to_live: Some(Duration::from_secs(100)),
            time_to_live_with: None,
            absent_ttl: Duration::from_secs(100),
            jitter: 0.5,
        };
        for entry in [Entry::found(1), Entry::absent()] {
            let drawn = life.shorten("", entry, &clock);
            for _ in 0..100 {
                assert_eq!(life.shorten("", drawn.clone(), &clock), drawn);
            }
        }
    }

    #[test]
    fn life_is_the_shortest_of_all_rules_and_the_entrys_own() {
        let clock = Clock::system();
        let seconds = Duration::from_secs;
        let life = |ttl: Option<u64>, with: Option<u64>| Life::<str, u8> {
            time_to_live: ttl.map(seconds),
            time_to_live_with: Some(Box::new(move |_, _| with.map(seconds))),
            absent_ttl: seconds(60),
            jitter: 0.0,
        };
        let far = clock.now() + seconds(1_000);
        let near = clock.now() + seconds(1);
        let cut = |life: &Life<str, u8>, entry: Entry<u8>| life.shorten("", entry, &clock).expiry();
        let found = || Entry::found(1);

        assert_eq!(cut(&life(None, None), found()), None);
        assert_eq!(cut(&life(None, None), found().expires_at(far)), Some(far));
        assert_eq!(cut(&life(Some(10), Some(20)), found().expires_at(near)), Some(near));
        for (ttl, with) in [(Some(10), Some(20)), (Some(20), Some(10)), (Some(10), None)] {
            let expiry = cut(&life(ttl, with), found().expires_at(far)).unwrap();
            assert!(expiry > clock.now() + seconds(9) && expiry <= clock.now() + seconds(10));
        }
        let absent = cut(&life(Some(1), None), Entry::absent()).unwrap();
        assert!(absent > clock.now() + seconds(59), "absents have a life of their own");
    }
}
