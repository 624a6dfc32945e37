//! Retries, deadlines, cancellation and answers of any shape, on a server that follows a script.

use crate::fake::{Fake, Step, found, missing};
use crate::world::{Plane, Planes, plane};
use headwater::firestore::client::FirestoreDb;
use headwater::firestore::client::gcloud_sdk::HeaderMap;
use headwater::firestore::client::gcloud_sdk::google_cloud_auth::credentials::{
    CacheableResource, Credentials, CredentialsProvider,
};
use headwater::firestore::client::gcloud_sdk::google_cloud_auth::errors::CredentialsError;
use headwater::firestore::{FirestoreBuilder, FirestoreSource, explain};
use headwater::testkit::ManualClock;
use headwater::{Clock, Error, ErrorKind, Fetcher, Moment, Sleep, TimeSource};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::codegen::http::Extensions;
use tonic::{Code, Status};

const TIMEOUT: Duration = Duration::from_secs(40);

/// Time in which pauses are over at once, and are noted; only the timeout takes as long as it takes.
#[derive(Clone, Debug, Default)]
struct Hasty {
    time: ManualClock,
    pauses: Arc<Mutex<Vec<Duration>>>,
}

impl Hasty {
    fn pauses(&self) -> Vec<Duration> {
        self.pauses.lock().expect("no panic").clone()
    }
}

impl TimeSource for Hasty {
    fn now(&self) -> Moment {
        self.time.now()
    }

    fn sleep_until(&self, moment: Moment) -> Sleep {
        let span = moment - self.now();
        if span < TIMEOUT {
            self.pauses.lock().expect("no panic").push(span);
            self.time.advance(span);
        }
        self.time.sleep_until(moment)
    }
}

fn builder(db: FirestoreDb, time: &Hasty) -> FirestoreBuilder<str, Plane> {
    Planes::builder(db, "planes").timeout(TIMEOUT).clock(Clock::new(time.clone()))
}

fn source(db: FirestoreDb, time: &Hasty) -> Planes {
    builder(db, time).build().expect("valid settings")
}

fn all_found(names: &[String]) -> Vec<Step> {
    names.iter().map(|name| found(name)).collect()
}

fn failing(code: Code) -> Vec<Step> {
    vec![Step::Fail(Status::new(code, "as the script says"))]
}

fn values(outcomes: Vec<headwater::Result<Plane>>) -> Vec<Result<String, ErrorKind>> {
    let short = |outcome: headwater::Result<Plane>| match outcome {
        Ok(plane) => Ok(plane.model),
        Err(error) => Err(error.kind()),
    };
    outcomes.into_iter().map(short).collect()
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    for code in [
        Code::Unavailable,
        Code::Internal,
        Code::DeadlineExceeded,
        Code::Aborted,
        Code::ResourceExhausted,
    ] {
        let script = move |call, names: &[String]| match call {
            0..2 => failing(code),
            _ => all_found(names),
        };
        let ((fake, db), time) = (Fake::start(script).await, Hasty::default());
        let planes = source(db, &time);
        assert_eq!(planes.fetch("a").await.expect("found in the end"), plane("a"), "{code}");
        assert_eq!((fake.calls.count(), time.pauses().len()), (3, 2), "{code}");
        let stats = planes.stats();
        assert_eq!((stats.calls, stats.retries, stats.failures, stats.reads), (1, 2, 0, 1));
    }
}

