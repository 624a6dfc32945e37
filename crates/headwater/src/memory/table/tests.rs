use super::super::lists::List;
use super::apart::Listed;
use super::form::{Bucket, Sought};
use super::index::{Index, Spot};
use super::slots::{Slots, Stock};
use super::within_tests::listed;
use super::{Apart, Form, Freeing, Glance, LANES, Lane, Limits, Node, Slot, Table, Within, pin};
use crate::{Cause, Removals};
use std::collections::HashMap;

/// Lists, replaces and takes out at random what `item` makes of slots, and looks whether all is there. In the
/// end nothing says that anything is elsewhere, unless so few hashes are `told_apart` that counts end.
fn model<B: Bucket>(hashes: u32, told_apart: u32, item: impl Fn(Slot) -> B::Item) {
    let mut random = fastrand::Rng::with_seed(3);
    let index = Index::<B>::new(40);
    let mut listed = HashMap::<Slot, (u32, Spot)>::new();
    for _ in 0..if cfg!(miri) { 300 } else { 20_000 } {
        let slot = random.u32(1..100);
        match listed.get(&slot).copied() {
            Some((hash, spot)) if random.bool() => {
                index.remove(hash, index.place(hash, slot, spot).unwrap(), spot);
                listed.remove(&slot);
            }
            Some((hash, spot)) if random.bool() => {
                if let Some(spot) = index.bring_home(hash, slot, spot) {
                    listed.insert(slot, (hash, spot));
                }
            }
            Some((hash, spot)) => {
                let new = random.u32(1..100);
                if !listed.contains_key(&new) {
                    index.replace(hash, slot, spot, item(new));
                    listed.remove(&slot);
                    listed.insert(new, (hash, spot));
                }
            }
            None if index.has_room() => {
                let hash = random.u32(..hashes).wrapping_mul(0x9E37_79B9);
                listed.insert(slot, (hash, index.insert(hash, item(slot))));
            }
            None => {}
        }
        assert_eq!(index.len(), listed.len());
        for (slot, (hash, spot)) in &listed {
            let (bucket, place) = index.place(*hash, *slot, *spot).expect("it is listed");
            assert_eq!(bucket.place(*hash, *slot), Some(place));
            // Who looks without the lock comes to the same bucket.
            let look = |seen: &B, turn| match std::ptr::eq(seen, bucket) {
                true => Sought::Found(()),
                false if seen.has_passed(turn, *hash) => Sought::Further,
                false => Sought::Missing,
            };
            assert_eq!(index.find(*hash, look), Some(()));
        }
        let mut slots: Vec<Slot> = index.items().map(|item| B::slot(&item)).collect();
        slots.sort_unstable();
        let mut expected: Vec<Slot> = listed.keys().copied().collect();
        expected.sort_unstable();
        assert_eq!(slots, expected);
    }
    for (slot, (hash, spot)) in listed {
        index.remove(hash, index.place(hash, slot, spot).unwrap(), spot);
    }
    assert!(index.is_orderly() || hashes < told_apart);
}

#[test]
fn what_is_listed_is_found_however_hashes_fall() {
    for hashes in [u32::MAX, 4, 1] {
        model::<<Apart<u8, u8> as Form>::Bucket>(hashes, 0, Listed::far_from);
        model::<<Within as Form>::Bucket>(hashes, 5, listed);
    }
}

