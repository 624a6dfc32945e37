use super::{Field, Misfit};
use ::firestore::gcloud_sdk::google::firestore::v1::Value;
use ::firestore::gcloud_sdk::google::firestore::v1::value::ValueType;
use serde::de::value::StringDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, VariantAccess, Visitor,
};

/// A variant of an enum.
pub(super) struct Variant {
    pub(super) name: String,
    pub(super) held: Option<Value>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Misfit;
    type Variant = Held;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Held), Misfit> {
        let name: StringDeserializer<Misfit> = self.name.clone().into_deserializer();
        Ok((seed.deserialize(name)?, Held { name: self.name, value: self.held }))
    }
}

/// What a variant holds.
pub(super) struct Held {
    name: String,
    value: Option<Value>,
}

impl Held {
    fn field<T>(self, read: impl FnOnce(Field) -> Result<T, Misfit>) -> Result<T, Misfit> {
        let value = self.value.ok_or_else(|| Misfit::custom("the variant holds nothing"));
        value.and_then(|value| read(Field(value))).map_err(|misfit| misfit.within(self.name))
    }
}

impl<'de> VariantAccess<'de> for Held {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        match self.value {
            None | Some(Value { value_type: None | Some(ValueType::NullValue(_)) }) => Ok(()),
            Some(_) => Err(Misfit::custom("the variant holds a value").within(self.name)),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Misfit> {
        self.field(|field| seed.deserialize(field))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.field(|field| field.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.field(|field| field.deserialize_any(visitor))
    }
}
