//! A value as it is spliced into records: the text of its JSON, which no tier changes.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::ops::Deref;
use std::sync::Arc;

/// The text of a JSON value, without line breaks. Clones share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Json(Arc<str>);

impl Deref for Json {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// The text has to be of a JSON value, without line breaks.
impl<T: Into<Arc<str>>> From<T> for Json {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(self).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <Box<RawValue>>::deserialize(deserializer)?;
        let text = raw.get();
        // In JSON a line break is never more than white space, and ours is one value per line.
        Ok(match text.contains(['\n', '\r']) {
            true => text.replace(['\n', '\r'], " ").into(),
            false => text.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_goes_through_as_it_is() {
        let text = r#"{"k" : "ä\n", "x":1.50, "x":[ ], "n":123456789012345678901234567890}"#;
        let json: Json = serde_json::from_str(text).unwrap();
        assert_eq!(&*json, text);
        assert_eq!(serde_json::to_string(&json).unwrap(), text);
    }

    #[test]
    fn a_value_is_one_line() {
        let json: Json = serde_json::from_slice(b" {\r\n  \"a\": \"\\n\"\n} ").unwrap();
        assert_eq!(&*json, "{    \"a\": \"\\n\" }");
    }

    #[test]
    fn what_is_no_json_is_refused() {
        assert!(serde_json::to_string(&Json::from("{")).is_err());
        assert!(serde_json::from_str::<Json>("{]").is_err());
        assert!(serde_json::from_slice::<Json>(b"\"\xff\"").is_err());
    }
}
