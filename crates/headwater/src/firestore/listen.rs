//! Listen streams, one after the other: opened, read, found to be alive or not, and opened again. What is
//! asked and heard on them is their [`Listener`]'s.

use super::call::pause;
use super::error::{Pace, from_status, pace};
use super::key::Collection;
use crate::{Clock, Error, ErrorKind, Moment};
use ::firestore::FirestoreDb;
use ::firestore::gcloud_sdk::google::firestore::v1::listen_request::TargetChange as Ask;
use ::firestore::gcloud_sdk::google::firestore::v1::listen_response::ResponseType;
use ::firestore::gcloud_sdk::google::firestore::v1::target::{DocumentsTarget, TargetType};
use ::firestore::gcloud_sdk::google::firestore::v1::target_change::TargetChangeType;
use ::firestore::gcloud_sdk::google::firestore::v1::{
    ListenRequest, ListenResponse, Target, TargetChange,
};
use futures_util::future::{Either, select};
use futures_util::stream::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tonic::{Status, Streaming};

/// What probes ask for; it need not exist.
const PROBED: &str = "headwater-probe";
/// The numbers of probes' targets begin here, far from those of listeners.
const PROBES: i32 = 1 << 30;

/// Why a stream ended.
pub(super) enum End {
    /// What is known does not fit what the server counts: everything has to be told anew.
    Mismatch,
    Broken(Status),
    Silent(Duration),
    /// Something else that was asked for on behalf of it failed.
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl End {
    /// What it is to those who want to hear, and how soon the next stream may begin.
    pub(super) fn told(self, is_emulator: bool) -> (Error, Pace) {
        match self {
            Self::Mismatch => {
                let message = "what is known is not what the server counts: it tells all anew";
                (Error::new(ErrorKind::Unavailable, message), Pace::Late)
            }
            Self::Silent(limit) => {
                let message = format!("the stream of changes was silent for {limit:?}");
                (Error::new(ErrorKind::Timeout, message), Pace::Soon)
            }
            Self::Broken(status) => {
                let pace = pace(&status).unwrap_or(Pace::Late);
                (from_status(status, is_emulator), pace)
            }
            Self::Failed(error) => (error, Pace::Soon),
        }
    }
}

/// Who listens.
pub(super) trait Listener: Send {
    /// What it has when it need not listen any more.
    type Over: Send;

    /// Opens one stream, and reads it to its end.
    fn stream(&mut self) -> impl Future<Output = Result<Self::Over, End>> + Send;

    /// Whether that stream had said all that was before it.
    fn is_current(&self) -> bool;

    /// Takes note of its end; how soon the next may begin.
    fn ended(&mut self, end: End) -> Pace;
}

/// Opens one stream after the other, after pauses that grow while none gets anywhere.
pub(super) async fn listen<L: Listener>(listener: &mut L, clock: &Clock) -> L::Over {
    let mut failed = 0;
    loop {
        let end = match listener.stream().await {
            Ok(over) => return over,
            Err(end) => end,
        };
        // Who tells everything anew, over and over, is no better than who does not answer.
        if listener.is_current() && !matches!(end, End::Mismatch) {
            failed = 0;
        }
        let pace = listener.ended(end);
        clock.sleep(pause(pace, failed)).await;
        failed += 1;
    }
}

/// How long a stream may be silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until it has said all that was before it.
    pub(super) first: Duration,
    /// From then on, with a probe after half of it.
    pub(super) later: Duration,
}

/// Where streams lead to, for who listens to a collection.
#[derive(Debug)]
pub(super) struct Route {
    database: String,
    probed: String,
}

impl Route {
    pub(super) fn to(collection: &Collection) -> Arc<Self> {
        let (parent, id) = collection.parent();
        let probed = format!("{parent}/{id}/{PROBED}");
        Arc::new(Self { database: collection.database().to_owned(), probed })
    }