/// How many buckets are looked into for keys that are not listed, on average, after so many others came and
/// went that each place was used many times over.
fn buckets_per_miss<B: Bucket>(item: impl Fn(Slot) -> B::Item) -> f64 {
    const ENTRIES: u32 = 5_000;
    let mut random = fastrand::Rng::with_seed(3);
    let index = Index::<B>::new(ENTRIES as usize);
    let mut hashes: Vec<u32> = (0..ENTRIES).map(|_| random.u32(..)).collect();
    let put = |hashes: &[u32], at: u32| index.insert(hashes[at as usize], item(at + 1));
    let mut spots: Vec<Spot> = (0..ENTRIES).map(|at| put(&hashes, at)).collect();
    for _ in 0..20 * ENTRIES {
        let at = random.u32(..ENTRIES);
        let place = index.place(hashes[at as usize], at + 1, spots[at as usize]);
        index.remove(hashes[at as usize], place.unwrap(), spots[at as usize]);
        hashes[at as usize] = random.u32(..);
        spots[at as usize] = put(&hashes, at);
    }
    let looks = std::cell::Cell::new(0);
    for _ in 0..1_000 {
        let hash = random.u32(..);
        let missing = index.find(hash, |seen, turn| {
            looks.set(looks.get() + 1);
            if seen.has_passed(turn, hash) { Sought::<()>::Further } else { Sought::Missing }
        });
        assert!(missing.is_none());
    }
    f64::from(looks.get()) / 1_000.0
}

#[test]
#[cfg_attr(miri, ignore = "it takes too long there")]
fn a_miss_stays_cheap_however_many_entries_come_and_go() {
    let apart = buckets_per_miss::<<Apart<u8, u8> as Form>::Bucket>(Listed::far_from);
    let within = buckets_per_miss::<<Within as Form>::Bucket>(listed);
    assert!(apart < 1.6 && within < 1.7, "{apart} {within}");
}

#[test]
fn there_are_slots_for_half_of_their_numbers_and_more_however_they_are_cut() {
    const BITS: u32 = 10;
    for wanted in 0..1_000 {
        let (slots, mut stock) = (Slots::<()>::new(), Stock::new());
        let mut taken = Vec::new();
        loop {
            // At first as many as are wanted, and then as few as can be.
            let wanted = wanted.max(taken.len() + 1) - taken.len();
            match stock.take() {
                Some(slot) => taken.push(slot),
                None if slots.grow(&mut stock, wanted, BITS) => {}
                None => break,
            }
        }
        assert!(taken.iter().all(|slot| *slot < 1 << BITS));
        let (entries, there_are) = (1 << (BITS - 1), taken.len());
        assert!(there_are > entries + entries / 16, "{there_are}, {wanted} at first");
        // SAFETY: nobody looks at them, and none holds anything.
        unsafe { { slots }.free(&mut stock, |_| ()) };
    }
}

fn limits(most: usize, patience: usize) -> Limits {
    Limits { most, usual: most, patience, are_slots_told: false, listens: true }
}

/// Puts an entry by a number whose hash is itself.
fn put<F: Form<Key = K>, K: From<u32> + Copy + Eq>(
    table: &Table<F, ()>,
    key: u32,
    value: F::Value,
    removals: &mut Removals<K, F::Value>,
) {
    let mut locked = table.lock();
    let mut writer = locked.parts().0;
    if let Some(held) = writer.view().find(key, |held| *held == key.into()).map(Node::slot) {
        writer.lift(held, Cause::Replaced, |_| ());
    }
    let notes = [None, None, Some(u64::from(key)), None];
    assert!(writer.insert(key, key.into(), Some(value), List::Main, &notes).is_ok());
    writer.settle(Freeing::Together, removals);
}

#[test]
fn what_is_read_stays_while_it_is_replaced_and_the_table_grows() {
    let table = Table::<Apart<u32, String>, ()>::new(limits(10_000, 4), ());
    let mut removals = Removals::none();
    put(&table, 7, 7.to_string(), &mut removals);
    let pin = pin().unwrap();
    let node = table.find(7, |held| *held == 7, &pin).unwrap();
    for round in 0..3 {
        (0..200).for_each(|key| put(&table, key, key.to_string(), &mut removals));
        assert_eq!(removals.len(), 1 + round * 200, "told at once, as a clone");
    }
    assert_eq!((node.value().map(String::as_str), *node.key()), (Some("7"), 7));
    assert_eq!(node.notes().note(Lane::Loaded), Some(7));
    let newer = table.find(7, |held| *held == 7, &pin).unwrap();
    assert_ne!(node.slot(), newer.slot());
    drop(pin);
    put(&table, 8, 8.to_string(), &mut removals);
}

