//! SIGINT and SIGTERM: the first one asks the run to end with what is in flight, the second one ends
//! the process.

use serde::Serialize;
use std::io;
use tokio::sync::watch;

/// What somebody sent us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Signal {
    #[serde(rename = "sigint")]
    Interrupt,
    #[serde(rename = "sigterm")]
    Terminate,
}

impl Signal {
    /// As it is called in the summary.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "sigint",
            Self::Terminate => "sigterm",
        }
    }

    /// What is said when it comes.
    pub(crate) fn announcement(self) -> String {
        let name = self.name().to_uppercase();
        format!("{name}: ending with what is in flight; once more to end at once")
    }

    /// How the program ends for it.
    pub(crate) fn exit(self) -> crate::exit::Exit {
        match self {
            Self::Interrupt => crate::exit::Exit::Interrupted,
            Self::Terminate => crate::exit::Exit::Terminated,
        }
    }
}

/// Tells of the first signal.
#[derive(Clone, Debug)]
pub(crate) struct Signals(watch::Receiver<Option<Signal>>);

impl Signals {
    /// The signal that has come, if one has.
    #[cfg(feature = "firestore")]
    pub(crate) fn seen(&self) -> Option<Signal> {
        *self.0.borrow()
    }

    /// Ends when a signal has come, and never if none does.
    pub(crate) async fn first(&mut self) -> Signal {
        match self.0.wait_for(Option::is_some).await {
            Ok(seen) => seen.unwrap_or(Signal::Interrupt),
            Err(_) => std::future::pending().await,
        }
    }
}

/// Begins to listen, on the present runtime. From now on the process does not end by itself at the
/// first signal, which is also told to `announce`.
pub(crate) fn listen(announce: impl Fn(Signal) + Send + Sync + 'static) -> io::Result<Signals> {
    let mut incoming = Incoming::new()?;
    let (seen, signals) = watch::channel(None);
    tokio::spawn(async move {
        let first = incoming.next().await;
        announce(first);
        // Kept until the process ends, so that `first` never sees a closed channel.
        seen.send_replace(Some(first));
        let second = incoming.next().await;
        std::process::exit(i32::from(second.exit().code()));
    });
    Ok(Signals(signals))
}

#[cfg(unix)]
struct Incoming {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Incoming {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}

#[cfg(not(unix))]
struct Incoming;

#[cfg(not(unix))]
impl Incoming {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }
}
