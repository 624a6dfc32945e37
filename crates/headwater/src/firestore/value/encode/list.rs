use super::{of, to_value};
use crate::firestore::value::{Misfit, map};
use ::firestore::gcloud_sdk::google::firestore::v1::value::ValueType;
use ::firestore::gcloud_sdk::google::firestore::v1::{ArrayValue, Value};
use serde::ser::{
    Error as _, Serialize, SerializeSeq, SerializeTuple, SerializeTupleStruct,
    SerializeTupleVariant,
};
use std::collections::HashMap;

/// An array that is being written.
pub(crate) struct List {
    values: Vec<Value>,
    variant: Option<&'static str>,
}

impl List {
    pub(super) fn new(len: usize, variant: Option<&'static str>) -> Self {
        // What a type says about its length is not to be trusted with memory.
        Self { values: Vec::with_capacity(len.min(1_024)), variant }
    }

    fn push<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Misfit> {
        let at = self.values.len().to_string();
        let value = to_value(value).map_err(|misfit| misfit.within(&*at))?;
        if matches!(value.value_type, Some(ValueType::ArrayValue(_))) {
            let problem = "Firestore has no arrays directly within arrays";
            return Err(Misfit::custom(problem).within(at));
        }
        self.values.push(value);
        Ok(())
    }

    fn done(self) -> Value {
        let array = of(ValueType::ArrayValue(ArrayValue { values: self.values }));
        match self.variant {
            Some(name) => map(HashMap::from([(name.to_owned(), array)])),
            None => array,
        }
    }
}

macro_rules! sequences {
    ($($kind:ident $method:ident,)*) => { $(
        impl $kind for List {
            type Ok = Value;
            type Error = Misfit;

            fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Misfit> {
                self.push(value)
            }

            fn end(self) -> Result<Value, Misfit> {
                Ok(self.done())
            }
        }
    )* };
}

sequences! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
}
