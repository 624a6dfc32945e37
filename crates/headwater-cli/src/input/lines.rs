//! Lines of a reader, with their numbers and a bound on their length.
//!
//! A `\r` before the `\n` is left in place: inside a quoted CSV field it belongs to the data. Whoever
//! knows where a record ends takes it away with [`strip_carriage_return`].

use super::REPORTED_BYTES;
use memchr::memchr;
use std::io::{self, BufRead, BufReader, Read};

/// How many bytes are asked of the reader at once.
const CHUNK: usize = 256 * 1024;

const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// Cuts a reader into lines at `\n`; the last one needs none.
pub(crate) struct Lines {
    input: BufReader<Box<dyn Read + Send>>,
    max: usize,
    number: u64,
}

/// One line, whose text was appended to the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: u64,
    /// Its length without the line end, if it is over the limit; then only its beginning is kept.
    pub(crate) too_long: Option<u64>,
}

impl Lines {
    /// Reads lines of at most `max` bytes.
    pub(crate) fn new(reader: Box<dyn Read + Send>, max: usize) -> Self {
        Self { input: BufReader::with_capacity(CHUNK, reader), max, number: 0 }
    }

    /// Whether the next line can be had without waiting for the reader.
    pub(crate) fn is_ready(&self) -> bool {
        memchr(b'\n', self.input.buffer()).is_some()
    }

    /// Appends the next line to `text`, without its end; `None` after the last.
    ///
    /// On an error `text` may hold the beginning of a line that did not end.
    pub(crate) fn next(&mut self, text: &mut Vec<u8>) -> io::Result<Option<Line>> {
        let start = text.len();
        let Some(length) = self.take_line(text)? else { return Ok(None) };
        self.number += 1;
        if self.number == 1 && text[start..].starts_with(BYTE_ORDER_MARK) {
            text.drain(start..start + BYTE_ORDER_MARK.len());
        }
        let too_long = (length > self.max as u64).then_some(length);
        Ok(Some(Line { number: self.number, too_long }))
    }

    /// Appends up to the next `\n` and returns how many bytes that were. Of a line over the limit
    /// only as much is kept as a report shows, however long it is.
    fn take_line(&mut self, text: &mut Vec<u8>) -> io::Result<Option<u64>> {
        let start = text.len();
        let mut length: u64 = 0;
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                return Ok((length > 0).then_some(length));
            }
            let end = memchr(b'\n', available);
            let piece = &available[..end.unwrap_or(available.len())];
            length += piece.len() as u64;
            if length <= self.max as u64 {
                text.extend_from_slice(piece);
            } else {
                let room = REPORTED_BYTES.saturating_sub(text.len() - start).min(piece.len());
                text.extend_from_slice(&piece[..room]);
                text.truncate(start + REPORTED_BYTES);
            }
            let used = piece.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                return Ok(Some(length));
            }
        }
    }
}

/// Takes the `\r` of a `\r\n` from the end of the line that begins at `start`.
pub(super) fn strip_carriage_return(text: &mut Vec<u8>, start: usize) {
    if text.len() > start && text.last() == Some(&b'\r') {
        text.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(text: &'static [u8], max: usize) -> Vec<(Line, String)> {
        let mut lines = Lines::new(Box::new(text), max);
        let mut found = Vec::new();
        let mut buffer = b"before".to_vec();
        while let Some(line) = lines.next(&mut buffer).unwrap() {
            strip_carriage_return(&mut buffer, 6);
            found.push((line, String::from_utf8_lossy(&buffer[6..]).into_owned()));
            buffer.truncate(6);
        }
        found
    }

    fn texts(text: &'static [u8]) -> Vec<String> {
        lines_of(text, 100).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn line_ends_and_a_byte_order_mark_are_no_part_of_a_line() {
        assert_eq!(texts(b"\xef\xbb\xbfa\r\nb\n\nc"), ["a", "b", "", "c"]);
        assert_eq!(texts(b"\xef\xbb\xbf"), [""]);
        assert_eq!(texts(b"a\rb\n"), ["a\rb"]);
        assert!(texts(b"").is_empty());
    }

    #[test]
    fn a_line_over_the_limit_is_cut_and_the_next_one_whole() {
        let found = lines_of(b"1234\n12345\n123\n", 4);
        let lengths: Vec<_> = found.iter().map(|(line, _)| (line.number, line.too_long)).collect();
        assert_eq!(lengths, [(1, None), (2, Some(5)), (3, None)]);
        assert_eq!(found[2].1, "123");
        assert_eq!(found[1].1, "12345");
    }
}
