//! See `fluxtap_fuzz::pairing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fluxtap_fuzz::pairing::run(bytes));
