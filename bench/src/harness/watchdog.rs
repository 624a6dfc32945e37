//! The last resort against a contender that stops the whole program: a lock that is never given
//! back, or a loop without end.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// Far beyond what anything here takes on the slowest machine.
const LIMIT: Duration = Duration::from_secs(300);

/// Ends the program with an error if it is not dropped within five minutes.
pub(crate) struct Watchdog {
    /// Hangs up when dropped.
    _leash: Sender<()>,
}

impl Watchdog {
    pub(crate) fn watch(what: String) -> Self {
        let (leash, end) = mpsc::channel();
        thread::spawn(move || {
            if end.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                eprintln!("error: {what} has not ended within {LIMIT:?}");
                std::process::exit(1);
            }
        });
        Self { _leash: leash }
    }
}
