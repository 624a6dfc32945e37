//! SQLite tables: as sources (`read`) and as targets of `load` (`write`).

mod read;
mod value;
mod write;

pub(crate) use read::open_source;
pub(crate) use write::Loader;

use crate::input::list;
use crate::source::url::Table;
use anyhow::{Context, Result, bail};
use rusqlite::{Connection, OpenFlags};
use std::time::Duration;

/// How long a lock that another process holds is waited for.
const BUSY: Duration = Duration::from_secs(10);

/// A name as SQL text: quoted, so that no name is taken for anything else.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn connect(table: &Table, flags: OpenFlags) -> Result<Connection> {
    let connection =
        Connection::open_with_flags(&table.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// The columns of a table or view; `None` if there is none of that name.
fn columns_of(connection: &Connection, table: &str) -> Result<Option<Vec<String>>> {
    let known = "SELECT count(*) FROM sqlite_master \
        WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE";
    let count: u32 = connection.query_row(known, [table], |row| row.get(0))?;
    if count == 0 {
        return Ok(None);
    }
    let empty = connection.prepare(&format!("SELECT * FROM {} LIMIT 0", quoted(table)))?;
    Ok(Some(empty.column_names().map(str::to_owned).collect()))
}

/// As [`columns_of`], where there must be such a table with such a key column. Returns the columns
/// and the place of the key among them.
fn require_columns(
    connection: &Connection,
    table: &str,
    key: &str,
) -> Result<(Vec<String>, usize)> {
    let Some(columns) = columns_of(connection, table)? else {
        let tables = table_names(connection)?;
        match tables.is_empty() {
            true => bail!("has no table `{table}`, nor any other"),
            false => bail!("has no table `{table}`; its tables are {}", list(&tables)),
        }
    };
    let place = require_key(table, &columns, key)?;
    Ok((columns, place))
}

/// Column names do not tell cases apart, as in SQL.
fn require_key(table: &str, columns: &[String], key: &str) -> Result<usize> {
    let place = columns.iter().position(|column| column.eq_ignore_ascii_case(key));
    place.with_context(|| {
        format!("table `{table}` has no column `{key}`; its columns are {}", list(columns))
    })
}

fn table_names(connection: &Connection) -> Result<Vec<String>> {
    let all = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') \
        AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let mut statement = connection.prepare(all)?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// What is known of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lookup {
    /// No two rows have the same: an index sees to it.
    Unique,
    /// They have an index, but it allows equal ones.
    NotUnique,
    /// They have no index of their own, or this is a view.
    Unknown,
}

fn lookup_of(connection: &Connection, table: &str, column: &str) -> Result<Lookup> {
    let primary = "SELECT count(*), sum(name = ?2 COLLATE NOCASE) \
        FROM pragma_table_info(?1) WHERE pk > 0";
    let (keys, own): (u32, Option<u32>) =
        connection.query_row(primary, [table, column], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if (keys, own) == (1, Some(1)) {
        return Ok(Lookup::Unique);
    }
    let indexes = "SELECT max(list.\"unique\" AND \
            (SELECT count(*) FROM pragma_index_info(list.name)) = 1) \
        FROM pragma_index_list(?1) AS list JOIN pragma_index_info(list.name) AS info \
        WHERE info.seqno = 0 AND info.name = ?2 COLLATE NOCASE AND NOT list.partial";
    let unique: Option<bool> = connection.query_row(indexes, [table, column], |row| row.get(0))?;
    Ok(match unique {
        Some(true) => Lookup::Unique,
        Some(false) => Lookup::NotUnique,
        None => Lookup::Unknown,
    })
}
