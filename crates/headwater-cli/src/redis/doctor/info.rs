//! What a server says about itself.

use std::collections::HashMap;

/// The reply to `INFO`.
#[derive(Debug, Default)]
pub(super) struct Info(HashMap<String, String>);

impl Info {
    pub(super) fn parse(text: &str) -> Self {
        let pair = |line: &str| {
            let (name, value) = line.trim().split_once(':')?;
            Some((name.to_owned(), value.to_owned()))
        };
        Self(text.lines().filter_map(pair).collect())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys of all databases, and how many of them expire.
    pub(super) fn keys(&self) -> (u64, u64) {
        let databases = self.0.iter().filter(|(name, _)| {
            let number = name.strip_prefix("db");
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        });
        let field = |text: &str, name: &str| {
            let mut fields = text.split(',').filter_map(|field| field.split_once('='));
            let found = fields.find(|(own, _)| *own == name);
            found.and_then(|(_, value)| value.parse::<u64>().ok()).unwrap_or(0)
        };
        databases.fold((0, 0), |(keys, expires), (_, text)| {
            (keys + field(text, "keys"), expires + field(text, "expires"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_texts_and_databases_are_read() {
        let info = Info::parse(
            "# Server\r\nredis_version:7.0.15\r\nmaxmemory:100\r\n\r\n# Keyspace\r\n\
             db0:keys=7,expires=2,avg_ttl=0\r\ndb12:keys=1,expires=1,avg_ttl=5\r\ndbx:keys=9\r\n",
        );
        assert_eq!(info.text("redis_version"), Some("7.0.15"));
        assert_eq!(info.number("maxmemory"), Some(100));
        assert_eq!(info.number("redis_version"), None);
        assert_eq!(info.keys(), (8, 3));
    }
}
