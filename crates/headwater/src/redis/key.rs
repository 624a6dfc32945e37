//! From a key and a namespace to the name of a Redis key, never two to one, and back.
//!
//! # Layout
//! - An entry of key `k` in namespace `n` is the string `n:k`. In `n` the characters `%`, `:`, `{`
//!   and `}` are written as `%25`, `%3A`, `%7B` and `%7D`; in `k` all but the `:`. So the first
//!   colon ends the namespace, no two pairs share a name, and no user's key chooses its slot.
//! - What else is kept about an entry has the name `{n:k}:what`: the hash tag puts it into the same
//!   slot of a cluster, and no entry's name begins with a brace. [`Layout::side`] makes it.
//!
//! - Names that begin with `n:%` and no hexadecimal digit are no entry's: `n:%all` stands for every
//!   entry in news, `n:%probe` is for checks. `!{n:k}` is touched to wake who waits for `n:k`
//!   without touching the entry.
//! - Presence, locks and sessions are no entries: their names begin with `n%` and what they are,
//!   which is no namespace's way to be written. See [`Layout::room`].
//!
//! A prefix `n:` therefore covers exactly the entries of a namespace (for `SCAN`, and for
//! `CLIENT TRACKING ... BCAST PREFIX`), and `{n:` everything beside them.

use std::io::Write;
use std::sync::Arc;

/// The longest key, in bytes as [`RedisKey::write`] writes it: 64 KiB.
///
/// Redis itself takes up to 512 MiB, and is slow with them: long keys are compared and hashed as a
/// whole in each call.
pub const MAX_KEY: usize = 64 * 1024;

/// A key that can be written as the name of a Redis key.
///
/// Implemented for strings, bytes, integers and `bool`. For a type of your own, write what
/// tells its keys apart, and nothing that changes from one build or process to another (a hash, a
/// `Debug` text): other processes and later versions must write the same.
///
/// Floating-point numbers and `char` are left out on purpose: the Go package writes them
/// differently.
///
/// ```
/// use headwater::redis::RedisKey;
///
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// struct Seat { flight: u32, row: u8 }
///
/// impl RedisKey for Seat {
///     fn write(&self, out: &mut Vec<u8>) {
///         out.extend_from_slice(format!("{}/{}", self.flight, self.row).as_bytes());
///     }
///
///     fn read(bytes: &[u8]) -> Option<Self> {
///         let (flight, row) = std::str::from_utf8(bytes).ok()?.split_once('/')?;
///         Some(Self { flight: flight.parse().ok()?, row: row.parse().ok()? })
///     }
/// }
/// let mut name = Vec::new();
/// Seat { flight: 41, row: 7 }.write(&mut name);
/// assert_eq!(name, b"41/7");
/// assert!(Seat::read(&name) == Some(Seat { flight: 41, row: 7 }));
/// ```
pub trait RedisKey: ToOwned {
    /// Appends the key. Different keys append different bytes.
    fn write(&self, out: &mut Vec<u8>);

    /// The key that [`write`](Self::write) wrote, for news that name it; `None` if no key does. News
    /// that nobody can read empty the memory in front.
    fn read(bytes: &[u8]) -> Option<Self::Owned>;
}

impl RedisKey for str {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn read(bytes: &[u8]) -> Option<String> {
        String::from_utf8(bytes.to_vec()).ok()
    }
}

impl RedisKey for [u8] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn read(bytes: &[u8]) -> Option<Vec<u8>> {
        Some(bytes.to_vec())
    }
}

impl RedisKey for String {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_str().write(out);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        str::read(bytes)
    }
}

impl RedisKey for Vec<u8> {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_slice().write(out);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        <[u8]>::read(bytes)
    }
}

impl<K> RedisKey for Arc<K>
where
    K: ?Sized + RedisKey,
    Self: From<K::Owned>,
{
    fn write(&self, out: &mut Vec<u8>) {
        K::write(self, out);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        K::read(bytes).map(Self::from)
    }
}

macro_rules! displayed_keys {
    ($($key:ty)*) => { $(
        impl RedisKey for $key {
            fn write(&self, out: &mut Vec<u8>) {
                // Writing to a vector cannot fail.
                let _ = write!(out, "{self}");
            }

            fn read(bytes: &[u8]) -> Option<Self> {
                std::str::from_utf8(bytes).ok()?.parse().ok()
            }
        }
    )* };
}

displayed_keys!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize bool);

/// How names are made; see the module.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The escaped namespace with its colon; `None` writes keys as they are.
    prefix: Option<Vec<u8>>,
}

impl Layout {
    pub(super) fn namespaced(namespace: &str) -> Self {
        let mut prefix = Vec::with_capacity(namespace.len() + 1);
        escape(namespace.as_bytes(), b"%:{}", &mut prefix);
        prefix.push(b':');
        Self { prefix: Some(prefix) }
    }

