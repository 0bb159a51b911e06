//! Hints to the processor about memory that will be needed.
//!
//! A table of a million domains is larger than any cache, and what a look-up waits for most is memory:
//! a few hundred cycles for each line, one after the other where the address of the next is in the one
//! before. Who knows a while ahead which domains come can have their lines fetched meanwhile, for many
//! at a time (Chen, Ailamaki, Gibbons, Mowry: Improving Hash Join Performance through Prefetching,
//! ICDE 2004, call it group prefetching).
//!
//! A plain load does that too, but it keeps its place in the processor's queue of instructions until
//! the line is there, and everything behind it waits; a hint does not. There is no safe one on stable
//! Rust, which is why this crate is there and why it has nothing else.

/// Bytes of a cache line on the processors this runs on.
const LINE_OCTETS: usize = 64;

/// Has all lines of a value fetched into the nearest cache. Nothing is read, and the value is not
/// changed; where the processor has no such hint, or none that is known here, nothing happens.
#[inline]
pub fn fetch<T: ?Sized>(value: &T) {
    let from = std::ptr::from_ref(value).cast::<u8>();
    let size = size_of_val(value);
    let mut at = 0;
    while at < size {
        fetch_line(from.wrapping_add(at));
        at += LINE_OCTETS;
    }
    // What does not begin with a line may end in one more.
    if size > align_of_val(value) {
        fetch_line(from.wrapping_add(size - 1));
    }
}

#[inline]
#[cfg_attr(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    allow(unsafe_code, reason = "the standard library has no safe hint")
)]
fn fetch_line(place: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction is in every processor of this architecture (SSE), reads nothing that a
    // program can see, and does not fault at any address (Intel SDM volume 2B, PREFETCHh).
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(place.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the instruction only hints, and does not fault at any address (Arm ARM, PRFM).
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{place}]", place = in(reg) place,
            options(nostack, readonly, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_happens_to_what_is_fetched() {
        #[repr(C)]
        struct Odd(u8, [u8; 640]);
        let odd = Odd(1, std::array::from_fn(|i| i as u8));
        fetch(&odd);
        fetch(&());
        fetch(&odd.1[639]);
        fetch(&odd.1[..]);
        fetch::<[u64]>(&[]);
        assert!(odd.0 == 1 && odd.1.iter().enumerate().all(|(i, &octet)| octet == i as u8));
    }
}
