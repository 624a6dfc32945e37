use super::error::{from_connecting, is_emulated};
use crate::{Error, ErrorKind, Result};
use ::firestore::{FirestoreDb, FirestoreDbOptions};
use rustls::crypto::{CryptoProvider, ring};
use std::time::Duration;

/// How long connecting may take; the client crate waits three times as long.
const LIMIT: Duration = Duration::from_secs(10);

/// A client of the default database of `project`, or of the emulator that the environment variable
/// `FIRESTORE_EMULATOR_HOST` names (`host:port`). For anything else, make one with the
/// [client crate](super::client) itself.
///
/// Credentials are the environment's: `GOOGLE_APPLICATION_CREDENTIALS`, what `gcloud auth
/// application-default login` left, or the machine's account on Google Cloud. An emulator needs none.
/// Takes at most 10 s.
///
/// Signing in needs rustls to have a provider of cryptography for the process: if the program has not
/// installed one, this installs `ring`.
///
/// # Errors
/// [`ErrorKind::Unavailable`] if the server cannot be reached, or there are no credentials;
/// [`ErrorKind::Timeout`] if nobody answers; [`ErrorKind::InvalidConfig`] if the address makes no
/// sense.
///
/// # Cancellation
/// Dropping it drops the connection.
///
/// ```no_run
/// # async fn example() -> headwater::Result<()> {
/// let db = headwater::firestore::connect("my-project").await?;
/// # Ok(()) }
/// ```
pub async fn connect(project: impl Into<String>) -> Result<FirestoreDb> {
    connect_with(FirestoreDbOptions::new(project.into())).await
}

/// As [`connect`], with the client crate's options: another database, another address.
///
/// # Errors
/// As [`connect`].
///
/// # Cancellation
/// Dropping it drops the connection.
///
/// ```no_run
/// use headwater::firestore::{client::FirestoreDbOptions, connect_with};
///
/// # async fn example() -> headwater::Result<()> {
/// let options = FirestoreDbOptions::new("my-project".into()).with_database_id("archive".into());
/// let db = connect_with(options).await?;
/// # Ok(()) }
/// ```
pub async fn connect_with(options: FirestoreDbOptions) -> Result<FirestoreDb> {
    provide_cryptography();
    let is_emulator = is_emulated(&options);
    match tokio::time::timeout(LIMIT, FirestoreDb::with_options(options)).await {
        Ok(made) => made.map_err(|error| from_connecting(error, is_emulator)),
        Err(_) => {
            let message = format!("the server let nobody connect within {LIMIT:?}");
            Err(Error::new(ErrorKind::Timeout, message))
        }
    }
}

fn provide_cryptography() {
    if CryptoProvider::get_default().is_none() {
        // Another thread may be faster, which is as good.
        let _ = ring::default_provider().install_default();
    }
}
