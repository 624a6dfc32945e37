//! A stream of requests, with numbers for keys.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

/// Requests of keys in their order. Keys are numbered from 0 as they first come, so that a request
/// takes four bytes, whatever its key was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    requests: Vec<u32>,
    distinct: usize,
}

impl Trace {
    /// The keys, by their numbers, as they were requested.
    #[must_use]
    pub fn requests(&self) -> &[u32] {
        &self.requests
    }

    /// How many keys there are.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.distinct
    }

    /// The first `most` requests.
    #[must_use]
    pub fn start(&self, most: usize) -> Self {
        self.requests.iter().take(most).collect::<Requests<_>>().end()
    }

    /// The trace of little-endian keys of eight bytes each, as the ready traces have them.
    ///
    /// # Errors
    /// [`Cut`] if the last key is not whole.
    ///
    /// ```
    /// use headwater_replay::Trace;
    ///
    /// let bytes: Vec<u8> = [7_u64, 9, 7].iter().flat_map(|key| key.to_le_bytes()).collect();
    /// let trace = Trace::from_le_bytes(&bytes).unwrap();
    /// assert_eq!((trace.requests(), trace.distinct()), (&[0, 1, 0][..], 2));
    /// assert!(Trace::from_le_bytes(&bytes[1..]).is_err());
    /// ```
    pub fn from_le_bytes(bytes: &[u8]) -> Result<Self, Cut> {
        let (keys, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(Cut);
        }
        Ok(keys.iter().map(|key| u64::from_le_bytes(*key)).collect::<Requests<_>>().end())
    }
}

/// The stream ends within a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key of 8 bytes is cut short (truncated?)")
    }
}

impl std::error::Error for Cut {}

/// A trace that is being made. Each different key is kept once.
#[derive(Debug)]
pub struct Requests<K> {
    numbers: HashMap<K, u32>,
    requests: Vec<u32>,
}

impl<K> Default for Requests<K> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), requests: Vec::new() }
    }
}

impl<K: Hash + Eq> Requests<K> {
    /// Adds a request of a key, which is copied only if it is new; `false`, and nothing added, if there
    /// are more keys than numbers.
    ///
    /// ```
    /// use headwater_replay::Requests;
    ///
    /// let mut requests = Requests::<String>::default();
    /// for key in ["a", "b", "a"] {
    ///     assert!(requests.push(key));
    /// }
    /// assert_eq!(requests.end().requests(), [0, 1, 0]);
    /// ```
    pub fn push<Q>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let number = match (self.numbers.get(key), u32::try_from(self.numbers.len())) {
            (Some(number), _) => *number,
            (None, Ok(next)) if next < u32::MAX => {
                self.numbers.insert(key.to_owned(), next);
                next
            }
            _ => return false,
        };
        self.requests.push(number);
        true
    }

    /// How many requests there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether there is no request.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// The trace of them.
    #[must_use]
    pub fn end(self) -> Trace {
        Trace { distinct: self.numbers.len(), requests: self.requests }
    }
}

impl<K: Hash + Eq + Clone> FromIterator<K> for Requests<K> {
    /// The requests of these keys; those that there are no numbers for are left out.
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        let mut requests = Self::default();
        for key in keys {
            requests.push(&key);
        }
        requests
    }
}
