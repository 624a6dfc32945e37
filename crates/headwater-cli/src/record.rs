//! One NDJSON record: finding its key without touching its text, and adding a field to that text.
//!
//! The record is checked to be one valid JSON object, and that is all that happens to it: number
//! formats, field order, repeated fields and white space go through as they came.

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Checks a record and finds what to look up: the content of the string in its field `key`, or the
/// number there as it is written. `None` if the field is null or missing; the last of repeated fields
/// counts. `taken` is a field that the record must not have.
///
/// The error is the reason why it cannot be used, to follow the record's place.
pub(crate) fn scan<'a>(
    text: &'a [u8],
    key: &str,
    taken: Option<&str>,
) -> Result<Option<Cow<'a, str>>, String> {
    let text = std::str::from_utf8(text).map_err(crate::input::not_utf8)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let fields = serde::Deserializer::deserialize_map(&mut deserializer, Fields { key, taken })
        .and_then(|fields| deserializer.end().map(|()| fields))
        .map_err(|error| explain(text, &error))?;
    if fields.has_taken {
        let taken = taken.unwrap_or_default();
        return Err(format!("has a field `{taken}` already; choose another --as"));
    }
    Ok(fields.key.map(|raw| key_text(raw, key)).transpose()?.flatten())
}

/// The text to look up of a key field's value; `None` for null.
pub(crate) fn key_text<'a>(raw: &'a RawValue, name: &str) -> Result<Option<Cow<'a, str>>, String> {
    let text = raw.get();
    let kind = match text.as_bytes().first() {
        Some(b'"') => return string_content(text, name).map(Some),
        Some(b'-' | b'0'..=b'9') => return Ok(Some(Cow::Borrowed(text))),
        Some(b'n') => return Ok(None),
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        _ => "a boolean",
    };
    Err(format!("key `{name}` is {kind}; only strings and numbers can be looked up"))
}

fn string_content<'a>(quoted: &'a str, name: &str) -> Result<Cow<'a, str>, String> {
    if !quoted.contains('\\') {
        return Ok(Cow::Borrowed(&quoted[1..quoted.len() - 1]));
    }
    let content = serde_json::from_str(quoted).map(Cow::Owned);
    content.map_err(|error| format!("key `{name}` is not a valid string: {}", plain(&error)))
}

/// Says why a record is no JSON object.
pub(crate) fn explain(text: &str, error: &serde_json::Error) -> String {
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return format!("not valid JSON: {}", plain(error));
    }
    let kind = match text.trim_start().as_bytes().first() {
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    };
    format!("{kind}, not an object")
}

/// The parser's words, with its place inside the record but without its count of lines.
fn plain(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match words.strip_suffix(&place) {
        Some(words) if error.line() > 0 => format!("{words} (column {})", error.column()),
        _ => words,
    }
}

/// Which of the fields that we know a name is.
enum Name {
    Key,
    Taken,
    Other,
}

#[derive(Clone, Copy)]
struct Fields<'n> {
    key: &'n str,
    taken: Option<&'n str>,
}

struct FoundFields<'a> {
    key: Option<&'a RawValue>,
    has_taken: bool,
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = FoundFields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = FoundFields { key: None, has_taken: false };
        while let Some(name) = map.next_key_seed(NameSeed(self))? {
            match name {
                Name::Key => found.key = Some(map.next_value()?),
                Name::Taken => {
                    found.has_taken = true;
                    map.next_value::<IgnoredAny>()?;
                }
                Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

/// Tells field names apart without keeping them.
struct NameSeed<'n>(Fields<'n>);

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Name;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(if name == self.0.key {
            Name::Key
        } else if self.0.taken == Some(name) {
            Name::Taken
        } else {
            Name::Other
        })
    }
}

/// What comes before each value of an object with these fields: `{"first":`, `,"second":`.
pub(crate) fn openings(names: &[String]) -> Vec<String> {
    let opening = |(index, name): (usize, &String)| {
        let before = if index == 0 { '{' } else { ',' };
        format!("{before}{}:", serde_json::Value::from(name.as_str()))
    };
    names.iter().enumerate().map(opening).collect()
}

/// Adds one field to records: `,"plane":VALUE` before the last brace.
#[derive(Clone, Debug)]
pub(crate) struct Splice {
    /// `,"plane":`
    opening: String,
}

