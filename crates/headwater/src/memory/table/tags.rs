//! Bytes of a word, compared all at once.

const LOW: u64 = 0x0101_0101_0101_0101;

/// The highest bit of each byte that is `tag`; above one that is, now and then also that of a byte that
/// differs from it in its lowest bit.
#[inline(always)]
pub(super) fn matching(word: u64, tag: u8) -> u64 {
    let differing = word ^ (u64::from(tag) * LOW);
    differing.wrapping_sub(LOW) & !differing & (LOW << 7)
}

/// The first of the bytes with a bit in `matching` that is the one.
#[inline(always)]
pub(super) fn place_of(mut matching: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
    while matching != 0 {
        let place = (matching.trailing_zeros() / u8::BITS) as usize;
        if is_it(place) {
            return Some(place);
        }
        matching &= matching - 1;
    }
    None
}
