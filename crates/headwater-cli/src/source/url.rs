//! How places are named on the command line: a path, or a URL.

use anyhow::{Result, bail};
use std::fmt;
use std::path::PathBuf;

/// What a name stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    File(PathBuf),
    Sqlite(Table),
    Redis(Server),
    Firestore(Documents),
}

impl Place {
    /// The key column that a URL names.
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::Sqlite(table) => table.key.as_deref(),
            Self::Redis(server) => server.key.as_deref(),
            Self::Firestore(documents) => documents.key.as_deref(),
            Self::File(_) => None,
        }
    }
}

/// A table of a SQLite file: `sqlite:PATH?table=T&key=K`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) path: PathBuf,
    pub(crate) table: String,
    pub(crate) key: Option<String>,
}

/// A Redis or Valkey server, or a part of one: `redis://HOST:PORT/DB?namespace=NS&key=K`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// What the client connects to; may hold a password.
    pub(crate) url: String,
    pub(crate) namespace: Option<String>,
    /// The key column of what is loaded.
    pub(crate) key: Option<String>,
}

impl fmt::Display for Server {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.url))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&shown(&self.url)).finish()
    }
}

/// A collection of Firestore: `firestore://PROJECT/COLLECTION?database=D&key=K&escape=true`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Documents {
    pub(crate) project: String,
    /// The collection, or a path to one under a document: `users/123/orders`.
    pub(crate) path: String,
    /// Unless it is the default one.
    pub(crate) database: Option<String>,
    /// Whether keys that are no ids of documents are written in a way that is one.
    #[cfg_attr(not(feature = "firestore"), allow(dead_code, reason = "only Firestore asks"))]
    pub(crate) escape: bool,
    /// The key column of what is loaded.
    pub(crate) key: Option<String>,
}

impl fmt::Display for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "firestore://{}/{}", self.project, self.path)?;
        self.database.iter().try_for_each(|database| write!(f, "?database={database}"))
    }
}

/// A place as it may be printed: without user and password.
pub(crate) fn shown(place: &str) -> String {
    let Some((scheme, rest)) = place.split_once("://") else { return place.to_owned() };
    // Also where the password has characters that should have been escaped.
    match rest.rsplit_once('@') {
        Some((_, rest)) => format!("{scheme}://{rest}"),
        None => place.to_owned(),
    }
}

/// Whether a URL names a Redis or Valkey server.
fn is_redis(scheme: &str) -> bool {
    matches!(
        scheme,
        "redis" | "rediss" | "valkey" | "valkeys" | "redis+unix" | "valkey+unix" | "unix"
    )
}

/// Tells paths and URLs apart. A path that looks like a URL can be written with `./` before it.
pub(crate) fn parse(place: &str) -> Result<Place> {
    if let Some(rest) = place.strip_prefix("sqlite:") {
        return parse_table(place, rest).map(Place::Sqlite);
    }
    match place.split_once("://").map(|(scheme, _)| scheme) {
        Some(scheme) if is_redis(scheme) => parse_server(place).map(Place::Redis),
        Some("firestore") => parse_documents(place).map(Place::Firestore),
        Some(scheme) if is_scheme(scheme) => {
            bail!(
                "{place}: unknown kind of place `{scheme}:`; give a file, \
                 sqlite:PATH?table=T&key=K, redis://HOST/DB?namespace=NS or \
                 firestore://PROJECT/COLLECTION"
            )
        }
        _ => Ok(Place::File(place.into())),
    }
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
}

/// Takes our own settings out of a URL; what is left is the client's.
pub(crate) fn parse_server(place: &str) -> Result<Server> {
    let is_server = place.split_once("://").is_some_and(|(scheme, _)| is_redis(scheme));
    if !is_server {
        bail!("{}: not a Redis URL; give redis://HOST:PORT/DB", shown(place));
    }
    let (base, query) = place.split_once('?').unwrap_or((place, ""));
    let (mut namespace, mut key, mut rest) = (None, None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "namespace" => namespace = Some(decode(value)),
            "key" => key = Some(decode(value)),
            // The client's, for sockets.
            "db" | "user" | "pass" if base.contains("unix:") => rest.push(pair),
            _ => {
                bail!("{}: unknown setting `{name}`; there are `namespace` and `key`", shown(base))
            }
        }
    }
    let url = match rest.is_empty() {
        true => base.to_owned(),
        false => format!("{base}?{}", rest.join("&")),
    };
    let given = |text: &String| !text.is_empty();
    Ok(Server { url, namespace: namespace.filter(given), key: key.filter(given) })
}

fn parse_documents(place: &str) -> Result<Documents> {
    let rest = place.strip_prefix("firestore://").unwrap_or(place);
    let (names, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (mut database, mut key, mut escape) = (None, None, false);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("database", value) => database = Some(decode(value)),
            ("key", value) => key = Some(decode(value)),
            ("escape", "true") => escape = true,
            ("escape", "false") => escape = false,
            ("escape", _) => bail!("{place}: `escape` is `true` or `false`"),
            (name, _) => {
                bail!("{place}: unknown setting `{name}`; there are `database`, `key` and `escape`")
            }
        }
    }
    let mut parts: Vec<String> = names.split('/').map(decode).collect();
    // A slash that was written as `%2F` is a part of no name either.
    if parts.len() < 2 || parts.iter().any(|part| part.is_empty() || part.contains('/')) {
        bail!(
            "{place}: names no project and collection; give firestore://PROJECT/COLLECTION, or \
             firestore://PROJECT/COLLECTION/DOCUMENT/COLLECTION for one under a document"
        );
    }
    let project = parts.remove(0);
    let path = parts.join("/");
    let given = |text: &String| !text.is_empty();
    let database = database.filter(given).filter(|name| name != "(default)");
    Ok(Documents { project, path, database, escape, key: key.filter(given) })
}

