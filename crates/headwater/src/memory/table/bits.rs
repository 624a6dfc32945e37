//! Which types are small enough to stand in an index, as bits.

use std::any::TypeId;

/// Whether `T` is one of these types. Decided when it is compiled.
macro_rules! is_one_of {
    ($of:ty: $($type:ty),*) => { $(TypeId::of::<$of>() == TypeId::of::<$type>())||* };
}

/// Whether values of this type are equal if, and only if, their bits are; of those that are
/// [small](is_small).
#[inline(always)]
pub(in crate::memory) fn is_small_key<T: ?Sized + 'static>() -> bool {
    is_one_of!(T: u8, u16, u32, u64, usize, i8, i16, i32, i64, isize)
}

/// Whether this is a type of up to 64 bits, all of which are written, and any of which are a value.
#[inline(always)]
pub(in crate::memory) fn is_small<T: ?Sized + 'static>() -> bool {
    is_small_key::<T>() || is_one_of!(T: f32, f64, ())
}

/// A value's bits.
///
/// # Panics
/// If its type is not small.
#[inline(always)]
pub(in crate::memory) fn to_bits<T: ?Sized + 'static>(value: &T) -> u64 {
    assert!(is_small::<T>(), "only small values are taken by their bits");
    let (from, mut bits) = (std::ptr::from_ref(value).cast::<u8>(), 0_u64);
    // SAFETY: the type has up to eight bytes, all of them written.
    unsafe { from.copy_to_nonoverlapping((&raw mut bits).cast(), size_of_val(value)) };
    bits
}

/// The value with these bits.
///
/// # Panics
/// If its type is not small.
#[inline(always)]
pub(in crate::memory) fn from_bits<T: 'static>(bits: u64) -> T {
    assert!(is_small::<T>(), "only small values are taken by their bits");
    // SAFETY: the type has up to eight bytes, and any of them are a value.
    unsafe { std::mem::transmute_copy(&bits) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same<T: PartialEq + std::fmt::Debug + 'static>(value: &T) {
        assert!(is_small::<T>());
        assert_eq!(&from_bits::<T>(to_bits(value)), value);
    }

    #[test]
    fn small_values_are_their_bits_and_nothing_else_is_small() {
        same(&u64::MAX);
        same(&0_u8);
        same(&-1_i8);
        same(&i64::MIN);
        same(&-2_isize);
        same(&1.5_f32);
        same(&f64::MIN);
        same(&());
        same(&7_u16);
        assert!(!is_small::<u128>() && !is_small::<String>() && !is_small::<str>());
        assert!(!is_small::<&'static str>() && !is_small::<[u8; 8]>() && !is_small::<(u8, u32)>());
        // Not all bits are one of them.
        assert!(!is_small::<bool>() && !is_small::<char>() && !is_small::<Option<u32>>());
        // Two zeros are equal.
        assert!(!is_small_key::<f64>());
    }

    #[test]
    #[should_panic(expected = "only small values")]
    fn what_is_not_small_is_not_taken_for_bits() {
        to_bits("a");
    }
}
