//! Looking things up: without the lock, but for a thread that is ending.

use super::super::kept::{Keeps, Kept, are_numbers, each};
use super::super::store::{Look, State, Store};
use super::super::table::{
    Apart, Content, Form, Freeing, Glance, Node, Notes, Pinned, Slot, Table, Within, from_bits,
    pin, pin_quickly, to_bits,
};
use super::super::touches::{Noted, Touches};
use super::Memory;
use crate::{Entry, Hashed, Key, Removals, Value};
use std::borrow::Borrow;

impl<K: ?Sized + Key, V: Value> Memory<K, V> {
    pub(in crate::memory) fn peek(&self, key: Hashed<&K>) -> Option<Entry<V>> {
        let (hash, key) = (key.hash(), key.into_key());
        each!(&self.kept, shards => self.peek_in(shards.of(hash), hash, key))
    }

    fn peek_in<F: Keeps<K, V>>(
        &self,
        table: &Table<F, State>,
        hash: u64,
        key: &K,
    ) -> Option<Entry<V>> {
        let clock = &self.settings.clock;
        let entry = match pin() {
            Some(pin) => {
                let node = table.find(F::short(hash), F::is(key), &pin)?;
                let is_dead = node.has_end() && node.is_dead(clock.now());
                (!is_dead).then(|| node.entry())
            }
            None => Store::new(table.lock().parts()).peek(F::short(hash), F::is(key), clock),
        };
        entry.map(|entry| entry.map(F::value_out))
    }

    /// Hashes the key, and [looks](Self::look).
    #[inline(always)]
    pub(in crate::memory) fn look_up<R>(
        &self,
        key: &K,
        then: impl FnOnce(Option<Option<&V>>) -> R,
    ) -> R {
        self.look(Hashed::seeded(key, &self.seed), then)
    }

    /// Has `then` look at the value of the live entry, if there is one, where it is stored; it is `None` for an
    /// absent entry. Where that would take the lock, it looks at a clone.
    #[inline(always)]
    pub(in crate::memory) fn look<R>(
        &self,
        key: Hashed<&K>,
        then: impl FnOnce(Option<Option<&V>>) -> R,
    ) -> R {
        let (hash, key) = (key.hash(), key.into_key());
        if are_numbers::<K, V>() {
            return self.look_at_number(hash, to_bits(key), then);
        }
        if let Kept::Apart(all) = &self.kept
            && let Some(pin) = pin_quickly()
        {
            return match self.hit(all.of(hash), hash, key, &pin) {
                Some(node) => <Apart<K, V> as Keeps<K, V>>::with(&node, |value| then(Some(value))),
                None => then(None),
            };
        }
        self.look_closely(hash, key, then)
    }

    /// The same of a key that is a number, by its bits.
    #[inline(always)]
    fn look_at_number<R>(
        &self,
        hash: u64,
        bits: u64,
        then: impl FnOnce(Option<Option<&V>>) -> R,
    ) -> R {
        if let Kept::Within(all) = &self.kept
            && let Some(pin) = pin_quickly()
        {
            let seen = all.of(hash).glance(Within::short(hash), |held| *held == bits, &pin);
            drop(pin);
            match seen {
                Glance::Value(value) if self.sizing.is_due(hash) => {
                    return self.record(hash, value, then);
                }
                Glance::Value(value) => return Self::read(value, then),
                Glance::Missing => return then(None),
                Glance::Further => return self.look_further(hash, bits, then),
                Glance::Unclear => {}
            }
        }
        self.look_at_number_closely(hash, bits, then)
    }

    /// The same, of a number that is not the first to be seen: looked for from home on, because the index
    /// may be another one by now. Apart, as all that is seldom, so that it takes no room where most hits are
    /// over.
    #[inline(never)]
    fn look_further<R>(
        &self,
        hash: u64,
        bits: u64,
        then: impl FnOnce(Option<Option<&V>>) -> R,
    ) -> R {
        if let Kept::Within(all) = &self.kept
            && let Some(pin) = pin_quickly()
        {
            let seen = all.of(hash).glance_further(Within::short(hash), |held| *held == bits, &pin);
            drop(pin);
            match seen {
                Glance::Value(value) => {
                    self.sizing.note(hash);
                    return Self::read(value, then);
                }
                Glance::Missing => return then(None),
                Glance::Further | Glance::Unclear => {}
            }
        }
        self.look_at_number_closely(hash, bits, then)
    }

    /// The same, where a hit changes the order, or whatever there is to the entry.
    #[inline(never)]
    fn look_at_number_closely<R>(
        &self,
        hash: u64,
        bits: u64,
        then: impl FnOnce(Option<Option<&V>>) -> R,
    ) -> R {
        if let Kept::Ordered(all) = &self.kept
            && let Some(touches) = &self.touches
            && let Some(pin) = pin_quickly()
        {
            let table = all.of(hash);
            let is_it = |held: &u64| *held == bits;
            if let Some((slot, value)) = table.glance_for_slot(Within::short(hash), is_it, &pin) {
                Self::touch(touches, table, slot, &pin);
                self.sizing.note(hash);
                drop(pin);
                return Self::read(value, then);
            }
        }
        self.look_anyhow(hash, from_bits::<K::Owned>(bits).borrow(), then)
    }

