//! Apart from what they test, which the schedule explorer builds too.

use super::table::Slot;
use super::touches::{Noted, Touches};
use crate::sync::Ordering;

fn applied(touches: &Touches) -> Vec<Slot> {
    let mut slots = Vec::new();
    touches.apply(|slot| slots.push(slot));
    slots
}

#[test]
fn hits_are_applied_once_in_order_and_a_full_ring_says_so() {
    let touches = Touches::new();
    for lap in 0..5 {
        let noted: Vec<Noted> = (0..5).map(|n| touches.note(10 * lap + n + 3)).collect();
        let [first, second, ..] = noted[..] else { unreachable!() };
        assert_eq!([first, second], [Noted::Done, Noted::HalfFull]);
        assert_eq!(noted[2..], [Noted::Done, Noted::HalfFull, Noted::Not]);
        assert_eq!(applied(&touches), (0..4).map(|n| 10 * lap + n + 3).collect::<Vec<_>>());
        assert!(applied(&touches).is_empty());
    }
}

#[test]
fn what_is_noted_after_a_gap_is_not_kept_waiting_and_not_applied_twice() {
    let touches = Touches::new();
    // Somebody has a ticket, and is slow.
    touches.next.0.store(1, Ordering::Relaxed);
    touches.note(7);
    assert_eq!(applied(&touches), [7]);
    touches.note(8);
    touches.note(9);
    assert_eq!(touches.note(10), Noted::Not, "the gap takes up its place");
    assert_eq!(applied(&touches), [8, 9]);
    touches.places[0].store(6, Ordering::Release);
    assert_eq!(applied(&touches), [6]);
    assert_eq!(touches.note(10), Noted::Done);
    assert_eq!(applied(&touches), [10]);
}
