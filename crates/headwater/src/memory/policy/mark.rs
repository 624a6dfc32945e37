//! What a policy notes about one entry, in one byte beside it.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use crate::memory::lists::List;

/// The most uses that are told apart; also the bits that count them.
const MOST_USES: u8 = 3;

/// Set for an entry in small.
const IN_SMALL: u8 = 4;

/// How often an entry was used lately, up to [`MOST_USES`], and in which queue it is.
///
/// A hit may note its use while others read the entry. Two at once may count as one: it is an
/// estimate anyway. Once the count has reached its end, a hit writes nothing, so that threads do
/// not take each other's copy of the line.
#[derive(Debug, Default)]
pub(in crate::memory) struct Mark(AtomicU8);

impl Mark {
    /// Notes a use.
    #[inline]
    pub(in crate::memory) fn bump(&self) {
        let bits = self.0.load(Relaxed);
        if bits & MOST_USES < MOST_USES {
            self.0.store(bits + 1, Relaxed);
        }
    }

    /// Takes one use back, if there is one.
    pub(in crate::memory) fn spend(&self) -> bool {
        let is_used = self.is_used();
        if is_used {
            self.0.store(self.0.load(Relaxed) - 1, Relaxed);
        }
        is_used
    }

    pub(in crate::memory) fn is_used(&self) -> bool {
        self.0.load(Relaxed) & MOST_USES > 0
    }

    /// Notes that the entry enters a queue, and keeps its uses.
    pub(in crate::memory) fn enter(&self, list: List) {
        let uses = self.0.load(Relaxed) & MOST_USES;
        self.0.store(uses | if list == List::Small { IN_SMALL } else { 0 }, Relaxed);
    }

    /// Notes that the entry enters main, and forgets its uses.
    pub(in crate::memory) fn begin_anew(&self) {
        self.0.store(0, Relaxed);
    }

    /// The queue of a found entry.
    pub(in crate::memory) fn list(&self) -> List {
        if self.0.load(Relaxed) & IN_SMALL == 0 { List::Main } else { List::Small }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_counted_to_their_end_and_spent_one_by_one() {
        let mark = Mark::default();
        assert!(!mark.is_used() && !mark.spend());
        (0..10).for_each(|_| mark.bump());
        assert_eq!((0..10).filter(|_| mark.spend()).count(), usize::from(MOST_USES));
        mark.enter(List::Small);
        (0..10).for_each(|_| mark.bump());
        assert_eq!(mark.list(), List::Small);
        mark.enter(List::Main);
        assert!(mark.is_used() && mark.list() == List::Main);
        mark.begin_anew();
        assert!(!mark.is_used());
    }
}
