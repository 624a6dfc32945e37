use super::index::Index;
use super::slots::Slot;
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