#[tokio::test]
async fn what_cannot_pass_is_an_error_at_once_that_says_what_to_do() {
    for (code, kind, advice) in [
        (Code::PermissionDenied, ErrorKind::Unavailable, "give the account a role"),
        (Code::Unauthenticated, ErrorKind::Unavailable, "GOOGLE_APPLICATION_CREDENTIALS"),
        (Code::NotFound, ErrorKind::InvalidConfig, "create it, or name another"),
        (Code::FailedPrecondition, ErrorKind::InvalidConfig, "native mode"),
        (Code::InvalidArgument, ErrorKind::InvalidConfig, "malformed"),
        (Code::Unimplemented, ErrorKind::InvalidConfig, "no Firestore"),
        (Code::Unknown, ErrorKind::Unexpected, "the server failed"),
        (Code::DataLoss, ErrorKind::Unexpected, "the server failed"),
    ] {
        let (fake, db) = Fake::start(move |_, _| failing(code)).await;
        let planes = source(db, &Hasty::default());
        let error = planes.fetch("secret").await.expect_err("refused");
        assert_eq!((error.kind(), error.tier()), (kind, Some("firestore")), "{code}");
        let text = error.to_string();
        assert!(text.contains(advice) && !text.contains("secret"), "{text}");
        let cause = std::error::Error::source(&error).expect("what the server said").to_string();
        assert!(cause.contains("as the script says"), "{cause}");
        assert_eq!((fake.calls.count(), planes.stats().failures), (1, 1), "{code}");
    }
}

#[tokio::test]
async fn what_does_not_pass_in_the_end_is_an_error_that_says_what_to_do() {
    for (code, kind, advice) in [
        (Code::Unavailable, ErrorKind::Unavailable, "try again later"),
        (Code::Aborted, ErrorKind::Unavailable, "try again later"),
        (Code::DeadlineExceeded, ErrorKind::Timeout, "ask for less at once"),
        (Code::ResourceExhausted, ErrorKind::Unavailable, "raise the quota"),
    ] {
        let (_fake, db) = Fake::start(move |_, _| failing(code)).await;
        let planes = source(db, &Hasty::default());
        let error = planes.fetch("secret").await.expect_err("it fails for ever");
        assert_eq!((error.kind(), error.tier()), (kind, Some("firestore")), "{code}");
        let text = error.to_string();
        assert!(text.contains(advice) && !text.contains("secret"), "{text}");
    }
}

/// The same words for calls that somebody makes with the client itself.
#[tokio::test]
async fn a_status_of_ones_own_call_is_explained_in_the_same_words() {
    let (_fake, db) = Fake::start(|_, names| all_found(names)).await;
    let error = explain(&db, Status::permission_denied("as the server says"));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("roles/datastore.user writes"), "{error}");
    let cause = std::error::Error::source(&error).expect("the status").to_string();
    assert!(cause.contains("as the server says"), "{cause}");
    assert_eq!(explain(&db, Status::not_found("database")).kind(), ErrorKind::InvalidConfig);
    assert_eq!(explain(&db, std::fmt::Error).kind(), ErrorKind::Unexpected);
}

/// Credentials that cannot be had, for now or for good.
#[derive(Debug)]
struct Lost {
    for_now: bool,
}

