use serde::{Deserialize, Serialize};

/// What is cached or stored: some 130 bytes of JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    tail: String,
    year: u16,
    maker: String,
    model: String,
    engines: u8,
    seats: u16,
    speed: Option<u32>,
}

impl Record {
    pub(crate) fn new(number: usize) -> Self {
        Self {
            tail: Self::key(number),
            year: 1_960 + (number % 60) as u16,
            maker: "BOMBARDIER INC".to_owned(),
            model: format!("CL-600-{number}"),
            engines: 2,
            seats: (number % 400) as u16,
            speed: None,
        }
    }

    /// The key of the record of that number.
    pub(crate) fn key(number: usize) -> String {
        format!("N{number:05}")
    }
}
