//! Fields of documents whose form is ours: made, and looked at.

use super::value::of;
use ::firestore::gcloud_sdk::google::firestore::v1::value::ValueType;
use ::firestore::gcloud_sdk::google::firestore::v1::{Document, Value};

pub(crate) fn text(text: impl Into<String>) -> Value {
    of(ValueType::StringValue(text.into()))
}

/// A number, or the largest that there is.
pub(crate) fn number(number: u64) -> Value {
    of(ValueType::IntegerValue(i64::try_from(number).unwrap_or(i64::MAX)))
}

#[cfg(feature = "sessions")]
pub(crate) fn bytes(bytes: Vec<u8>) -> Value {
    of(ValueType::BytesValue(bytes))
}

fn field<'d>(document: &'d Document, name: &str) -> Option<&'d ValueType> {
    document.fields.get(name)?.value_type.as_ref()
}

/// The text of a field; `None` if it is missing or no text.
pub(crate) fn as_text<'d>(document: &'d Document, name: &str) -> Option<&'d str> {
    match field(document, name)? {
        ValueType::StringValue(text) => Some(text),
        _ => None,
    }
}

/// The number of a field; `None` if it is missing, negative or no whole number.
pub(crate) fn as_number(document: &Document, name: &str) -> Option<u64> {
    match field(document, name)? {
        ValueType::IntegerValue(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// The bytes of a field; `None` if it is missing or no bytes.
#[cfg(feature = "sessions")]
pub(crate) fn as_bytes<'d>(document: &'d Document, name: &str) -> Option<&'d [u8]> {
    match field(document, name)? {
        ValueType::BytesValue(bytes) => Some(bytes),
        _ => None,
    }
}
