//! How the program ends: the exit codes that scripts can rely on, in one place.

use std::process::ExitCode;

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was read and written, or whoever read our output had enough.
    Done,
    /// The run failed on its way; what came before is written.
    Failed,
    /// It could not begin: nothing was read from the input, nothing was written.
    Unusable,
    /// `--on-missing fail` met a record that could not be enriched.
    Missing,
    /// SIGINT: what was in flight is written.
    Interrupted,
    /// SIGTERM: what was in flight is written.
    Terminated,
}

impl Exit {
    /// What the shell sees: 128 + the signal's number where there was one.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Unusable => 2,
            Self::Missing => 3,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Prints on stdout. A reader who has seen enough is no failure.
pub(crate) fn print(text: &str) -> Exit {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(&format_args!("stdout: {error}"));
            Exit::Failed
        }
        _ => Exit::Done,
    }
}

/// Prints what went wrong on stderr. A closed stderr leaves nobody to tell.
pub(crate) fn complain(error: &dyn std::fmt::Display) {
    say(&format!("error: {error}"));
}

/// Prints one line on stderr under the program's name.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "headwater: {line}");
}
