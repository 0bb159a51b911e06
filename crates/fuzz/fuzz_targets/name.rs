//! See `fluxtap_fuzz::name`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fluxtap_fuzz::name::run(bytes));
