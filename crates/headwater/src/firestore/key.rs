//! From a key to the name of a document, never two to one, and back.
//!
//! A name is `projects/P/databases/D/documents/COLLECTION/ID`. An id is the key as
//! [`DocumentKey::write`] writes it; or, where keys are escaped, with these bytes as `%` and two
//! hexadecimal digits: every `/` and `%`, and the first byte of what would be `.`, `..` or `__x__`.
//! An empty key is a lone `%` then, which no other key makes. Where any key is to have a document, one
//! whose id would be too long has `%#` and the hexadecimal digits of its SHA-256 as its id.

use crate::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

/// The longest id of a document, in bytes as it is sent to Firestore.
pub const MAX_ID: usize = 1_500;

/// The longest name of a document, with the path of its collection.
const MAX_NAME: usize = 6 * 1_024;

/// A key that can be written as the id of a document.
///
/// Implemented for strings, integers and `bool`, and for an [`Arc`] of any of them. For a type of
/// your own, write what tells its keys apart, and nothing that changes from one build or process to
/// another. What Firestore does not take as an id is refused when the key is asked for, or
/// [escaped](crate::firestore::FirestoreBuilder::escape_keys).
///
/// ```
/// use headwater::firestore::DocumentKey;
///
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// struct Seat { flight: u32, row: u8 }
///
/// impl DocumentKey for Seat {
///     fn write(&self, out: &mut String) {
///         out.push_str(&format!("{}-{}", self.flight, self.row));
///     }
///
///     fn read(id: &str) -> Option<Self> {
///         let (flight, row) = id.split_once('-')?;
///         Some(Self { flight: flight.parse().ok()?, row: row.parse().ok()? })
///     }
/// }
/// let mut id = String::new();
/// Seat { flight: 41, row: 7 }.write(&mut id);
/// assert_eq!(id, "41-7");
/// assert!(Seat::read(&id) == Some(Seat { flight: 41, row: 7 }));
/// ```
pub trait DocumentKey: ToOwned {
    /// Appends the key. Different keys append different text.
    fn write(&self, out: &mut String);

    /// The key that [`write`](Self::write) wrote; `None` if no key does.
    fn read(id: &str) -> Option<Self::Owned>;
}

impl DocumentKey for str {
    fn write(&self, out: &mut String) {
        out.push_str(self);
    }

    fn read(id: &str) -> Option<String> {
        Some(id.to_owned())
    }
}

impl DocumentKey for String {
    fn write(&self, out: &mut String) {
        out.push_str(self);
    }

    fn read(id: &str) -> Option<Self> {
        str::read(id)
    }
}

impl<K> DocumentKey for Arc<K>
where
    K: ?Sized + DocumentKey,
    Self: From<K::Owned>,
{
    fn write(&self, out: &mut String) {
        K::write(self, out);
    }

    fn read(id: &str) -> Option<Self> {
        K::read(id).map(Self::from)
    }
}

macro_rules! displayed_keys {
    ($($key:ty)*) => { $(
        impl DocumentKey for $key {
            fn write(&self, out: &mut String) {
                // Writing to a string cannot fail.
                let _ = write!(out, "{self}");
            }

            fn read(id: &str) -> Option<Self> {
                let key: Self = id.parse().ok()?;
                // `+7` and `007` are documents of their own, which no key names.
                (key.to_string() == id).then_some(key)
            }
        }
    )* };
}

displayed_keys!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize bool);

/// Where a collection is, and how its documents are named; see the module.
#[derive(Clone, Debug)]
pub(crate) struct Collection {
    /// The name of the collection with a slash: what the names of its documents begin with.
    prefix: String,
    pub(super) is_escaping: bool,
    /// Whether what is too long is hashed.
    is_hashing: bool,
}

impl Collection {
    /// The collection at `path`, relative to the documents of `database`.
    pub(super) fn new(database: &str, path: &str) -> Result<Self> {
        let segments: Vec<&str> = path.split('/').collect();
        for segment in &segments {
            if let Some(fault) = fault(segment) {
                return Err(wrong_path(path, &format!("the part `{segment}` {fault}")));
            }
        }
        if segments.len().is_multiple_of(2) {
            let fault = "it names a document: a collection's path has an odd number of parts";
            return Err(wrong_path(path, fault));
        }
        let prefix = format!("{database}/documents/{path}/");
        if prefix.len() >= MAX_NAME {
            return Err(wrong_path(path, &format!("it is longer than {MAX_NAME} bytes")));
        }
        Ok(Self { prefix, is_escaping: false, is_hashing: false })
    }

