//! What a policy notes about one entry, in two bytes beside it.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use crate::memory::lists::List;

/// The most uses that are told apart.
const MOST_USES: u8 = 3;

/// How often an entry was used lately, up to [`MOST_USES`], and in which queue it is.
///
/// A hit may note its use at any time. Two at once may count as one, and one may undo what the policy
/// notes at the same moment: it is an estimate anyway. Once the count has reached its end, a hit writes
/// nothing, so that threads do not take each other's copy of the line. The queue is no estimate, and
/// is written by the policy only.
#[derive(Debug, Default)]
pub(in crate::memory) struct Mark {
    uses: AtomicU8,
    queue: AtomicU8,
}

impl Mark {
    /// Notes a use.
    #[inline]
    pub(in crate::memory) fn bump(&self) {
        let uses = self.uses.load(Relaxed);
        if uses < MOST_USES {
            self.uses.store(uses + 1, Relaxed);
        }
    }

    /// Takes one use back, if there is one.
    pub(in crate::memory) fn spend(&self) -> bool {
        let uses = self.uses.load(Relaxed);
        if uses > 0 {
            self.uses.store(uses - 1, Relaxed);
        }
        uses > 0
    }

    pub(in crate::memory) fn is_used(&self) -> bool {
        self.uses.load(Relaxed) > 0
    }

    /// Notes that the entry enters a queue, and keeps its uses.
    pub(in crate::memory) fn enter(&self, list: List) {
        self.queue.store(u8::from(list == List::Small), Relaxed);
    }

    /// Notes that the entry enters main, and forgets its uses.
    pub(in crate::memory) fn begin_anew(&self) {
        self.uses.store(0, Relaxed);
        self.enter(List::Main);
    }

    /// The queue of a found entry.
    pub(in crate::memory) fn list(&self) -> List {
        if self.queue.load(Relaxed) == 0 { List::Main } else { List::Small }
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
