//! The one seam through which work leaves its caller.

use crate::{Error, ErrorKind, Result};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Runs `work` on the caller's runtime.
///
/// # Errors
/// [`ErrorKind::Unexpected`] outside of a tokio runtime; the work is dropped.
pub(crate) fn spawn<R: Send + 'static>(
    work: impl Future<Output = R> + Send + 'static,
) -> Result<JoinHandle<R>> {
    match Handle::try_current() {
        Ok(runtime) => Ok(runtime.spawn(work)),
        Err(error) => Err(Error::new(
            ErrorKind::Unexpected,
            "this needs a tokio runtime: call it from within one",
        )
        .with_source(error)),
    }
}