    /// The same collection, where every key has a document: what is no id is escaped, what is too
    /// long hashed, so that no two keys have the same. A hashed key is not read back from its name.
    pub(super) fn any_key(self) -> Self {
        Self { is_escaping: true, is_hashing: true, ..self }
    }

    /// The same collection, where a key is an id as it is, or refused.
    pub(crate) fn plain(self) -> Self {
        Self { is_escaping: false, is_hashing: false, ..self }
    }

    /// `projects/P/databases/D`.
    pub(super) fn database(&self) -> &str {
        self.prefix.split_once("/documents/").map_or("", |(database, _)| database)
    }

    /// The document under which it is (or the root of all), and its name there.
    pub(super) fn parent(&self) -> (&str, &str) {
        let path = self.prefix.trim_end_matches('/');
        path.rsplit_once('/').unwrap_or(("", path))
    }

    /// What the names of its documents begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The name of a key's document.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the key makes no id. The message does not hold the key.
    pub(crate) fn document<K: ?Sized + DocumentKey>(&self, key: &K) -> Result<String> {
        let mut name = String::with_capacity(self.prefix.len() + 32);
        name.push_str(&self.prefix);
        key.write(&mut name);
        if self.is_escaping {
            let id = name.split_off(self.prefix.len());
            name.push_str(&if self.is_hashing { id_of(&id) } else { escaped(&id) });
        }
        let fault = fault(&name[self.prefix.len()..]).or_else(|| {
            (name.len() > MAX_NAME).then_some("is too long with its collection's path")
        });
        match fault {
            None => Ok(name),
            Some(fault) => Err(Error::new(ErrorKind::Codec, format!("a key is no id: it {fault}"))),
        }
    }

    /// The key of the document called `name`; `None` if it is in another collection, or no key's.
    pub(super) fn key<K: ?Sized + DocumentKey>(&self, name: &str) -> Option<K::Owned> {
        let id = name.strip_prefix(&self.prefix).filter(|id| !id.contains('/'))?;
        if !self.is_escaping {
            return K::read(id);
        }
        let raw = unescaped(id)?;
        // An id that somebody else escaped in another way is not the one that the key makes.
        (escaped(&raw) == id).then(|| K::read(&raw)).flatten()
    }
}

fn wrong_path(path: &str, fault: &str) -> Error {
    Error::new(ErrorKind::InvalidConfig, format!("the collection path `{path}`: {fault}"))
}

/// What keeps `id` from being the id of a document or a collection.
fn fault(id: &str) -> Option<&'static str> {
    match id {
        "" => Some("is empty"),
        "." | ".." => Some("is `.` or `..`"),
        _ if id.contains('/') => Some("holds a `/` (keys can be escaped: `escape_keys`)"),
        _ if is_reserved(id) => Some("begins and ends with `__`, which is reserved"),
        _ if id.len() > MAX_ID => Some("is longer than 1,500 bytes"),
        _ => None,
    }
}

fn is_reserved(id: &str) -> bool {
    id.len() >= 4 && id.starts_with("__") && id.ends_with("__")
}

fn escaped(key: &str) -> Cow<'_, str> {
    let is_special = matches!(key, "." | "..") || is_reserved(key);
    if key.is_empty() {
        return Cow::Borrowed("%");
    }
    if !is_special && !key.contains(['/', '%']) {
        return Cow::Borrowed(key);
    }
    let mut id = String::with_capacity(key.len() + 8);
    for (at, letter) in key.char_indices() {
        if matches!(letter, '/' | '%') || (is_special && at == 0) {
            let _ = write!(id, "%{:02X}", u32::from(letter));
        } else {
            id.push(letter);
        }
    }
    Cow::Owned(id)
}

/// An id for any text, never the same for two. What is hashed is what no escaped text is: there `%`
/// stands before two digits, or alone.
pub(crate) fn id_of(text: &str) -> Cow<'_, str> {
    match escaped(text) {
        long if long.len() > MAX_ID => Cow::Owned(format!("%#{}", digest(text, 32))),
        id => id,
    }
}