impl CredentialsProvider for Lost {
    async fn headers(
        &self,
        _: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        Err(CredentialsError::from_msg(self.for_now, "the token endpoint says no"))
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

#[tokio::test]
async fn credentials_that_cannot_be_had_are_called_that() {
    for (for_now, retries) in [(true, 4), (false, 0)] {
        let (fake, db) = Fake::start(|_, names| all_found(names)).await;
        let options = db.get_options().clone();
        let lost = Credentials::from(Lost { for_now });
        let db = FirestoreDb::with_options_auth(options, lost).await.expect("a connection");
        let planes = source(db, &Hasty::default());
        let error = planes.fetch("a").await.expect_err("nobody lets us in");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("GOOGLE_APPLICATION_CREDENTIALS"), "{error}");
        assert_eq!((planes.stats().retries, fake.calls.count()), (retries, 0));
    }
}

/// The transport calls a time limit of its own "cancelled".
#[tokio::test]
async fn a_limit_of_the_transport_is_a_timeout() {
    let script = |_, _: &[String]| vec![Step::Fail(Status::cancelled("Timeout expired"))];
    let (fake, db) = Fake::start(script).await;
    let planes = builder(db, &Hasty::default()).retries(1).build().expect("valid settings");
    assert_eq!(planes.fetch("a").await.expect_err("no answer").kind(), ErrorKind::Timeout);
    assert_eq!((fake.calls.count(), planes.stats().timeouts), (2, 1));
}

#[tokio::test]
async fn pauses_grow_and_end_with_the_attempts() {
    for (code, first) in [(Code::Unavailable, 100), (Code::ResourceExhausted, 1_000)] {
        let ((fake, db), time) = (Fake::start(move |_, _| failing(code)).await, Hasty::default());
        let planes = source(db, &time);
        let error = planes.fetch("a").await.expect_err("it fails for ever");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(fake.calls.count(), 5);
        for (number, pause) in time.pauses().into_iter().enumerate() {
            assert!(pause <= Duration::from_millis(first << number), "{number}: {pause:?}");
        }
    }
}

#[tokio::test]
async fn no_pause_is_begun_that_would_outlast_the_time() {
    let (fake, db) = Fake::start(|_, _| failing(Code::ResourceExhausted)).await;
    let time = Hasty::default();
    let began = time.now();
    let planes = builder(db, &time).retries(u32::MAX).build().expect("valid settings");
    assert_eq!(planes.fetch("a").await.expect_err("busy").kind(), ErrorKind::Unavailable);
    assert!(time.now() - began < TIMEOUT);
    assert!(fake.calls.count() > 1);
}

#[tokio::test]
async fn retries_stay_a_fraction_of_calls() {
    let (fake, db) = Fake::start(|_, _| failing(Code::Unavailable)).await;
    let planes = source(db, &Hasty::default());
    for _ in 0..100 {
        planes.fetch("a").await.expect_err("it fails for ever");
    }
    let stats = planes.stats();
    assert_eq!((stats.calls, stats.failures), (100, 100));
    assert!((15..=20).contains(&stats.retries), "ten saved up, and one for each ten calls");
    assert_eq!(fake.calls.count() as u64, 100 + stats.retries);
    assert!(stats.retries_refused >= 80);
}

#[tokio::test]
async fn answers_in_any_order_find_their_keys() {
    let script = |_, names: &[String]| {
        let stranger = found("projects/p/databases/(default)/documents/planes/stranger");
        let answer = |name: &String| if name.ends_with('2') { missing(name) } else { found(name) };
        [stranger].into_iter().chain(names.iter().rev().map(answer)).collect()
    };
    let (fake, db) = Fake::start(script).await;
    let planes = source(db, &Hasty::default());
    let outcomes = values(planes.fetch_many(&["1", "2", "3", "1", "2"]).await);
    let absent = || Err(ErrorKind::NotFound);
    let (one, three) = (|| Ok("1".to_owned()), Ok("3".to_owned()));
    assert_eq!(outcomes, [one(), absent(), three, one(), absent()]);
    assert_eq!(fake.calls.count(), 1);
}

#[tokio::test]
async fn a_broken_stream_keeps_what_came_and_asks_for_the_rest() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let script = move |call, names: &[String]| {
        noted.lock().expect("no panic").push(names.len());
        match call {
            0 => all_found(&names[..2]).into_iter().chain(failing(Code::Unavailable)).collect(),
            _ => all_found(names),
        }
    };
    let (_fake, db) = Fake::start(script).await;
    let planes = source(db, &Hasty::default());
    let outcomes = values(planes.fetch_many(&["a", "b", "c", "d", "e"]).await);
    assert_eq!(outcomes, ["a", "b", "c", "d", "e"].map(|key| Ok(key.to_owned())));
    assert_eq!(*asked.lock().expect("no panic"), [5, 3]);
    assert_eq!((planes.stats().reads, planes.stats().retries), (5, 1));
}

#[tokio::test]
async fn a_failure_in_the_middle_is_of_the_keys_after_it() {
    let script = |_, names: &[String]| {
        all_found(&names[..1]).into_iter().chain(failing(Code::PermissionDenied)).collect()
    };
    let (fake, db) = Fake::start(script).await;
    let planes = source(db, &Hasty::default());
    let refused = || Err(ErrorKind::Unavailable);
    let outcomes = values(planes.fetch_many(&["a", "b", "c"]).await);
    assert_eq!(outcomes, [Ok("a".to_owned()), refused(), refused()]);
    assert_eq!(fake.calls.count(), 1);
}

