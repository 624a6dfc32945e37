//! What the owners of locks write to: a number for each name, guarded by fencing tokens or not.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// Whether a register looks at tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fencing {
    On,
    Off,
}

/// What a register has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) accepted: u64,
    pub(super) refused: u64,
    /// Accepted writes that were worked out from what had been replaced.
    pub(super) lost: u64,
}

#[derive(Default)]
struct State {
    /// By name, the number and the largest token.
    numbers: HashMap<String, (u64, u64)>,
    tally: Tally,
}

/// A register, in the parent: `r NAME TOKEN` is answered by the number, `w NAME TOKEN NUMBER` has it
/// replaced by one more than `NUMBER`; `no` refuses either.
pub(super) struct Register {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Register {
    pub(super) fn start(fencing: Fencing) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &state, fencing));
            }
        });
        Self { port, state }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn tally(&self) -> Tally {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).tally
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>, fencing: Fencing) {
    let _ = stream.set_nodelay(true);
    let Ok(mut answers) = stream.try_clone() else { return };
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let answer = state.lock().unwrap_or_else(PoisonError::into_inner).answer(&line, fencing);
        if answers.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

impl State {
    fn answer(&mut self, line: &str, fencing: Fencing) -> String {
        let mut parts = line.split(' ');
        let (verb, name) = (parts.next(), parts.next().unwrap_or_default());
        let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        let (token, base) = (number(), number());
        let (value, highest) = self.numbers.entry(name.to_owned()).or_default();
        if fencing == Fencing::On && token < *highest {
            self.tally.refused += 1;
            return "no\n".to_owned();
        }
        *highest = token.max(*highest);
        if verb == Some("w") {
            self.tally.accepted += 1;
            self.tally.lost += u64::from(base != *value);
            *value = base + 1;
        }
        format!("{value}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_that_slept_is_refused_or_found_out() {
        for (fencing, expected) in [
            (Fencing::On, Tally { accepted: 1, refused: 1, lost: 0 }),
            (Fencing::Off, Tally { accepted: 2, refused: 0, lost: 1 }),
        ] {
            let mut state = State::default();
            for line in ["r a 5", "r a 6", "w a 6 0", "w a 5 0"] {
                state.answer(line, fencing);
            }
            assert_eq!(state.tally, expected);
        }
    }

    #[test]
    fn two_owners_with_one_token_are_found_out() {
        let mut state = State::default();
        for line in ["r a 5", "r a 5", "w a 5 0", "w a 5 0"] {
            state.answer(line, Fencing::On);
        }
        assert_eq!(state.tally.lost, 1);
    }
}
