use super::{of, to_value};
use crate::firestore::value::{Misfit, map};
use ::firestore::gcloud_sdk::google::firestore::v1::value::ValueType;
use ::firestore::gcloud_sdk::google::firestore::v1::{ArrayValue, Value};
use ::firestore::gcloud_sdk::google::r#type::LatLng;
use ::firestore::gcloud_sdk::prost_types::Timestamp;
use serde::ser::{Error as _, Serialize, SerializeMap, SerializeStruct, SerializeStructVariant};
use std::collections::HashMap;

/// What the fields are of.
pub(super) enum Shape {
    Map,
    Variant(&'static str),
    /// To serde it is two numbers.
    SystemTime,
}

/// A map that is being written.
pub(crate) struct Fields {
    shape: Shape,
    fields: HashMap<String, Value>,
    key: Option<String>,
}

impl Fields {
    pub(super) fn new(shape: Shape) -> Self {
        Self { shape, fields: HashMap::new(), key: None }
    }

    fn put<T: ?Sized + Serialize>(&mut self, name: String, value: &T) -> Result<(), Misfit> {
        if name.is_empty() || (name.len() >= 4 && name.starts_with("__") && name.ends_with("__")) {
            let problem = "Firestore has no fields with an empty name, or one like `__x__`";
            return Err(Misfit::custom(problem).within(name));
        }
        let value = to_value(value).map_err(|misfit| misfit.within(&*name))?;
        if self.fields.insert(name.clone(), value).is_some() {
            return Err(Misfit::custom("two fields have this name").within(name));
        }
        Ok(())
    }

    fn done(self) -> Result<Value, Misfit> {
        let Self { shape, fields, .. } = self;
        match shape {
            Shape::Map => Ok(map(fields)),
            Shape::Variant(name) => Ok(map(HashMap::from([(name.to_owned(), map(fields))]))),
            Shape::SystemTime => {
                let part = |name: &str| match fields.get(name)?.value_type {
                    Some(ValueType::IntegerValue(number)) => Some(number),
                    _ => None,
                };
                let nanos = part("nanos_since_epoch").and_then(|nanos| nanos.try_into().ok());
                let (Some(seconds), Some(nanos)) = (part("secs_since_epoch"), nanos) else {
                    return Err(Misfit::custom("a `SystemTime` of another form than expected"));
                };
                Ok(of(ValueType::TimestampValue(Timestamp { seconds, nanos })))
            }
        }
    }
}

/// A point on earth.
pub(super) fn point(fields: &HashMap<String, Value>) -> Result<Value, Misfit> {
    let part = |name: &str| match fields.get(name)?.value_type {
        Some(ValueType::DoubleValue(number)) => Some(number),
        _ => None,
    };
    let (Some(latitude), Some(longitude)) = (part("latitude"), part("longitude")) else {
        return Err(Misfit::custom("a point needs a `latitude` and a `longitude`"));
    };
    Ok(of(ValueType::GeoPointValue(LatLng { latitude, longitude })))
}

/// A vector, as Firestore's indexes of vectors take it.
pub(super) fn vector(numbers: ArrayValue) -> Value {
    let kind = of(ValueType::StringValue("__vector__".to_owned()));
    let numbers = of(ValueType::ArrayValue(numbers));
    map(HashMap::from([("__type__".to_owned(), kind), ("value".to_owned(), numbers)]))
}

/// A map's key as the name of a field: text as it is, numbers and `bool` as their text.
fn name<T: ?Sized + Serialize>(key: &T) -> Result<String, Misfit> {
    match to_value(key)?.value_type {
        Some(ValueType::StringValue(text)) => Ok(text),
        Some(ValueType::IntegerValue(number)) => Ok(number.to_string()),
        Some(ValueType::BooleanValue(value)) => Ok(value.to_string()),
        _ => Err(Misfit::custom("a map's keys must be text, whole numbers or `bool`")),
    }
}

impl SerializeMap for Fields {
    type Ok = Value;
    type Error = Misfit;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Misfit> {
        self.key = Some(name(key)?);
        Ok(())
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Misfit> {
        let Some(key) = self.key.take() else {
            return Err(Misfit::custom("a value was written before its key"));
        };
        self.put(key, value)
    }

    fn end(self) -> Result<Value, Misfit> {
        self.done()
    }
}

impl SerializeStruct for Fields {
    type Ok = Value;
    type Error = Misfit;

    fn serialize_field<T: ?Sized + Serialize>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Misfit> {
        self.put(key.to_owned(), value)
    }

    fn end(self) -> Result<Value, Misfit> {
        self.done()
    }
}

impl SerializeStructVariant for Fields {
    type Ok = Value;
    type Error = Misfit;

    fn serialize_field<T: ?Sized + Serialize>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Misfit> {
        self.put(key.to_owned(), value)
    }

    fn end(self) -> Result<Value, Misfit> {
        self.done()
    }
}
