//! Loading a file into a table, in one transaction: all rows, or none and the table as it was.

use super::value::{fields_of, sql_value};
use super::{Lookup, columns_of, connect, lookup_of, quoted, require_key};
use crate::input::{Header, Records, Row, list};
use crate::load::{Loaded, Progressed};
use crate::source::url::Table;
use anyhow::{Context, Result, anyhow, bail};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Transaction, params_from_iter};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;

/// A table that rows can be put into.
pub(crate) struct Loader {
    connection: Connection,
    table: Table,
    key: String,
    /// Removes the file if we made it and failed. Dropped after the connection.
    new_file: NewFile,
}

/// A file that did not exist before; removed on drop, unless it is to be kept.
struct NewFile(Option<PathBuf>);

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Loader {
    /// Opens the file, or makes it, and checks that rows can be put into the table if it exists.
    pub(crate) fn open(table: &Table) -> Result<Self> {
        let name = table.path.display().to_string();
        let Some(key) = table.key.clone() else {
            bail!("{name}: which column is the key? Give sqlite:PATH?table=T&key=K");
        };
        if table.path.is_dir() {
            bail!("{name}: is a directory, not a file");
        }
        let new_file = NewFile((!table.path.exists()).then(|| table.path.clone()));
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let connection = connect(table, flags).with_context(|| name.clone())?;
        let loader = Self { connection, table: table.clone(), key, new_file };
        loader.check_table().with_context(|| name)?;
        Ok(loader)
    }

    fn check_table(&self) -> Result<()> {
        let (table, key) = (&self.table.table, &self.key);
        let Some(columns) = columns_of(&self.connection, table)? else { return Ok(()) };
        require_key(table, &columns, key)?;
        if lookup_of(&self.connection, table, key)? != Lookup::Unique {
            let (table, key) = (quoted(table), quoted(key));
            bail!("the key column is not unique; first CREATE UNIQUE INDEX ... ON {table} ({key})");
        }
        Ok(())
    }

    /// Puts all records into the table.
    pub(crate) fn load(
        mut self,
        mut records: Records,
        name: &str,
        progress: &Progressed,
    ) -> Result<Loaded> {
        let to = self.table.path.display().to_string();
        let transaction = self.connection.transaction().with_context(|| to.clone())?;
        let mut target = Target::new(&transaction, &self.table.table, &self.key)?;
        let mut shape = match records.header() {
            Some(header) => Shape::csv(header, &mut target).with_context(|| name.to_owned())?,
            None => Shape::Ndjson,
        };
        let mut text = Vec::new();
        while let Some(span) = records.next(&mut text).with_context(|| name.to_owned())? {
            let place = || format!("{name}:{}", span.line);
            if let Some(fault) = &span.fault {
                return Err(anyhow!("{}: {fault}", place()));
            }
            shape.add(&text[span.range.clone()], &mut target).with_context(place)?;
            progress.rows.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            text.clear();
        }
        let loaded = target.finish(name)?;
        transaction.commit().context(to)?;
        self.new_file.0 = None;
        Ok(loaded)
    }
}

/// How a record's text becomes named values.
enum Shape {
    Csv { header: Arc<Header>, row: Row },
    Ndjson,
}

impl Shape {
    fn csv(header: &Arc<Header>, target: &mut Target<'_>) -> Result<Self> {
        header.require(&target.key)?;
        target.column_type = " TEXT";
        for name in header.names() {
            target.column(name)?;
        }
        target.make_table()?;
        Ok(Self::Csv { header: Arc::clone(header), row: Row::default() })
    }

    fn add(&mut self, text: &[u8], target: &mut Target<'_>) -> Result<()> {
        match self {
            Self::Csv { header, row } => {
                header.read(text, row).map_err(anyhow::Error::msg)?;
                let value = |(index, name): (usize, &String)| {
                    (name.clone(), Value::Text(row.field(index).to_owned()))
                };
                let values = header.names().iter().enumerate().map(value).collect();
                target.put(values)
            }
            Self::Ndjson => {
                let fields = fields_of(text).map_err(anyhow::Error::msg)?;
                let values = fields.into_iter().map(|(name, raw)| {
                    let value = sql_value(raw, name == target.key.as_str(), &name)?;
                    Ok((name.into_owned(), value))
                });
                target.put(values.collect::<Result<_>>()?)
            }
        }
    }
}

/// The table inside the transaction.
struct Target<'t> {
    transaction: &'t Transaction<'t>,
    table: String,
    key: String,
    exists: bool,
    /// What the table has, in lower case: SQL does not tell cases apart.
    has: HashSet<String>,
    /// What the file has, in the order in which it came.
    columns: Vec<String>,
    places: HashMap<String, usize>,
    column_type: &'static str,
    upsert: String,
    /// Hashes stand for keys, to stay small; two keys of the same hash would miscount one row.
    seen: HashSet<u64>,
    hasher: RandomState,
    loaded: Loaded,
    first_fields: Vec<String>,
}

