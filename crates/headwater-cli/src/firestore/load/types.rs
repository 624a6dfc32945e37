//! What the columns of a CSV hold: found out by looking at all of its rows before the first is sent.

use super::super::node::{Fields, Node};
use crate::args::LoadArgs;
use crate::input::{self, Format, Records, Row};
use anyhow::{Result, bail};
use std::collections::HashMap;

/// What all values of a column are. Those that are missing do not count: empty ones, and `NA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Integer,
    Double,
    Bool,
}

/// The columns that are not text.
#[derive(Debug, Default)]
pub(super) struct Types(HashMap<String, Type>);

impl Types {
    /// Reads the file through, if it is a CSV that can be read twice; also returns what there is to
    /// say about it. The column `key` is text.
    pub(super) fn of(args: &LoadArgs, key: &str) -> Result<(Self, Vec<String>)> {
        if args.format.unwrap_or_else(|| Format::of_name(&args.file)) != Format::Csv {
            if !args.text.is_empty() {
                bail!("--text is for the columns of a CSV");
            }
            return Ok((Self::default(), Vec::new()));
        }
        if !std::fs::metadata(&args.file).is_ok_and(|meta| meta.is_file()) {
            let note = "it can be read only once, so that all values stay text".to_owned();
            return Ok((Self::default(), vec![note]));
        }
        let input = input::open(&args.file, args.format)?;
        let mut records = Records::new(input, args.max_line)?;
        let Some(header) = records.header().cloned() else { return Ok(Default::default()) };
        for name in &args.text {
            header.require(name)?;
        }
        let mut columns = vec![Column::default(); header.names().len()];
        let (mut text, mut row) = (Vec::new(), Row::default());
        while let Some(span) = records.next(&mut text)? {
            // What is no row is told later, with its line.
            if span.fault.is_none() && header.read(&text[span.range], &mut row).is_ok() {
                let at = |(index, column): (usize, &mut Column)| column.see(row.field(index));
                columns.iter_mut().enumerate().for_each(at);
            }
            text.clear();
        }
        let is_text = |name: &String| name == key || args.text.contains(name);
        let named = header.names().iter().zip(columns).filter(|(name, _)| !is_text(name));
        let typed = named.filter_map(|(name, column)| Some((name.clone(), column.holds()?)));
        Ok((Self(typed.collect()), Vec::new()))
    }

    /// Gives the texts of a row the types of their columns.
    pub(super) fn apply(&self, fields: &mut Fields) {
        for (name, kind) in &self.0 {
            let Some(node) = fields.get_mut(name) else { continue };
            let Node::Text(text) = &*node else { continue };
            let value = match kind {
                _ if is_missing(text) => Some(Node::Null),
                Type::Integer => integer(text).map(Node::Integer),
                Type::Double => double(text).map(Node::Double),
                Type::Bool => boolean(text).map(Node::Bool),
            };
            // The file may have changed since; then it is still no less than it was.
            *node = value.unwrap_or_else(|| Node::Text(text.clone()));
        }
    }
}

/// What has been seen of a column.
#[derive(Clone, Copy, Default)]
struct Column {
    values: u64,
    integers: u64,
    doubles: u64,
    booleans: u64,
}

impl Column {
    fn see(&mut self, text: &str) {
        if !is_missing(text) {
            self.values += 1;
            self.integers += u64::from(integer(text).is_some());
            self.doubles += u64::from(double(text).is_some());
            self.booleans += u64::from(boolean(text).is_some());
        }
    }

    fn holds(self) -> Option<Type> {
        match self.values {
            0 => None,
            all if all == self.integers => Some(Type::Integer),
            all if all == self.doubles => Some(Type::Double),
            all if all == self.booleans => Some(Type::Bool),
            _ => None,
        }
    }
}

fn is_missing(text: &str) -> bool {
    matches!(text, "" | "NA")
}

/// A whole number that is written as one is: not `007`, which is a name, nor `+1`.
fn integer(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A number with or without a fraction, which only decimals have: not `1e5`, nor `.5`.
fn double(text: &str) -> Option<f64> {
    let Some((whole, fraction)) = text.split_once('.') else {
        return integer(text).map(|whole| whole as f64);
    };
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    integer(whole).filter(|whole| *whole >= 0)?;
    let is_decimal = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal.then(|| text.parse().ok()).flatten()
}

fn boolean(text: &str) -> Option<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    (is("true") || is("false")).then(|| is("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(values: &[&str]) -> Option<Type> {
        let mut column = Column::default();
        values.iter().for_each(|value| column.see(value));
        column.holds()
    }

    #[test]
    fn a_column_is_what_all_of_its_values_are() {
        assert_eq!(kind(&["1", "-20", "", "NA", "0"]), Some(Type::Integer));
        assert_eq!(kind(&["1", "-2.50", "0.5", "NA"]), Some(Type::Double));
        assert_eq!(kind(&["true", "FALSE", ""]), Some(Type::Bool));
        assert_eq!(kind(&["1", "true"]), None);
        assert_eq!(kind(&["1", "A320"]), None);
        assert_eq!(kind(&["", "NA"]), None);
    }

    #[test]
    fn names_that_look_like_numbers_stay_names() {
        for name in [
            "007",
            "+1",
            "1e5",
            ".5",
            "5.",
            "1,5",
            "--1",
            "-0",
            "0x1",
            "inf",
            "nan",
            " 1",
            "1.-5",
            "9223372036854775808",
        ] {
            assert_eq!(kind(&[name, "1"]), None, "{name}");
        }
        assert_eq!(double("-0.5"), Some(-0.5));
    }

    #[test]
    fn missing_values_are_null_where_others_are_no_text() {
        let types = Types([("n".to_owned(), Type::Integer), ("d".to_owned(), Type::Double)].into());
        let text = |text: &str| Node::Text(text.to_owned());
        let mut fields = Fields::from([
            ("n".to_owned(), text("NA")),
            ("d".to_owned(), text("5")),
            ("t".to_owned(), text("NA")),
        ]);
        types.apply(&mut fields);
        assert_eq!(Node::Map(fields).json(), r#"{"d":5.0,"n":null,"t":"NA"}"#);
    }
}
