//! Streams, one after the other, and what is heard on them.

use super::debt::{Change, Debt, Mark};
use super::job::{Job, Mode};
use super::line::{Line, Next};
use super::view::{News, View};
use crate::firestore::call::pause;
use crate::firestore::error::{Pace, from_status, pace};
use crate::firestore::key::DocumentKey;
use crate::firestore::read::versioned;
use crate::firestore::value::from_document;
use crate::{Cache, Entry, Error, ErrorKind};
use ::firestore::gcloud_sdk::google::firestore::v1::{
    Document, ListenResponse, listen_response::ResponseType,
};
use ::firestore::gcloud_sdk::google::rpc;
use futures_util::future::{Either, select};
use futures_util::stream::poll_fn;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc::unbounded_channel;
use tonic::{Code, Status};

/// Why a stream ended.
enum End {
    /// Everything has to be told anew.
    Mismatch,
    Broken(Status),
    Silent(Duration),
}

/// What goes on from stream to stream.
struct Heard {
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
    pub(super) async fn listen(
        &self,
        token: Option<Vec<u8>>,
        debt: &Debt<C::Key, C::Value>,
    ) -> Infallible {
        let view = View::new(self.source.collection.prefix().to_owned());
        let mut heard = Heard { view, token, stream: 0 };
        let mut failed = 0;
        loop {
            heard.stream += 1;
            self.board.counters.streams.add(1);
            let end = self.stream(&mut heard, debt).await;
            // Who tells everything anew, over and over, is no better than who does not answer.
            if heard.view.is_current && !matches!(end, End::Mismatch) {
                failed = 0;
            }
            let pace = self.ended(end, &mut heard);
            self.board.clock.sleep(pause(pace, failed)).await;
            failed += 1;
        }
    }

    /// How soon the next stream may begin.
    fn ended(&self, end: End, heard: &mut Heard) -> Pace {
        let (error, pace) = match end {
            End::Mismatch => {
                heard.token = None;
                self.board.listening();
                return Pace::Late;
            }
            End::Silent(limit) => {
                let message = format!("the stream of changes was silent for {limit:?}");
                (Error::new(ErrorKind::Timeout, message), Pace::Soon)
            }
            End::Broken(status) => {
                let mut pace = pace(&status).unwrap_or(Pace::Late);
                if !heard.view.is_current && is_of_request(&status) && heard.token.take().is_some()
                {
                    // What is wrong with the request may be its token.
                    pace = Pace::Soon;
                }
                (from_status(status, self.source.caller.is_emulator), pace)
            }
        };
        self.board.counters.breaks.add(1);
        self.board.deaf(self.source.named(error));
        pace
    }

    async fn stream(&self, heard: &mut Heard, debt: &Debt<C::Key, C::Value>) -> End {
        heard.view.begin(heard.token.is_some());
        let mut line = match self.open(heard.token.clone()).await {
            Ok(line) => line,
            Err(end) => return end,
        };
        self.board.listening();
        loop {
            let next = line.next(&self.board.clock, self.patience, heard.view.is_current).await;
            let response = match next {
                Next::Said(response) => response,
                Next::Probed => {
                    self.board.counters.probes.add(1);
                    continue;
                }
                Next::Ended(status) => return End::Broken(status),
                Next::Silent(limit) => return End::Silent(limit),
            };
            if is_read(&response) {
                self.board.counters.reads.add(1);
            }
            for news in heard.view.hear(response) {
                if let Some(end) = self.learn(news, heard, &line, debt) {
                    return end;
                }
            }
        }
    }

    async fn open(&self, token: Option<Vec<u8>>) -> Result<Line<'_>, End> {
        let (requests, mut queue) = unbounded_channel();
        // It was just made, so somebody takes it.
        let _ = requests.send(self.aim.request(token));
        let mut client = self.source.db.client().get();
        let opening = client.listen(poll_fn(move |context| queue.poll_recv(context)));
        let (clock, limit) = (&self.board.clock, self.patience.first);
        match select(pin!(opening), pin!(clock.sleep(limit))).await {
            Either::Left((Ok(response), _)) => Ok(Line {
                aim: &self.aim,
                requests,
                responses: response.into_inner(),
                heard: clock.now(),
                probe: super::view::TARGET,
                is_probing: false,
            }),
            Either::Left((Err(status), _)) => Err(End::Broken(status)),
            Either::Right(_) => Err(End::Silent(limit)),
        }
    }

    /// Puts what was heard where it is passed on from.
    fn learn(
        &self,
        news: News,
        heard: &mut Heard,
        line: &Line<'_>,
        debt: &Debt<C::Key, C::Value>,
    ) -> Option<End> {
        let changes = &self.board.counters.changes;
        let forget = |name: &str| {
            changes.add(1);
            if let Some(key) = self.source.collection.key::<C::Key>(name) {
                debt.change(key, Change::Forget);
            }
        };
        match news {
            News::Changed(document) => {
                changes.add(1);
                if let Some(key) = self.source.collection.key::<C::Key>(&document.name) {
                    debt.change(key, self.change(document));
                }
            }
            News::Left(name) => forget(&name),
            News::Deleted(name, time) if self.mode == Mode::Fill => {
                changes.add(1);
                if let Some(key) = self.source.collection.key::<C::Key>(&name) {
                    debt.change(key, Change::Put(versioned(Entry::absent(), time)));
                }
            }
            News::Deleted(name, _) => forget(&name),
            News::Everything => debt.forget_all(),
            News::Consistent(token) => {
                heard.token = Some(token.clone());
                self.board.current(heard.stream);
                debt.mark(Mark { token, stream: heard.stream, heard: line.heard });
            }
            News::Mismatch => return Some(End::Mismatch),
            News::Removed(cause) => return Some(End::Broken(removal(cause))),
        }
        None
    }

    fn change(&self, document: Document) -> Change<C::Value> {
        if self.mode == Mode::Invalidate {
            return Change::Forget;
        }
        let time = document.update_time;
        match from_document(document) {
            Ok(value) => Change::Put(versioned(Entry::found(value), time)),
            Err(_) => {
                self.board.counters.undecodable.add(1);
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