    #[inline(never)]
    fn look_closely<R>(&self, hash: u64, key: &K, then: impl FnOnce(Option<Option<&V>>) -> R) -> R {
        self.look_anyhow(hash, key, then)
    }

    /// The same, whatever there is to the entry.
    #[inline(always)]
    fn look_anyhow<R>(&self, hash: u64, key: &K, then: impl FnOnce(Option<Option<&V>>) -> R) -> R {
        each!(&self.kept, all => self.look_in(all.of(hash), hash, key, then))
    }

    #[inline(always)]
    fn read<R>(value: u64, then: impl FnOnce(Option<Option<&V>>) -> R) -> R {
        then(Some(Some(&<Within as Keeps<K, V>>::value_out(value))))
    }

    /// The same, and its use is recorded. Apart, so that a hit whose use is not is short.
    #[cold]
    #[inline(never)]
    fn record<R>(&self, hash: u64, value: u64, then: impl FnOnce(Option<Option<&V>>) -> R) -> R {
        self.sizing.record(hash);
        Self::read(value, then)
    }

    #[inline(always)]
    fn look_in<F: Keeps<K, V>, R>(
        &self,
        table: &Table<F, State>,
        hash: u64,
        key: &K,
        then: impl FnOnce(Option<Option<&V>>) -> R,
    ) -> R {
        match pin() {
            Some(pin) => match self.hit(table, hash, key, &pin) {
                Some(node) => F::with(&node, |value| then(Some(value))),
                None => then(None),
            },
            None => then(self.get_locked(table, hash, key).as_ref().map(Entry::value)),
        }
    }

    #[inline(never)]
    pub(super) fn get_in<F: Keeps<K, V>>(
        &self,
        table: &Table<F, State>,
        hash: u64,
        key: &K,
    ) -> Option<Entry<V>> {
        match pin() {
            Some(pin) => {
                let node = self.hit(table, hash, key, &pin)?;
                Some(node.entry().map(F::value_out))
            }
            None => self.get_locked(table, hash, key),
        }
    }

    /// The live entry of `key`, whose use is noted.
    #[inline(always)]
    fn hit<'a, F: Keeps<K, V>>(
        &self,
        table: &'a Table<F, State>,
        hash: u64,
        key: &K,
        pin: &'a impl Pinned,
    ) -> Option<Node<'a, F>> {
        let node = table.find(F::short(hash), F::is(key), pin)?;
        if node.has_end() && !self.outlives_this(&node.notes()) {
            self.bury(table, hash, key);
            return None;
        }
        match &self.touches {
            None => node.bump(),
            Some(touches) => Self::touch(touches, table, node.slot(), pin),
        }
        self.sizing.note(hash);
        Some(node)
    }

    /// Notes a hit that changes the order. The pin says that the slot stays its entry's meanwhile.
    #[inline(never)]
    fn touch<F: Form>(touches: &Touches, table: &Table<F, State>, slot: Slot, _pin: &impl Pinned) {
        match touches.note(slot) {
            Noted::Done => {}
            Noted::HalfFull => {
                if let Some(mut locked) = table.try_lock() {
                    // All that there is to do: a store applies what was noted.
                    _ = Store::new(locked.parts());
                }
            }
            Noted::Not => Store::new(table.lock().parts()).touch(slot),
        }
    }

    /// Whether an entry that has an end is live; if so, and if it dies unless it is used, that is put
    /// off.
    #[inline(never)]
    fn outlives_this<C: Content>(&self, notes: &Notes<'_, C>) -> bool {
        let now = self.settings.clock.now();
        let is_live = !notes.is_dead(now);
        if is_live && let Some(idle) = self.time_to_idle {
            notes.idle_until(now + idle);
        }
        is_live
    }

    /// Looks under the lock, as a thread has to that is ending.
    #[cold]
    #[inline(never)]
    fn get_locked<F: Keeps<K, V>>(
        &self,
        table: &Table<F, State>,
        hash: u64,
        key: &K,
    ) -> Option<Entry<V>> {
        let mut locked = table.lock();
        let mut store = Store::new(locked.parts());
        match store.get(F::short(hash), F::is(key), &self.settings.clock) {
            Look::Live(entry) => {
                self.sizing.note(hash);
                Some(entry.map(F::value_out))
            }
            Look::Missing => None,
            Look::Dead => {
                drop(locked);
                self.bury(table, hash, key);
                None
            }
        }
    }

    /// Takes out an entry that a look-up found dead, if it still is there.
    #[cold]
    fn bury<F: Keeps<K, V>>(&self, table: &Table<F, State>, hash: u64, key: &K) {
        let mut removals = Removals::none();
        let now = self.settings.clock.now();
        let bury = |store: &mut Store<'_, F>| store.remove_dead(F::short(hash), F::is(key), now);
        self.change(table, Freeing::Together, &mut removals, bury);
        drop(self.notifying(removals));
    }
}
