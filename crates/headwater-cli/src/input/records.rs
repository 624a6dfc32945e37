//! Records of an input, one by one, each with its own text: the same for NDJSON and CSV.

use super::csv::{Header, Quotes};
use super::lines::{Lines, strip_carriage_return};
use super::{Input, plain_words};
use anyhow::{Context, Result, anyhow};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// What the bytes of an input mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One JSON object per line.
    Ndjson,
    /// Comma-separated values under a header (RFC 4180).
    Csv,
}

impl Format {
    /// Guesses from a name: `.csv` (before `.gz` or `.zst`) is CSV, every other is NDJSON.
    pub(crate) fn of_name(path: &Path) -> Self {
        let name = path.to_string_lossy().to_ascii_lowercase();
        let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(&name);
        if name.ends_with(".csv") { Self::Csv } else { Self::Ndjson }
    }
}

/// Where one record's text is in the buffer that it was read into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The line where it begins, counted from 1.
    pub(crate) line: u64,
    /// Its text, without the line end.
    pub(crate) range: Range<usize>,
    /// Why it is no record, if that is known from its bounds already.
    pub(crate) fault: Option<String>,
}

/// Reads records one by one.
pub(crate) struct Records {
    lines: Lines,
    /// Of a CSV that has at least one line.
    header: Option<Arc<Header>>,
    format: Format,
    max: usize,
}

impl Records {
    /// Begins to read; the header of a CSV is read at once. A line longer than `max` bytes is a
    /// fault.
    pub(crate) fn new(input: Input, max: usize) -> Result<Self> {
        let Input { name, reader, format, .. } = input;
        let lines = Lines::new(reader, max);
        let mut records = Self { lines, header: None, format, max };
        if format == Format::Csv {
            records.header = records.read_header().context(name)?.map(Arc::new);
        }
        Ok(records)
    }

    /// The columns of a CSV; `None` for NDJSON and for a file without a line.
    pub(crate) fn header(&self) -> Option<&Arc<Header>> {
        self.header.as_ref()
    }

    /// What was said when it was opened, or guessed.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Whether there is more to be had without waiting for the reader.
    pub(crate) fn is_ready(&self) -> bool {
        self.lines.is_ready()
    }

    /// Appends the next record's text to `text`; `None` after the last. Blank lines are no records.
    ///
    /// On an error `text` may hold the beginning of a record that did not end.
    pub(crate) fn next(&mut self, text: &mut Vec<u8>) -> io::Result<Option<Span>> {
        let start = text.len();
        loop {
            let span = match self.format {
                Format::Ndjson => self.next_line(text)?,
                Format::Csv => self.next_csv(text)?,
            };
            let blank = |span: &Span| match self.format {
                Format::Ndjson => text[span.range.clone()].trim_ascii().is_empty(),
                Format::Csv => span.range.is_empty(),
            };
            match span {
                Some(span) if span.fault.is_none() && blank(&span) => text.truncate(start),
                other => return Ok(other),
            }
        }
    }

    fn next_line(&mut self, text: &mut Vec<u8>) -> io::Result<Option<Span>> {
        let start = text.len();
        let Some(line) = self.lines.next(text)? else { return Ok(None) };
        strip_carriage_return(text, start);
        let fault = line.too_long.map(|length| too_long(length, self.max));
        Ok(Some(Span { line: line.number, range: start..text.len(), fault }))
    }

    /// As [`next_line`](Self::next_line), but goes on while a quoted field is open.
    fn next_csv(&mut self, text: &mut Vec<u8>) -> io::Result<Option<Span>> {
        let start = text.len();
        let Some(first) = self.lines.next(text)? else { return Ok(None) };
        let mut quotes = Quotes::default();
        quotes.read(&text[start..]);
        let mut fault = first.too_long.map(|length| too_long(length, self.max));
        while fault.is_none() && quotes.are_open() {
            text.push(b'\n');
            let next = text.len();
            let Some(line) = self.lines.next(text)? else {
                fault = Some("a quoted field is not closed before the end".to_owned());
                break;
            };
            let length = line.too_long.unwrap_or(0).max((text.len() - start) as u64);
            fault = (length > self.max as u64).then(|| too_long(length, self.max));
            quotes.read(&text[next..]);
        }
        strip_carriage_return(text, start);
        Ok(Some(Span { line: first.number, range: start..text.len(), fault }))
    }

    fn read_header(&mut self) -> Result<Option<Header>> {
        let mut text = Vec::new();
        let Some(span) = self.next(&mut text).map_err(plain_words)? else { return Ok(None) };
        if let Some(fault) = span.fault {
            return Err(anyhow!("the header: {fault}"));
        }
        Header::parse(&text).map(Some)
    }
}

fn too_long(length: u64, max: usize) -> String {
    format!("{length} bytes, over the --max-line of {max}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::BytesRead;

    fn read(text: &'static str, format: Format) -> Vec<(u64, String, Option<String>)> {
        let input = Input {
            name: "test".to_owned(),
            reader: Box::new(text.as_bytes()),
            format,
            live: false,
            progress: BytesRead::default(),
        };
        let mut records = Records::new(input, 40).unwrap();
        let mut buffer = Vec::new();
        let mut found = Vec::new();
        while let Some(span) = records.next(&mut buffer).unwrap() {
            let text = String::from_utf8(buffer[span.range].to_vec()).unwrap();
            found.push((span.line, text, span.fault));
        }
        found
    }

    #[test]
    fn blank_lines_are_counted_and_skipped() {
        let found = read("\n{\"a\":1}\r\n  \n{\"a\":2}", Format::Ndjson);
        assert_eq!(found, [(2, "{\"a\":1}".to_owned(), None), (4, "{\"a\":2}".to_owned(), None)]);
    }

    #[test]
    fn a_quoted_field_may_hold_line_ends_as_they_are() {
        let found = read("a,b\r\n1,\"x\r\ny \"\"z\"\" \"\r\n\n2,\"q\"\n", Format::Csv);
        let expected =
            [(2, "1,\"x\r\ny \"\"z\"\" \"".to_owned(), None), (5, "2,\"q\"".to_owned(), None)];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_quote_that_stays_open_is_a_fault_and_not_the_end_of_memory() {
        let found = read("a\n\"1\n2\n", Format::Csv);
        assert_eq!(found.len(), 1);
        assert!(found[0].2.as_ref().unwrap().contains("not closed"));
        let found = read("a\n\"123456789\n123456789\n123456789\n123456789012\n5\n", Format::Csv);
        assert!(found[0].2.as_ref().unwrap().contains("over the --max-line"));
        assert_eq!(found[1].1, "5");
    }

    #[test]
    fn the_name_tells_the_format() {
        let of = |name: &str| Format::of_name(Path::new(name));
        assert_eq!(of("a/planes.csv"), Format::Csv);
        assert_eq!(of("planes.CSV.gz"), Format::Csv);
        assert_eq!(of("planes.csv.zst"), Format::Csv);
        assert_eq!(of("flights.ndjson"), Format::Ndjson);
        assert_eq!(of("/dev/fd/63"), Format::Ndjson);
    }
}
