use super::index::Index;
use super::{Freeing, Lane, Node, Slot, Table, pin};
use crate::{Cause, Removals};
use std::collections::HashMap;

fn model(hashes: u32) {
    let mut random = fastrand::Rng::with_seed(3);
    let index = Index::new(40);
    let mut listed = HashMap::<Slot, u32>::new();
    for _ in 0..20_000 {
        let slot = random.u32(1..100);
        match listed.get(&slot).copied() {
            Some(hash) if random.bool() => {
                index.remove(hash, slot);
                listed.remove(&slot);
            }
            Some(hash) => {
                let new = random.u32(1..100);
                if !listed.contains_key(&new) {
                    index.replace(hash, slot, new);
                    listed.remove(&slot);
                    listed.insert(new, hash);
                }
            }
            None if index.has_room() => {
                let hash = random.u32(..hashes).wrapping_mul(0x9E37_79B9);
                index.insert(hash, slot);
                listed.insert(slot, hash);
            }
            None => {}
        }
        assert_eq!(index.len(), listed.len());
        for (slot, hash) in &listed {
            let is_it = |found| (found == *slot).then_some(found);
            assert_eq!(index.find(*hash, is_it), Some(*slot));
        }
        let mut slots: Vec<Slot> = index.slots().collect();
        slots.sort_unstable();
        let mut expected: Vec<Slot> = listed.keys().copied().collect();
        expected.sort_unstable();
        assert_eq!(slots, expected);
    }
    listed.iter().for_each(|(slot, hash)| index.remove(*hash, *slot));
    assert!(index.is_orderly());
}

#[test]
fn what_is_listed_is_found_however_hashes_fall() {
    model(u32::MAX);
    model(4);
    model(1);
}

/// Puts a string by a number whose hash is itself.
fn put(table: &Table<u32, String, ()>, key: u32, removals: &mut Removals<u32, String>) {
    let mut locked = table.lock();
    let mut writer = locked.parts().0;
    if let Some(held) = writer.find(key, &key).map(Node::slot) {
        writer.lift(held, Cause::Replaced);
    }
    let value = Some(key.to_string());
    writer.insert(key, key, value, [None, None, Some(u64::from(key)), None]).unwrap();
    writer.settle(Freeing::Together, true, removals);
}

#[test]
fn what_is_read_stays_while_it_is_replaced_and_the_table_grows() {
    let table = Table::<u32, String, ()>::new(10_000, 4, ());
    let mut removals = Removals::none();
    put(&table, 7, &mut removals);
    let pin = pin().unwrap();
    let node = table.find(7, &7, &pin).unwrap();
    for round in 0..3 {
        (0..200).for_each(|key| put(&table, key, &mut removals));
        assert_eq!(removals.len(), 1 + round * 200, "told at once, as a clone");
    }
    assert_eq!((node.value().map(String::as_str), *node.key()), (Some("7"), 7));
    assert_eq!(node.note(Lane::Loaded), Some(7));
    let newer = table.find(7, &7, &pin).unwrap();
    assert_ne!(node.slot(), newer.slot());
    drop(pin);
    put(&table, 8, &mut removals);
}

#[test]
fn threads_read_while_one_writes() {
    let table = Table::<u32, String, ()>::new(10_000, 4, ());
    let rounds = if cfg!(miri) { 3 } else { 50 };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..rounds {
                let mut removals = Removals::none();
                (0..64).for_each(|key| put(&table, key, &mut removals));
                let mut locked = table.lock();
                let mut writer = locked.parts().0;
                for key in (0..64).step_by(3) {
                    let slot = writer.find(key, &key).map(Node::slot).unwrap();
                    writer.remove(slot, Cause::Invalidated);
                }
                writer.settle(Freeing::Now, false, &mut removals);
            }
        });
        while !writer.is_finished() {
            for key in 0..64 {
                let pin = pin().unwrap();
                let seen = table.find(key, &key, &pin).and_then(Node::value);
                assert!(seen.is_none_or(|seen| *seen == key.to_string()));
            }
        }
    });
    assert_eq!(table.lock().parts().0.len(), 42);
}

#[test]
fn slots_of_who_is_read_for_long_do_not_scatter() {
    let table = Table::<u32, String, ()>::new(50, 2, ());
    let pin = pin().unwrap();
    let mut removals = Removals::none();
    (0..40).cycle().take(1_000).for_each(|key| put(&table, key, &mut removals));
    let numbers = table.lock().parts().0.numbers();
    assert!(numbers < 4_096, "{numbers}");
    drop(pin);
}
