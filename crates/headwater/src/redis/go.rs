//! What the Go package could not read, or would read as something else.
//!
//! Found by walking over a value as serde shows it, because in the JSON it can no longer be told: a
//! NaN is written as `null` there.

use crate::{Error, ErrorKind, Result};
use serde::ser::{self, Serialize, Serializer};
use std::fmt;

/// Finds what Go could not read in a value.
pub(crate) type Check<V> = fn(&V) -> Result<()>;

/// Fails on values that Go could not read: numbers that are none or beyond 64 bits, a `null` at the
/// top, and std's `Duration` and `SystemTime`, which Go writes as numbers and texts.
pub(crate) fn check<V: Serialize>(value: &V) -> Result<()> {
    let fault = |Fault(what)| Error::new(ErrorKind::Codec, format!("Go cannot read {what}"));
    value.serialize(Walk { is_top: true }).map_err(fault)
}

/// What is wrong with a value.
#[derive(Debug)]
struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

impl ser::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

fn fault<T>(what: &str) -> std::result::Result<T, Fault> {
    Err(Fault(what.to_owned()))
}

type Walked<T = ()> = std::result::Result<T, Fault>;

/// A serializer that writes nothing.
#[derive(Clone, Copy)]
struct Walk {
    is_top: bool,
}

/// The inside of a value.
const INSIDE: Walk = Walk { is_top: false };

/// Scalars that Go reads as they are.
macro_rules! readable {
    ($($method:ident: $type:ty)*) => { $(
        fn $method(self, _: $type) -> Walked { Ok(()) }
    )* };
}

impl Serializer for Walk {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    readable! {
        serialize_bool: bool
        serialize_i8: i8 serialize_i16: i16 serialize_i32: i32 serialize_i64: i64
        serialize_u8: u8 serialize_u16: u16 serialize_u32: u32 serialize_u64: u64
        serialize_char: char serialize_str: &str serialize_bytes: &[u8]
    }

    fn serialize_i128(self, number: i128) -> Walked {
        if i64::try_from(number).is_ok() { Ok(()) } else { fault("an integer beyond 64 bits") }
    }

    fn serialize_u128(self, number: u128) -> Walked {
        if u64::try_from(number).is_ok() { Ok(()) } else { fault("an integer beyond 64 bits") }
    }

    fn serialize_f32(self, number: f32) -> Walked {
        self.serialize_f64(f64::from(number))
    }

    fn serialize_f64(self, number: f64) -> Walked {
        if number.is_finite() { Ok(()) } else { fault("a number that is infinite or none") }
    }

    fn serialize_none(self) -> Walked {
        if self.is_top { fault("a null as a whole value: it keeps what it had") } else { Ok(()) }
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Walked {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Walked {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Walked {
        self.serialize_none()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Walked {
        Ok(())
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Walked {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Walked {
        value.serialize(INSIDE)
    }

    fn serialize_seq(self, _: Option<usize>) -> Walked<Self> {
        Ok(INSIDE)
    }

    fn serialize_tuple(self, _: usize) -> Walked<Self> {
        Ok(INSIDE)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Walked<Self> {
        Ok(INSIDE)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Walked<Self> {
        Ok(INSIDE)
    }

    fn serialize_map(self, _: Option<usize>) -> Walked<Self> {
        Ok(INSIDE)
    }

    fn serialize_struct(self, name: &'static str, fields: usize) -> Walked<Self> {
        match (name, fields) {
            ("Duration", 2) => fault("a std Duration: write whole nanoseconds"),
            ("SystemTime", 2) => fault("a std SystemTime: write an RFC 3339 text"),
            _ => Ok(INSIDE),
        }
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Walked<Self> {
        Ok(INSIDE)
    }
}

/// Compounds are walked element by element.
macro_rules! walked {
    ($($trait:ident::$method:ident($($name:ty)?))*) => { $(
        impl ser::$trait for Walk {
            type Ok = ();
            type Error = Fault;

            fn $method<T: ?Sized + Serialize>(&mut self, $(_: $name,)? value: &T) -> Walked {
                value.serialize(INSIDE)
            }

            fn end(self) -> Walked {
                Ok(())
            }
        }
    )* };
}

walked! {
    SerializeSeq::serialize_element()
    SerializeTuple::serialize_element()
    SerializeTupleStruct::serialize_field()
    SerializeTupleVariant::serialize_field()
    SerializeStruct::serialize_field(&'static str)
    SerializeStructVariant::serialize_field(&'static str)
}

impl ser::SerializeMap for Walk {
    type Ok = ();
    type Error = Fault;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, _: &T) -> Walked {
        Ok(())
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Walked {
        value.serialize(INSIDE)
    }

    fn end(self) -> Walked {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::time::{Duration, SystemTime};

    #[test]
    fn what_go_reads_passes() {
        assert!(check(&(1_u64, -1.5, "text", [Some(1), None], 'a', u64::MAX)).is_ok());
        assert!(check(&BTreeMap::from([(1, vec![Some("x"), None])])).is_ok());
        assert!(check(&u128::from(u64::MAX)).is_ok());
        assert!(check(&Some(1)).is_ok());
    }

    #[test]
    fn what_go_cannot_read_is_told() {
        let fault = |outcome: Result<()>| {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Codec);
            error.to_string()
        };
        assert!(fault(check(&f64::NAN)).contains("infinite"));
        assert!(fault(check(&vec![Some(f32::INFINITY)])).contains("infinite"));
        assert!(fault(check(&BTreeMap::from([("a", f64::NEG_INFINITY)]))).contains("infinite"));
        assert!(fault(check(&(u128::from(u64::MAX) + 1))).contains("64 bits"));
        assert!(fault(check(&(i128::from(i64::MIN) - 1))).contains("64 bits"));
        assert!(fault(check(&None::<u8>)).contains("null"));
        assert!(fault(check(&())).contains("null"));
        assert!(fault(check(&[Duration::from_secs(1)])).contains("nanoseconds"));
        assert!(fault(check(&SystemTime::UNIX_EPOCH)).contains("RFC 3339"));
    }
}