    /// Opens a stream on which so much is asked for.
    pub(super) async fn open(
        self: &Arc<Self>,
        db: &FirestoreDb,
        clock: &Clock,
        limit: Duration,
        asked: impl IntoIterator<Item = Ask>,
    ) -> Result<Line, End> {
        let (requests, mut queue) = unbounded_channel();
        for ask in asked {
            // It was just made, so somebody takes it.
            let _ = requests.send(self.request(ask));
        }
        let mut client = db.client().get();
        let opening = client.listen(poll_fn(move |context| queue.poll_recv(context)));
        match select(pin!(opening), pin!(clock.sleep(limit))).await {
            Either::Left((Ok(response), _)) => Ok(Line {
                route: Arc::clone(self),
                requests,
                responses: response.into_inner(),
                heard: clock.now(),
                probe: PROBES,
                is_probing: false,
            }),
            Either::Left((Err(status), _)) => Err(End::Broken(status)),
            Either::Right(_) => Err(End::Silent(limit)),
        }
    }

    fn request(&self, ask: Ask) -> ListenRequest {
        let database = self.database.clone();
        ListenRequest { database, target_change: Some(ask), ..ListenRequest::default() }
    }

    fn probe(&self, id: i32) -> Ask {
        let documents = DocumentsTarget { documents: vec![self.probed.clone()] };
        Ask::AddTarget(Target {
            target_id: id,
            target_type: Some(TargetType::Documents(documents)),
            ..Target::default()
        })
    }
}

/// What happens next on a line.
pub(super) enum Next {
    Said(ListenResponse),
    /// It is quiet; a probe was sent.
    Probed,
}

/// An open stream.
pub(super) struct Line {
    route: Arc<Route>,
    requests: UnboundedSender<ListenRequest>,
    responses: Streaming<ListenResponse>,
    /// When something was said last.
    heard: Moment,
    /// The number of the last probe's target, and whether its end has not been said yet.
    probe: i32,
    is_probing: bool,
}

impl Line {
    /// Asks for more, or for less.
    pub(super) fn ask(&self, ask: Ask) {
        // If nobody takes it any more, the stream says so.
        let _ = self.requests.send(self.route.request(ask));
    }

    pub(super) fn heard(&self) -> Moment {
        self.heard
    }

    /// # Cancellation
    /// Dropping it loses nothing.
    pub(super) async fn next(
        &mut self,
        clock: &Clock,
        patience: Patience,
        is_current: bool,
    ) -> Result<Next, End> {
        let limit = if is_current { patience.later } else { patience.first };
        let may_probe = is_current && !self.is_probing;
        let until = self.heard + if may_probe { limit / 2 } else { limit };
        let (message, sleep) = (self.responses.message(), clock.sleep(until - clock.now()));
        let said = match select(pin!(message), pin!(sleep)).await {
            Either::Left((said, _)) => Some(said),
            Either::Right(_) => None,
        };
        let Some(said) = said else {
            return if may_probe { Ok(self.send_probe()) } else { Err(End::Silent(limit)) };
        };
        self.heard = clock.now();
        match said {
            Ok(Some(response)) => {
                self.follow_probe(&response);
                Ok(Next::Said(response))
            }
            Ok(None) => Err(End::Broken(Status::unavailable("the server ended the stream"))),
            Err(status) => Err(End::Broken(status)),
        }
    }

    fn send_probe(&mut self) -> Next {
        self.is_probing = true;
        self.probe += 1;
        self.ask(self.route.probe(self.probe));
        Next::Probed
    }

    /// Takes a probe's target away once it is answered.
    fn follow_probe(&mut self, response: &ListenResponse) {
        let Some(ResponseType::TargetChange(change)) = &response.response_type else { return };
        if !self.is_probing || !change.target_ids.contains(&self.probe) {
            return;
        }
        match TargetChange::target_change_type(change) {
            TargetChangeType::Current => self.ask(Ask::RemoveTarget(self.probe)),
            TargetChangeType::Remove => self.is_probing = false,
            _ => {}
        }
    }
}
