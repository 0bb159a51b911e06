//! See `fluxtap_fuzz::layers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fluxtap_fuzz::layers::run(bytes));
