//! Bytes, compared all at once.

/// The places, of the eight bytes of a word, whose tags are the lowest byte of `tag`: one bit each, the lowest for
/// the lowest byte.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn matching(word: u64, tag: u32) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_cvtsi32_si128, _mm_cvtsi64_si128, _mm_movemask_epi8,
        _mm_shufflelo_epi16, _mm_unpacklo_epi8,
    };
    // SAFETY: every x86_64 processor has SSE2.
    let equal = unsafe {
        // The byte is doubled, and the two are doubled twice. Above them nothing counts.
        let tag = _mm_cvtsi32_si128(tag.cast_signed());
        let tag = _mm_shufflelo_epi16::<0>(_mm_unpacklo_epi8(tag, tag));
        _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_cvtsi64_si128(word.cast_signed()), tag))
    };
    equal.cast_unsigned() & 0xFF
}

/// The same of the sixteen bytes of two words.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn matching_in_two([first, second]: [u64; 2], tag: u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    // SAFETY: every x86_64 processor has SSE2.
    let equal = unsafe {
        let tags = _mm_set_epi64x(second.cast_signed(), first.cast_signed());
        _mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8(tag.cast_signed())))
    };
    equal.cast_unsigned()
}

/// The same elsewhere.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn matching(word: u64, tag: u32) -> u32 {
    by_word(word, tag as u8)
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn matching_in_two([first, second]: [u64; 2], tag: u8) -> u32 {
    by_word(first, tag) | by_word(second, tag) << 8
}

/// The same by arithmetic; above a place whose tag matches, now and then also one whose tag differs from it in its
/// lowest bit.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
fn by_word(word: u64, tag: u8) -> u32 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    // Moves the lowest bit of each byte into the highest byte, in order.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let differing = word ^ (u64::from(tag) * LOW);
    let equal = differing.wrapping_sub(LOW) & !differing & (LOW << 7);
    ((equal >> 7).wrapping_mul(GATHER) >> 56) as u32
}

/// The first of the places with a bit in `matching` that is the one.
#[inline(always)]
pub(super) fn place_of(mut matching: u32, is_it: impl Fn(usize) -> bool) -> Option<usize> {
    while matching != 0 {
        let place = matching.trailing_zeros() as usize;
        if is_it(place) {
            return Some(place);
        }
        matching &= matching - 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_matching_find_the_places_of_a_tag() {
        // Tags of few values, so that several are alike, by a generator of 64 bits (Knuth, MMIX).
        let mut random = 7_u64;
        let mut below_4 = || {
            random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            (random >> 62) as u8
        };
        for _ in 0..10_000 {
            let tags: [u8; 16] = std::array::from_fn(|_| below_4());
            let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| tags[at + n]));
            let (words, tag) = ([word(0), word(8)], below_4());
            let found = |place: &usize| tags[*place] == tag;
            let truth = (0..16).filter(found).fold(0, |bits, place| bits | 1 << place);
            assert_eq!(matching_in_two(words, tag), truth);
            // What stands above the byte does not count.
            let [first, second] = words.map(|word| matching(word, u32::from(tag) | 0x0102_0300));
            assert_eq!(first | second << 8, truth);
            let [first, second] = words.map(|word| by_word(word, tag));
            let by_word = first | second << 8;
            assert_eq!(by_word & truth, truth, "none is left out");
            assert!(by_word == truth || by_word.count_ones() > truth.count_ones());
        }
    }
}
