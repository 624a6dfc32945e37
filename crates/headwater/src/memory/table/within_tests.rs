//! Apart from what they test, which the schedule explorer builds too: that a look sees a bucket as it was at
//! one moment is tested there.

use super::form::{Bucket, Turn};
use super::slots::Slot;
use super::within::{Inlined, Listed};

/// Something that is listed.
pub(super) fn listed(slot: Slot) -> Listed {
    item(u64::from(slot) - 1, 1)
}

fn item(key: u64, uses: u8) -> Listed {
    Listed { slot: key as Slot + 1, key, value: !key, is_special: key.is_multiple_of(3), uses }
}

/// The places where keys stand, by a look that tells tags and keys apart.
fn keys(bucket: &Inlined) -> Vec<u64> {
    let mut keys: Vec<u64> = bucket.items().map(|item| item.key).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn what_leaves_a_bucket_lets_the_others_be_found() {
    let bucket = Inlined::default();
    for key in 0..6 {
        assert!(bucket.insert(key as u32 % 2, item(key, key as u8 % 4)).is_some());
    }
    assert_eq!(bucket.insert(0, item(6, 0)), None, "it is full");
    bucket.let_pass(Turn::Later, 7);
    for gone in [2, 5, 0] {
        bucket.remove(bucket.place(gone as u32 % 2, gone as Slot + 1).unwrap());
        assert_eq!(bucket.place(gone as u32 % 2, gone as Slot + 1), None);
    }
    assert_eq!(keys(&bucket), [1, 3, 4]);
    for kept in [1, 3, 4] {
        assert!(bucket.items().any(|listed| listed == item(kept, kept as u8 % 4)));
        assert!(bucket.place(kept as u32 % 2, kept as Slot + 1).is_some());
    }
    assert!(bucket.has_passed(Turn::Later, 7) && !bucket.has_passed(Turn::Home, 7));
    bucket.take_back(Turn::Later, 7);
    assert!(!bucket.has_passed(Turn::Later, 7));
}

#[test]
fn too_many_to_count_pass_by_for_ever() {
    let bucket = Inlined::default();
    for turn in [Turn::Home, Turn::Later] {
        (0..300).for_each(|_| bucket.let_pass(turn, 7));
        (0..300).for_each(|_| bucket.take_back(turn, 7));
        assert!(bucket.has_passed(turn, 7));
    }
    assert_eq!(bucket.insert(0, item(1, 0)), Some(0));
    assert_eq!(keys(&bucket), [1]);
}

#[test]
fn all_of_a_slots_number_is_kept() {
    let bucket = Inlined::default();
    let slots = [1, 0xFF, 0x100, 0xFFFF, 0x1_0000, 0xFF_FFFF];
    for slot in slots {
        assert!(bucket.insert(slot, Listed { slot, ..item(u64::from(slot), 0) }).is_some());
    }
    let kept: Vec<Slot> = bucket.items().map(|item| item.slot).collect();
    assert_eq!(kept, slots);
    for slot in slots {
        assert!(bucket.place(slot, slot).is_some() && bucket.place(slot, slot - 1).is_none());
    }
}