#[tokio::test]
async fn a_document_that_the_server_leaves_out_fails_alone() {
    let (_fake, db) = Fake::start(|_, names| all_found(&names[1..])).await;
    let planes = source(db, &Hasty::default());
    let outcomes = values(planes.fetch_many(&["a", "b"]).await);
    assert_eq!(outcomes, [Err(ErrorKind::Unexpected), Ok("b".to_owned())]);
}

#[tokio::test]
async fn a_dropped_fetch_cancels_its_calls() {
    let before = |_, _: Vec<String>| Box::pin(std::future::pending()) as _;
    let (fake, db) = Fake::waiting(before).await;
    let planes = builder(db, &Hasty::default()).batch(1).concurrency(3).build().expect("settings");
    let fetch = tokio::spawn({
        let planes = planes.clone();
        async move { planes.fetch_many(&["a", "b", "c", "d"]).await }
    });
    fake.calls.reached(3).await;
    fetch.abort();
    fake.left.reached(3).await;
    assert!(fetch.await.expect_err("dropped").is_cancelled());
    assert_eq!((fake.calls.count(), planes.stats().reads), (3, 0));
}

#[tokio::test]
async fn a_fetch_dropped_amid_an_answer_cancels_its_call() {
    let script = |_, names: &[String]| vec![found(&names[0]), Step::Hang];
    let (fake, db) = Fake::start(script).await;
    let planes = source(db, &Hasty::default());
    let fetch = tokio::spawn({
        let planes = planes.clone();
        async move { planes.fetch_many(&["a", "b"]).await }
    });
    fake.calls.reached(1).await;
    while planes.stats().reads == 0 {
        tokio::task::yield_now().await;
    }
    fetch.abort();
    fake.left.reached(1).await;
}

#[tokio::test]
async fn a_silent_server_costs_one_timeout_however_many_keys_there_are() {
    let (fake, db) = Fake::start(|_, _| vec![Step::Hang]).await;
    let time = Hasty::default();
    let planes = builder(db, &time).batch(1).concurrency(2).build().expect("valid settings");
    let fetch = tokio::spawn(async move {
        (planes.fetch_many(&["a", "b", "c", "d", "e"]).await, planes.stats())
    });
    fake.calls.reached(2).await;
    time.time.advance(TIMEOUT);
    let (outcomes, stats) = fetch.await.expect("no panic");
    assert!(outcomes.iter().flatten().next().is_none());
    assert_eq!(values(outcomes), vec![Err(ErrorKind::Timeout); 5]);
    assert_eq!((stats.calls, stats.timeouts), (2, 2));
    fake.left.reached(2).await;
}

#[tokio::test]
async fn what_came_before_the_timeout_is_kept() {
    let script = |_, names: &[String]| vec![found(&names[0]), Step::Hang];
    let ((_fake, db), time) = (Fake::start(script).await, Hasty::default());
    let planes = source(db, &time);
    let fetch = tokio::spawn({
        let planes = planes.clone();
        async move { planes.fetch_many(&["a", "b"]).await }
    });
    while planes.stats().reads == 0 {
        tokio::task::yield_now().await;
    }
    time.time.advance(TIMEOUT);
    let outcomes = values(fetch.await.expect("no panic"));
    assert_eq!(outcomes, [Ok("a".to_owned()), Err(ErrorKind::Timeout)]);
}

#[tokio::test]
async fn integers_as_keys_are_ids() {
    let (_fake, db) = Fake::start(|_, names| all_found(names)).await;
    let path = format!("{}/planes/-7", db.get_documents_path());
    let planes = FirestoreSource::<i64, Plane>::new(db, "planes").expect("a path");
    assert_eq!(planes.document(&-7).expect("an id"), path);
    assert_eq!(planes.fetch(&-7).await.expect("found"), plane("-7"));
    let error: Option<Error> = planes.fetch_many(&[&1, &2]).await.into_iter().find_map(Result::err);
    assert!(error.is_none(), "{error:?}");
}
