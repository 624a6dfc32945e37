//! A table as a source: batches of keys by `WHERE key IN (...)`, on threads that may block.

use super::{Lookup, connect, lookup_of, quoted, require_columns};
use crate::input;
use crate::json::Json;
use crate::record::openings;
use crate::source::url::Table;
use crate::source::{Opened, Wanted};
use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD, Engine};
use headwater::{BoxFetcher, Error, ErrorKind, Fetcher};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OpenFlags, Row, params_from_iter};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many keys one statement asks for.
const CHUNK: usize = 500;

/// Opens a table for reading; nothing is ever written, and no file made.
pub(crate) fn open_source(table: &Table, wanted: &Wanted<'_>) -> Result<Opened> {
    let name = table.path.display().to_string();
    // SQLite's own words for a missing file or a directory say less.
    input::open_file(&table.path).with_context(|| name.clone())?;
    let key = table.key.as_deref().unwrap_or(wanted.key);
    let reader = Reader::new(table, key).with_context(|| name.clone())?;
    let notes = reader.notes(&name)?;
    let fetcher = BoxFetcher::new(SqliteSource(Arc::new(reader)));
    Ok(Opened { fetcher, duplicates: 0, no_key: 0, notes, collection: None })
}

struct SqliteSource(Arc<Reader>);

impl Fetcher for SqliteSource {
    type Key = str;
    type Value = Json;

    async fn fetch(&self, key: &str) -> headwater::Result<Json> {
        self.fetch_many(&[key]).await.remove(0)
    }

    async fn fetch_many(&self, keys: &[&str]) -> Vec<headwater::Result<Json>> {
        let owned: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let reader = Arc::clone(&self.0);
        let outcome = tokio::task::spawn_blocking(move || reader.read(&owned)).await;
        let error = match outcome {
            Ok(Ok(rows)) => {
                return rows.into_iter().map(|row| row.ok_or(Error::not_found())).collect();
            }
            Ok(Err(error)) => self.0.failure(error),
            Err(error) => self.0.failure(error.into()),
        };
        keys.iter().map(|_| Err(error.clone())).collect()
    }

    async fn close(&self) -> headwater::Result<()> {
        self.0.lock().clear();
        Ok(())
    }
}

/// Reads rows as JSON objects, on as many connections as are busy at the same time.
struct Reader {
    table: Table,
    key: String,
    key_place: usize,
    /// What comes before each column's value.
    openings: Vec<String>,
    idle: Mutex<Vec<Connection>>,
}

impl Reader {
    fn new(table: &Table, key: &str) -> Result<Self> {
        let connection = connect(table, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let (columns, key_place) = require_columns(&connection, &table.table, key)?;
        let openings = openings(&columns);
        let (table, key) = (table.clone(), columns[key_place].clone());
        Ok(Self { table, key, key_place, openings, idle: Mutex::new(vec![connection]) })
    }

    fn notes(&self, name: &str) -> Result<Vec<String>> {
        let (key, table) = (&self.key, &self.table.table);
        let (scans, lookup) = self.with_connection(|connection| {
            Ok((self.scans(connection)?, lookup_of(connection, table, key)?))
        })?;
        let what = match lookup {
            _ if scans => "has no index; each batch reads the whole table",
            Lookup::NotUnique => "is not unique; of equal keys one row is taken",
            _ => return Ok(Vec::new()),
        };
        Ok(vec![format!("{name}: `{key}` of `{table}` {what}")])
    }

    /// Whether SQLite means to find rows by reading all of them.
    fn scans(&self, connection: &Connection) -> Result<bool> {
        let plan = format!("EXPLAIN QUERY PLAN {}", self.select(2));
        let mut statement = connection.prepare(&plan)?;
        let nulls = params_from_iter([Value::Null, Value::Null]);
        let steps = statement.query_map(nulls, |row| row.get::<_, String>("detail"))?;
        let steps = steps.collect::<Result<Vec<_>, _>>()?;
        Ok(steps.iter().any(|step| step.starts_with("SCAN ")))
    }

    /// The rows of the keys, in their order; `None` for a key that is not there.
    fn read(&self, keys: &[String]) -> Result<Vec<Option<Json>>> {
        let mut rows = vec![None; keys.len()];
        self.with_connection(|connection| {
            for (keys, rows) in keys.chunks(CHUNK).zip(rows.chunks_mut(CHUNK)) {
                self.read_chunk(connection, keys, rows)?;
            }
            Ok(())
        })?;
        Ok(rows)
    }

    fn read_chunk(
        &self,
        connection: &Connection,
        keys: &[String],
        found: &mut [Option<Json>],
    ) -> Result<()> {
        let places: HashMap<&str, usize> =
            keys.iter().enumerate().map(|(place, key)| (key.as_str(), place)).collect();
        // Few different statements, so that they stay prepared: the rest is filled with nulls,
        // which equal nothing.
        let room = keys.len().next_power_of_two() * 2;
        let nulls = std::iter::repeat(Value::Null);
        let values = keys.iter().flat_map(|key| sql_keys(key)).chain(nulls).take(room);
        let mut statement = connection.prepare_cached(&self.select(room))?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            if let Some(place) = place_of(row.get_ref(self.key_place)?, &places) {
                found[place] = Some(self.json(row)?);
            }
        }
        Ok(())
    }

