use super::{Attempt, LockStore, Told};
use crate::firestore::{Collection, Fate, Fields, FirestoreStore, Seen, field, life};
use crate::{Result, token};
use futures_util::FutureExt;
use std::time::Duration;

/// Whose a lock is; nobody's if it is missing.
const OWNER: &str = "owner";
/// The last fencing token.
const FENCE: &str = "fence";

/// So much longer than a lock is kept what its last token was.
const KEPT: Duration = Duration::from_secs(86_400);

/// Locks of all that use the same collection.
pub(super) struct FirestoreLocks {
    store: FirestoreStore,
    collection: Collection,
}

/// A lock's document as it was read.
struct Kept<'s> {
    owner: Option<&'s str>,
    fence: u64,
    /// What is left of its life.
    left: Duration,
}

impl FirestoreLocks {
    pub(super) fn new(store: &FirestoreStore, path: &str) -> Result<Self> {
        Ok(Self { store: store.clone(), collection: store.collection(path)? })
    }

    fn name(&self, name: &str) -> Result<String> {
        self.collection.document(name).map_err(|error| self.store.named(error))
    }

    /// Collected, if at all, a day late: until then the last token is known.
    fn fields(&self, owner: Option<&str>, fence: u64, seen: &Seen, ttl: Duration) -> Fields {
        let mut fields = life::fields_kept(self.store.latest(seen.at), ttl, KEPT);
        fields.insert(FENCE.to_owned(), field::number(fence));
        fields.extend(owner.map(|owner| (OWNER.to_owned(), field::text(owner))));
        fields
    }

    async fn take(&self, name: &str, owner: u128, ttl: Duration) -> Result<Attempt> {
        let (name, owner) = (self.name(name)?, token::written(owner));
        let decide = |seen: &Seen| {
            let kept = kept(seen);
            let fence = match kept.owner {
                Some(other) if other != owner => return Ok((Fate::Keep, Attempt::Held(kept.left))),
                // An attempt of this owner whose answer was lost.
                Some(_) => kept.fence,
                None => kept.fence.max(seen.at.micros()) + 1,
            };
            let fields = self.fields(Some(&owner), fence, seen, ttl);
            Ok((Fate::Set(fields), Attempt::Taken(fence)))
        };
        self.store.change(&name, decide).await
    }

    /// Has the lock last for so long from now on, or be nobody's, if it is the owner's.
    async fn settle(&self, name: &str, owner: u128, ttl: Option<Duration>) -> Result<bool> {
        let (name, owner) = (self.name(name)?, token::written(owner));
        let decide = |seen: &Seen| {
            let kept = kept(seen);
            if kept.owner != Some(&owner) {
                return Ok((Fate::Keep, false));
            }
            let owner = ttl.map(|_| owner.as_str());
            let fields = self.fields(owner, kept.fence, seen, ttl.unwrap_or_default());
            Ok((Fate::Set(fields), true))
        };
        self.store.change(&name, decide).await
    }
}

fn kept(seen: &Seen) -> Kept<'_> {
    let document = seen.document.as_ref();
    let left = |document| life::end(document).map_or(Duration::MAX, |end| end.since(seen.at));
    Kept {
        owner: seen.alive().and_then(|document| field::as_text(document, OWNER)),
        fence: document.and_then(|document| field::as_number(document, FENCE)).unwrap_or(0),
        left: document.map_or(Duration::ZERO, left),
    }
}

impl LockStore for FirestoreLocks {
    fn acquire<'a>(&'a self, name: &'a str, owner: u128, ttl: Duration) -> Told<'a, Attempt> {
        self.take(name, owner, ttl).boxed()
    }

    fn extend<'a>(&'a self, name: &'a str, owner: u128, ttl: Duration) -> Told<'a, bool> {
        self.settle(name, owner, Some(ttl)).boxed()
    }

    fn release<'a>(&'a self, name: &'a str, owner: u128) -> Told<'a, bool> {
        self.settle(name, owner, None).boxed()
    }
}
