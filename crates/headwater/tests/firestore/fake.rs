//! A server that answers as a test says: for what emulators never do.

use crate::world::{client, project};
use headwater::firestore::client::FirestoreDb;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::batch_get_documents_response::Result as Answer;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::{
    BatchGetDocumentsRequest, BatchGetDocumentsResponse, Document,
};
use headwater::firestore::client::gcloud_sdk::prost_types::Timestamp;
use headwater::testkit::Tally;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::world::text;

/// What happens next in an answer.
pub(crate) enum Step {
    Answer(BatchGetDocumentsResponse),
    Fail(Status),
    /// Nothing more, ever.
    Hang,
}

/// A document that has its id as its model.
pub(crate) fn found(name: &str) -> Step {
    let id = name.rsplit('/').next().unwrap_or_default();
    found_with(name, "model", id)
}

pub(crate) fn found_with(name: &str, field: &str, value: &str) -> Step {
    let document = Document {
        name: name.to_owned(),
        fields: [(field.to_owned(), text(value))].into(),
        update_time: Some(Timestamp { seconds: 1, nanos: 0 }),
        ..Document::default()
    };
    answer(Answer::Found(document))
}

pub(crate) fn missing(name: &str) -> Step {
    answer(Answer::Missing(name.to_owned()))
}

fn answer(result: Answer) -> Step {
    let read_time = Some(Timestamp { seconds: 2, nanos: 0 });
    Step::Answer(BatchGetDocumentsResponse {
        result: Some(result),
        read_time,
        ..Default::default()
    })
}

type Reply = Pin<Box<dyn Future<Output = Vec<Step>> + Send>>;
type Script = Arc<dyn Fn(usize, Vec<String>) -> Reply + Send + Sync>;

/// The server; it ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Fake {
    script: Script,
    /// Calls so far.
    pub(crate) calls: Tally,
    /// Calls that the client left before their end.
    pub(crate) left: Tally,
}

impl Fake {
    /// Answers calls by their number, from 0, and the names of the documents that they ask for.
    pub(crate) async fn start(
        script: impl Fn(usize, &[String]) -> Vec<Step> + Send + Sync + 'static,
    ) -> (Self, FirestoreDb) {
        let ready = move |call, names: Vec<String>| -> Reply {
            Box::pin(std::future::ready(script(call, &names)))
        };
        Self::waiting(ready).await
    }

    /// As [`start`](Self::start), for scripts that take their time.
    pub(crate) async fn waiting(
        script: impl Fn(usize, Vec<String>) -> Reply + Send + Sync + 'static,
    ) -> (Self, FirestoreDb) {
        let fake = Self { script: Arc::new(script), calls: Tally::new(), left: Tally::new() };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let incoming = TcpIncoming::bind(any).expect("a free port").with_nodelay(Some(true));
        let host = incoming.local_addr().expect("an address").to_string();
        let server = Server::builder().add_service(fake.clone());
        tokio::spawn(server.serve_with_incoming(incoming));
        (fake, client(&host, &project(), "(default)").await)
    }
}

impl NamedService for Fake {
    const NAME: &'static str = "google.firestore.v1.Firestore";
}

impl Service<http::Request<Body>> for Fake {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        assert!(request.uri().path().ends_with("/BatchGetDocuments"), "{}", request.uri());
        let fake = self.clone();
        Box::pin(async move {
            let codec = tonic_prost::ProstCodec::default();
            Ok(Grpc::new(codec).server_streaming(fake, request).await)
        })
    }
}

type Answers =
    Pin<Box<dyn futures_util::Stream<Item = Result<BatchGetDocumentsResponse, Status>> + Send>>;

impl ServerStreamingService<BatchGetDocumentsRequest> for Fake {
    type Response = BatchGetDocumentsResponse;
    type ResponseStream = Answers;
    type Future = BoxFuture<Response<Answers>, Status>;

    fn call(&mut self, request: Request<BatchGetDocumentsRequest>) -> Self::Future {
        let number = self.calls.count();
        let mut visit = Visit { left: self.left.clone(), is_over: false };
        let reply = (self.script)(number, request.into_inner().documents);
        self.calls.add(1);
        Box::pin(async move {
            let mut steps = reply.await.into_iter().peekable();
            let answers = futures_util::stream::poll_fn(move |_| {
                if let Some(Step::Hang) = steps.peek() {
                    return Poll::Pending;
                }
                let next = match steps.next() {
                    Some(Step::Answer(response)) => return Poll::Ready(Some(Ok(response))),
                    Some(Step::Fail(status)) => Some(Err(status)),
                    _ => None,
                };
                visit.end();
                Poll::Ready(next)
            });
            Ok(Response::new(Box::pin(answers) as Answers))
        })
    }
}

/// A call that is under way; counts if it is dropped before its end.
struct Visit {
    left: Tally,
    is_over: bool,
}

impl Visit {
    fn end(&mut self) {
        self.is_over = true;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if !self.is_over {
            self.left.add(1);
        }
    }
}
