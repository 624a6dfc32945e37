//! The progress bar: on stderr, only on a terminal, and gone when the run ends.

use crate::args::Talk;
use crate::exit::say;
use crate::input::BytesRead;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(100);

/// A bar that draws itself until it is dropped. It has no colours, whatever `NO_COLOR` says.
pub(crate) struct Progress(Option<Drawing>);

struct Drawing {
    bar: ProgressBar,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Progress {
    /// Draws how much of the input is read, and `message`, which is given the elapsed time.
    /// `in_the_way` says that something else is printed on the same terminal.
    pub(crate) fn start(
        talk: Talk,
        in_the_way: bool,
        bytes: BytesRead,
        message: impl Fn(Duration) -> String + Send + 'static,
    ) -> Self {
        let total = bytes.total;
        Self::of(talk, in_the_way, total, move || bytes.read(), message)
    }

    /// Draws how much of `total` is done, which `position` says.
    pub(crate) fn of(
        talk: Talk,
        in_the_way: bool,
        total: Option<u64>,
        position: impl Fn() -> u64 + Send + 'static,
        message: impl Fn(Duration) -> String + Send + 'static,
    ) -> Self {
        if talk.quiet || talk.no_progress || in_the_way || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let (stop, stopped) = channel();
        let drawn = bar(total);
        let bar = drawn.clone();
        let begun = Instant::now();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                drawn.set_position(position());
                drawn.set_message(message(begun.elapsed()));
                drawn.tick();
            }
            drawn.finish_and_clear();
        });
        Self(Some(Drawing { bar, stop, thread }))
    }

    /// Prints lines on stderr as [`say`] does, above the bar if there is one.
    pub(crate) fn speaker(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let bar = self.0.as_ref().map(|drawing| drawing.bar.clone());
        move |line| match &bar {
            Some(bar) => bar.suspend(|| say(line)),
            None => say(line),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(Drawing { stop, thread, .. }) = self.0.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:24} {percent:>3}%  {msg}"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes}  {msg}"),
    };
    // A template that cannot be parsed would be our mistake; the default one serves as well.
    bar.set_style(ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar()));
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar
}

/// `336776` as `336,776`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of them per second, for people.
pub(crate) fn rate(count: u64, what: &str, elapsed: Duration) -> String {
    let per_second = count as f64 / elapsed.as_secs_f64().max(0.001);
    format!("{} {what}/s", grouped(per_second as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_threes() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(336_776), "336,776");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
