//! A server whose Listen streams a test writes by hand, and which has the documents that it says.

use crate::world::{client, project, text};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use headwater::firestore::client::FirestoreDb;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::batch_get_documents_response::Result as Answer;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::listen_request::TargetChange as Ask;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::listen_response::ResponseType;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::target::ResumeType;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::target_change::TargetChangeType;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::{
    BatchGetDocumentsRequest, BatchGetDocumentsResponse, Document, DocumentChange, DocumentDelete,
    DocumentRemove, ExistenceFilter, ListenRequest, ListenResponse, Target, TargetChange,
};
use headwater::firestore::client::gcloud_sdk::google::rpc;
use headwater::firestore::client::gcloud_sdk::prost_types::Timestamp;
use headwater::testkit::ManualClock;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, ServerStreamingService, StreamingService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// The target that is watched.
const TARGET: i32 = 1;

type Said<T> = Result<T, Status>;
/// The models of documents and when they changed, by id.
type Documents = Arc<Mutex<HashMap<String, (String, i64)>>>;

/// The server; it ends with the test's runtime.
pub(crate) struct Listened {
    pub(crate) db: FirestoreDb,
    documents: Documents,
    opened: UnboundedReceiver<Stream>,
}

/// A stream that was opened.
pub(crate) struct Stream {
    prefix: String,
    asked: Streaming<ListenRequest>,
    say: UnboundedSender<Said<ListenResponse>>,
}

#[derive(Clone)]
struct Host {
    documents: Documents,
    open: UnboundedSender<Stream>,
    prefix: String,
}

impl Listened {
    pub(crate) async fn start() -> Self {
        let project = project();
        let prefix = format!("projects/{project}/databases/(default)/documents/planes/");
        let (open, opened) = unbounded_channel();
        let documents = Documents::default();
        let host = Host { documents: Arc::clone(&documents), open, prefix };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let incoming = TcpIncoming::bind(any).expect("a free port").with_nodelay(Some(true));
        let address = incoming.local_addr().expect("an address").to_string();
        tokio::spawn(Server::builder().add_service(host).serve_with_incoming(incoming));
        Self { db: client(&address, &project, "(default)").await, documents, opened }
    }

    /// Whoever reads the document finds this from now on.
    pub(crate) fn have(&self, id: &str, model: &str, changed: i64) {
        let mut documents = self.documents.lock().expect("no panic");
        documents.insert(id.to_owned(), (model.to_owned(), changed));
    }

    /// Nobody finds it any more.
    pub(crate) fn lose(&self, id: &str) {
        self.documents.lock().expect("no panic").remove(id);
    }

    /// The next stream, and what its target was asked for with; lets the time pass until which it is
    /// put off.
    pub(crate) async fn opened(&mut self, time: &ManualClock) -> (Stream, Target) {
        let began = Instant::now();
        let mut stream = loop {
            assert!(began.elapsed() < Duration::from_secs(60), "nobody opens a stream");
            match tokio::time::timeout(Duration::from_millis(5), self.opened.recv()).await {
                Ok(stream) => break stream.expect("the server is there"),
                Err(_) => time.advance(Duration::from_millis(100)),
            }
        };
        let Ask::AddTarget(target) = stream.asked().await else { panic!("nothing was asked for") };
        assert_eq!(target.target_id, TARGET);
        (stream, target)
    }
}

/// The token that a target is to go on from.
pub(crate) fn token(target: &Target) -> Option<&[u8]> {
    match &target.resume_type {
        Some(ResumeType::ResumeToken(token)) => Some(token),
        None => None,
        Some(ResumeType::ReadTime(_)) => panic!("a time"),
    }
}

impl Stream {
    /// What the client asks for next.
    pub(crate) async fn asked(&mut self) -> Ask {
        let request = self.asked.message().await.expect("no error").expect("it goes on");
        request.target_change.expect("a change of targets")
    }

    /// Waits until the client has left the stream.
    pub(crate) async fn left(mut self) {
        while let Ok(Some(_)) = self.asked.message().await {}
    }

    fn response(&self, what: ResponseType) {
        let _ = self.say.send(Ok(ListenResponse { response_type: Some(what) }));
    }

    pub(crate) fn turn(&self, kind: TargetChangeType, target: i32, token: &str) {
        self.response(ResponseType::TargetChange(TargetChange {
            target_change_type: kind as i32,
            target_ids: vec![target],
            resume_token: token.as_bytes().to_vec(),
            ..TargetChange::default()
        }));
    }

    /// All that was there is told, up to this token.
    pub(crate) fn current(&self, token: &str) {
        self.turn(TargetChangeType::Current, TARGET, token);
    }

    /// Everything is about to be told anew.
    pub(crate) fn reset(&self) {
        self.turn(TargetChangeType::Reset, TARGET, "");
    }