impl Splice {
    /// Adds a field of that name.
    pub(crate) fn new(name: &str) -> Self {
        Self { opening: format!(",{}:", serde_json::Value::from(name)) }
    }

    /// Appends `record`, a JSON object, with `value` (JSON text) as its last field.
    ///
    /// The object has a field at least: the one that was looked up.
    pub(crate) fn write(&self, record: &[u8], value: &str, out: &mut Vec<u8>) {
        let brace = memchr::memrchr(b'}', record).unwrap_or(record.len());
        out.reserve(record.len() + self.opening.len() + value.len() + 1);
        out.extend_from_slice(&record[..brace]);
        out.extend_from_slice(self.opening.as_bytes());
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(&record[brace..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Result<Option<String>, String> {
        Ok(scan(text.as_bytes(), "k", Some("new"))?.map(Cow::into_owned))
    }

    fn splice(record: &str) -> String {
        let mut out = Vec::new();
        Splice::new("a\"b").write(record.as_bytes(), "[1]", &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_and_numbers_are_keys_as_they_are_written() {
        assert_eq!(key(r#"{"k":"N1"}"#), Ok(Some("N1".to_owned())));
        assert_eq!(key(r#"{"k":""}"#), Ok(Some(String::new())));
        assert_eq!(key(r#"{"k":"a\n\u0062"}"#), Ok(Some("a\nb".to_owned())));
        assert_eq!(key(r#"{"\u006b":"x"}"#), Ok(Some("x".to_owned())));
        for number in ["1", "1.0", "-0", "1e5", "12345678901234567890123"] {
            assert_eq!(key(&format!("{{\"k\": {number} }}")), Ok(Some(number.to_owned())));
        }
    }

    #[test]
    fn null_and_a_missing_field_are_no_key() {
        assert_eq!(key(r#"{"k":null}"#), Ok(None));
        assert_eq!(key("{}"), Ok(None));
        assert_eq!(key(r#"{"a":{"k":1}}"#), Ok(None));
    }

    #[test]
    fn the_last_of_repeated_keys_counts() {
        assert_eq!(key(r#"{"k":1,"k":"b"}"#), Ok(Some("b".to_owned())));
    }

    #[test]
    fn other_types_of_keys_are_named() {
        let error = key(r#"{"k":{}}"#).unwrap_err();
        assert_eq!(error, "key `k` is an object; only strings and numbers can be looked up");
        assert!(key(r#"{"k":[1]}"#).unwrap_err().contains("an array"));
        assert!(key(r#"{"k":true}"#).unwrap_err().contains("a boolean"));
        assert!(key(r#"{"k":"\ud800"}"#).unwrap_err().contains("not a valid string"));
    }

    #[test]
    fn what_is_not_an_object_says_what_it_is() {
        assert_eq!(key("[1]").unwrap_err(), "an array, not an object");
        assert_eq!(key("\"{}\"").unwrap_err(), "a string, not an object");
        assert_eq!(key(" -1").unwrap_err(), "a number, not an object");
        assert_eq!(key("null").unwrap_err(), "null, not an object");
    }

    #[test]
    fn what_is_not_json_says_where() {
        for bad in
            ["{", "{\"k\":1", "{\"k\" 1}", "{\"k\":1,}", "{}{}", "nil", "{'k':1}", "{\"k\":01}"]
        {
            let error = key(bad).unwrap_err();
            assert!(error.starts_with("not valid JSON: "), "{bad}: {error}");
            assert!(error.contains("(column "), "{bad}: {error}");
        }
        assert!(scan(b"{\"k\":\"\xff\"}", "k", None).unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn deep_nesting_is_no_trouble() {
        let deep = format!("{{\"a\":{}{},\"k\":1}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(key(&deep), Ok(Some("1".to_owned())));
    }

    #[test]
    fn a_taken_field_is_refused() {
        assert!(key(r#"{"k":1,"new":null}"#).unwrap_err().contains("`new` already"));
    }

    #[test]
    fn a_field_is_added_and_the_rest_is_kept() {
        assert_eq!(splice(r#"{"k":1.0,"k":2}"#), r#"{"k":1.0,"k":2,"a\"b":[1]}"#);
        assert_eq!(splice(r#" { "k" : 1 } "#), r#" { "k" : 1 ,"a\"b":[1]} "#);
    }
}
