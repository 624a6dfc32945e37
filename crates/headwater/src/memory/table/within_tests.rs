//! Apart from what they test, which the schedule explorer builds too: that a look sees a bucket as it was at
//! one moment is tested there.

use super::form::{Bucket, Turn};
use super::slots::Slot;
use super::within::{Inlined, Listed};

/// Something that is listed.
pub(super) fn listed(slot: Slot) -> Listed {
    item(u64::from(slot) - 1, 1)
}

fn item(key: u64, uses: u16) -> Listed {
    Listed { slot: key as Slot + 1, key, value: !key, is_special: key.is_multiple_of(3), uses }
}

#[test]
fn what_leaves_a_bucket_lets_the_others_be_found() {
    let bucket = Inlined::default();
    for key in 0..6 {
        assert!(bucket.insert(0, item(key, key as u16 % 4)));
    }
    assert!(!bucket.insert(0, item(6, 0)), "it is full");
    bucket.let_pass(Turn::Later);
    for gone in [2, 5, 0] {
        bucket.remove(bucket.place(0, gone as Slot + 1).unwrap());
        // What is left where it was is not taken for it.
        assert!(bucket.place_of(|key| *key == gone) >= bucket.len());
    }
    let mut left: Vec<Listed> = bucket.items().collect();
    left.sort_unstable_by_key(|item| item.key);
    assert_eq!(left, [1, 3, 4].map(|key| item(key, key as u16 % 4)));
    assert!(bucket.has_passed(Turn::Later) && !bucket.has_passed(Turn::Home));
    bucket.take_back(Turn::Later);
    assert!(!bucket.has_passed(Turn::Later));
}

#[test]
fn too_many_to_count_pass_by_for_ever() {
    let bucket = Inlined::default();
    for turn in [Turn::Home, Turn::Later] {
        (0..200).for_each(|_| bucket.let_pass(turn));
        (0..200).for_each(|_| bucket.take_back(turn));
        assert!(bucket.has_passed(turn));
    }
    assert!(bucket.insert(0, item(1, 0)));
    assert_eq!(bucket.place_of(|key| *key == 1), 0);
}
