//! Prefixes of addresses.

/// The first `len` bits, the others zero; all of them from 128 on.
pub(crate) const fn leading_bits(bits: u128, len: u8) -> u128 {
    match u128::MAX.checked_shr(len as u32) {
        Some(rest) => bits & !rest,
        None => bits,
    }
}