    fn select(&self, keys: usize) -> String {
        let (table, key) = (quoted(&self.table.table), quoted(&self.key));
        let marks = vec!["?"; keys].join(",");
        format!("SELECT * FROM {table} WHERE {key} IN ({marks})")
    }

    fn json(&self, row: &Row<'_>) -> Result<Json> {
        let mut json = Vec::new();
        for (index, opening) in self.openings.iter().enumerate() {
            json.extend_from_slice(opening.as_bytes());
            write_value(row.get_ref(index)?, &mut json)
                .with_context(|| format!("column {} of `{}`", index + 1, self.table.table))?;
        }
        json.push(b'}');
        Ok(String::from_utf8(json)?.into())
    }

    fn with_connection<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.table, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
        };
        let outcome = work(&connection);
        self.lock().push(connection);
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self, error: anyhow::Error) -> Error {
        let what = format!("reading {}", self.table.path.display());
        let error: Box<dyn std::error::Error + Send + Sync> = error.into();
        Error::new(ErrorKind::Unavailable, what).with_source(error)
    }
}

/// A key as it may be stored: its text, and the number that the text is. Both are asked for,
/// because a column without a type compares them apart, and a cast of the column would keep SQLite
/// from using its index.
fn sql_keys(key: &str) -> [Value; 2] {
    let text = Value::Text(key.to_owned());
    match key.parse::<i64>() {
        Ok(number) if number.to_string() == key => [text, Value::Integer(number)],
        _ => [text, Value::Null],
    }
}

/// Which of the asked keys a stored key is. SQLite's comparison is wider than ours (`'07'` equals 7
/// in a column of numbers, `'a'` equals `'A'` in some collations); only equal text counts here.
fn place_of(stored: ValueRef<'_>, places: &HashMap<&str, usize>) -> Option<usize> {
    match stored {
        ValueRef::Text(text) => places.get(std::str::from_utf8(text).ok()?).copied(),
        ValueRef::Integer(number) => places.get(number.to_string().as_str()).copied(),
        // 1.0 is found by "1.0" and by "1".
        ValueRef::Real(number) => places
            .get(format!("{number:?}").as_str())
            .or_else(|| places.get(number.to_string().as_str()))
            .copied(),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

fn write_value(value: ValueRef<'_>, json: &mut Vec<u8>) -> Result<()> {
    match value {
        ValueRef::Null => json.extend_from_slice(b"null"),
        ValueRef::Integer(number) => serde_json::to_writer(json, &number)?,
        // JSON has no infinities: they become null.
        ValueRef::Real(number) => serde_json::to_writer(json, &number)?,
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).context("text that is not UTF-8")?;
            serde_json::to_writer(json, text)?;
        }
        ValueRef::Blob(bytes) => serde_json::to_writer(json, &BASE64_STANDARD.encode(bytes))?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_integers_are_asked_for_as_numbers() {
        assert_eq!(sql_keys("12")[1], Value::Integer(12));
        assert_eq!(sql_keys("-3")[1], Value::Integer(-3));
        for other in ["012", "+1", "1.0", " 1", "-0", "9223372036854775808", ""] {
            assert_eq!(sql_keys(other)[1], Value::Null, "{other}");
        }
    }

    #[test]
    fn stored_numbers_are_found_by_their_text() {
        let places = HashMap::from([("1", 0), ("2.5", 1), ("3.0", 2)]);
        assert_eq!(place_of(ValueRef::Integer(1), &places), Some(0));
        assert_eq!(place_of(ValueRef::Real(1.0), &places), Some(0));
        assert_eq!(place_of(ValueRef::Real(2.5), &places), Some(1));
        assert_eq!(place_of(ValueRef::Real(3.0), &places), Some(2));
        assert_eq!(place_of(ValueRef::Integer(3), &places), None);
        assert_eq!(place_of(ValueRef::Text(b"01"), &places), None);
    }
}