/// The first bytes of a text's SHA-256, in hexadecimal digits.
pub(crate) fn digest(text: &str, bytes: usize) -> String {
    let mut digits = String::with_capacity(2 * bytes);
    for byte in Sha256::digest(text).iter().take(bytes) {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

fn unescaped(id: &str) -> Option<String> {
    let mut key = String::with_capacity(id.len());
    let mut rest = id;
    while let Some((before, after)) = rest.split_once('%') {
        key.push_str(before);
        if id == "%" {
            return Some(key);
        }
        let code = u8::from_str_radix(after.get(..2)?, 16).ok()?;
        key.push(char::from(code));
        rest = &after[2..];
    }
    key.push_str(rest);
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn users() -> Collection {
        Collection::new("projects/p/databases/(default)", "users").expect("a path")
    }

    fn escaping() -> Collection {
        Collection { is_escaping: true, ..users() }
    }

    #[test]
    fn a_document_is_named_by_its_collection_and_key() {
        let name = "projects/p/databases/(default)/documents/users/123";
        assert_eq!(users().document("123").expect("an id"), name);
        assert_eq!(users().document(&123_u64).expect("an id"), name);
        assert_eq!(users().document(&Arc::<str>::from("123")).expect("an id"), name);
        assert_eq!(users().key::<str>(name).as_deref(), Some("123"));
        assert_eq!(users().key::<u64>(name), Some(123));
        assert_eq!(users().key::<bool>(name), None);
        let orders = Collection::new("projects/p/databases/d", "users/1/orders").expect("a path");
        assert!(orders.document("7").expect("an id").ends_with("/d/documents/users/1/orders/7"));
        assert_eq!(users().key::<str>(&orders.document("7").expect("an id")), None);
    }

    #[test]
    fn what_is_no_id_is_refused_without_naming_the_key() {
        let long = "k".repeat(MAX_ID + 1);
        for key in ["", ".", "..", "a/b", "__secret__", "____", long.as_str()] {
            let error = users().document(key).expect_err("no id");
            assert_eq!(error.kind(), ErrorKind::Codec, "{key}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        for key in ["...", "__", "___", "_a_", "__a", "ключ", &"k".repeat(MAX_ID)] {
            assert!(users().document(key).is_ok(), "{key}");
        }
    }

    #[test]
    fn escaped_keys_are_ids_never_two_the_same_and_read_back() {
        let keys = [
            "",
            "%",
            "%%",
            "%25",
            ".",
            "..",
            "...",
            "%2E",
            "/",
            "a/b",
            "a%2Fb",
            "__x__",
            "%5F_x__",
            "____",
            "__",
            "a",
            "ключ/鍵",
        ];
        let mut names = HashSet::new();
        for key in keys {
            let name = escaping().document(key).expect("an id");
            assert_eq!(escaping().key::<str>(&name).as_deref(), Some(key), "{name}");
            assert!(names.insert(name), "{key:?}");
        }
        assert!(escaping().document(&"/".repeat(501)).is_err(), "too long once escaped");
    }

    #[test]
    fn keys_that_are_too_long_are_hashed_where_any_key_may_be() {
        let any = users().any_key();
        let (long, other) = ("k".repeat(10_000), format!("{}l", "k".repeat(9_999)));
        let ids: HashSet<String> = [long.as_str(), &other, &"/".repeat(501), "%#", "a/b", ""]
            .into_iter()
            .map(|key| any.document(key).expect("an id"))
            .collect();
        assert_eq!(ids.len(), 6);
        let name = any.document(long.as_str()).expect("an id");
        let hash = name.rsplit('/').next().expect("an id");
        assert!(hash.starts_with("%#") && hash.len() == 66, "{hash}");
        assert_eq!(any.key::<str>(&name), None, "only its hash is known");
        assert!(any.document(&*"k".repeat(MAX_ID)).expect("an id").ends_with("kkk"));
        assert!(any.plain().document(long.as_str()).is_err());
    }

    #[test]
    fn ids_that_no_key_makes_are_nobodys() {
        let prefix = "projects/p/databases/(default)/documents/users/";
        for id in ["%zz", "%2", "%41", "%2e", "a%"] {
            assert_eq!(escaping().key::<str>(&format!("{prefix}{id}")), None, "{id}");
        }
        assert_eq!(users().key::<u32>(&format!("{prefix}007")), None);
    }

    #[test]
    fn a_wrong_path_is_named() {
        for (path, part) in [
            ("", "empty"),
            ("/users", "empty"),
            ("users/", "empty"),
            ("users/1", "names a document"),
            ("users/../orders", "`..`"),
            ("__users__", "reserved"),
        ] {
            let error = Collection::new("projects/p/databases/d", path).expect_err("no path");
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            let text = error.to_string();
            assert!(text.contains(part) && text.contains(&format!("`{path}`")), "{text}");
        }
    }
}
