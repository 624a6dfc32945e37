//! From Firestore's values to serde's and [back](encode), with the way to the field that does not fit.
//!
//! The client crate has a mapping of its own, which reads a negative integer into a `u64` as a huge
//! one (and writes a huge one as a negative), knows no enum variants with fields, leaves out what is
//! `None`, and does not name the field that is wrong.

mod encode;
mod name;
mod variant;

pub(crate) use self::encode::{of, to_fields, to_value};
use self::name::Name;
use self::variant::Variant;
use ::firestore::gcloud_sdk::google::firestore::v1::value::ValueType;
use ::firestore::gcloud_sdk::google::firestore::v1::{Document, MapValue, Value};
use ::firestore::gcloud_sdk::prost_types::Timestamp;
use ::firestore::timestamp_utils::from_timestamp;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::forward_to_deserialize_any;
use std::collections::{HashMap, hash_map};
use std::fmt;

/// Why a document does not fit a type: where, and what is wrong there.
#[derive(Debug)]
pub(crate) struct Misfit {
    document: String,
    /// The steps to the field, the last first.
    path: Vec<String>,
    problem: String,
}

impl Misfit {
    fn within(mut self, step: impl Into<String>) -> Self {
        self.path.push(step.into());
        self
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: Vec<&str> = self.path.iter().rev().map(String::as_str).collect();
        let path = path.join(".");
        match (self.document.as_str(), path.as_str()) {
            ("", "") => {}
            ("", path) => write!(f, "field `{path}`: ")?,
            (document, "") => write!(f, "document `{document}`: ")?,
            (document, path) => write!(f, "document `{document}`, field `{path}`: ")?,
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Misfit {}

impl serde::de::Error for Misfit {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self { document: String::new(), path: Vec::new(), problem: problem.to_string() }
    }
}

impl serde::ser::Error for Misfit {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        serde::de::Error::custom(problem)
    }
}

/// Reads one field of the document called `document` as a `V`.
pub(crate) fn from_value<V: DeserializeOwned>(document: &str, value: Value) -> Result<V, Misfit> {
    V::deserialize(Field(value))
        .map_err(|misfit| Misfit { document: document.to_owned(), ..misfit })
}

/// Reads a document as a `V`.
///
/// A struct that has fields of these names, or aliases, is told what stands beside the fields:
/// `_firestore_id`, `_firestore_full_id`, `_firestore_created` and `_firestore_updated`, as by the
/// client crate.
pub(crate) fn from_document<V: DeserializeOwned>(document: Document) -> Result<V, Misfit> {
    let name = document.name.clone();
    V::deserialize(Root(document)).map_err(|misfit| Misfit { document: name, ..misfit })
}

struct Root(Document);

impl<'de> Deserializer<'de> for Root {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_map(Fields::new(self.0.fields))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        wanted: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let Document { name, mut fields, create_time, update_time } = self.0;
        let id = name.rsplit('/').next().unwrap_or_default().to_owned();
        let beside = [
            ("_firestore_id", Some(ValueType::StringValue(id))),
            ("_firestore_full_id", Some(ValueType::StringValue(name))),
            ("_firestore_created", create_time.map(ValueType::TimestampValue)),
            ("_firestore_updated", update_time.map(ValueType::TimestampValue)),
        ];
        for (field, value) in beside {
            if let (true, Some(value)) = (wanted.contains(&field), value) {
                fields.insert(field.to_owned(), Value { value_type: Some(value) });
            }
        }
        visitor.visit_map(Fields::new(fields))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        Field(map(self.0.fields)).deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

fn map(fields: HashMap<String, Value>) -> Value {
    Value { value_type: Some(ValueType::MapValue(MapValue { fields })) }
}

/// The fields of a map, or of a document.
struct Fields {
    rest: hash_map::IntoIter<String, Value>,
    value: Option<(String, Value)>,
}

impl Fields {
    fn new(fields: HashMap<String, Value>) -> Self {
        Self { rest: fields.into_iter(), value: None }
    }
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        let key = seed.deserialize(Name(name.clone())).map_err(|misfit| misfit.within(&*name))?;
        self.value = Some((name, value));
        Ok(Some(key))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let Some((name, value)) = self.value.take() else {
            return Err(Misfit::custom("a value was read before its key"));
        };
        seed.deserialize(Field(value)).map_err(|misfit| misfit.within(name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// One value of a document.
struct Field(Value);

/// 2^53: above it not every integer is a floating-point number.
const EXACT: u64 = 1 << 53;

impl Field {
    /// A floating-point number, where an integer is wanted, if it is one; as Go reads it.
    fn with_whole_number(self) -> Self {
        match self.0.value_type {
            Some(ValueType::DoubleValue(number))
                if number.fract() == 0.0 && number.abs() <= EXACT as f64 =>
            {
                Self(Value { value_type: Some(ValueType::IntegerValue(number as i64)) })
            }
            _ => self,
        }
    }

    fn text(&self) -> Option<&str> {
        match &self.0.value_type {
            Some(ValueType::StringValue(text)) => Some(text),
            _ => None,
        }
    }

    /// The steps of a list, each with its place.
    fn list<'de, V: Visitor<'de>>(values: Vec<Value>, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_seq(List { rest: values.into_iter(), at: 0 })
    }
}

macro_rules! whole_numbers {
    ($($method:ident)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            self.with_whole_number().deserialize_any(visitor)
        }
    )* };
}

impl<'de> Deserializer<'de> for Field {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0.value_type {
            None | Some(ValueType::NullValue(_)) => visitor.visit_unit(),
            Some(ValueType::BooleanValue(value)) => visitor.visit_bool(value),
            Some(ValueType::IntegerValue(value)) => visitor.visit_i64(value),
            Some(ValueType::DoubleValue(value)) => visitor.visit_f64(value),
            Some(ValueType::StringValue(value) | ValueType::ReferenceValue(value)) => {
                visitor.visit_string(value)
            }
            Some(ValueType::BytesValue(value)) => visitor.visit_byte_buf(value),
            Some(ValueType::TimestampValue(value)) => {
                visitor.visit_string(from_timestamp(value).map_err(Misfit::custom)?.to_string())
            }
            Some(ValueType::GeoPointValue(point)) => {
                let parts = [("latitude", point.latitude), ("longitude", point.longitude)];
                visitor.visit_map(MapDeserializer::new(parts.into_iter()))
            }
            Some(ValueType::ArrayValue(array)) => Self::list(array.values, visitor),
            Some(ValueType::MapValue(map)) => visitor.visit_map(Fields::new(map.fields)),
            Some(other) => Err(Misfit::custom(format!("no value of a document: {other:?}"))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0.value_type {
            None | Some(ValueType::NullValue(_)) => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    /// Bytes are read as a list of numbers, too, where no `serde_bytes` asks for bytes.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0.value_type {
            Some(ValueType::BytesValue(bytes)) => {
                visitor.visit_seq(SeqDeserializer::new(bytes.into_iter()))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_seq(visitor)
    }

    /// `SystemTime` is two numbers to serde.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0.value_type {
            Some(ValueType::TimestampValue(Timestamp { seconds, nanos }))
                if name == "SystemTime" =>
            {
                visitor.visit_seq(SeqDeserializer::new([seconds, i64::from(nanos)].into_iter()))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    /// A variant is its name, or a map from its name to what it holds.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0.value_type {
            Some(ValueType::StringValue(name)) => visitor.visit_enum(Variant { name, held: None }),
            Some(ValueType::MapValue(map)) if map.fields.len() == 1 => {
                let held = map.fields.into_iter().next();
                let (name, held) = held.map_or_else(Default::default, |(k, v)| (k, Some(v)));
                visitor.visit_enum(Variant { name, held })
            }
            _ => Err(Misfit::custom("expected the name of a variant, or a map of one field")),
        }
    }

    /// An integer is read as a floating-point number only if it is one; as Go reads it.
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0.value_type {
            Some(ValueType::IntegerValue(number)) if number.unsigned_abs() > EXACT => {
                Err(Misfit::invalid_value(Unexpected::Signed(number), &"a floating-point number"))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    whole_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    /// What is longer than 64 bits is text.
    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.text().and_then(|text| text.parse().ok()) {
            Some(number) => visitor.visit_i128(number),
            None => self.with_whole_number().deserialize_any(visitor),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.text().and_then(|text| text.parse().ok()) {
            Some(number) => visitor.visit_u128(number),
            None => self.with_whole_number().deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool f32 char str string bytes byte_buf unit unit_struct tuple_struct map identifier
        ignored_any
    }
}

/// The values of an array.
struct List {
    rest: std::vec::IntoIter<Value>,
    at: usize,
}

impl<'de> SeqAccess<'de> for List {
    type Error = Misfit;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Misfit> {
        let Some(value) = self.rest.next() else { return Ok(None) };
        let at = self.at;
        self.at += 1;
        seed.deserialize(Field(value)).map(Some).map_err(|misfit| misfit.within(at.to_string()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    fn field<T: DeserializeOwned>(value: ValueType) -> Result<T, String> {
        #[derive(Deserialize)]
        struct Held<T> {
            held: T,
        }
        let held = Value { value_type: Some(value) };
        let fields = HashMap::from([("held".to_owned(), held)]);
        let document = Document { name: "d".to_owned(), fields, ..Document::default() };
        let read = from_document::<Held<T>>(document);
        read.map(|held| held.held).map_err(|misfit| misfit.to_string())
    }

    #[test]
    fn numbers_are_exact_or_refused() {
        use ValueType::{DoubleValue, IntegerValue};
        assert_eq!(field(IntegerValue(i64::MAX)), Ok(i64::MAX as u64));
        assert_eq!(field(IntegerValue(-5)), Ok(-5.0));
        assert_eq!(field(DoubleValue(3.0)), Ok(3_u8));
        assert_eq!(field(DoubleValue(-0.5)), Ok(-0.5));
        assert!(field::<u64>(IntegerValue(-1)).is_err());
        assert!(field::<u8>(IntegerValue(256)).is_err());
        assert!(field::<i64>(DoubleValue(0.5)).is_err());
        assert!(field::<i64>(DoubleValue(1e300)).is_err());
        assert!(field::<i64>(DoubleValue(f64::NAN)).is_err());
        assert!(field::<f64>(IntegerValue((1 << 53) + 1)).is_err());
        assert_eq!(field::<f64>(DoubleValue(f64::INFINITY)), Ok(f64::INFINITY));
    }

    #[test]
    fn variants_hold_what_they_are_declared_to() {
        #[derive(Debug, PartialEq, Deserialize)]
        enum State {
            Parked,
            Towed(u8),
            At(u8, u8),
        }
        let held = |name: &str, value: ValueType| {
            let value = Value { value_type: Some(value) };
            ValueType::MapValue(MapValue { fields: [(name.to_owned(), value)].into() })
        };
        let name = |name: &str| ValueType::StringValue(name.to_owned());
        assert_eq!(field(name("Parked")), Ok(State::Parked));
        assert_eq!(field(held("Parked", ValueType::NullValue(0))), Ok(State::Parked));
        assert_eq!(field(held("Towed", ValueType::IntegerValue(7))), Ok(State::Towed(7)));
        let pair = ValueType::BytesValue(vec![1, 2]);
        assert_eq!(field(held("At", pair)), Ok(State::At(1, 2)));
        for (value, part) in [
            (name("Towed"), "field `held.Towed`: the variant holds nothing"),
            (held("Parked", ValueType::IntegerValue(1)), "field `held.Parked`: the variant holds"),
            (name("Lost"), "field `held`: unknown variant `Lost`"),
            (ValueType::IntegerValue(1), "expected the name of a variant"),
            (ValueType::MapValue(MapValue::default()), "expected the name of a variant"),
        ] {
            let text = field::<State>(value).expect_err("no state");
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn what_stands_beside_the_fields_is_told_to_those_who_ask() {
        #[derive(Deserialize)]
        struct Asking {
            #[serde(rename = "_firestore_full_id")]
            name: String,
            #[serde(rename = "_firestore_updated")]
            updated: String,
        }
        let document = Document {
            name: "projects/p/databases/d/documents/c/1".to_owned(),
            update_time: Some(Timestamp { seconds: 1, nanos: 500_000_000 }),
            ..Document::default()
        };
        let asking: Asking = from_document(document.clone()).expect("it is there");
        assert!(asking.name.ends_with("/c/1"));
        assert_eq!(asking.updated, "1970-01-01T00:00:01.5Z");
        let fields: HashMap<String, String> = from_document(document).expect("a map");
        assert!(fields.is_empty(), "a map has the document's fields and no others");
    }

    #[test]
    fn times_before_1970_are_read_but_not_as_system_time_and_odd_ones_are_refused() {
        let time = |seconds, nanos| ValueType::TimestampValue(Timestamp { seconds, nanos });
        assert_eq!(field(time(-1, 0)), Ok("1969-12-31T23:59:59Z".to_owned()));
        assert!(field::<std::time::SystemTime>(time(-1, 0)).is_err());
        assert!(field::<String>(time(i64::MAX, 0)).is_err());
    }
}