/// A thread writes, and another reads that sees what was written, or nothing.
fn read_while_one_writes<F: Form<Key = K>, K: From<u32> + Copy + Eq + Send + Sync>(
    value: fn(u32) -> F::Value,
) where
    F::Value: PartialEq + Send + Sync,
{
    let table = Table::<F, ()>::new(limits(10_000, 4), ());
    let rounds = if cfg!(miri) { 3 } else { 50 };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..rounds {
                let mut removals = Removals::none();
                (0..64).for_each(|key| put(&table, key, value(key), &mut removals));
                let mut locked = table.lock();
                let mut writer = locked.parts().0;
                for key in (0..64).step_by(3) {
                    let slot = writer.view().find(key, |held| *held == key.into()).map(Node::slot);
                    writer.remove(slot.unwrap(), Cause::Invalidated, |_| ());
                }
                writer.settle(Freeing::Now, &mut removals);
            }
        });
        while !writer.is_finished() {
            for key in 0..64 {
                let pin = pin().unwrap();
                let seen = table.find(key, |held| *held == key.into(), &pin);
                let seen = seen.as_ref().and_then(Node::value);
                assert!(seen.is_none_or(|seen| *seen == value(key)));
            }
        }
    });
    assert_eq!(table.lock().parts().0.view().len(), 42);
}

#[test]
fn threads_read_while_one_writes() {
    read_while_one_writes::<Apart<u32, String>, _>(|key| key.to_string());
    read_while_one_writes::<Within, _>(|key| u64::from(key) << 20);
}

#[test]
fn who_glances_sees_plain_entries_and_leaves_the_rest_to_who_looks() {
    let table = Table::<Within, ()>::new(limits(100, 4), ());
    let pin = pin().unwrap();
    let glance = |key: u64| match table.glance(Within::short(key), |held| *held == key, &pin) {
        Glance::Value(value) => value,
        Glance::Missing => 0,
        _ => 1,
    };
    let mut locked = table.lock();
    for (key, value, notes) in [
        (10, Some(10), [None, None, Some(5), Some(6)]),
        (20, None, [None; LANES]),
        (30, Some(30), [Some(9), None, None, None]),
    ] {
        locked.parts().0.insert(Within::short(key), key, value, List::Main, &notes).unwrap();
    }
    let of_the_same_hash = 10 | 1 << 32;
    assert_eq!([10, 20, 30, 40, of_the_same_hash].map(glance), [10, 1, 1, 0, 1]);
    let node = locked
        .parts()
        .0
        .view()
        .find(Within::short(10), |held| *held == 10)
        .map(Node::slot)
        .unwrap();
    assert!(locked.parts().0.view().locate(node).unwrap().mark().is_used(), "its use is noted");
    let slot_of = |key: u64| {
        let is_it = |held: &u64| *held == key;
        table.glance_for_slot(Within::short(key), is_it, &pin)
    };
    let plain = Some((node, 10));
    assert_eq!([10, 20, 30, 40, of_the_same_hash].map(slot_of), [plain, None, None, None, None]);
    locked.parts().0.remove(node, Cause::Invalidated, |_| ());
    assert_eq!(glance(10), 0);
}

#[test]
fn slots_of_who_is_read_for_long_do_not_scatter() {
    let table = Table::<Apart<u32, String>, ()>::new(limits(50, 2), ());
    let pin = pin().unwrap();
    let mut removals = Removals::none();
    (0..40).cycle().take(1_000).for_each(|key| put(&table, key, key.to_string(), &mut removals));
    let numbers = table.lock().parts().0.view().numbers();
    assert!(numbers < 4_096, "{numbers}");
    drop(pin);
}