impl<'t> Target<'t> {
    fn new(transaction: &'t Transaction<'t>, table: &str, key: &str) -> Result<Self> {
        let columns = columns_of(transaction, table)?;
        let exists = columns.is_some();
        let has = columns.unwrap_or_default().iter().map(|name| name.to_lowercase()).collect();
        Ok(Self {
            transaction,
            table: table.to_owned(),
            key: key.to_owned(),
            exists,
            has,
            columns: Vec::new(),
            places: HashMap::new(),
            column_type: "",
            upsert: String::new(),
            seen: HashSet::new(),
            hasher: RandomState::new(),
            loaded: Loaded::default(),
            first_fields: Vec::new(),
        })
    }

    /// Puts one row, over an older one of the same key.
    fn put(&mut self, fields: Vec<(String, Value)>) -> Result<()> {
        let Some(key) = self.key_of(&fields) else {
            if self.loaded.no_key == 0 {
                self.first_fields = fields.into_iter().map(|(name, _)| name).collect();
            }
            self.loaded.no_key += 1;
            return Ok(());
        };
        let places =
            fields.iter().map(|(name, _)| self.column(name)).collect::<Result<Vec<_>>>()?;
        self.make_table()?;
        let mut values = vec![Value::Null; self.columns.len()];
        for (place, (_, value)) in places.into_iter().zip(fields) {
            values[place] = value;
        }
        self.transaction.prepare_cached(&self.upsert)?.execute(params_from_iter(values))?;
        self.loaded.rows += 1;
        self.loaded.duplicates += u64::from(!self.seen.insert(key));
        Ok(())
    }

    /// The hash of the row's key; the last of repeated fields counts.
    fn key_of(&self, fields: &[(String, Value)]) -> Option<u64> {
        match fields.iter().rfind(|(name, _)| *name == self.key) {
            Some((_, Value::Text(key))) => Some(self.hasher.hash_one(key)),
            _ => None,
        }
    }

    /// The place of a column among the file's, which is made if it is new.
    fn column(&mut self, name: &str) -> Result<usize> {
        if let Some(place) = self.places.get(name) {
            return Ok(*place);
        }
        let lower = name.to_lowercase();
        if let Some(other) = self.columns.iter().find(|other| other.to_lowercase() == lower) {
            bail!("`{name}` and `{other}` differ only in case, and columns in SQL do not");
        }
        if self.exists && self.has.insert(lower) {
            let (table, name) = (quoted(&self.table), quoted(name));
            let add = format!("ALTER TABLE {table} ADD COLUMN {name}{}", self.column_type);
            self.transaction.execute(&add, [])?;
            self.loaded.new_columns += 1;
        }
        let place = self.columns.len();
        self.columns.push(name.to_owned());
        self.places.insert(name.to_owned(), place);
        self.upsert.clear();
        Ok(place)
    }

    /// Makes the table if it is missing, and the statement if columns have come.
    fn make_table(&mut self) -> Result<()> {
        if !self.exists {
            let column = |name: &String| match *name == self.key {
                true => format!("{} TEXT PRIMARY KEY NOT NULL", quoted(name)),
                false => format!("{}{}", quoted(name), self.column_type),
            };
            let columns: Vec<_> = self.columns.iter().map(column).collect();
            let create = format!("CREATE TABLE {} ({})", quoted(&self.table), columns.join(", "));
            self.transaction.execute(&create, [])?;
            self.has = self.columns.iter().map(|name| name.to_lowercase()).collect();
            self.exists = true;
        }
        if self.upsert.is_empty() {
            self.upsert = self.upsert_text();
        }
        Ok(())
    }

    fn upsert_text(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|name| quoted(name)).collect();
        let key = quoted(&self.key);
        let sets: Vec<_> = names.iter().map(|name| format!("{name} = excluded.{name}")).collect();
        format!(
            "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({key}) DO UPDATE SET {}",
            quoted(&self.table),
            names.join(", "),
            vec!["?"; names.len()].join(", "),
            sets.join(", "),
        )
    }

    /// What was done; an error if that was nothing.
    fn finish(self, name: &str) -> Result<Loaded> {
        if self.loaded.rows == 0 && self.loaded.no_key > 0 {
            let (key, fields) = (&self.key, list(&self.first_fields));
            bail!("{name}: no row has a field `{key}`; the first row's fields are {fields}");
        }
        if !self.exists {
            bail!("{name}: is empty");
        }
        Ok(self.loaded)
    }
}
