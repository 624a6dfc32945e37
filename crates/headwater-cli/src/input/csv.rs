//! CSV (RFC 4180): where a record ends, its fields, and the JSON object that it becomes.
//!
//! Records are cut here by their quotes, so that each keeps its own text for reports, and an
//! unclosed quote is noticed instead of swallowing the rest of the file; `csv-core` then takes the
//! fields out of that text.

use crate::record::openings;
use anyhow::{Context, Result, bail};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

/// Follows the quotes of one record, line by line, to know where it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Quotes {
    /// At the beginning of a field: a quote here opens one.
    #[default]
    FieldStart,
    /// In a field without quotes: a quote here is data.
    Plain,
    /// In a quoted field: commas and line ends here are data.
    Quoted,
    /// After a quote in a quoted field: its end, or the first half of an escaped quote.
    QuoteInQuoted,
}

impl Quotes {
    /// Goes on over a piece of the record.
    pub(super) fn read(&mut self, piece: &[u8]) {
        if *self != Self::Quoted && memchr::memchr(b'"', piece).is_none() {
            *self = Self::Plain;
            return;
        }
        for byte in piece {
            *self = match (*self, byte) {
                (Self::Quoted, b'"') => Self::QuoteInQuoted,
                (Self::Quoted, _) => Self::Quoted,
                (Self::FieldStart | Self::QuoteInQuoted, b'"') => Self::Quoted,
                (_, b',') => Self::FieldStart,
                _ => Self::Plain,
            };
        }
    }

    /// Whether a line end here belongs to a quoted field.
    pub(super) fn are_open(self) -> bool {
        self == Self::Quoted
    }
}

/// The columns of a CSV, ready to make JSON objects of its rows.
#[derive(Debug)]
pub(crate) struct Header {
    names: Vec<String>,
    /// What comes before each field's value.
    openings: Vec<String>,
}

impl Header {
    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        let mut row = Row::default();
        let count = row.parse(text).map_err(anyhow::Error::msg).context("the header")?;
        let names: Vec<String> = (0..count).map(|index| row.field(index).to_owned()).collect();
        if let Some(twice) = first_repeated(&names) {
            bail!("the header names the column `{twice}` twice");
        }
        let openings = openings(&names);
        Ok(Self { names, openings })
    }

    /// The names of the columns, in their order.
    #[cfg(any(feature = "sqlite", feature = "firestore"))]
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Which column has that name.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|own| own == name)
    }

    /// As [`position`](Self::position); the error lists the columns that there are.
    pub(crate) fn require(&self, name: &str) -> Result<usize> {
        let Some(position) = self.position(name) else {
            bail!("has no column `{name}`; its columns are {}", list(&self.names));
        };
        Ok(position)
    }

    /// Takes the fields of one record into `row`; they must be as many as there are columns.
    pub(crate) fn read(&self, record: &[u8], row: &mut Row) -> Result<(), String> {
        let (columns, found) = (self.names.len(), row.parse(record)?);
        if found != columns {
            let fields = if found == 1 { "field" } else { "fields" };
            return Err(format!("{found} {fields} where the header has {columns}"));
        }
        Ok(())
    }

    /// Appends one record as a JSON object of strings and returns its field number `key`.
    pub(crate) fn write_json(
        &self,
        record: &[u8],
        key: usize,
        row: &mut Row,
        json: &mut Vec<u8>,
    ) -> Result<String, String> {
        self.read(record, row)?;
        for (index, opening) in self.openings.iter().enumerate() {
            json.extend_from_slice(opening.as_bytes());
            // Writing a string to memory has no way to fail.
            let _ = serde_json::to_writer(&mut *json, row.field(index));
        }
        json.push(b'}');
        Ok(row.field(key).to_owned())
    }
}

/// Names in backticks, for messages; a long list is cut.
pub(crate) fn list<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 30;
    let shown: Vec<_> =
        names.iter().take(SHOWN).map(|name| format!("`{}`", name.as_ref())).collect();
    let more = names.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

fn first_repeated(names: &[String]) -> Option<&str> {
    let mut seen = std::collections::HashSet::new();
    names.iter().find(|name| !seen.insert(name.as_str())).map(String::as_str)
}