    /// The names of another kind of thing than entries, under the heading `what`, which is a letter
    /// beyond `F`: `n%what:k`. The `%` is followed by no hexadecimal digit, so that no namespace is
    /// written like that, and whoever walks over `n:*` or watches it sees none of them.
    pub(crate) fn room(&self, what: &str) -> Self {
        let Some(prefix) = &self.prefix else { return self.clone() };
        let namespace = prefix.strip_suffix(b":").unwrap_or(prefix);
        let prefix = [namespace, b"%", what.as_bytes(), b":"].concat();
        Self { prefix: Some(prefix) }
    }

    /// Keys as they are, as the Go package writes them.
    pub(super) fn plain() -> Self {
        Self { prefix: None }
    }

    /// The name of a key's entry; `None` if the key is longer than [`MAX_KEY`].
    pub(crate) fn entry<K: ?Sized + RedisKey>(&self, key: &K) -> Option<Vec<u8>> {
        let Some(prefix) = &self.prefix else {
            let mut name = Vec::with_capacity(64);
            key.write(&mut name);
            return (name.len() <= MAX_KEY).then_some(name);
        };
        let mut name = Vec::with_capacity(prefix.len() + 64);
        name.extend_from_slice(prefix);
        key.write(&mut name);
        if name.len() - prefix.len() > MAX_KEY {
            return None;
        }
        if name[prefix.len()..].iter().any(|byte| b"%{}".contains(byte)) {
            let raw = name.split_off(prefix.len());
            escape(&raw, b"%{}", &mut name);
        }
        Some(name)
    }

    /// The name of what is kept about an entry under the heading `what`, in the entry's slot.
    pub(crate) fn side(&self, entry: &[u8], what: &str) -> Vec<u8> {
        let mut name = Vec::with_capacity(entry.len() + what.len() + 3);
        name.push(b'{');
        name.extend_from_slice(entry);
        name.extend_from_slice(b"}:");
        name.extend_from_slice(what.as_bytes());
        name
    }

    /// The name that is touched to wake who waits for an entry, in the entry's slot.
    pub(super) fn wake(&self, entry: &[u8]) -> Vec<u8> {
        [b"!{".as_slice(), entry, b"}"].concat()
    }

    /// The name under which news say that anything may have changed.
    pub(super) fn all(&self) -> Vec<u8> {
        [self.prefix().unwrap_or_default(), b"%all"].concat()
    }

    /// A name that no entry has, for checks.
    pub(super) fn probe(&self) -> Vec<u8> {
        [self.prefix().unwrap_or_default(), b"%probe"].concat()
    }

    /// The channel on which caches tell each other what the server does not tell.
    pub(super) fn channel(&self) -> Vec<u8> {
        [self.prefix().unwrap_or_default(), b"%news"].concat()
    }

    /// What the names begin with that news are about.
    pub(super) fn watched(&self) -> Vec<Vec<u8>> {
        match &self.prefix {
            Some(prefix) => vec![prefix.clone(), [b"!{", prefix.as_slice()].concat()],
            None => Vec::new(),
        }
    }

    /// The entry's name in a name of [`wake`](Self::wake).
    pub(super) fn woken(name: &[u8]) -> Option<&[u8]> {
        name.strip_prefix(b"!{")?.strip_suffix(b"}")
    }

    /// What a key wrote, from its entry's name; `None` if it is no entry's name.
    pub(crate) fn written(&self, entry: &[u8]) -> Option<Vec<u8>> {
        match &self.prefix {
            Some(prefix) => unescape(entry.strip_prefix(prefix.as_slice())?),
            None => Some(entry.to_vec()),
        }
    }

    /// What the names of all entries begin with; `None` if nothing tells them from others.
    pub(super) fn prefix(&self) -> Option<&[u8]> {
        self.prefix.as_deref()
    }

    /// The `MATCH` pattern of all entries.
    pub(super) fn pattern(&self) -> Option<Vec<u8>> {
        self.pattern_after(b"")
    }

    /// The `MATCH` pattern of what is kept beside entries.
    pub(super) fn side_pattern(&self) -> Option<Vec<u8>> {
        self.pattern_after(b"{")
    }

    fn pattern_after(&self, before: &[u8]) -> Option<Vec<u8>> {
        let prefix = self.prefix()?;
        let mut pattern = before.to_vec();
        for byte in prefix {
            if b"*?[]\\^-".contains(byte) {
                pattern.push(b'\\');
            }
            pattern.push(*byte);
        }
        pattern.push(b'*');
        Some(pattern)
    }
}

