//! The one place where errors of the client crate become ours.
//!
//! What the server says may name documents: it is kept as the source of an error and is never part
//! of the message.

use crate::{Error, ErrorKind};
use ::firestore::errors::FirestoreError;
use ::firestore::gcloud_sdk::error::ErrorKind::{self as Foreign, Credentials, CredentialsBuild};
use ::firestore::{FirestoreDb, FirestoreDbOptions, gcloud_sdk};
use std::error::Error as StdError;
use tonic::{Code, Status};

/// Whether a client with these options speaks to the emulator that the environment names.
pub(super) fn is_emulated(options: &FirestoreDbOptions) -> bool {
    std::env::var_os("FIRESTORE_EMULATOR_HOST").is_some() && options.firebase_api_url.is_none()
}

/// What a call failed with that you made yourself, in the kinds and the words of this module, which
/// say what to do. It is for calls of the protocol on `db.client()` (writes, say), whose error is a
/// `tonic::Status`; the status is kept as the source. Anything else is [`ErrorKind::Unexpected`].
///
/// ```no_run
/// use headwater::firestore::client::gcloud_sdk::google::firestore::v1::CommitRequest;
///
/// # async fn example() -> headwater::Result<()> {
/// let db = headwater::firestore::connect("my-project").await?;
/// let request = CommitRequest { database: db.get_database_path().clone(), ..Default::default() };
/// let outcome = db.client().get().commit(request).await;
/// outcome.map_err(|status| headwater::firestore::explain(&db, status))?;
/// # Ok(()) }
/// ```
pub fn explain(db: &FirestoreDb, error: impl StdError + Send + Sync + 'static) -> Error {
    let error: Box<dyn StdError + Send + Sync> = Box::new(error);
    match error.downcast::<Status>() {
        Ok(status) => from_status(*status, is_emulated(db.get_options())),
        Err(error) => Error::new(ErrorKind::Unexpected, "the call failed").with_source(error),
    }
}

/// How soon a failed call may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// After a fraction of a second.
    Soon,
    /// After seconds: the server has too much to do.
    Late,
}

/// Whether a call that only reads may be made again after `status`; `None` if that cannot help.
///
/// The codes are those that Google's own clients retry for `BatchGetDocuments` (unavailable,
/// internal, deadline exceeded), and three more that a read may retry: aborted and resource
/// exhausted, and a connection that broke, for which the transport has several codes.
pub(super) fn pace(status: &Status) -> Option<Pace> {
    if let Some(failure) = credentials(status) {
        let may_pass = matches!(failure, Credentials(cause) if cause.is_transient());
        return may_pass.then_some(Pace::Soon);
    }
    match status.code() {
        Code::Unavailable | Code::Internal | Code::DeadlineExceeded | Code::Aborted => {
            Some(Pace::Soon)
        }
        Code::Unknown | Code::Cancelled => is_of_transport(status).then_some(Pace::Soon),
        Code::ResourceExhausted => Some(Pace::Late),
        _ => None,
    }
}

/// Whether a call that writes under a condition may be made again after `status`: only where it is
/// sure that nothing was written.
pub(super) fn pace_unless_done(status: &Status) -> Option<Pace> {
    let is_refused = credentials(status).is_some()
        || matches!(status.code(), Code::Aborted | Code::ResourceExhausted);
    pace(status).filter(|_| is_refused)
}

/// Whether a write's condition does not hold: somebody else was faster.
pub(super) fn is_conflict(status: &Status) -> bool {
    match status.code() {
        Code::FailedPrecondition | Code::AlreadyExists => true,
        // A database that does not exist is another matter.
        Code::NotFound => status.message().contains("ocument"),
        // The server lost what it had, and has something older now.
        Code::InvalidArgument => status.message().contains("base version"),
        _ => false,
    }
}

/// What a refused write is, for those who wrote what somebody gave them.
pub(super) fn of_write(error: Error) -> Error {
    let status = error.source().and_then(|source| source.downcast_ref::<Status>());
    let Some(status) = status.filter(|status| status.code() == Code::InvalidArgument) else {
        return error;
    };
    let message = "the server refuses the document: it is longer than 1 MiB, deeper than 20 levels, \
                   or has a name that no document may have";
    Error::new(ErrorKind::Codec, message).with_source(status.clone())
}

/// Turns the outcome of a call into our error. The message says what to do.
pub(super) fn from_status(status: Status, is_emulator: bool) -> Error {
    let (kind, message) = meaning(&status, is_emulator);
    Error::new(kind, message).with_source(status)
}

