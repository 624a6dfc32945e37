//! A connection's document: made and read.

use super::Rooms;
use crate::firestore::key::{DocumentKey, digest, id_of};
use crate::firestore::time::Stamp;
use crate::firestore::value::{from_value, to_value};
use crate::firestore::write::Fields;
use crate::firestore::{field, life};
use crate::presence::{ConnectionId, Member, Seat};
use crate::{Error, ErrorKind, Result};
use ::firestore::gcloud_sdk::google::firestore::v1::Document;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Borrow;
use std::time::Duration;

pub(super) const TOPIC: &str = "topic";
pub(super) const PLACE: &str = "place";
pub(super) const KEY: &str = "key";
pub(super) const VALUE: &str = "value";
pub(super) const NODE: &str = "node";
/// There if it lingers: for how long, in milliseconds, instead of as long as its node is alive.
pub(super) const LINGERS: &str = "lingers";
/// The digits of a connection's name.
const ID: usize = 32;

/// What is equal for the connections of one key in one topic, and for no others. Neither part of an
/// escaped id holds a `/`.
pub(super) fn place<K: ?Sized + DocumentKey>(topic: &str, key: &K) -> String {
    id_of(&format!("{}/{}", id_of(topic), id_of(&text(key)))).into_owned()
}

pub(super) fn text<K: ?Sized + DocumentKey>(key: &K) -> String {
    let mut text = String::new();
    key.write(&mut text);
    text
}

impl Rooms {
    /// The name of a seat's document.
    pub(super) fn name<K, B>(&self, seat: &Seat<K>) -> Result<String>
    where
        K: Borrow<B>,
        B: ?Sized + DocumentKey,
    {
        let place = place(&seat.topic, seat.key.borrow());
        let id = format!("{}{}", seat.connection, digest(&place, ID / 2));
        self.collection.document(id.as_str()).map_err(|error| self.store.named(error))
    }

    /// The fields of a connection that joins.
    pub(super) fn joining<K, B, V>(
        &self,
        seat: &Seat<K>,
        value: &V,
        node: &str,
        ttl: Duration,
    ) -> Result<Fields>
    where
        K: Borrow<B>,
        B: ?Sized + DocumentKey,
        V: Serialize,
    {
        let key = seat.key.borrow();
        Ok(Fields::from([
            (TOPIC.to_owned(), field::text(id_of(&seat.topic))),
            (PLACE.to_owned(), field::text(place(&seat.topic, key))),
            (KEY.to_owned(), field::text(text(key))),
            (NODE.to_owned(), field::text(node)),
            (VALUE.to_owned(), self.encode(value)?),
            (life::AFTER.to_owned(), field::number(life::whole_millis(ttl))),
        ]))
    }

    pub(super) fn encode<V: Serialize>(
        &self,
        value: &V,
    ) -> Result<::firestore::gcloud_sdk::google::firestore::v1::Value> {
        to_value(value).map_err(|misfit| {
            let message = "a connection's value cannot be written as a field";
            self.store.error(ErrorKind::Codec, message).with_source(misfit)
        })
    }

    /// Who a connection is; `None` if that cannot be read.
    pub(super) fn who<K: ?Sized + DocumentKey>(
        &self,
        document: &Document,
    ) -> Option<(K::Owned, ConnectionId)> {
        let id = id(document).get(..ID)?;
        Some((K::read(field::as_text(document, KEY)?)?, ConnectionId::parse(id)?))
    }

    pub(super) fn member<K, V>(&self, mut document: Document) -> Result<Member<K::Owned, V>>
    where
        K: ?Sized + DocumentKey,
        V: DeserializeOwned,
    {
        let Some((key, connection)) = self.who::<K>(&document) else {
            return Err(self.unreadable("a connection's key cannot be read"));
        };
        let value = document.fields.remove(VALUE).unwrap_or_default();
        let value = from_value(&document.name, value).map_err(|misfit| {
            self.unreadable("a connection's value cannot be read").with_source(misfit)
        })?;
        Ok(Member { key, connection, value })
    }

    pub(super) fn unreadable(&self, message: &'static str) -> Error {
        self.store.error(ErrorKind::Codec, message)
    }
}

/// A document's id.
pub(super) fn id(document: &Document) -> &str {
    document.name.rsplit('/').next().unwrap_or_default()
}

pub(super) fn node(document: &Document) -> &str {
    field::as_text(document, NODE).unwrap_or_default()
}

pub(super) fn is_lingering(document: &Document) -> bool {
    document.fields.contains_key(LINGERS)
}

/// Until when a connection lives whatever becomes of its node.
pub(super) fn own_end(document: &Document) -> Stamp {
    life::end(document).unwrap_or(Stamp::START)
}