    /// All that changed is told, up to this token.
    pub(crate) fn consistent(&self, token: &str) {
        self.response(ResponseType::TargetChange(TargetChange {
            resume_token: token.as_bytes().to_vec(),
            ..TargetChange::default()
        }));
    }

    pub(crate) fn removed(&self, code: tonic::Code, message: &str) {
        let cause =
            rpc::Status { code: code as i32, message: message.to_owned(), ..Default::default() };
        self.response(ResponseType::TargetChange(TargetChange {
            target_change_type: TargetChangeType::Remove as i32,
            target_ids: vec![TARGET],
            cause: Some(cause),
            ..TargetChange::default()
        }));
    }

    /// A document is in the target.
    pub(crate) fn has(&self, id: &str, model: &str, changed: i64) {
        self.response(ResponseType::DocumentChange(DocumentChange {
            document: Some(document(&self.prefix, id, model, changed)),
            target_ids: vec![TARGET],
            removed_target_ids: Vec::new(),
        }));
    }

    /// A document has no model that anybody could read.
    pub(crate) fn has_nonsense(&self, id: &str, changed: i64) {
        let mut document = document(&self.prefix, id, "", changed);
        document.fields.clear();
        self.response(ResponseType::DocumentChange(DocumentChange {
            document: Some(document),
            target_ids: vec![TARGET],
            removed_target_ids: Vec::new(),
        }));
    }

    pub(crate) fn deleted(&self, id: &str, read: i64) {
        self.response(ResponseType::DocumentDelete(DocumentDelete {
            document: format!("{}{id}", self.prefix),
            removed_target_ids: vec![TARGET],
            read_time: Some(Timestamp { seconds: read, nanos: 0 }),
        }));
    }

    pub(crate) fn out_of_sight(&self, id: &str) {
        self.response(ResponseType::DocumentRemove(DocumentRemove {
            document: format!("{}{id}", self.prefix),
            removed_target_ids: vec![TARGET],
            read_time: None,
        }));
    }

    pub(crate) fn counts(&self, count: i32) {
        self.response(ResponseType::Filter(ExistenceFilter {
            target_id: TARGET,
            count,
            unchanged_names: None,
        }));
    }

    /// Ends the stream.
    pub(crate) fn fail(self, code: tonic::Code) {
        let _ = self.say.send(Err(Status::new(code, "as the test says")));
    }
}

fn document(prefix: &str, id: &str, model: &str, changed: i64) -> Document {
    Document {
        name: format!("{prefix}{id}"),
        fields: [("model".to_owned(), text(model))].into(),
        update_time: Some(Timestamp { seconds: changed, nanos: 0 }),
        ..Document::default()
    }
}

impl NamedService for Host {
    const NAME: &'static str = "google.firestore.v1.Firestore";
}

impl Service<http::Request<Body>> for Host {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let host = self.clone();
        Box::pin(async move {
            Ok(if request.uri().path().ends_with("/Listen") {
                let codec = tonic_prost::ProstCodec::default();
                Grpc::new(codec).streaming(host, request).await
            } else {
                let codec = tonic_prost::ProstCodec::default();
                Grpc::new(codec).server_streaming(host, request).await
            })
        })
    }
}

impl StreamingService<ListenRequest> for Host {
    type Response = ListenResponse;
    type ResponseStream = BoxStream<'static, Said<ListenResponse>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<ListenRequest>>) -> Self::Future {
        let (say, mut said) = unbounded_channel();
        let prefix = self.prefix.clone();
        let _ = self.open.send(Stream { prefix, asked: request.into_inner(), say });
        let said = futures_util::stream::poll_fn(move |context| said.poll_recv(context));
        Box::pin(std::future::ready(Ok(Response::new(said.boxed()))))
    }
}

impl ServerStreamingService<BatchGetDocumentsRequest> for Host {
    type Response = BatchGetDocumentsResponse;
    type ResponseStream = BoxStream<'static, Said<BatchGetDocumentsResponse>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<BatchGetDocumentsRequest>) -> Self::Future {
        let documents = self.documents.lock().expect("no panic");
        let answer = |name: String| {
            let id = name.rsplit('/').next().unwrap_or_default();
            let result = match documents.get(id) {
                Some((model, changed)) => {
                    Answer::Found(document(&self.prefix, id, model, *changed))
                }
                None => Answer::Missing(name),
            };
            Ok(BatchGetDocumentsResponse {
                result: Some(result),
                read_time: Some(Timestamp { seconds: 1_000_000, nanos: 0 }),
                ..Default::default()
            })
        };
        let answers: Vec<_> = request.into_inner().documents.into_iter().map(answer).collect();
        let answers = futures_util::stream::iter(answers).boxed();
        Box::pin(std::future::ready(Ok(Response::new(answers))))
    }
}
