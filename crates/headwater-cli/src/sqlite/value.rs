//! From JSON to SQLite: the fields of a record, and how each value is stored.

use crate::record::{explain, key_text};
use anyhow::Result;
use rusqlite::types::Value;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The fields of a record, in their order, each with its value's text.
pub(super) fn fields_of(text: &[u8]) -> Result<Vec<(Cow<'_, str>, &RawValue)>, String> {
    let text = std::str::from_utf8(text).map_err(crate::input::not_utf8)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde::Deserializer::deserialize_map(&mut deserializer, AllFields)
        .and_then(|fields| deserializer.end().map(|()| fields))
        .map_err(|error| explain(text, &error))
}

struct AllFields;

impl<'de> Visitor<'de> for AllFields {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(fields)
    }
}

/// A JSON value as SQLite stores it; the key always as its text.
pub(super) fn sql_value(raw: &RawValue, is_key: bool, name: &str) -> Result<Value> {
    if is_key {
        let key = key_text(raw, name).map_err(anyhow::Error::msg)?;
        return Ok(key.map_or(Value::Null, |key| Value::Text(key.into_owned())));
    }
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'n') => Value::Null,
        Some(b't') => Value::Integer(1),
        Some(b'f') => Value::Integer(0),
        Some(b'"') => Value::Text(serde_json::from_str(text)?),
        Some(b'-' | b'0'..=b'9') => number(text),
        _ => Value::Text(text.to_owned()),
    })
}

/// An integer that is too long for SQLite stays text rather than lose digits.
fn number(text: &str) -> Value {
    let fraction = text.contains(['.', 'e', 'E']);
    match (text.parse(), text.parse()) {
        (Ok(integer), _) => Value::Integer(integer),
        (_, Ok(real)) if fraction => Value::Real(real),
        _ => Value::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        sql_value(serde_json::from_str(json).unwrap(), false, "x").unwrap()
    }

    #[test]
    fn json_values_keep_what_sqlite_can_hold() {
        assert_eq!(value("7"), Value::Integer(7));
        assert_eq!(value("7.0"), Value::Real(7.0));
        assert_eq!(value("1e3"), Value::Real(1000.0));
        assert_eq!(value("9223372036854775808"), Value::Text("9223372036854775808".to_owned()));
        assert_eq!(value("true"), Value::Integer(1));
        assert_eq!(value("null"), Value::Null);
        assert_eq!(value(r#""a\n""#), Value::Text("a\n".to_owned()));
        assert_eq!(value(r#"{"a": [1]}"#), Value::Text(r#"{"a": [1]}"#.to_owned()));
    }

    #[test]
    fn a_key_is_text_as_written() {
        let key = |json: &str| sql_value(serde_json::from_str(json).unwrap(), true, "k");
        assert_eq!(key("1.0").unwrap(), Value::Text("1.0".to_owned()));
        assert_eq!(key("null").unwrap(), Value::Null);
        assert!(key("[]").is_err());
    }
}