fn meaning(status: &Status, is_emulator: bool) -> (ErrorKind, &'static str) {
    use ErrorKind::{InvalidConfig, Timeout, Unavailable, Unexpected};
    match status.code() {
        _ if credentials(status).is_some() => (Unavailable, CREDENTIALS),
        Code::Cancelled if status.message() == EXPIRED => (Timeout, "no answer in time"),
        Code::Unavailable if is_of_transport(status) && is_emulator => (Unavailable, NO_EMULATOR),
        Code::Unavailable if is_of_transport(status) => {
            (Unavailable, "the server cannot be reached: check the network and the address")
        }
        Code::Unavailable | Code::Aborted => {
            (Unavailable, "the server cannot serve this just now: try again later")
        }
        Code::Internal | Code::Unknown | Code::Cancelled if is_of_transport(status) => {
            (Unavailable, "the connection broke, or what answers there is no Firestore")
        }
        Code::DeadlineExceeded => {
            (Timeout, "the server did not finish in time: ask for less at once, or try again later")
        }
        Code::ResourceExhausted => {
            (Unavailable, "over a quota or a rate limit: ask for less at once, or raise the quota")
        }
        Code::PermissionDenied => (
            Unavailable,
            "permission denied: give the account a role for it (roles/datastore.viewer reads, \
             roles/datastore.user writes too), and switch the API on in the project",
        ),
        Code::Unauthenticated => (Unavailable, CREDENTIALS),
        Code::NotFound => {
            (InvalidConfig, "there is no such project or database: create it, or name another")
        }
        Code::FailedPrecondition if status.message().contains("requires an index") => (
            InvalidConfig,
            "a query needs an index that the database does not have, and this library none but the \
             automatic ones: take away the collection's index exemption (the error's source names it)",
        ),
        Code::FailedPrecondition => (
            InvalidConfig,
            "the database refuses such reads: is it a Firestore database in native mode?",
        ),
        Code::InvalidArgument | Code::OutOfRange => {
            (InvalidConfig, "the server takes a document's name or a field's path for malformed")
        }
        Code::Unimplemented => (InvalidConfig, "what answers there is no Firestore"),
        _ => (Unexpected, "the server failed"),
    }
}

/// What tonic says when a time limit of its own is over, under the code "cancelled".
const EXPIRED: &str = "Timeout expired";

const CREDENTIALS: &str = "the credentials are missing, expired or refused: set \
    GOOGLE_APPLICATION_CREDENTIALS or log in (gcloud auth application-default login)";

const NO_EMULATOR: &str = "nothing answers where FIRESTORE_EMULATOR_HOST points: start the emulator, or unset the variable";

/// Whether the failure was made on this side of the wire. A status that the server sent has no
/// source.
fn is_of_transport(status: &Status) -> bool {
    status.source().is_some() || status.message() == EXPIRED
}

/// Why there were no credentials to call with, if there were none.
fn credentials(status: &Status) -> Option<&Foreign> {
    let mut cause = status.source();
    while let Some(error) = cause {
        let boxed = || error.downcast_ref::<Box<gcloud_sdk::error::Error>>().map(|error| &**error);
        let failure = error.downcast_ref().or_else(boxed).map(gcloud_sdk::error::Error::kind);
        if let Some(Credentials(_) | CredentialsBuild(_)) = failure {
            return failure;
        }
        cause = error.source();
    }
    None
}

/// Turns a failure to connect into our error.
pub(super) fn from_connecting(error: FirestoreError, is_emulator: bool) -> Error {
    let (kind, message) = match &error {
        FirestoreError::InvalidParametersError(_) => {
            (ErrorKind::InvalidConfig, "a setting of the client makes no sense")
        }
        _ if is_emulator => (ErrorKind::Unavailable, NO_EMULATOR),
        // The client crate keeps of what failed below it only the name and the text.
        FirestoreError::SystemError(cause) if cause.public.code.starts_with("Credentials") => {
            (ErrorKind::Unavailable, CREDENTIALS)
        }
        _ => (
            ErrorKind::Unavailable,
            "the server cannot be reached: check the network and the address",
        ),
    };
    Error::new(kind, message).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn local(code: Code) -> Status {
        let mut status = Status::new(code, "transport error");
        status.set_source(Arc::new(std::io::Error::other("connection reset")));
        status
    }

    #[test]
    fn what_the_transport_says_is_told_from_what_the_server_says() {
        for code in [Code::Unavailable, Code::Unknown, Code::Internal, Code::Cancelled] {
            assert_eq!(pace(&local(code)), Some(Pace::Soon), "{code}");
            assert_eq!(from_status(local(code), false).kind(), ErrorKind::Unavailable, "{code}");
        }
        for code in [Code::Unknown, Code::Cancelled] {
            let status = Status::new(code, "the server's own");
            assert_eq!(pace(&status), None, "{code}");
            assert_eq!(from_status(status, false).kind(), ErrorKind::Unexpected, "{code}");
        }
    }

    #[test]
    fn an_index_that_is_missing_is_told_from_a_database_of_another_kind() {
        let status =
            Status::failed_precondition("The query requires an index. You can create it ..");
        let error = from_status(status, false);
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains("index exemption"), "{error}");
        let text = from_status(Status::failed_precondition("in Datastore mode"), false).to_string();
        assert!(text.contains("native mode"), "{text}");
    }

    #[test]
    fn an_emulator_that_does_not_run_is_called_that() {
        let text = from_status(local(Code::Unavailable), true).to_string();
        assert!(text.contains("start the emulator"), "{text}");
        let text = from_status(Status::unavailable("overloaded"), true).to_string();
        assert!(!text.contains("start the emulator"), "{text}");
    }
}
