//! Apart from what they test, which the schedule explorer builds too.

use super::form::{Bucket, Form, Sought};
use super::slots::{Slot, Slots};
use super::within::{Inlined, Listed, Within};
use crate::sync::Ordering;
use std::sync::atomic::AtomicBool;

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
    bucket.let_pass();
    for gone in [2, 5, 0] {
        bucket.remove(bucket.place(0, gone as Slot + 1).unwrap());
        // What is left where it was is not taken for it.
        assert!(bucket.place_of(|key| *key == gone) >= bucket.len());
    }
    let mut left: Vec<Listed> = bucket.items().collect();
    left.sort_unstable_by_key(|item| item.key);
    assert_eq!(left, [1, 3, 4].map(|key| item(key, key as u16 % 4)));
    assert!(bucket.has_passed());
    bucket.take_back();
    assert!(!bucket.has_passed());
}

#[test]
fn too_many_to_count_pass_by_for_ever() {
    let bucket = Inlined::default();
    (0..200).for_each(|_| bucket.let_pass());
    (0..200).for_each(|_| bucket.take_back());
    assert!(bucket.has_passed());
    assert!(bucket.insert(0, item(1, 0)));
    assert_eq!(bucket.place_of(|key| *key == 1), 0);
}

#[test]
fn a_look_sees_a_bucket_as_it_was_at_one_moment() {
    let bucket = Inlined::default();
    let slots = Slots::<()>::new();
    let is_over = AtomicBool::new(false);
    (0..3).for_each(|key| assert!(bucket.insert(0, item(key, 0))));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..if cfg!(miri) { 50 } else { 50_000 } {
                // Keys come and go, move, and one is always there with another value.
                let place = bucket.place(0, 2).unwrap();
                bucket.replace(place, Listed { value: round << 8, ..item(1, 0) });
                bucket.insert(0, item(7 + round % 2, 0));
                bucket.remove(bucket.place(0, 1).unwrap());
                bucket.remove(bucket.place(0, 8 + (round % 2) as Slot).unwrap());
                bucket.insert(0, item(0, 0));
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let mut last = 0;
        while !is_over.load(Ordering::Relaxed) {
            // SAFETY: nothing is looked at in a slot.
            let Sought::Found(node) =
                (unsafe { Within::find(&bucket, &slots, 0, |key| *key == 1) })
            else {
                panic!("it is there all the time");
            };
            assert!(node.seen.key == 1 && node.slot == 2 && !node.seen.is_special);
            assert!(node.seen.value == !1 || node.seen.value >= last, "it never goes back");
            last = if node.seen.value == !1 { 0 } else { node.seen.value };
            for key in [0, 7, 8] {
                // SAFETY: as above.
                if let Sought::Found(node) =
                    unsafe { Within::find(&bucket, &slots, 0, |it| *it == key) }
                {
                    assert_eq!((node.slot, node.seen.value), (key as Slot + 1, !key));
                }
            }
        }
    });
}