/// Room for the fields of one record, used again and again.
#[derive(Default)]
pub(crate) struct Row {
    /// Made when it is first needed: that costs more than a record does.
    reader: Option<Box<Reader>>,
    fields: Vec<u8>,
    ends: Vec<usize>,
}

impl Row {
    /// Takes the fields of one record, given without its line end, and returns how many there are.
    fn parse(&mut self, record: &[u8]) -> Result<usize, String> {
        let reader = self.reader.get_or_insert_with(|| {
            // A lone `\r` is data: records were cut before.
            Box::new(ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build())
        });
        reader.reset();
        // Fields are never longer than their quoted text.
        self.fields.resize(record.len().max(1), 0);
        let (mut input, mut ended) = (record, false);
        let (mut length, mut count) = (0, 0);
        loop {
            let (result, read, written, ends) =
                reader.read_record(input, &mut self.fields[length..], &mut self.ends[count..]);
            (input, length, count) = (&input[read..], length + written, count + ends);
            match result {
                ReadRecordResult::InputEmpty if !ended => (input, ended) = (b"\n", true),
                ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => {
                    self.ends.resize((self.ends.len() * 2).max(64), 0);
                }
                _ => break,
            }
        }
        std::str::from_utf8(&self.fields[..length]).map_err(not_utf8)?;
        Ok(count)
    }

    /// A field of the record that was taken last.
    pub(crate) fn field(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        // Checked as a whole when it was taken, and cut only at commas and quotes.
        std::str::from_utf8(&self.fields[start..self.ends[index]]).unwrap_or_default()
    }
}

/// The reason that is given for text that is not UTF-8.
pub(crate) fn not_utf8(error: std::str::Utf8Error) -> String {
    format!("not valid UTF-8 at byte {}", error.valid_up_to() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(record: &str) -> Vec<String> {
        let mut row = Row::default();
        let count = row.parse(record.as_bytes()).unwrap();
        (0..count).map(|index| row.field(index).to_owned()).collect()
    }

    #[test]
    fn fields_are_unquoted() {
        assert_eq!(fields(r#"a,"b,c","d ""e""",,"#), ["a", "b,c", "d \"e\"", "", ""]);
        assert_eq!(fields("\"x\ny\""), ["x\ny"]);
        assert_eq!(fields(&"a,".repeat(200)).len(), 201);
        assert_eq!(fields("\"\""), [""]);
    }

    #[test]
    fn where_a_record_ends_and_what_its_fields_are_agree() {
        for text in [r#"a"b,c"#, r#""a"b"c,d"#, r#""a""#, "a,\"b\"\"\"", "\"a\"b\",c"] {
            let mut quotes = Quotes::default();
            quotes.read(text.as_bytes());
            assert!(!quotes.are_open(), "{text}");
            // If `csv-core` took the record for unfinished, the line end would be in a field.
            assert!(fields(text).iter().all(|field| !field.contains('\n')), "{text}");
        }
        let mut quotes = Quotes::default();
        quotes.read(b"a,\"b");
        assert!(quotes.are_open());
    }

    #[test]
    fn a_row_becomes_an_object_of_strings() {
        let header = Header::parse(b"id,\"a \"\"b\"\"\"").unwrap();
        let (mut json, mut row) = (Vec::new(), Row::default());
        let key = header.write_json(b"7,\"x\ny\"", 0, &mut row, &mut json).unwrap();
        assert_eq!(key, "7");
        assert_eq!(String::from_utf8(json).unwrap(), r#"{"id":"7","a \"b\"":"x\ny"}"#);
    }

    #[test]
    fn rows_of_another_length_and_bad_text_are_refused() {
        let header = Header::parse(b"a,b").unwrap();
        let refuse = |record: &[u8]| {
            header.write_json(record, 0, &mut Row::default(), &mut Vec::new()).unwrap_err()
        };
        assert_eq!(refuse(b"1"), "1 field where the header has 2");
        assert_eq!(refuse(b"1,2,3"), "3 fields where the header has 2");
        assert_eq!(refuse(b"1,\xff"), "not valid UTF-8 at byte 2");
    }

    #[test]
    fn a_header_with_a_name_twice_is_refused() {
        let error = Header::parse(b"a,b,a").unwrap_err().to_string();
        assert_eq!(error, "the header names the column `a` twice");
    }
}
