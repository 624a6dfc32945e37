use super::{Record, Saved, SessionId, SessionStore};
use crate::Result;
use crate::firestore::{Collection, Fate, Fields, FirestoreStore, Seen, field, life};
use ::firestore::gcloud_sdk::google::firestore::v1::Document;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::time::Duration;

const SECRET: &str = "secret";
const REVISION: &str = "revision";
const MARK: &str = "mark";
const USER: &str = "user";
const DATA: &str = "data";
/// What a use changes.
const USED: &[&str] = &[life::AFTER, life::AT];
const SAVED: &[&str] = &[life::AFTER, life::AT, REVISION, DATA];
const ROTATED: &[&str] = &[life::AFTER, life::AT, SECRET];

/// Sessions of all that use the same collection: documents `session:HANDLE`, and `user:NAME` for the
/// marks.
pub(super) struct FirestoreSessions {
    store: FirestoreStore,
    collection: Collection,
}

impl FirestoreSessions {
    pub(super) fn new(store: &FirestoreStore, path: &str) -> Result<Self> {
        Ok(Self { store: store.clone(), collection: store.collection(path)? })
    }

    fn name(&self, what: &str, id: &str) -> Result<String> {
        let name = self.collection.document(format!("{what}:{id}").as_str());
        name.map_err(|error| self.store.named(error))
    }

    /// The fields of a life that begins now.
    fn life(&self, seen: &Seen, ttl: Duration) -> Fields {
        life::fields(self.store.latest(seen.at), ttl)
    }

    /// What `change` makes of a session that lives; `gone` if none does.
    async fn with<T: Clone>(
        &self,
        id: &SessionId,
        gone: T,
        mut change: impl FnMut(&Seen, &Document) -> Result<(Fate, T)>,
    ) -> Result<T> {
        let name = self.name("session", id.handle())?;
        let decide = |seen: &Seen| match seen.alive() {
            Some(document) if field::as_text(document, SECRET) == Some(id.secret()) => {
                change(seen, document)
            }
            _ => Ok((Fate::Keep, gone.clone())),
        };
        self.store.change(&name, decide).await
    }

    fn record(&self, document: &Document) -> Result<Record> {
        let parts = field::as_number(document, REVISION)
            .zip(field::as_number(document, MARK))
            .zip(field::as_bytes(document, DATA));
        let ((revision, mark), data) = parts.ok_or_else(|| self.store.strange())?;
        let user = field::as_text(document, USER).map(Box::from);
        Ok(Record { revision, mark, user, data: data.to_vec() })
    }

    async fn begin(&self, id: &SessionId, record: Record, ttl: Duration) -> Result<bool> {
        let mut fields = Fields::from([
            (SECRET.to_owned(), field::text(id.secret())),
            (REVISION.to_owned(), field::number(record.revision)),
            (MARK.to_owned(), field::number(record.mark)),
            (DATA.to_owned(), field::bytes(record.data)),
        ]);
        fields.extend(record.user.map(|user| (USER.to_owned(), field::text(user))));
        let decide = |seen: &Seen| {
            if seen.alive().is_some() {
                return Ok((Fate::Keep, false));
            }
            let fields = fields.clone().into_iter().chain(self.life(seen, ttl));
            Ok((Fate::Set(fields.collect()), true))
        };
        self.store.change(&self.name("session", id.handle())?, decide).await
    }

    async fn opened(&self, id: &SessionId, ttl: Duration) -> Result<Option<Record>> {
        let use_it = |seen: &Seen, document: &Document| {
            let record = self.record(document)?;
            Ok((Fate::Patch(self.life(seen, ttl), USED), Some(record)))
        };
        self.with(id, None, use_it).await
    }

    async fn saved(
        &self,
        id: &SessionId,
        revision: u64,
        data: Vec<u8>,
        ttl: Duration,
    ) -> Result<Saved> {
        let save = |seen: &Seen, document: &Document| {
            let mut fields = self.life(seen, ttl);
            if field::as_number(document, REVISION) != Some(revision) {
                return Ok((Fate::Patch(fields, USED), Saved::Conflict));
            }
            fields.insert(REVISION.to_owned(), field::number(revision + 1));
            fields.insert(DATA.to_owned(), field::bytes(data.clone()));
            Ok((Fate::Patch(fields, SAVED), Saved::Stored))
        };
        self.with(id, Saved::Gone, save).await
    }

    async fn rotated(&self, id: &SessionId, to: &SessionId, ttl: Duration) -> Result<bool> {
        let rotate = |seen: &Seen, _: &Document| {
            let mut fields = self.life(seen, ttl);
            fields.insert(SECRET.to_owned(), field::text(to.secret()));
            Ok((Fate::Patch(fields, ROTATED), true))
        };
        self.with(id, false, rotate).await
    }

    async fn user_mark(&self, user: &str) -> Result<u64> {
        self.store.check_open()?;
        let seen = self.store.read_one(&self.name("user", user)?).await?;
        Ok(seen.alive().and_then(|document| field::as_number(document, MARK)).unwrap_or(0))
    }

    /// More than any before, also than those that were collected: they were of an earlier time.
    async fn raise(&self, user: &str, ttl: Duration) -> Result<()> {
        let decide = |seen: &Seen| {
            let last = seen.document.as_ref().and_then(|user| field::as_number(user, MARK));
            let mark = last.unwrap_or(0).max(seen.at.micros()) + 1;
            let mut fields = self.life(seen, ttl);
            fields.insert(MARK.to_owned(), field::number(mark));
            Ok((Fate::Set(fields), ()))
        };
        self.store.change(&self.name("user", user)?, decide).await
    }
}

impl SessionStore for FirestoreSessions {
    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        record: Record,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        self.begin(id, record, ttl).boxed()
    }

    fn open<'a>(
        &'a self,
        id: &'a SessionId,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Option<Record>>> {
        self.opened(id, ttl).boxed()
    }

    fn save<'a>(
        &'a self,
        id: &'a SessionId,
        revision: u64,
        data: Vec<u8>,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Saved>> {
        self.saved(id, revision, data, ttl).boxed()
    }

    fn rotate<'a>(
        &'a self,
        id: &'a SessionId,
        to: &'a SessionId,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        self.rotated(id, to, ttl).boxed()
    }

    fn end<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<bool>> {
        self.with(id, false, |_, _| Ok((Fate::Delete, true))).boxed()
    }

    fn mark<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<u64>> {
        self.user_mark(user).boxed()
    }

    fn raise_mark<'a>(&'a self, user: &'a str, ttl: Duration) -> BoxFuture<'a, Result<()>> {
        self.raise(user, ttl).boxed()
    }
}
