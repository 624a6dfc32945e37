//! From serde's values to Firestore's, as Go's client writes them: what the reader beside it reads
//! back.

mod fields;
mod list;

use self::fields::{Fields, Shape, point, vector};
use self::list::List;
use super::{Misfit, map};
use ::firestore::FirestoreInstant;
use ::firestore::gcloud_sdk::google::firestore::v1::Value;
use ::firestore::gcloud_sdk::google::firestore::v1::value::ValueType;
use ::firestore::timestamp_utils::to_timestamp;
use serde::ser::{Error as _, Serialize, Serializer};
use std::collections::HashMap;

/// Writes a value as the fields of a document.
///
/// # Errors
/// If Firestore has no such value, or it has no fields.
pub(crate) fn to_fields<V: ?Sized + Serialize>(
    value: &V,
) -> Result<HashMap<String, Value>, Misfit> {
    match to_value(value)?.value_type {
        Some(ValueType::MapValue(map)) => Ok(map.fields),
        _ => Err(Misfit::custom("only a struct or a map has the fields of a document")),
    }
}

/// Writes a value as a field of a document.
///
/// # Errors
/// If Firestore has no such value.
pub(crate) fn to_value<V: ?Sized + Serialize>(value: &V) -> Result<Value, Misfit> {
    value.serialize(Encoder)
}

pub(crate) fn of(value: ValueType) -> Value {
    Value { value_type: Some(value) }
}

struct Encoder;

fn whole(number: impl TryInto<i64>) -> Result<Value, Misfit> {
    let number = number.try_into();
    number.map(|number| of(ValueType::IntegerValue(number))).map_err(|_| {
        Misfit::custom("a whole number is too large: Firestore's have 64 bits, with a sign")
    })
}

fn instant(text: &str) -> Result<Value, Misfit> {
    let instant: FirestoreInstant = text.parse().map_err(Misfit::custom)?;
    Ok(of(ValueType::TimestampValue(to_timestamp(instant))))
}

/// What the client crate's markers stand for.
fn marked(name: &str, value: Value) -> Result<Value, Misfit> {
    match (name, value.value_type) {
        ("FirestoreTimestamp" | "FirestoreTimestampAsNull", Some(ValueType::StringValue(text))) => {
            instant(&text)
        }
        ("FirestoreReference", Some(ValueType::StringValue(name))) => {
            Ok(of(ValueType::ReferenceValue(name)))
        }
        ("FirestoreLatLng", Some(ValueType::MapValue(map))) => point(&map.fields),
        ("FirestoreVector", Some(ValueType::ArrayValue(numbers))) => Ok(vector(numbers)),
        (_, value_type) => Ok(Value { value_type }),
    }
}

macro_rules! whole_numbers {
    ($($method:ident $type:ty,)*) => { $(
        fn $method(self, number: $type) -> Result<Value, Misfit> {
            whole(number)
        }
    )* };
}

impl Serializer for Encoder {
    type Ok = Value;
    type Error = Misfit;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = List;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    whole_numbers! {
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64,
    }

    /// Go has no such numbers: what is too long for its own is text, and read back from it.
    fn serialize_i128(self, number: i128) -> Result<Value, Misfit> {
        whole(number).or_else(|_| self.serialize_str(&number.to_string()))
    }

    fn serialize_u128(self, number: u128) -> Result<Value, Misfit> {
        whole(number).or_else(|_| self.serialize_str(&number.to_string()))
    }

    fn serialize_bool(self, value: bool) -> Result<Value, Misfit> {
        Ok(of(ValueType::BooleanValue(value)))
    }

    fn serialize_f32(self, number: f32) -> Result<Value, Misfit> {
        self.serialize_f64(number.into())
    }

    fn serialize_f64(self, number: f64) -> Result<Value, Misfit> {
        Ok(of(ValueType::DoubleValue(number)))
    }

    fn serialize_char(self, letter: char) -> Result<Value, Misfit> {
        Ok(of(ValueType::StringValue(letter.into())))
    }

    fn serialize_str(self, text: &str) -> Result<Value, Misfit> {
        Ok(of(ValueType::StringValue(text.to_owned())))
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Value, Misfit> {
        Ok(of(ValueType::BytesValue(bytes.to_vec())))
    }

    fn serialize_none(self) -> Result<Value, Misfit> {
        self.serialize_unit()
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<Value, Misfit> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, Misfit> {
        Ok(of(ValueType::NullValue(0)))
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Misfit> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, Misfit> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Value, Misfit> {
        marked(name, value.serialize(self)?)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, Misfit> {
        let value = to_value(value).map_err(|misfit| misfit.within(variant))?;
        Ok(map(HashMap::from([(variant.to_owned(), value)])))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<List, Misfit> {
        Ok(List::new(len.unwrap_or(0), None))
    }

    fn serialize_tuple(self, len: usize) -> Result<List, Misfit> {
        Ok(List::new(len, None))
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<List, Misfit> {
        Ok(List::new(len, None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<List, Misfit> {
        Ok(List::new(len, Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields, Misfit> {
        Ok(Fields::new(Shape::Map))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields, Misfit> {
        Ok(Fields::new(if name == "SystemTime" { Shape::SystemTime } else { Shape::Map }))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields, Misfit> {
        Ok(Fields::new(Shape::Variant(variant)))
    }
}
