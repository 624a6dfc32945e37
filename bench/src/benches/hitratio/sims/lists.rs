//! Lists of keys in order of use, each key on one of them.

/// The lists of keys that are numbered from 0.
pub(super) struct Lists<const N: usize> {
    /// The neighbours of each key, towards the least and the most recent use; then those of heads.
    older: Vec<u32>,
    newer: Vec<u32>,
    /// Which list each key is on.
    on: Vec<Option<usize>>,
    lens: [usize; N],
}

impl<const N: usize> Lists<N> {
    pub(super) fn new(keys: usize) -> Self {
        let own: Vec<u32> = (0..keys + N).map(|key| key as u32).collect();
        Self { older: own.clone(), newer: own, on: vec![None; keys], lens: [0; N] }
    }

    /// Which list a key is on.
    pub(super) fn of(&self, key: u32) -> Option<usize> {
        self.on[key as usize]
    }

    pub(super) fn len(&self, list: usize) -> usize {
        self.lens[list]
    }

    /// The key of a list that was not used for longest.
    pub(super) fn oldest(&self, list: usize) -> Option<u32> {
        let key = self.newer[self.head(list)];
        (self.lens[list] > 0).then_some(key)
    }

    /// Puts a key at the recent end of a list, from wherever it is.
    pub(super) fn put(&mut self, list: usize, key: u32) {
        self.take(key);
        let head = self.head(list);
        let newest = std::mem::replace(&mut self.older[head], key);
        self.newer[newest as usize] = key;
        self.older[key as usize] = newest;
        self.newer[key as usize] = head as u32;
        self.on[key as usize] = Some(list);
        self.lens[list] += 1;
    }

    /// Takes a key off its list, if it is on one.
    pub(super) fn take(&mut self, key: u32) {
        let Some(list) = self.on[key as usize].take() else { return };
        let (older, newer) = (self.older[key as usize], self.newer[key as usize]);
        self.newer[older as usize] = newer;
        self.older[newer as usize] = older;
        self.lens[list] -= 1;
    }

    fn head(&self, list: usize) -> usize {
        self.on.len() + list
    }
}
