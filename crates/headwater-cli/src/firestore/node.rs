//! What a document holds, as the program knows it: read from Firestore or from a row, and written as
//! the text of a JSON object.

use crate::record::explain;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::value::ValueType;
use headwater::firestore::client::gcloud_sdk::google::firestore::v1::{
    ArrayValue, MapValue, Value,
};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// The deepest that Firestore takes.
const DEEPEST: usize = 20;

/// The fields of a document or a map, by name.
pub(super) type Fields = BTreeMap<String, Node>;

/// One value. Times and references are texts, points are maps.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Integer(i64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Node>),
    Map(Fields),
}

impl Node {
    /// The text of its JSON; fields are in the order of their names.
    pub(super) fn json(&self) -> String {
        // Keys are text and nothing fails by itself.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// As the protocol has it.
    pub(super) fn into_value(self) -> Value {
        let value = match self {
            Self::Null => ValueType::NullValue(0),
            Self::Bool(value) => ValueType::BooleanValue(value),
            Self::Integer(value) => ValueType::IntegerValue(value),
            Self::Double(value) => ValueType::DoubleValue(value),
            Self::Text(value) => ValueType::StringValue(value),
            Self::Bytes(value) => ValueType::BytesValue(value),
            Self::List(values) => {
                let values = values.into_iter().map(Self::into_value).collect();
                ValueType::ArrayValue(ArrayValue { values })
            }
            Self::Map(fields) => {
                let fields = fields.into_iter().map(|(name, node)| (name, node.into_value()));
                ValueType::MapValue(MapValue { fields: fields.collect() })
            }
        };
        Value { value_type: Some(value) }
    }

    /// The fields of a JSON object, every number as it is or not at all. The error is the reason
    /// why it can be no document.
    pub(super) fn fields_of(object: &str) -> Result<Fields, String> {
        let raw: &RawValue =
            serde_json::from_str(object).map_err(|error| explain(object, &error))?;
        match Self::of(raw, 0)? {
            Self::Map(fields) => Ok(fields),
            _ => Err("not an object".to_owned()),
        }
    }

    fn of(raw: &RawValue, depth: usize) -> Result<Self, String> {
        if depth > DEEPEST {
            return Err(format!("nested deeper than the {DEEPEST} levels that Firestore takes"));
        }
        let text = raw.get();
        let wrong = |error: serde_json::Error| explain(text, &error);
        Ok(match text.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'"') => Self::Text(serde_json::from_str(text).map_err(wrong)?),
            Some(b'[') => {
                let parts: Vec<&RawValue> = serde_json::from_str(text).map_err(wrong)?;
                let parts = parts.into_iter().map(|part| Self::of(part, depth + 1));
                Self::List(parts.collect::<Result<_, _>>()?)
            }
            Some(b'{') => {
                let parts: BTreeMap<String, &RawValue> =
                    serde_json::from_str(text).map_err(wrong)?;
                let part = |(name, part)| Ok((name, Self::of(part, depth + 1)?));
                Self::Map(parts.into_iter().map(part).collect::<Result<_, String>>()?)
            }
            _ => Self::number(text)?,
        })
    }

    /// A whole number has 64 bits and is exact; what has a fraction or an exponent is the nearest
    /// double.
    fn number(text: &str) -> Result<Self, String> {
        if !text.contains(['.', 'e', 'E']) {
            let integer = text.parse().map(Self::Integer);
            return integer.map_err(|_| format!("{text} does not fit into 64 bits"));
        }
        match text.parse() {
            Ok(double) if f64::is_finite(double) => Ok(Self::Double(double)),
            _ => Err(format!("{text} does not fit into a double")),
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Double(value) if value.is_finite() => serializer.serialize_f64(*value),
            // As the protocol's own JSON has them.
            Self::Double(value) if value.is_nan() => serializer.serialize_str("NaN"),
            Self::Double(value) if *value > 0.0 => serializer.serialize_str("Infinity"),
            Self::Double(_) => serializer.serialize_str("-Infinity"),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_str(&BASE64_STANDARD.encode(value)),
            Self::List(values) => serializer.collect_seq(values),
            Self::Map(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(name, node)| map.serialize_entry(name, node))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a document")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Integer(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Node, E> {
        Ok(Node::Bytes(value.to_owned()))
    }

    fn visit_byte_buf<E>(self, value: Vec<u8>) -> Result<Node, E> {
        Ok(Node::Bytes(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::with_capacity(values.size_hint().unwrap_or(0).min(1_024));
        while let Some(node) = values.next_element()? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut fields = Fields::new();
        while let Some((name, node)) = entries.next_entry()? {
            fields.insert(name, node);
        }
        Ok(Node::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(object: &str) -> Result<String, String> {
        Node::fields_of(object).map(|fields| Node::Map(fields).json())
    }

    #[test]
    fn values_of_json_come_back_in_the_order_of_their_names() {
        let text = r#"{"b":[1,-2.5,{"x":null},[true]],"a":"ä\n","a":9223372036854775807,"c":{}}"#;
        let back = r#"{"a":9223372036854775807,"b":[1,-2.5,{"x":null},[true]],"c":{}}"#;
        assert_eq!(there_and_back(text).as_deref(), Ok(back));
        assert_eq!(
            there_and_back(r#"{"d":1.0,"e":1e3,"i":1}"#).as_deref(),
            Ok(r#"{"d":1.0,"e":1000.0,"i":1}"#)
        );
    }

    #[test]
    fn numbers_that_would_be_bent_are_refused() {
        let refused = |number: &str| there_and_back(&format!("{{\"n\":{number}}}")).unwrap_err();
        assert!(refused("9223372036854775808").contains("does not fit into 64 bits"));
        assert!(refused("-12345678901234567890123").contains("does not fit into 64 bits"));
        assert!(refused("1e400").contains("does not fit into a double"));
    }

    #[test]
    fn what_is_nested_too_deep_is_refused() {
        let nested = |levels: usize| {
            there_and_back(&format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels)))
        };
        assert!(nested(20).is_ok());
        assert!(nested(21).unwrap_err().contains("nested deeper than the 20 levels"));
        assert!(nested(100_000).is_err());
    }

    #[test]
    fn what_json_lacks_is_text() {
        let list = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(Node::Double);
        let node = Node::List([&list[..], &[Node::Bytes(vec![0, 255])]].concat());
        assert_eq!(node.json(), r#"["NaN","Infinity","-Infinity","AP8="]"#);
    }
}