pub(super) fn escape(raw: &[u8], special: &[u8], out: &mut Vec<u8>) {
    for byte in raw {
        if special.contains(byte) {
            let _ = write!(out, "%{byte:02X}");
        } else {
            out.push(*byte);
        }
    }
}

pub(super) fn unescape(escaped: &[u8]) -> Option<Vec<u8>> {
    let mut raw = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            raw.push(*byte);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        raw.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    Some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;
    use std::collections::HashSet;

    fn shown(name: &[u8]) -> Cow<'_, str> {
        String::from_utf8_lossy(name)
    }

    #[test]
    fn no_two_pairs_share_a_name() {
        let parts = ["", ":", "a", "a:", ":a", "a:b", "%", "%3A", "{", "}", "{a}", "%7Ba%7D", "b"];
        let mut names = HashSet::new();
        for namespace in parts {
            let layout = Layout::namespaced(namespace);
            for key in parts {
                let name = layout.entry(key).unwrap();
                assert!(name.starts_with(layout.prefix().unwrap()));
                assert!(!name.contains(&b'{') && !name.contains(&b'}'), "{}", shown(&name));
                assert_eq!(layout.written(&name).as_deref(), Some(key.as_bytes()));
                assert!(names.insert(name), "{namespace:?} {key:?}");
            }
        }
    }

    #[test]
    fn no_namespace_is_the_beginning_of_another() {
        let a = Layout::namespaced("a");
        let b = Layout::namespaced("a:b");
        assert!(!b.entry("x").unwrap().starts_with(a.prefix().unwrap()));
        assert_eq!(shown(&Layout::namespaced("a*[b]").pattern().unwrap()), "a\\*\\[b\\]:*");
    }

    #[test]
    fn names_are_as_documented() {
        let layout = Layout::namespaced("planes");
        assert_eq!(shown(&layout.entry("N14228").unwrap()), "planes:N14228");
        assert_eq!(shown(&layout.entry("a{b}%").unwrap()), "planes:a%7Bb%7D%25");
        assert_eq!(shown(&layout.entry(&-7_i64).unwrap()), "planes:-7");
        assert_eq!(shown(&layout.side(b"planes:a", "lease")), "{planes:a}:lease");
        assert_eq!(shown(&Layout::plain().entry("user:{1}").unwrap()), "user:{1}");
    }

    #[test]
    fn the_names_of_a_room_are_no_entries_of_any_namespace() {
        let layout = Layout::namespaced("n");
        let room = layout.room("presence");
        let name = room.entry("a{b}").unwrap();
        assert_eq!(shown(&name), "n%presence:a%7Bb%7D");
        assert_eq!(room.written(&name), Some(b"a{b}".to_vec()));
        assert_eq!(layout.written(&name), None);
        for namespace in ["n%presence", "n%25presence"] {
            assert_ne!(Layout::namespaced(namespace).entry("a{b}").unwrap(), name);
        }
        assert_eq!(shown(&Layout::plain().room("lock").entry("a").unwrap()), "a");
    }

    #[test]
    fn names_that_are_not_entries_lead_to_no_key() {
        let layout = Layout::namespaced("n");
        assert_eq!(layout.written(&layout.all()), None);
        assert_eq!(layout.written(&layout.probe()), None);
        assert_eq!(layout.written(b"m:a"), None);
        assert_eq!(layout.written(&layout.wake(b"n:a")), None);
        assert_eq!(layout.written(b"n:a%25"), Some(b"a%".to_vec()));
        assert_eq!(Layout::woken(&layout.wake(b"n:a")), Some(b"n:a".as_slice()));
        assert_eq!(Layout::woken(b"n:a"), None);
    }

    #[test]
    fn keys_are_read_as_they_were_written() {
        fn holds<K: ?Sized + RedisKey<Owned: PartialEq>>(key: &K) {
            let mut written = Vec::new();
            key.write(&mut written);
            assert!(K::read(&written) == Some(key.to_owned()));
        }
        holds("a:{b}%");
        holds([0_u8, 255].as_slice());
        holds(&String::from("s"));
        holds(&vec![1_u8]);
        holds(&Arc::<str>::from("s"));
        holds(&u128::MAX);
        holds(&-7_i8);
        holds(&true);
        assert_eq!(u32::read(b"a"), None);
        assert_eq!(str::read(&[255]), None);
    }

    #[test]
    fn long_keys_are_refused() {
        let key = "k".repeat(MAX_KEY);
        assert!(Layout::namespaced("n").entry(key.as_str()).is_some());
        let longer = "k".repeat(MAX_KEY + 1);
        assert!(Layout::namespaced("n").entry(longer.as_str()).is_none());
        assert!(Layout::plain().entry(longer.as_str()).is_none());
    }
}
