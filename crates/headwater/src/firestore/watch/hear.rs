//! Streams, one after the other, and what is heard on them.

use super::debt::{Change, Debt, Mark};
use super::job::{Job, Mode};
use super::view::{News, View};
use crate::firestore::error::Pace;
use crate::firestore::key::DocumentKey;
use crate::firestore::listen::{End, Listener, Next, listen};
use crate::firestore::read::versioned;
use crate::firestore::value::from_document;
use crate::{Cache, Entry, Moment};
use ::firestore::gcloud_sdk::google::firestore::v1::{
    Document, ListenResponse, listen_response::ResponseType,
};
use ::firestore::gcloud_sdk::google::rpc;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use tonic::{Code, Status};

/// What goes on from stream to stream.
struct Heard<'j, C: Cache> {
    job: &'j Job<C>,
    debt: &'j Debt<C::Key, C::Value>,
    view: View,
    token: Option<Vec<u8>>,
    /// The number of the stream.
    stream: u64,
}

impl<C> Job<C>
where
    C: Cache<Key: DocumentKey, Value: DeserializeOwned>,
{
    /// Opens one stream after the other.
    pub(super) async fn hear(
        &self,
        token: Option<Vec<u8>>,
        debt: &Debt<C::Key, C::Value>,
    ) -> Infallible {
        let view = View::new(self.source.collection.prefix().to_owned());
        listen(&mut Heard { job: self, debt, view, token, stream: 0 }, &self.board.clock).await
    }
}

impl<C> Listener for Heard<'_, C>
where
    C: Cache<Key: DocumentKey, Value: DeserializeOwned>,
{
    type Over = Infallible;

    async fn stream(&mut self) -> Result<Infallible, End> {
        let Job { source, aim, board, patience, .. } = self.job;
        self.stream += 1;
        board.counters.streams.add(1);
        self.view.begin(self.token.is_some());
        let asked = [aim.ask(self.token.clone())];
        let opening = aim.route.open(&source.db, &board.clock, patience.first, asked);
        let mut line = opening.await?;
        board.listening();
        loop {
            match line.next(&board.clock, *patience, self.view.is_current).await? {
                Next::Probed => board.counters.probes.add(1),
                Next::Said(response) => {
                    if is_read(&response) {
                        board.counters.reads.add(1);
                    }
                    for news in self.view.hear(response) {
                        self.learn(news, line.heard())?;
                    }
                }
            }
        }
    }

    fn is_current(&self) -> bool {
        self.view.is_current
    }

    fn ended(&mut self, end: End) -> Pace {
        let Job { source, board, .. } = self.job;
        if matches!(end, End::Mismatch) {
            self.token = None;
            board.listening();
            return Pace::Late;
        }
        // What is wrong with the request may be its token.
        let is_of_token =
            matches!(&end, End::Broken(status) if !self.view.is_current && is_of_request(status));
        let is_given_up = is_of_token && self.token.take().is_some();
        let (error, pace) = end.told(source.caller.is_emulator);
        board.counters.breaks.add(1);
        board.deaf(source.named(error));
        if is_given_up { Pace::Soon } else { pace }
    }
}

impl<C> Heard<'_, C>
where
    C: Cache<Key: DocumentKey, Value: DeserializeOwned>,
{
    /// Puts what was heard, at a moment, where it is passed on from.
    fn learn(&mut self, news: News, heard: Moment) -> Result<(), End> {
        let (Job { source, board, mode, .. }, debt) = (self.job, self.debt);
        let key = |name: &str| {
            board.counters.changes.add(1);
            source.collection.key::<C::Key>(name)
        };
        match news {
            News::Changed(document) => {
                if let Some(key) = key(&document.name) {
                    debt.change(key, self.change(document));
                }
            }
            News::Deleted(name, time) if *mode == Mode::Fill => {
                if let Some(key) = key(&name) {
                    debt.change(key, Change::Put(versioned(Entry::absent(), time)));
                }
            }
            News::Left(name) | News::Deleted(name, _) => {
                if let Some(key) = key(&name) {
                    debt.change(key, Change::Forget);
                }
            }
            News::Everything => debt.forget_all(),
            News::Consistent(token) => {
                self.token = Some(token.clone());
                board.current(self.stream);
                debt.mark(Mark { token, stream: self.stream, heard });
            }
            News::Mismatch => return Err(End::Mismatch),
            News::Removed(cause) => return Err(End::Broken(removal(cause))),
        }
        Ok(())
    }

    fn change(&self, document: Document) -> Change<C::Value> {
        if self.job.mode == Mode::Invalidate {
            return Change::Forget;
        }
        let time = document.update_time;
        match from_document(document) {
            Ok(value) => Change::Put(versioned(Entry::found(value), time)),
            Err(_) => {
                self.job.board.counters.undecodable.add(1);
                Change::Forget
            }
        }
    }
}

/// Whether the server found fault with what it was asked.
fn is_of_request(status: &Status) -> bool {
    matches!(status.code(), Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange)
}

/// Whether a document was read for it, or looked for.
fn is_read(response: &ListenResponse) -> bool {
    let what = &response.response_type;
    matches!(what, Some(ResponseType::DocumentChange(_) | ResponseType::DocumentDelete(_)))
}

fn removal(cause: Option<rpc::Status>) -> Status {
    match cause {
        Some(cause) => Status::new(Code::from_i32(cause.code), cause.message),
        None => Status::unavailable("the server ended the target"),
    }
}