fn parse_table(place: &str, rest: &str) -> Result<Table> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (mut table, mut key) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "table" => table = Some(decode(value)),
            "key" => key = Some(decode(value)),
            _ => bail!("{place}: unknown setting `{name}`; there are `table` and `key`"),
        }
    }
    if path.is_empty() {
        bail!("{place}: names no file; give sqlite:PATH?table=T&key=K");
    }
    let Some(table) = table.filter(|name| !name.is_empty()) else {
        bail!("{place}: names no table; give sqlite:PATH?table=T&key=K (quoted, for the shell)");
    };
    let path = decode(path).into();
    Ok(Table { path, table, key: key.filter(|name| !name.is_empty()) })
}

/// Resolves `%3F` and the like; what is no such escape stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(place: &str) -> (String, String, Option<String>) {
        let Place::Sqlite(table) = parse(place).unwrap() else { panic!("{place} is no table") };
        (table.path.display().to_string(), table.table, table.key)
    }

    #[test]
    fn a_table_has_a_path_a_name_and_perhaps_a_key() {
        let owned = |path: &str, table: &str, key: Option<&str>| {
            (path.to_owned(), table.to_owned(), key.map(str::to_owned))
        };
        assert_eq!(table("sqlite:a/b.db?table=t&key=k"), owned("a/b.db", "t", Some("k")));
        assert_eq!(table("sqlite:///a.db?table=t"), owned("/a.db", "t", None));
        assert_eq!(table("sqlite:a%3Fb%zz.db?table=my%20t&key="), owned("a?b%zz.db", "my t", None));
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let error = |place: &str| parse(place).unwrap_err().to_string();
        assert!(error("sqlite:a.db").contains("names no table"));
        assert!(error("sqlite:?table=t").contains("names no file"));
        assert!(error("sqlite:a.db?tabel=t").contains("unknown setting `tabel`"));
        assert!(error("postgres://h/db").contains("unknown kind of place `postgres:`"));
    }

    #[test]
    fn a_collection_has_a_project_and_perhaps_a_database_and_a_key() {
        let parsed = |place: &str| match parse(place).unwrap() {
            Place::Firestore(documents) => documents,
            other => panic!("{other:?}"),
        };
        let plain = parsed("firestore://demo/planes");
        assert_eq!((&*plain.project, &*plain.path, plain.escape), ("demo", "planes", false));
        assert_eq!((&plain.database, &plain.key), (&None, &None));
        assert_eq!(parsed("firestore://demo/planes?database=(default)&key="), plain);
        let text = "firestore://demo/a%20b/c/d?database=old&key=tail%26num&escape=true";
        let full = parsed(text);
        assert_eq!(
            (&*full.path, full.key.as_deref(), full.escape),
            ("a b/c/d", Some("tail&num"), true)
        );
        assert_eq!(full.to_string(), "firestore://demo/a b/c/d?database=old");
        let error = |place: &str| parse(place).unwrap_err().to_string();
        for bad in [
            "firestore://",
            "firestore://demo",
            "firestore:///planes",
            "firestore://demo/",
            "firestore://demo//x",
            "firestore://demo/a%2Fb",
        ] {
            assert!(error(bad).contains("names no project and collection"), "{bad}");
        }
        assert!(error("firestore://d/c?keys=x").contains("unknown setting `keys`"));
        assert!(error("firestore://d/c?escape=yes").contains("`true` or `false`"));
    }

    #[test]
    fn a_server_keeps_its_url_and_its_password_to_itself() {
        let place = "redis://me:p@ss@host:7/2?namespace=my%3Aplanes&key=id";
        let Place::Redis(server) = parse(place).unwrap() else { panic!("no server") };
        assert_eq!(server.url, "redis://me:p@ss@host:7/2");
        assert_eq!(server.namespace.as_deref(), Some("my:planes"));
        assert_eq!(server.key.as_deref(), Some("id"));
        assert_eq!(server.to_string(), "redis://host:7/2");
        assert_eq!(format!("{server:?}"), r#"Server("redis://host:7/2")"#);
        let socket = parse_server("redis+unix:///run/r.sock?db=2&namespace=n").unwrap();
        assert_eq!(socket.url, "redis+unix:///run/r.sock?db=2");
        let error = |place: &str| parse_server(place).unwrap_err().to_string();
        assert!(error("redis://u:secret@h?db=2").contains("unknown setting `db`"));
        assert!(!error("redis://u:secret@h?db=2").contains("secret"));
        assert!(error("http://u:secret@h").contains("http://h: not a Redis URL"));
        assert!(error("localhost:6379").contains("not a Redis URL"));
    }

    #[test]
    fn anything_else_is_a_file() {
        assert_eq!(parse("a:b.csv").unwrap(), Place::File("a:b.csv".into()));
        assert_eq!(parse("./x://y").unwrap(), Place::File("./x://y".into()));
    }
}
